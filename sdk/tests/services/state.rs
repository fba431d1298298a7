//! The state store's services.

use std::time::Duration;

use dapr_pluggable::{Block, Blocks};
use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::within;
use prost::Message as _;
use proto::queriable_state_store_client::QueriableStateStoreClient;
use proto::transactional_state_operation::Request as Step;
use proto::transactional_state_store_client::TransactionalStateStoreClient;
use proto::transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient;
use tonic::{Code, Status};
use tonic_types::pb;

use super::acting::{Notes, blocks};
use super::rig::{Rig, refused, to, with_rig};

fn get(key: &str) -> proto::GetRequest {
    proto::GetRequest {
        key: key.to_owned(),
        ..Default::default()
    }
}

fn set(key: &str, value: &str) -> proto::SetRequest {
    proto::SetRequest {
        key: key.to_owned(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

fn delete(key: &str) -> proto::DeleteRequest {
    proto::DeleteRequest {
        key: key.to_owned(),
        ..Default::default()
    }
}

fn etag(value: &str) -> Option<proto::Etag> {
    Some(proto::Etag {
        value: value.to_owned(),
    })
}

fn steps(steps: Vec<Option<Step>>) -> proto::TransactionalStateRequest {
    let operations = steps.into_iter();
    let operations = operations.map(|request| proto::TransactionalStateOperation { request });
    proto::TransactionalStateRequest {
        operations: operations.collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn values_go_in_and_come_out() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        let mut state = rig.state();
        let missing = state.get(to("s", get("a"))).await.unwrap().into_inner();
        assert_eq!(missing, proto::GetResponse::default());
        state.set(to("s", set("a", "1"))).await.unwrap();
        let found = state.get(to("s", get("a"))).await.unwrap().into_inner();
        assert_eq!(found.data, "1");
        assert_eq!(found.etag, etag("1"));

        let items = vec![set("b", "2"), set("c", "3")];
        let request = proto::BulkSetRequest {
            items,
            options: None,
        };
        state.bulk_set(to("s", request)).await.unwrap();
        let items = vec![get("c"), get("away"), get("nothing"), get("b")];
        let options = Some(proto::BulkGetRequestOptions { parallelism: -3 });
        let request = proto::BulkGetRequest { items, options };
        let answer = state.bulk_get(to("s", request)).await.unwrap().into_inner();
        let items: Vec<_> = answer
            .items
            .iter()
            .map(|item| (&*item.key, &*item.data, &*item.error))
            .collect();
        let expected: [(&str, &[u8], &str); 4] = [
            ("c", b"3", ""),
            ("away", b"", "the backend is away"),
            ("nothing", b"", ""),
            ("b", b"2", ""),
        ];
        assert_eq!(items, expected);

        state.delete(to("s", delete("a"))).await.unwrap();
        let items = vec![delete("b"), delete("c")];
        let request = proto::BulkDeleteRequest {
            items,
            options: None,
        };
        state.bulk_delete(to("s", request)).await.unwrap();
        for key in ["a", "b", "c"] {
            let found = state.get(to("s", get(key))).await.unwrap().into_inner();
            assert!(found.data.is_empty(), "{key}");
        }
    })
    .await;
}

#[tokio::test]
async fn features_follow_from_what_the_instance_has() {
    with_rig(async |rig| {
        rig.open_state("all", &[]).await;
        rig.open_state("plain", &[("plain", "true")]).await;
        let features = async |instance| {
            let answer = rig
                .state()
                .features(to(instance, proto::FeaturesRequest {}))
                .await;
            answer.unwrap().into_inner().features
        };
        assert_eq!(
            features("all").await,
            ["ETAG", "TRANSACTIONAL", "QUERY_API", "COLOURS"]
        );
        assert_eq!(features("plain").await, ["ETAG", "COLOURS"]);
    })
    .await;
}

#[tokio::test]
async fn optional_services_say_what_an_instance_does_not_do() {
    with_rig(async |rig| {
        rig.open_state("all", &[("size", "5")]).await;
        rig.open_state("endless", &[]).await;
        rig.open_state("plain", &[("plain", "true")]).await;
        let mut transactional = TransactionalStateStoreClient::new(rig.channel.clone());
        let mut sized = TransactionalStoreMultiMaxSizeClient::new(rig.channel.clone());
        let mut queryable = QueriableStateStoreClient::new(rig.channel.clone());

        let request = steps(vec![
            Some(Step::Set(set("a", "1"))),
            Some(Step::Delete(delete("b"))),
        ]);
        transactional.transact(to("all", request)).await.unwrap();
        let notes = rig.notes.all();
        let notes = notes.get(3..).unwrap();
        assert_eq!(notes, ["step a", "set a", "step b", "delete b"]);

        let mut limit = async |instance| {
            let answer = sized
                .multi_max_size(to(instance, proto::MultiMaxSizeRequest {}))
                .await;
            answer.map(|answer| answer.into_inner().max_size)
        };
        assert_eq!(limit("all").await.unwrap(), 5);
        assert_eq!(limit("endless").await.unwrap(), -1);
        assert_eq!(
            limit("plain").await.unwrap_err().code(),
            Code::Unimplemented
        );

        let query = proto::QueryRequest {
            query: Some(proto::Query {
                pagination: Some(proto::Pagination {
                    limit: 1,
                    token: "next".to_owned(),
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let page = queryable.query(to("all", query.clone())).await.unwrap();
        let page = page.into_inner();
        assert_eq!(page.token, "next");
        assert_eq!(page.items.first().unwrap().etag, etag("7"));
        refused(
            queryable.query(to("plain", query)).await,
            Code::Unimplemented,
            &["query"],
        );
        refused(
            transactional.transact(to("plain", steps(Vec::new()))).await,
            Code::Unimplemented,
            &["transact"],
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_etag_is_told_as_the_runtime_reads_it() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        let mut state = rig.state();
        state.set(to("s", set("a", "1"))).await.unwrap();
        let mut wrong = set("a", "2");
        wrong.etag = etag("9");
        let status = state.set(to("s", wrong)).await.unwrap_err();
        assert_etag_mismatch(&status);
        let mut wrong = delete("a");
        wrong.etag = etag("9");
        let bulk = proto::BulkDeleteRequest {
            items: vec![wrong.clone()],
            options: None,
        };
        assert_etag_mismatch(&state.delete(to("s", wrong)).await.unwrap_err());
        assert_etag_mismatch(&state.bulk_delete(to("s", bulk)).await.unwrap_err());
        let mut first = set("a", "2");
        first.options = Some(proto::StateOptions {
            concurrency: proto::state_options::StateConcurrency::ConcurrencyFirstWrite.into(),
            consistency: 0,
        });
        assert_etag_mismatch(&state.set(to("s", first.clone())).await.unwrap_err());
        // An option that we do not know is none.
        first.options = Some(proto::StateOptions {
            concurrency: 77,
            consistency: 77,
        });
        state.set(to("s", first)).await.unwrap();
    })
    .await;
}

#[track_caller]
fn assert_etag_mismatch(status: &Status) {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let details = pb::Status::decode(status.details()).unwrap().details;
    let [detail] = &details[..] else {
        panic!("{details:?}");
    };
    let bad = pb::BadRequest::decode(&*detail.value).unwrap();
    let [violation] = &bad.field_violations[..] else {
        panic!("{bad:?}");
    };
    assert_eq!(violation.field, "etag");
}

#[tokio::test]
async fn bad_requests_are_named_and_never_reach_the_component() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        rig.notes.clear();
        let mut state = rig.state();
        let code = Code::InvalidArgument;
        refused(
            state.get(to("s", get(""))).await,
            code,
            &["missing key", "get"],
        );
        refused(
            state.set(to("s", set("", "1"))).await,
            code,
            &["missing key", "set"],
        );
        refused(
            state.delete(to("s", delete(""))).await,
            code,
            &["missing key", "delete"],
        );
        let bulk = proto::BulkGetRequest {
            items: vec![get("a"), get("")],
            options: None,
        };
        refused(
            state.bulk_get(to("s", bulk)).await,
            code,
            &["item 2", "missing key"],
        );
        let bulk = proto::BulkSetRequest {
            items: vec![set("a", "1"), set("", "2")],
            options: None,
        };
        refused(
            state.bulk_set(to("s", bulk)).await,
            code,
            &["item 2", "missing key"],
        );
        let bulk = proto::BulkDeleteRequest {
            items: vec![delete("")],
            options: None,
        };
        refused(
            state.bulk_delete(to("s", bulk)).await,
            code,
            &["item 1", "missing key"],
        );

        let mut transactional = TransactionalStateStoreClient::new(rig.channel.clone());
        let nothing = steps(vec![Some(Step::Set(set("a", "1"))), None]);
        refused(
            transactional.transact(to("s", nothing)).await,
            code,
            &["operation 2"],
        );
        let empty = steps(vec![Some(Step::Delete(delete("")))]);
        refused(
            transactional.transact(to("s", empty)).await,
            code,
            &["item 1", "missing key"],
        );
        let mut queryable = QueriableStateStoreClient::new(rig.channel.clone());
        refused(
            queryable
                .query(to("s", proto::QueryRequest::default()))
                .await,
            code,
            &["no query"],
        );
        let unknown = prost_types::Any {
            type_url: String::new(),
            value: b"{}".to_vec(),
        };
        let query = proto::Query {
            filter: [("LIKE".to_owned(), unknown)].into(),
            ..Default::default()
        };
        let request = proto::QueryRequest {
            query: Some(query),
            ..Default::default()
        };
        refused(queryable.query(to("s", request)).await, code, &["LIKE"]);
        assert!(rig.notes.all().is_empty(), "{:?}", rig.notes.all());
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_one_failed_call() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        let mut state = rig.state();
        refused(
            state.get(to("s", get("panic"))).await,
            Code::Internal,
            &["panicked in get"],
        );
        state.get(to("s", get("a"))).await.unwrap();
        refused(
            state.set(to("s", set("panic", "1"))).await,
            Code::Internal,
            &["panicked in set"],
        );
        state.set(to("s", set("a", "1"))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_passed_deadline_ends_the_call_and_its_work() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        let mut request = to("s", get("wait"));
        request.set_timeout(Duration::from_millis(50));
        let status = rig.state().get(request).await.unwrap_err();
        // The client has a clock, too: its own answer may be the first.
        let codes = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(codes.contains(&status.code()), "{status:?}");
        rig.notes.wait_for("given up").await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_is_given_up() {
    with_rig(async |rig| {
        rig.open_state("s", &[]).await;
        let mut state = rig.state();
        let call = tokio::spawn(async move { state.get(to("s", get("wait"))).await });
        rig.notes.wait_for("get wait").await;
        call.abort();
        rig.notes.wait_for("given up").await;
        rig.state().get(to("s", get("a"))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives() {
    let notes = Notes::new();
    let rig = Rig::start(notes.clone(), |server| {
        server.blocks(blocks(&notes)).max_message_size(1 << 20)
    })
    .await;
    within("the test", async {
        rig.open_state("s", &[]).await;
        let large = set("a", &"x".repeat(2 << 20));
        let status = rig.state().set(to("s", large)).await.unwrap_err();
        assert!(status.message().contains("1048576"), "{status:?}");
        let fits = set("a", &"x".repeat(1 << 19));
        rig.state().set(to("s", fits)).await.unwrap();
        // What Dapr's runtime would not take is sent all the same: other callers may.
        let large = rig.state().get(to("s", get("large"))).await.unwrap();
        assert_eq!(large.into_inner().data.len(), 5 << 20);
    })
    .await;
}

#[tokio::test]
async fn an_offloaded_block_behaves_alike() {
    let notes = Notes::new();
    let offloaded: Blocks = blocks(&notes).offload(Block::StateStore);
    let rig = Rig::start(notes, |server| server.blocks(offloaded)).await;
    within("the test", async {
        rig.open_state("s", &[]).await;
        rig.state().set(to("s", set("a", "1"))).await.unwrap();
        let found = rig.state().get(to("s", get("a"))).await.unwrap();
        assert_eq!(found.into_inner().data, "1");
        refused(
            rig.state().get(to("s", get("panic"))).await,
            Code::Internal,
            &["panicked in get"],
        );
        let mut state = rig.state();
        let call = tokio::spawn(async move { state.get(to("s", get("wait"))).await });
        rig.notes.wait_for("get wait").await;
        call.abort();
        rig.notes.wait_for("given up").await;
    })
    .await;
}
