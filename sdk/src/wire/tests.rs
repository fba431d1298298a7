use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;
use crate::binding::{Event, InvokeRequest, InvokeResponse};
use crate::delivery::{Ack, Reply};
use crate::pubsub::{
    BulkPublication, BulkPublishEntry, FailedEntry, Message, PubSubClaims, Publication,
    Subscription,
};
use crate::secret::{GetSecretRequest, Secret, SecretClaims};
use crate::state::{
    BulkEntry, Concurrency, Consistency, DeleteRequest, Entry, Etag, Filter, GetRequest, Operation,
    Order, Page, Parallelism, Query, QueryItem, QueryPage, SetRequest, Sort, StateClaims,
};

/// Writes, encodes, decodes and reads.
fn travel<T: Wire>(value: T) -> T
where
    T::Message: prost::Message + Default,
{
    let bytes = value.into_wire().encode_to_vec();
    T::from_wire(T::Message::decode(&*bytes).unwrap()).unwrap()
}

fn round_trip<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Wire + Clone + PartialEq + Debug,
    T::Message: prost::Message + Default,
{
    prop_assert_eq!(&travel(value.clone()), value);
    Ok(())
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    ".{1,12}"
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(proptest::num::u8::ANY, 0..40).prop_map(Bytes::from)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    vec((text(), text()), 0..4).prop_map(Metadata::from_iter)
}

fn etag() -> impl Strategy<Value = Option<Etag>> {
    option::of(text().prop_map(Etag::new))
}

fn content_type() -> impl Strategy<Value = Option<String>> {
    option::of(name())
}

fn concurrency() -> impl Strategy<Value = Concurrency> {
    prop_oneof![
        Just(Concurrency::Unspecified),
        Just(Concurrency::FirstWrite),
        Just(Concurrency::LastWrite)
    ]
}

fn consistency() -> impl Strategy<Value = Consistency> {
    prop_oneof![
        Just(Consistency::Unspecified),
        Just(Consistency::Eventual),
        Just(Consistency::Strong)
    ]
}

fn get() -> impl Strategy<Value = GetRequest> {
    (text(), metadata(), consistency()).prop_map(|(key, metadata, consistency)| GetRequest {
        key,
        metadata,
        consistency,
    })
}

prop_compose! {
    fn set()(
        key in text(),
        value in data(),
        etag in etag(),
        metadata in metadata(),
        concurrency in concurrency(),
        consistency in consistency(),
        content_type in content_type(),
    ) -> SetRequest {
        SetRequest { key, value, etag, metadata, concurrency, consistency, content_type }
    }
}

prop_compose! {
    fn delete()(
        key in text(),
        etag in etag(),
        metadata in metadata(),
        concurrency in concurrency(),
        consistency in consistency(),
    ) -> DeleteRequest {
        DeleteRequest { key, etag, metadata, concurrency, consistency }
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let entry = (data(), etag(), metadata(), content_type());
    entry.prop_map(|(value, etag, metadata, content_type)| Entry {
        // An empty value with nothing else is not told from none.
        value: if value.is_empty() {
            Bytes::from_static(b"0")
        } else {
            value
        },
        etag,
        metadata,
        content_type,
    })
}

fn parallelism() -> impl Strategy<Value = Parallelism> {
    proptest::num::i64::ANY.prop_map(Parallelism::new)
}

fn other() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("X_[A-Z]{1,8}", 0..3)
        .prop_map(|names| names.into_iter().collect())
}

fn json_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        proptest::num::i64::ANY.prop_map(Value::from),
        proptest::bool::ANY.prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let compared = (0..7usize, text(), vec(json_scalar(), 1..4));
    let leaf = compared.prop_map(|(operator, path, values)| {
        let value = values.first().cloned().unwrap_or_default();
        match operator {
            0 => Filter::Equal(path, value),
            1 => Filter::NotEqual(path, value),
            2 => Filter::Greater(path, value),
            3 => Filter::GreaterOrEqual(path, value),
            4 => Filter::Less(path, value),
            5 => Filter::LessOrEqual(path, value),
            _ => Filter::In(path, values),
        }
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Filter::And),
            vec(inner, 1..4).prop_map(Filter::Or),
        ]
    })
}

prop_compose! {
    fn query()(
        filter in option::of(filter()),
        sort in vec((text(), proptest::bool::ANY), 0..3),
        limit in proptest::num::u32::ANY,
        token in content_type(),
        metadata in metadata(),
    ) -> Query {
        let sort = sort.into_iter().map(|(path, descending)| {
            Sort::new(path, if descending { Order::Descending } else { Order::Ascending })
        });
        Query {
            filter,
            sort: sort.collect(),
            page: Page { limit: NonZeroU32::new(limit), token },
            metadata,
        }
    }
}

prop_compose! {
    fn publication()(
        topic in name(),
        data in data(),
        pubsub_name in text(),
        metadata in metadata(),
        content_type in content_type(),
    ) -> Publication {
        Publication { topic, data, pubsub_name, metadata, content_type }
    }
}

prop_compose! {
    fn bulk_publication()(
        topic in name(),
        pubsub_name in text(),
        entries in vec((data(), metadata(), content_type()), 0..4),
        metadata in metadata(),
    ) -> BulkPublication {
        let entries = entries.into_iter().enumerate().map(|(index, (data, metadata, content_type))| {
            BulkPublishEntry { entry_id: index.to_string(), data, metadata, content_type }
        });
        BulkPublication { topic, pubsub_name, entries: entries.collect(), metadata }
    }
}

fn secret() -> impl Strategy<Value = Secret> {
    vec((text(), text()), 0..3).prop_map(Secret::from_iter)
}

proptest! {
    #[test]
    fn state_requests(get in get(), set in set(), delete in delete(), parallelism in parallelism()) {
        round_trip(&get)?;
        round_trip(&set)?;
        round_trip(&delete)?;
        round_trip(&(vec![get], parallelism))?;
        round_trip(&(vec![set.clone()], parallelism))?;
        round_trip(&(vec![delete.clone()], parallelism))?;
        let operations = vec![Operation::Delete(delete), Operation::Set(set.clone())];
        round_trip(&(operations, set.metadata))?;
    }

    #[test]
    fn state_answers(entry in option::of(entry()), limit in option::of(1..u32::MAX)) {
        round_trip(&entry)?;
        round_trip(&limit.and_then(NonZeroU32::new))?;
        let back = travel(vec![
            BulkEntry::new("a", Ok(entry.clone())),
            BulkEntry::new("b", Err(Error::internal("it broke"))),
        ]);
        let [first, second] = &back[..] else { panic!("{back:?}") };
        prop_assert_eq!(&first.key, "a");
        prop_assert_eq!(first.outcome.as_ref().unwrap(), &entry);
        prop_assert_eq!(&second.key, "b");
        prop_assert_eq!(second.outcome.as_ref().unwrap_err().message(), "it broke");
    }

    #[test]
    fn state_features(etag: bool, ttl: bool, transactional: bool, queryable: bool, other in other()) {
        let claims = StateClaims { etag, ttl, other };
        round_trip(&state::Features { claims, transactional, queryable })?;
    }

    #[test]
    fn queries(query in query()) {
        round_trip(&query)?;
    }

    #[test]
    fn query_answers(
        items in vec((text(), data(), etag(), content_type(), content_type()), 0..3),
        token in content_type(),
        metadata in metadata(),
    ) {
        let items = items.into_iter().map(|(key, value, etag, error, content_type)| {
            QueryItem { key, value, etag, error, content_type }
        });
        let page = QueryPage { items: items.collect(), token, metadata };
        let message = page.into_wire();
        let back = QueryPage::from_wire(message.clone()).unwrap();
        prop_assert_eq!(back.into_wire(), message);
    }

    #[test]
    fn publications(one in publication(), many in bulk_publication()) {
        round_trip(&one)?;
        round_trip(&many)?;
    }

    #[test]
    fn failed_entries(failed in vec((text(), text()), 0..3)) {
        let failed = failed.into_iter().map(|(id, error)| FailedEntry::new(id, error));
        round_trip(&failed.collect::<Vec<_>>())?;
    }

    #[test]
    fn pull_streams(topic in name(), id in text(), data in data(), metadata in metadata(), content_type in content_type()) {
        round_trip(&Subscription { topic: topic.clone(), metadata: metadata.clone() })?;
        round_trip(&Identified { id, content: Message { topic, data, metadata, content_type } })?;
    }

    #[test]
    fn answers(id in text(), why in text(), data in data()) {
        for ack in [Ack::Accepted, Ack::Rejected(why.clone())] {
            let frame = pubsub::answer(id.clone(), ack.clone()).unwrap();
            prop_assert_eq!(pubsub::read_answer(frame), (id.clone(), ack));
        }
        for reply in [Reply::Handled(data), Reply::Failed(why)] {
            let frame = binding::reply(id.clone(), reply.clone()).unwrap();
            prop_assert_eq!(binding::read_reply(frame), (id.clone(), reply));
        }
    }

    #[test]
    fn pubsub_features(message_ttl: bool, wildcards: bool, bulk_publisher: bool, other in other()) {
        let claims = PubSubClaims { message_ttl, wildcards, other };
        round_trip(&pubsub::Features { claims, bulk_publisher })?;
    }

    #[test]
    fn bindings(operation in name(), id in text(), data in data(), metadata in metadata(), content_type in content_type()) {
        let event = Event { data: data.clone(), metadata: metadata.clone(), content_type: content_type.clone() };
        round_trip(&Identified { id, content: event })?;
        round_trip(&InvokeRequest { operation, data: data.clone(), metadata: metadata.clone() })?;
        round_trip(&InvokeResponse { data, metadata, content_type })?;
    }

    #[test]
    fn secrets(name in name(), metadata in metadata(), secret in secret(), multiple_keys: bool, other in other()) {
        round_trip(&GetSecretRequest { name: name.clone(), metadata })?;
        round_trip(&secret)?;
        round_trip(&BTreeMap::from([(name, secret)]))?;
        round_trip(&SecretClaims { multiple_keys, other })?;
    }

    #[test]
    fn init_metadata_comes_back(properties in metadata()) {
        prop_assert_eq!(init_properties(init_metadata(properties.clone())).unwrap(), properties);
    }
}

#[test]
fn silence_tells_what_is_abandoned() {
    assert_eq!(pubsub::answer("1".to_owned(), Ack::Abandoned), None);
    assert_eq!(binding::reply("1".to_owned(), Reply::Abandoned), None);
}

#[test]
fn values_are_moved_and_not_copied() {
    let value = Bytes::from(vec![7; 1 << 16]);
    let message = SetRequest::new("a", value.clone()).into_wire();
    assert_eq!(message.value.as_ptr(), value.as_ptr());
    let back = SetRequest::from_wire(message).unwrap();
    assert_eq!(back.value.as_ptr(), value.as_ptr());
}

fn refused<T: Wire + Debug>(message: T::Message, naming: &[&str]) {
    let error = T::from_wire(message).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    for part in naming {
        assert!(error.message().contains(part), "{part:?} is not in {error}");
    }
}

#[test]
fn an_init_needs_its_metadata() {
    let error = init_properties(None).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert!(error.message().contains("metadata"), "{error}");
}

#[test]
fn a_missing_options_message_is_one_without_options() {
    let set = SetRequest::from_wire(proto::SetRequest::default()).unwrap();
    assert_eq!(set, SetRequest::default());
    let delete = DeleteRequest::from_wire(proto::DeleteRequest::default()).unwrap();
    assert_eq!(delete, DeleteRequest::default());
    let bulk = <(Vec<GetRequest>, Parallelism)>::from_wire(proto::BulkGetRequest::default());
    assert_eq!(bulk.unwrap(), (Vec::new(), Parallelism::default()));
    let bulk = <(Vec<SetRequest>, Parallelism)>::from_wire(proto::BulkSetRequest::default());
    assert_eq!(bulk.unwrap().1, Parallelism::default());
    let bulk = <(Vec<DeleteRequest>, Parallelism)>::from_wire(proto::BulkDeleteRequest::default());
    assert_eq!(bulk.unwrap().1, Parallelism::default());
}

#[test]
fn an_unknown_enum_value_is_unspecified() {
    let options = Some(proto::StateOptions {
        concurrency: 77,
        consistency: -1,
    });
    let set = proto::SetRequest {
        options,
        ..Default::default()
    };
    let set = SetRequest::from_wire(set).unwrap();
    assert_eq!(set.concurrency, Concurrency::Unspecified);
    assert_eq!(set.consistency, Consistency::Unspecified);
    let get = proto::GetRequest {
        consistency: 9,
        ..Default::default()
    };
    let get = GetRequest::from_wire(get).unwrap();
    assert_eq!(get.consistency, Consistency::Unspecified);
    let sort = proto::Sorting {
        key: "a".to_owned(),
        order: 5,
    };
    assert_eq!(
        Sort::from_wire(sort).unwrap(),
        Sort::new("a", Order::Ascending)
    );
}

#[test]
fn an_etag_may_be_there_and_empty() {
    let empty = Some(proto::Etag::default());
    let set = proto::SetRequest {
        etag: empty,
        ..Default::default()
    };
    let set = SetRequest::from_wire(set).unwrap();
    assert_eq!(set.etag, Some(Etag::new("")));
}

#[test]
fn an_operation_that_is_neither_set_nor_delete_is_named() {
    let set = proto::transactional_state_operation::Request::Set(proto::SetRequest::default());
    let request = proto::TransactionalStateRequest {
        operations: vec![
            proto::TransactionalStateOperation { request: Some(set) },
            proto::TransactionalStateOperation { request: None },
        ],
        metadata: HashMap::new(),
    };
    refused::<(Vec<Operation>, Metadata)>(request, &["operation 2"]);
}

#[test]
fn an_error_without_text_still_is_one() {
    let item = BulkEntry::new("a", Err(Error::new(ErrorKind::Throttled, ""))).into_wire();
    assert_eq!(item.error, "throttled");
}

#[test]
fn limits_out_of_range_are_brought_into_it() {
    let limit = |max_size| {
        Option::<NonZeroU32>::from_wire(proto::MultiMaxSizeResponse { max_size })
            .unwrap()
            .map(NonZeroU32::get)
    };
    assert_eq!(
        [-1, 0, 7, i64::MAX].map(limit),
        [None, None, Some(7), Some(u32::MAX)]
    );
    let page = |limit| {
        let pagination = proto::Pagination {
            limit,
            token: String::new(),
        };
        Page::from_wire(pagination)
            .unwrap()
            .limit
            .map(NonZeroU32::get)
    };
    assert_eq!(
        [-3, 0, 7, i64::MAX].map(page),
        [None, None, Some(7), Some(u32::MAX)]
    );
}

fn query_of(operators: &[(&str, &str)]) -> proto::QueryRequest {
    let filter = operators.iter().map(|(operator, json)| {
        let argument = prost_types::Any {
            type_url: String::new(),
            value: json.as_bytes().to_vec(),
        };
        ((*operator).to_owned(), argument)
    });
    proto::QueryRequest {
        query: Some(proto::Query {
            filter: filter.collect(),
            ..Default::default()
        }),
        metadata: HashMap::new(),
    }
}

#[test]
fn a_filter_is_raw_json_by_operator() {
    let read = |operator, json| {
        Query::from_wire(query_of(&[(operator, json)]))
            .unwrap()
            .filter
    };
    assert_eq!(
        read("EQ", r#"{"person.org": "Dev Ops"}"#),
        Some(Filter::Equal("person.org".to_owned(), json!("Dev Ops")))
    );
    assert_eq!(
        read("AND", r#"[{"LT": {"a": 7}}, {"IN": {"b": ["x", null]}}]"#),
        Some(Filter::And(vec![
            Filter::Less("a".to_owned(), json!(7)),
            Filter::In("b".to_owned(), vec![json!("x"), Value::Null]),
        ]))
    );
    assert_eq!(Query::from_wire(query_of(&[])).unwrap(), Query::default());
}

#[test]
fn a_filter_that_cannot_be_read_is_named() {
    refused::<Query>(query_of(&[("LIKE", r#"{"a": "b"}"#)]), &["LIKE"]);
    refused::<Query>(
        query_of(&[("EQ", r#"{"a": 1}"#), ("OR", "[]")]),
        &["EQ and OR", "expected one"],
    );
    refused::<Query>(query_of(&[("GT", r#"{"a": "#)]), &["GT", "not JSON"]);
    refused::<Query>(query_of(&[("IN", "7")]), &["IN"]);
    refused::<Query>(
        query_of(&[("OR", r#"[{"EQ": {"a": 1}, "NEQ": {"a": 2}}]"#)]),
        &["OR"],
    );
    refused::<Query>(proto::QueryRequest::default(), &["no query"]);
}

#[test]
fn a_filter_that_is_nested_too_deep_is_refused() {
    for depth in [100, 10_000] {
        let mut json = r#"{"EQ":{"a":1}}"#.to_owned();
        for _ in 0..depth {
            json = format!(r#"{{"OR":[{json}]}}"#);
        }
        refused::<Query>(query_of(&[("AND", &format!("[{json}]"))]), &[]);
    }
}

#[test]
fn publications_need_a_topic_and_entries_an_id_of_their_own() {
    refused::<Publication>(proto::PublishRequest::default(), &["topic"]);
    refused::<BulkPublication>(proto::BulkPublishRequest::default(), &["topic"]);
    let bulk = |ids: &[&str]| proto::BulkPublishRequest {
        topic: "orders".to_owned(),
        entries: ids
            .iter()
            .map(|id| proto::BulkMessageEntry {
                entry_id: (*id).to_owned(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    refused::<BulkPublication>(bulk(&["1", ""]), &["entry 2", "no id"]);
    refused::<BulkPublication>(bulk(&["1", "2", "1"]), &[r#""1""#]);
    assert_eq!(BulkPublication::from_wire(bulk(&[])).unwrap().entries, []);
}

#[test]
fn subscriptions_calls_and_secrets_need_a_name() {
    refused::<Subscription>(
        proto::PullMessagesRequest::default(),
        &["first frame", "topic"],
    );
    let unnamed = proto::PullMessagesRequest {
        topic: Some(proto::Topic::default()),
        ..Default::default()
    };
    refused::<Subscription>(unnamed, &["topic"]);
    refused::<InvokeRequest>(proto::InvokeRequest::default(), &["operation"]);
    refused::<GetSecretRequest>(proto::GetSecretRequest::default(), &["secret name"]);
}

#[test]
fn features_are_named_as_the_runtime_knows_them() {
    let state = state::Features {
        claims: StateClaims::none()
            .with_etag()
            .with_ttl()
            .with_other("ETAG"),
        transactional: true,
        queryable: true,
    };
    assert_eq!(
        state.into_wire().features,
        ["ETAG", "TRANSACTIONAL", "TTL", "QUERY_API"]
    );
    let pubsub = pubsub::Features::default();
    assert_eq!(pubsub.into_wire().features, ["BULK_SUBSCRIBE_IMMEDIATE"]);
    let pubsub = pubsub::Features {
        claims: PubSubClaims::none().with_message_ttl().with_wildcards(),
        bulk_publisher: true,
    };
    assert_eq!(
        pubsub.into_wire().features,
        [
            "BULK_SUBSCRIBE_IMMEDIATE",
            "BULK_PUBSUB",
            "MESSAGE_TTL",
            "SUBSCRIBE_WILDCARDS"
        ]
    );
    let secrets = SecretClaims::none().with_multiple_keys();
    assert_eq!(
        secrets.into_wire().features,
        ["MULTIPLE_KEY_VALUES_PER_SECRET"]
    );
}
