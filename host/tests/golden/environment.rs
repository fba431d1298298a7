//! A host with the components of a recording.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::{InstanceId, Metadata, Opener as _, Server, Serving, Stop};
use dapr_pluggable_host::api::{self, Api};
use dapr_pluggable_host::{
    Identity, KeyPrefix, OpenComponent, PrefixContext, Readiness, Registry, StateComponent,
};
use dapr_pluggable_testbed::{HttpRequest, socket_folder, within};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::case::Case;
use crate::compare;
use crate::component::{self, Calls};

const APP_ID: &str = "app";

/// The state stores of an environment, with their metadata.
type Stores = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const MAIN: Stores = &[
    ("mem", &[("plain", "text")]),
    ("kname", &[("keyPrefix", "name")]),
    ("kns", &[("KEYPREFIX", "namespace")]),
    ("knone", &[("keyPrefix", "none")]),
    ("kappid", &[("keyPrefix", "APPID")]),
    ("kcustom", &[("keyPrefix", "MyShared")]),
    ("notx", &[("features", "ETAG")]),
    ("max2", &[("maxSize", "2")]),
    ("maxerr", &[("maxSize", "err-plain")]),
];
const NAMESPACED: Stores = &[("mem", &[]), ("kns", &[("keyPrefix", "namespace")])];

pub(crate) struct Environment {
    address: SocketAddr,
    calls: Calls,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    component: Serving,
    _folder: TempDir,
}

impl Environment {
    pub(crate) async fn start(name: &str) -> Self {
        let (stores, namespace): (Stores, _) = match name {
            "main" => (MAIN, None),
            "ns" => (NAMESPACED, Some("prod")),
            "bare" => (&[], None),
            other => panic!("no such environment: {other}"),
        };
        let calls = Calls::default();
        let folder = socket_folder();
        let server = Server::new("golden")
            .blocks(component::blocks(&calls))
            .sockets_folder(folder.path());
        let component = Serving::start([server]).await.unwrap();
        let client = Client::connect(folder.path().join("golden.sock"))
            .await
            .unwrap();
        let registry = Arc::new(Registry::new());
        for (name, settings) in stores {
            let settings: Metadata = settings.iter().copied().collect();
            let context = PrefixContext {
                app_id: APP_ID,
                component: name,
                namespace,
            };
            let prefix = KeyPrefix::new(settings.get_ignore_case("keyPrefix"), context).unwrap();
            let instance = InstanceId::new(*name);
            let store = client.open_state_store(&instance, &settings).await.unwrap();
            let identity = Identity::new(*name, "state.golden", "v1");
            let store = StateComponent::new(identity, store, prefix);
            registry.add(OpenComponent::StateStore(Arc::new(store)));
        }
        let readiness = Readiness::new();
        readiness.set_ready();
        let shutdown = CancellationToken::new();
        let listener = api::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(APP_ID, registry, readiness, shutdown.clone());
        Self {
            address,
            calls,
            shutdown,
            serving: tokio::spawn(api.serve(listener)),
            component,
            _folder: folder,
        }
    }

    /// Where this host's answer differs from the one that was recorded.
    pub(crate) async fn replay(&self, case: &Case) -> Vec<String> {
        for request in &case.setup {
            within("setup", HttpRequest::from(request).send(self.address)).await;
        }
        self.calls.take();
        let answer = within(
            &case.id,
            HttpRequest::from(&case.request).send(self.address),
        )
        .await;
        compare::differences(case, &answer, self.calls.take())
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        within("the end of the server", self.serving).await.unwrap();
        within("the end of the component", self.component.stop(Stop::Drain)).await;
    }
}
