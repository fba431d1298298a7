//! An application cannot tell a component in the host's process from the same component behind a socket: neither by its
//! answers nor by its errors.

use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{
    BulkEntry, DeleteRequest, Entry, GetRequest, Operation, Parallelism, Query, QueryPage,
    QueryableStateStore, SetRequest, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Metadata, Opener, Result, RuntimeFault,
    Server, Serving, Stop, async_trait,
};
use dapr_pluggable_host::{Identity, KeyPrefix, OpenComponent, StateComponent};
use dapr_pluggable_testbed::{HttpAnswer, HttpRequest, socket_folder, within};
use tempfile::tempdir;

use crate::harness::Served;

#[tokio::test]
async fn errors_read_the_same_in_process_and_behind_a_socket() {
    let folder = tempdir().unwrap();
    let sockets = socket_folder();
    let blocks = || Blocks::new().state_store_from(|| Failing);
    let server = Server::new("failing")
        .blocks(blocks())
        .sockets_folder(sockets.path());
    let component = Serving::start([server]).await.unwrap();
    let socket = sockets.path().join("failing.sock");
    let client = Client::connect(socket).await.unwrap();
    let served = Served::start(folder.path()).await;
    // Of one name, in turn: the name is part of the texts.
    for (kind, _) in KINDS {
        let near = all_answers(&served, kind, &blocks()).await;
        let far = all_answers(&served, kind, &client).await;
        assert!(near.iter().all(|answer| answer.status >= 400), "{near:?}");
        for (near, far) in near.iter().zip(&far) {
            assert_eq!(
                (near.status, near.text()),
                (far.status, far.text()),
                "{kind}"
            );
        }
    }
    served.stop().await;
    within("the end of the component", component.stop(Stop::Drain)).await;
}

/// The answers to each kind of request that fails with an error of that kind.
async fn all_answers(served: &Served, kind: &str, opener: &dyn Opener) -> Vec<HttpAnswer> {
    let instance = InstanceId::new("failing");
    let store = opener.open_state_store(&instance, &Metadata::new()).await;
    let identity = Identity::new("failing", "state.failing", "v1");
    let store = StateComponent::new(identity, store.unwrap(), KeyPrefix::none());
    // What was there before has nothing to close.
    let _replaced = served
        .host
        .registry()
        .add(OpenComponent::StateStore(Arc::new(store)));
    let path = "/v1.0/state/failing";
    let item = format!(r#"{{"key":"{kind}","value":1}}"#);
    let requests = [
        HttpRequest::new("GET", format!("{path}/{kind}")),
        HttpRequest::new("DELETE", format!("{path}/{kind}")),
        HttpRequest::new("POST", path).body(format!("[{item}]")),
        HttpRequest::new("POST", path).body(format!("[{item},{item}]")),
        HttpRequest::new("POST", format!("{path}/bulk")).body(format!(r#"{{"keys":["{kind}"]}}"#)),
        HttpRequest::new("POST", format!("{path}/transaction")).body(format!(
            r#"{{"operations":[{{"operation":"upsert","request":{item}}}]}}"#
        )),
        HttpRequest::new(
            "POST",
            format!("/v1.0-alpha1/state/failing/query?metadata.kind={kind}"),
        )
        .body("{}"),
    ];
    let mut answers = Vec::new();
    for request in requests {
        answers.push(served.send(request).await);
    }
    answers
}

type Kind = (&'static str, fn() -> ErrorKind);

const KINDS: &[Kind] = &[
    ("not-found", || ErrorKind::NotFound),
    ("invalid-request", || ErrorKind::InvalidRequest),
    ("etag-mismatch", || ErrorKind::EtagMismatch),
    ("etag-invalid", || ErrorKind::EtagInvalid),
    ("unsupported", || ErrorKind::Unsupported),
    ("not-opened", || ErrorKind::NotOpened),
    ("denied", || ErrorKind::Denied),
    ("throttled", || ErrorKind::Throttled),
    ("unavailable", || ErrorKind::Unavailable),
    ("timed-out", || ErrorKind::TimedOut),
    ("cancelled", || ErrorKind::Cancelled),
    ("runtime", || {
        ErrorKind::Runtime(RuntimeFault::new(8, 429, "ERR_QUOTA"))
    }),
    ("internal", || ErrorKind::Internal),
];

/// Fails with the kind of error that the key names.
struct Failing;

fn error(kind: &str) -> Error {
    let (_, make) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
    Error::new(make(), "it is so")
}

impl Component for Failing {}

#[async_trait]
impl StateStore for Failing {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        Err(error(&request.key))
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        Err(error(&request.key))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        Err(error(&request.key))
    }

    async fn bulk_get(&self, requests: Vec<GetRequest>, _: Parallelism) -> Result<Vec<BulkEntry>> {
        Err(error(&requests.first().unwrap().key))
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for Failing {
    async fn transact(&self, operations: Vec<Operation>, _: Metadata) -> Result<()> {
        Err(error(operations.first().unwrap().key()))
    }
}

#[async_trait]
impl QueryableStateStore for Failing {
    async fn query(&self, query: Query) -> Result<QueryPage> {
        Err(error(query.metadata.get("kind").unwrap()))
    }
}
