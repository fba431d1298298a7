//! A host with the components of a recording.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use dapr_pluggable::socket::SocketsFolder;
use dapr_pluggable::{Server, Serving, Stop};
use dapr_pluggable_host::api::{self, Api};
use dapr_pluggable_host::{Host, Running};
use dapr_pluggable_testbed::{HttpRequest, socket_folder, within};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::case::Case;
use crate::compare;
use crate::component::{self, Calls};

/// One folder of resources for each environment that has components.
const RESOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/resources");

pub(crate) struct Environment {
    address: SocketAddr,
    calls: Calls,
    host: Running,
    serving: JoinHandle<()>,
    component: Serving,
    _folder: TempDir,
}

impl Environment {
    pub(crate) async fn start(name: &str) -> Self {
        let folder = socket_folder();
        let calls = Calls::default();
        let server = Server::new("golden")
            .blocks(component::blocks(&calls))
            .sockets_folder(folder.path());
        let component = Serving::start([server]).await.unwrap();

        let mut host = Host::new("app").sockets_folder(SocketsFolder::find(Some(folder.path())));
        if name != "bare" {
            host = host.resources_path(Path::new(RESOURCES).join(name));
        }
        if name == "ns" {
            host = host.environment([("NAMESPACE", "prod")].into_iter().collect());
        }
        let host = within("the start of the host", host.start()).await.unwrap();
        let listener = api::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(
            host.app_id(),
            Arc::clone(host.registry()),
            host.readiness().clone(),
            host.shutdown().clone(),
        );
        Self {
            address,
            calls,
            host,
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
        let request = HttpRequest::from(&case.request);
        let answer = within(&case.id, request.send(self.address)).await;
        compare::differences(case, &answer, self.calls.take())
    }

    pub(crate) async fn stop(self) {
        self.host.shutdown().cancel();
        within("the end of the API", self.serving).await.unwrap();
        within("the end of the host", self.host.stop()).await;
        within("the end of the component", self.component.stop(Stop::Drain)).await;
    }
}
