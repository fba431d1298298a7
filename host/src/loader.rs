//! Opening the components of the resources: in Dapr's order at the start, and whenever what one waits for appears.

mod entry;

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::client::Client;
use dapr_pluggable::{Block, Blocks, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, info, warn};

use self::entry::Entry;
use crate::catalogue::Catalogue;
use crate::environment::Environment;
use crate::opening::{self, Place};
use crate::properties::{Surroundings, is_away, missing_secret_store, resolve};
use crate::registry::{OpenComponent, Registry, WaitingComponent};
use crate::resource::ComponentResource;
use crate::sockets::{Answering, Sockets, Watch};
use crate::target::{Category, Target};

/// How long the start waits for sockets that are there. A component whose socket takes longer is attached later.
const START_CAP: Duration = Duration::from_secs(4);
/// How long a socket may take to let somebody in.
const CONNECT_CAP: Duration = Duration::from_secs(3);

/// Keeps the components of one host open.
#[derive(Debug)]
pub(crate) struct Loader {
    app_id: String,
    environment: Environment,
    registry: Arc<Registry>,
    sockets: Sockets,
    catalogue: Catalogue,
    /// What the catalogue made, by name.
    made: HashMap<String, Blocks>,
    entries: Vec<Entry>,
}

/// What came of the attempt to open a component.
enum Attempt {
    Opened(OpenComponent, Option<Answering>),
    /// For what.
    Waits(String),
    Failed(Error, Option<Answering>),
}

impl Loader {
    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// The first resource that cannot work, unless it says `ignoreErrors`.
    pub(crate) fn new(
        app_id: String,
        environment: Environment,
        registry: Arc<Registry>,
        sockets: Sockets,
        catalogue: Catalogue,
        resources: Vec<ComponentResource>,
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for resource in resources {
            let checked = Target::of(&resource.identity).and_then(|target| match target {
                Target::Component { category, name } => {
                    opening::refuse_encryption(&resource, category)?;
                    Ok(Some((category, name)))
                }
                Target::NotHere => Ok(None),
            });
            match checked {
                Ok(Some((category, name))) => entries.push(Entry::new(resource, category, name)),
                Ok(None) => warn!(
                    "left out the component {}: this host has no components of that kind ({})",
                    resource.identity, resource.source
                ),
                Err(error) => {
                    let error = init_failure(&resource, &error);
                    if !resource.ignore_errors {
                        return Err(error);
                    }
                    error!("{error}");
                    registry.set_waiting(WaitingComponent {
                        identity: resource.identity,
                        reason: error.to_string(),
                    });
                }
            }
        }
        Ok(Self {
            app_id,
            environment,
            registry,
            sockets,
            catalogue,
            made: HashMap::new(),
            entries,
        })
    }

    /// Opens what can be opened: secret stores first, then the others in the order of their resources. What is not there
    /// yet waits.
    ///
    /// # Errors
    /// The first component that fails, unless its resource says `ignoreErrors`. What was opened before stays open.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.sockets.scan().await;
        let deadline = Instant::now() + START_CAP;
        while !self.knows_all() {
            match timeout_at(deadline, self.sockets.next_answer()).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.open_ready(true).await
    }

    /// Opens what appears, for ever.
    pub(crate) async fn attend(mut self) {
        let mut watch = Watch::new(self.sockets.folder().path());
        // What came between the first look and the watch.
        self.sockets.scan().await;
        loop {
            tokio::select! {
                Some(()) = self.sockets.next_answer() => {}
                () = watch.changed() => self.sockets.scan().await,
            }
            if let Err(error) = self.open_ready(false).await {
                error!("{error}");
            }
        }
    }

    /// Whether there is nothing to wait for: every socket that an entry could be at has answered.
    fn knows_all(&self) -> bool {
        self.entries.iter().all(|entry| {
            let found = self.sockets.find(&entry.name, entry.blocks());
            found.is_some() || !self.sockets.is_expected(&entry.name)
        })
    }

    /// Opens what can be opened and is not. With `strict` the first failure is returned, otherwise all are logged.
    async fn open_ready(&mut self, strict: bool) -> Result<()> {
        // A secret store may need another one, of a later resource.
        while self.open_all(strict, true).await? {}
        self.open_all(strict, false).await?;
        Ok(())
    }

    /// Whether any was opened.
    async fn open_all(&mut self, strict: bool, secret_stores: bool) -> Result<bool> {
        let mut opened = false;
        let mut entries = std::mem::take(&mut self.entries);
        let mut failure = None;
        for entry in &mut entries {
            if (entry.category == Category::SecretStores) != secret_stores {
                continue;
            }
            match self.open(entry, strict).await {
                Ok(did) => opened |= did,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.entries = entries;
        failure.map_or(Ok(opened), Err)
    }

    /// Whether the component was opened now.
    async fn open(&mut self, entry: &mut Entry, strict: bool) -> Result<bool> {
        if let Some(socket) = entry.socket()
            && !self.sockets.has(socket)
        {
            let what = self.sockets.why_not(&entry.name, entry.blocks());
            self.wait(entry, &what);
        }
        let answering = self.sockets.find(&entry.name, entry.blocks());
        // A socket that has just come is about to answer.
        let is_expected = answering.is_none() && self.sockets.is_expected(&entry.name);
        if entry.is_settled(answering.as_ref()) || (entry.is_waiting() && is_expected) {
            return Ok(false);
        }
        let identity = entry.resource.identity.clone();
        match self.attempt(entry, answering).await {
            Attempt::Opened(component, answering) => {
                match &answering {
                    Some(Answering { path, .. }) => {
                        info!("component loaded: {identity}, at {}", path.display());
                    }
                    None => info!("component loaded: {identity}, in this process"),
                }
                entry.open(answering);
                if let Some(old) = self.registry.add(component) {
                    // The component started again and knows nothing of this value any more.
                    opening::close_component(&old).await;
                }
                Ok(true)
            }
            Attempt::Waits(what) => {
                self.wait(entry, &what);
                Ok(false)
            }
            Attempt::Failed(error, answering) => {
                let error = init_failure(&entry.resource, &error);
                if strict && !entry.resource.ignore_errors {
                    return Err(error);
                }
                error!("{error}");
                self.registry.set_waiting(WaitingComponent {
                    identity,
                    reason: error.to_string(),
                });
                entry.fail(answering, &error);
                Ok(false)
            }
        }
    }

    /// Notes for what a component waits, and says so if it is news.
    fn wait(&self, entry: &mut Entry, what: &str) {
        if entry.waits_for(what) {
            let identity = entry.resource.identity.clone();
            warn!("the component {identity} is not ready: waiting for {what}");
            self.registry.set_waiting(WaitingComponent {
                identity,
                reason: format!("waiting for {what}"),
            });
        }
    }

    async fn attempt(&mut self, entry: &Entry, answering: Option<Answering>) -> Attempt {
        let components = self.registry.components();
        if let Some(store) = missing_secret_store(&entry.resource, &components) {
            return Attempt::Waits(store);
        }
        let found = match self.find(entry, answering).await {
            Ok(found) => found,
            Err(what) => return Attempt::Waits(what),
        };
        let surroundings = Surroundings {
            app_id: &self.app_id,
            environment: &self.environment,
        };
        let properties = match resolve(&entry.resource, surroundings, &components).await {
            Err(error) if is_away(&error) => {
                let store = &entry.resource.secret_store;
                return Attempt::Waits(format!("the secret store {store}: {error}"));
            }
            properties => properties,
        };
        let place = match &found {
            Found::Socket(client, answering) => Place {
                opener: client,
                blocks: &answering.blocks,
                is_remote: true,
            },
            Found::Here(blocks, list) => Place {
                opener: blocks,
                blocks: list,
                is_remote: false,
            },
        };
        let opened = match properties {
            Ok(properties) => {
                opening::open(
                    &entry.resource,
                    entry.category,
                    surroundings,
                    &properties,
                    place,
                )
                .await
            }
            Err(error) => Err(error),
        };
        let answering = match found {
            Found::Socket(_, answering) => Some(answering),
            Found::Here(..) => None,
        };
        match opened {
            Ok(component) => Attempt::Opened(component, answering),
            // The component went away: it said nothing, its connection broke.
            Err(error) if answering.is_some() && is_gone(&error) => {
                Attempt::Waits(format!("its socket: {error}"))
            }
            Err(error) => Attempt::Failed(error, answering),
        }
    }

    /// Where the component of an entry is: on a socket, else in this process; or what there has to be.
    async fn find(&mut self, entry: &Entry, answering: Option<Answering>) -> Result<Found, String> {
        if let Some(answering) = answering {
            let socket = answering.path.display();
            return match timeout(CONNECT_CAP, Client::connect(&answering.path)).await {
                Ok(Ok(client)) => Ok(Found::Socket(client, answering)),
                Ok(Err(error)) => Err(format!("the socket {socket}: {error}")),
                Err(_) => Err(format!(
                    "the socket {socket}, which lets nobody in within {CONNECT_CAP:?}"
                )),
            };
        }
        if let hash_map::Entry::Vacant(vacant) = self.made.entry(entry.name.clone())
            && let Some(blocks) = self.catalogue.make(&entry.name)
        {
            vacant.insert(blocks);
        }
        let here = self.made.get(&entry.name).map(|blocks| {
            let list: Vec<Block> = blocks.list().collect();
            (blocks.clone(), list)
        });
        match here {
            Some((blocks, list)) if list.iter().any(|block| entry.blocks().contains(block)) => {
                Ok(Found::Here(blocks, list))
            }
            _ => Err(self.sockets.why_not(&entry.name, entry.blocks())),
        }
    }
}

enum Found {
    Socket(Client, Answering),
    Here(Blocks, Vec<Block>),
}

fn is_gone(error: &Error) -> bool {
    *error.kind() == ErrorKind::Unavailable && error.wire().is_none()
}

/// In Dapr's words, with the place of the resource.
fn init_failure(resource: &ComponentResource, error: &Error) -> Error {
    let text = format!(
        "[INIT_COMPONENT_FAILURE]: initialization error occurred for {}: {error} (defined by {})",
        resource.identity, resource.source
    );
    Error::new(error.kind().clone(), text)
}
