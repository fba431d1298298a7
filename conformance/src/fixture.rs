//! What one check has to work with: values it opens, names that are its own, and the cleaning up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr_pluggable::binding::{InputBinding, OutputBinding};
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::state::{DeleteRequest, StateStore};
use dapr_pluggable::{Block, Component, Error, InstanceId, Metadata, Result};

use crate::check::{Check, Finding, Verdict};
use crate::subject::Subject;

/// What one check has to work with.
pub(crate) struct Fixture {
    subject: Subject,
    /// Begins every name that this check makes.
    scope: String,
    instances: AtomicU32,
    left: Mutex<Left>,
}

/// What a check leaves behind.
#[derive(Default)]
struct Left {
    opened: Vec<Value>,
    keys: BTreeSet<String>,
}

/// An open building block.
#[derive(Clone)]
pub(crate) enum Value {
    State(Arc<dyn StateStore>),
    PubSub(Arc<dyn PubSub>),
    Input(Arc<dyn InputBinding>),
    Output(Arc<dyn OutputBinding>),
    Secret(Arc<dyn SecretStore>),
}

impl Value {
    pub(crate) fn component(&self) -> &dyn Component {
        match self {
            Self::State(value) => value.as_ref(),
            Self::PubSub(value) => value.as_ref(),
            Self::Input(value) => value.as_ref(),
            Self::Output(value) => value.as_ref(),
            Self::Secret(value) => value.as_ref(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an open value")
    }
}

impl Fixture {
    pub(crate) fn new(subject: &Subject, check: &Check) -> Self {
        let scope = format!(
            "conformance-{}-{}",
            subject.run(),
            check.name().replace("::", "-")
        );
        Self {
            subject: subject.clone(),
            scope,
            instances: AtomicU32::new(0),
            left: Mutex::default(),
        }
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// A name of an instance that nothing else has.
    pub(crate) fn instance(&self) -> InstanceId {
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        InstanceId::new(format!("{}-{number}", self.scope))
    }

    /// A key that nothing else has. It is removed at the end.
    pub(crate) fn key(&self, name: &str) -> String {
        let key = format!("{}||{name}", self.scope);
        self.left().keys.insert(key.clone());
        key
    }

    /// A name, of a topic or a group, that nothing else has.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.scope)
    }

    /// The metadata of the setup with some keys of it set.
    pub(crate) fn properties(&self, set: &[(&str, &str)]) -> Metadata {
        let mut properties = self.subject.properties().clone();
        for (key, value) in set {
            properties.insert(*key, *value);
        }
        properties
    }

    /// Opens a value, to be closed at the end.
    pub(crate) async fn open(
        &self,
        block: Block,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Value> {
        let opener = self.subject.opener();
        let value = match block {
            Block::StateStore => Value::State(opener.open_state_store(instance, properties).await?),
            Block::PubSub => Value::PubSub(opener.open_pubsub(instance, properties).await?),
            Block::InputBinding => {
                Value::Input(opener.open_input_binding(instance, properties).await?)
            }
            Block::OutputBinding => {
                Value::Output(opener.open_output_binding(instance, properties).await?)
            }
            Block::SecretStore => {
                Value::Secret(opener.open_secret_store(instance, properties).await?)
            }
            other => return Err(Error::unsupported(other)),
        };
        self.left().opened.push(value.clone());
        Ok(value)
    }

    pub(crate) async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>> {
        match self.open(Block::StateStore, instance, properties).await? {
            Value::State(store) => Ok(store),
            other => Err(Error::internal(format!("{other:?} is no state store"))),
        }
    }

    pub(crate) async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>> {
        match self.open(Block::PubSub, instance, properties).await? {
            Value::PubSub(pubsub) => Ok(pubsub),
            other => Err(Error::internal(format!("{other:?} is no broker"))),
        }
    }

    pub(crate) async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>> {
        match self.open(Block::InputBinding, instance, properties).await? {
            Value::Input(binding) => Ok(binding),
            other => Err(Error::internal(format!("{other:?} is no input binding"))),
        }
    }

    pub(crate) async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>> {
        match self
            .open(Block::OutputBinding, instance, properties)
            .await?
        {
            Value::Output(binding) => Ok(binding),
            other => Err(Error::internal(format!("{other:?} is no output binding"))),
        }
    }

    pub(crate) async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>> {
        match self.open(Block::SecretStore, instance, properties).await? {
            Value::Secret(store) => Ok(store),
            other => Err(Error::internal(format!("{other:?} is no secret store"))),
        }
    }

    /// Waits for something that must come.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Verdict<T> {
        let patience = self.subject.wait();
        tokio::time::timeout(patience, future)
            .await
            .map_err(|_| Finding::Failed(format!("waited {patience:?} in vain for {what}")))
    }

    /// Removes the keys and closes what was opened.
    pub(crate) async fn clean_up(&self) -> Verdict {
        let Left { opened, keys } = std::mem::take(&mut *self.left());
        let clean = async {
            for value in opened {
                if let Value::State(store) = &value {
                    for key in &keys {
                        store.delete(DeleteRequest::new(key)).await?;
                    }
                }
                value.component().close().await?;
            }
            Ok(())
        };
        self.within("the cleaning up", clean).await?
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        // Every change is one step, so a panic elsewhere leaves it whole.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
