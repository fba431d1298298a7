//! Opens values of the memory component with something wrong about them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use dapr_pluggable::binding::{InputBinding, OutputBinding};
use dapr_pluggable::pubsub::PubSub;
use dapr_pluggable::secret::SecretStore;
use dapr_pluggable::state::StateStore;
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Metadata, Opener, Result, async_trait,
};

use super::binding::{FaultyInput, FaultyOutput};
use super::fault::Fault;
use super::pubsub::FaultyPubSub;
use super::secret::FaultySecrets;
use super::state::FaultyStore;

/// Memory, broken.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) fault: Fault,
    blocks: Mutex<Blocks>,
    pub(crate) life: Arc<Life>,
}

/// What the values of one opener know of one another.
#[derive(Debug, Default)]
pub(crate) struct Life {
    inits: AtomicU32,
    pub(crate) is_over: AtomicBool,
    pub(crate) is_empty: AtomicBool,
}

impl Broken {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            blocks: Mutex::new(dapr_component_memory::blocks()),
            life: Arc::default(),
        }
    }

    /// Sees to Init: which blocks open, as which instance, with which metadata.
    fn init(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<(Blocks, InstanceId, Metadata)> {
        let mut properties = properties.clone();
        if properties.remove("color").is_some() && self.fault != Fault::AcceptsBadSettings {
            if self.fault == Fault::FailedInitLosesData {
                self.life.is_empty.store(true, Ordering::Relaxed);
            }
            let key = match self.fault {
                Fault::BlamesAnotherKey => "taste",
                _ => "color",
            };
            let message = format!("invalid value for key {key:?}");
            return Err(Error::invalid_settings(message));
        }
        if self.life.inits.fetch_add(1, Ordering::Relaxed) > 0
            && self.fault == Fault::DiesOfASecondInit
        {
            return Err(Error::internal("it is open"));
        }
        let mut blocks = self.blocks.lock().unwrap();
        if self.fault == Fault::InitLosesData {
            *blocks = dapr_component_memory::blocks();
        }
        let instance = match self.fault {
            Fault::InstancesShareData => InstanceId::default(),
            _ => instance.clone(),
        };
        Ok((blocks.clone(), instance, properties))
    }
}

#[async_trait]
impl Opener for Broken {
    async fn open_state_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn StateStore>> {
        let (blocks, instance, properties) = self.init(instance, properties)?;
        let inner = blocks.open_state_store(&instance, &properties).await?;
        Ok(Arc::new(FaultyStore::new(
            self.fault,
            inner,
            Arc::clone(&self.life),
        )))
    }

    async fn open_pubsub(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn PubSub>> {
        let (blocks, instance, mut properties) = self.init(instance, properties)?;
        if self.fault == Fault::OneGroup {
            properties.insert("consumerID", "all");
        }
        let inner = blocks.open_pubsub(&instance, &properties).await?;
        Ok(Arc::new(FaultyPubSub::new(
            self.fault, inner, blocks, instance, properties,
        )))
    }

    async fn open_input_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn InputBinding>> {
        let (blocks, instance, properties) = self.init(instance, properties)?;
        let inner = blocks.open_input_binding(&instance, &properties).await?;
        let fault = self.fault;
        Ok(Arc::new(FaultyInput { fault, inner }))
    }

    async fn open_output_binding(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn OutputBinding>> {
        let (blocks, instance, properties) = self.init(instance, properties)?;
        let inner = blocks.open_output_binding(&instance, &properties).await?;
        let fault = self.fault;
        Ok(Arc::new(FaultyOutput { fault, inner }))
    }

    async fn open_secret_store(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Arc<dyn SecretStore>> {
        let (blocks, instance, properties) = self.init(instance, properties)?;
        let inner = blocks.open_secret_store(&instance, &properties).await?;
        let fault = self.fault;
        Ok(Arc::new(FaultySecrets { fault, inner }))
    }
}

/// The life of a faulty value.
pub(crate) async fn ping(fault: Fault, life: &Life, inner: &dyn Component) -> Result<()> {
    if fault == Fault::PingFails || life.is_over.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Unavailable, "nobody is there"));
    }
    inner.ping().await
}

pub(crate) async fn close(fault: Fault, life: &Life, inner: &dyn Component) -> Result<()> {
    if fault == Fault::ClosesOthers {
        life.is_over.store(true, Ordering::Relaxed);
    }
    inner.close().await
}
