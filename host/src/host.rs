//! A host from its start to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::socket::SocketsFolder;
use dapr_pluggable::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::catalogue::Catalogue;
use crate::environment::Environment;
use crate::loader::Loader;
use crate::opening::close_component;
use crate::readiness::Readiness;
use crate::registry::Registry;
use crate::resource::{ComponentResource, Resources, ScopeFilter, check_names};
use crate::sockets::Sockets;

/// How long all components together may take to close.
const STOP_CAP: Duration = Duration::from_secs(10);

/// A host that is not started yet: for which application, and where its components are.
#[derive(Debug)]
pub struct Host {
    app_id: String,
    folders: Vec<PathBuf>,
    components: Vec<ComponentResource>,
    sockets: Option<SocketsFolder>,
    catalogue: Catalogue,
    environment: Environment,
}

impl Host {
    /// A host of the application `app_id`, without components.
    #[must_use]
    pub fn new(app_id: impl Into<String>) -> Self {
        Self {
            app_id: app_id.into(),
            folders: Vec::new(),
            components: Vec::new(),
            sockets: None,
            catalogue: Catalogue::new(),
            environment: Environment::new(),
        }
    }

    /// Reads the resource files of a folder, too.
    #[must_use]
    pub fn resources_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Has a component that no file describes. Those come before those of files.
    #[must_use]
    pub fn component(mut self, resource: ComponentResource) -> Self {
        self.components.push(resource);
        self
    }

    /// Looks for components in this folder. Without, as [`SocketsFolder::find`] finds it.
    #[must_use]
    pub fn sockets_folder(mut self, folder: SocketsFolder) -> Self {
        self.sockets = Some(folder);
        self
    }

    /// Opens these components in this process where no socket has their name.
    #[must_use]
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = catalogue;
        self
    }

    /// Knows these environment variables: `NAMESPACE`, `POD_NAME`, `DAPR_ENV_KEYS`, and what an `envRef` names. Without,
    /// none.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Reads the resources and opens their components, in Dapr's order: secret stores first, then the others as they come,
    /// each after the one before. A component whose socket or secret store is not there yet is opened when that appears.
    ///
    /// # Errors
    /// A folder of resources that is not there, two components of one name, and a component that fails without
    /// `ignoreErrors`, with Dapr's text. What was opened is closed again.
    pub async fn start(self) -> Result<Running> {
        let Self {
            app_id,
            folders,
            mut components,
            sockets,
            catalogue,
            environment,
        } = self;
        let resources = load(folders, app_id.clone(), environment.clone()).await?;
        resources.report();
        components.extend(resources.components);
        check_names(&components)?;
        let registry = Arc::new(Registry::new());
        let sockets = Sockets::new(sockets.unwrap_or_else(|| SocketsFolder::find(None)));
        let mut loader = Loader::new(
            app_id.clone(),
            environment,
            Arc::clone(&registry),
            sockets,
            catalogue,
            components,
        )?;
        if let Err(error) = loader.start().await {
            close_all(&registry).await;
            return Err(error);
        }
        let ending = CancellationToken::new();
        let attending = tokio::spawn({
            let ending = ending.clone();
            async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    () = loader.attend() => {}
                }
            }
        });
        let readiness = Readiness::new();
        readiness.set_outbound_ready();
        readiness.set_ready();
        Ok(Running {
            app_id,
            registry,
            readiness,
            shutdown: CancellationToken::new(),
            attending,
            ending: ending.drop_guard(),
        })
    }
}

/// A host whose components are open, except those that wait. Dropping it lets go of them without closing them.
#[derive(Debug)]
pub struct Running {
    app_id: String,
    registry: Arc<Registry>,
    readiness: Readiness,
    shutdown: CancellationToken,
    attending: JoinHandle<()>,
    ending: DropGuard,
}

impl Running {
    /// The application.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Its components.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What its health endpoints answer from.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Cancelled when somebody wants the host to stop, as the application does with `/v1.0/shutdown`. Whoever runs the host
    /// waits for it and calls [`stop`](Self::stop).
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Opens no more components and closes those that are open, the last first, in ten seconds at most. What serves the
    /// application ends before.
    pub async fn stop(self) {
        self.readiness.set_stopping();
        self.shutdown.cancel();
        drop(self.ending);
        if let Err(error) = self.attending.await {
            warn!(%error, "what opens components ended early");
        }
        close_all(&self.registry).await;
    }
}

async fn load(
    folders: Vec<PathBuf>,
    app_id: String,
    environment: Environment,
) -> Result<Resources> {
    let loading = spawn_blocking(move || {
        let filter = ScopeFilter {
            app_id: &app_id,
            namespace: environment.namespace(),
        };
        Resources::load(&folders, filter)
    });
    loading.await.unwrap_or_else(|error| {
        let text = "read the resources: the task ended early";
        Err(Error::internal(text).with_source(error))
    })
}

/// Closes what is open, the last first: secret stores outlive what needs them.
async fn close_all(registry: &Registry) {
    let components = registry.take_all();
    let closing = async {
        for component in components.open().iter().rev() {
            close_component(component).await;
        }
    };
    if timeout(STOP_CAP, closing).await.is_err() {
        warn!("not every component has closed within {STOP_CAP:?}");
    }
}
