//! A component that writes down what happens to it, and folders for a host.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dapr_pluggable::binding::{InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::delivery::{Deliveries, Events};
use dapr_pluggable::pubsub::{PubSub, Publication, Subscription};
use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::settings::Rules;
use dapr_pluggable::socket::SocketsFolder;
use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Result, Server, Serving, async_trait,
};
use dapr_pluggable_host::{Catalogue, Host, Running};
use dapr_pluggable_testbed::socket_folder;
use futures::future::BoxFuture;
use tempfile::TempDir;

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A component of all five blocks. Its metadata `failInit` is the text of an error, `hang` makes its Init last for
    /// ever, `hangClose` its end, `busy` is how many of its Inits fail for a passing reason. The first two concern one
    /// block alone where `only` names it.
    pub(crate) fn blocks(&self) -> Blocks {
        self.state_store()
            .pubsub_with(Rules::Lenient, self.open("pubsub"))
            .input_binding_with(Rules::Lenient, self.open("input"))
            .output_binding_with(Rules::Lenient, self.open("output"))
            .secret_store_with(Rules::Lenient, self.open("secrets"))
    }

    /// The same with a state store alone.
    pub(crate) fn state_store(&self) -> Blocks {
        Blocks::new().state_store_with(Rules::Lenient, self.open("state"))
    }

    fn open(
        &self,
        block: &'static str,
    ) -> impl Fn(HashMap<String, String>, InstanceId) -> BoxFuture<'static, Result<Recorded>>
    + Send
    + Sync
    + 'static {
        let journal = self.clone();
        move |settings, instance| {
            Box::pin(Recorded::open(journal.clone(), block, settings, instance))
        }
    }
}

#[derive(Debug)]
struct Recorded {
    journal: Journal,
    name: String,
    settings: HashMap<String, String>,
}

impl Recorded {
    async fn open(
        journal: Journal,
        block: &'static str,
        settings: HashMap<String, String>,
        instance: InstanceId,
    ) -> Result<Self> {
        let name = format!("{block} {instance}");
        journal.note(format!("open {name}"));
        // The next component must not be opened before this one is.
        tokio::task::yield_now().await;
        let concerned = settings.get("only").is_none_or(|only| only == block);
        if concerned && settings.contains_key("hang") {
            let _given_up = GivenUp(&journal, &name);
            std::future::pending::<()>().await;
        }
        let begun = format!("open {name}");
        let inits = journal
            .events()
            .iter()
            .filter(|event| **event == begun)
            .count();
        let busy = settings.get("busy").map_or(0, |busy| busy.parse().unwrap());
        if inits <= busy {
            return Err(Error::new(ErrorKind::Unavailable, "no backend yet"));
        }
        if let Some(text) = settings.get("failInit").filter(|_| concerned) {
            return Err(Error::invalid_settings(text.as_str()));
        }
        journal.note(format!("opened {name}"));
        Ok(Self {
            journal,
            name,
            settings,
        })
    }
}

/// Notes that nobody waits for an Init any more.
struct GivenUp<'a>(&'a Journal, &'a str);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.note(format!("given up {}", self.1));
    }
}

#[async_trait]
impl Component for Recorded {
    async fn close(&self) -> Result<()> {
        self.journal.note(format!("close {}", self.name));
        if self.settings.contains_key("hangClose") {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Every key has the value of the metadata of that name.
#[async_trait]
impl StateStore for Recorded {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        let value = self.settings.get(&request.key);
        Ok(value.map(|value| Entry::new(value.clone().into_bytes())))
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Err(Error::unsupported("set"))
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Err(Error::unsupported("delete"))
    }
}

#[async_trait]
impl PubSub for Recorded {
    async fn publish(&self, _: Publication) -> Result<()> {
        Ok(())
    }

    async fn subscribe(&self, _: Subscription, deliveries: Deliveries) -> Result<()> {
        deliveries.closed().await;
        Ok(())
    }
}

#[async_trait]
impl InputBinding for Recorded {
    async fn read(&self, events: Events) -> Result<()> {
        events.closed().await;
        Ok(())
    }
}

#[async_trait]
impl OutputBinding for Recorded {
    fn operations(&self) -> Vec<String> {
        Vec::new()
    }

    async fn invoke(&self, _: InvokeRequest) -> Result<InvokeResponse> {
        Err(Error::unsupported("invoke"))
    }
}

#[async_trait]
impl SecretStore for Recorded {
    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        self.journal
            .note(format!("get {} {}", self.name, request.name));
        Ok(self
            .settings
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}

/// A folder of resources and one of sockets.
pub(crate) struct Place {
    resources: TempDir,
    sockets: TempDir,
}

impl Place {
    /// With one resource file.
    pub(crate) fn new(yaml: &str) -> Self {
        let place = Self {
            resources: tempfile::tempdir().unwrap(),
            sockets: socket_folder(),
        };
        fs::write(place.resources.path().join("components.yaml"), yaml).unwrap();
        place
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.sockets.path().join(format!("{name}.sock"))
    }

    pub(crate) fn sockets_folder(&self) -> PathBuf {
        self.sockets.path().to_owned()
    }

    /// A host over both, with the recording component in its catalogue as `rec`.
    pub(crate) fn host(&self, journal: &Journal) -> Host {
        let journal = journal.clone();
        Host::new("app")
            .resources_path(self.resources.path())
            .sockets_folder(SocketsFolder::find(Some(self.sockets.path())))
            .catalogue(Catalogue::new().with("rec", move || journal.blocks()))
    }

    /// Serves a component on a socket of that name.
    pub(crate) async fn serve(&self, name: &str, blocks: Blocks) -> Serving {
        let server = Server::new(name)
            .blocks(blocks)
            .sockets_folder(self.sockets.path());
        Serving::start([server]).await.unwrap()
    }

    pub(crate) async fn start(&self, journal: &Journal) -> Result<Running> {
        self.host(journal).start().await
    }
}

/// A Component resource: its name, its type, more lines for `spec`, and metadata.
pub(crate) fn component(name: &str, kind: &str, spec: &str, metadata: &[(&str, &str)]) -> String {
    let mut text = format!(
        "---\napiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  version: v1\n"
    );
    if !spec.is_empty() {
        text.push_str(&format!("  {spec}\n"));
    }
    if !metadata.is_empty() {
        text.push_str("  metadata:\n");
    }
    for (name, value) in metadata {
        text.push_str(&format!("  - {{name: {name}, value: {value}}}\n"));
    }
    text
}

/// The names of the open components, in their order.
pub(crate) fn open_names(running: &Running) -> Vec<String> {
    let infos = running.registry().components().infos();
    infos.into_iter().map(|info| info.identity.name).collect()
}

/// Those that wait, with what for.
pub(crate) fn waiting(running: &Running) -> Vec<(String, String)> {
    let components = running.registry().components();
    components
        .waiting()
        .map(|waiting| (waiting.identity.name.clone(), waiting.reason.clone()))
        .collect()
}

/// The value that a state store has, as the host reads it.
pub(crate) async fn value(running: &Running, store: &str, key: &str) -> Result<Option<String>> {
    let components = running.registry().components();
    let Some(component) = components.state_store(store) else {
        return Err(Error::internal(format!("no store {store}")));
    };
    let entry = component.store().get(GetRequest::new(key)).await?;
    Ok(entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()))
}
