//! How one building block is opened.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::runtime_keys::is_for_runtime;
use crate::component::{InstanceId, Open};
use crate::delivery::Options;
use crate::error::Result;
use crate::guard::{Guard, Kind, Opening};
use crate::metadata::Metadata;
use crate::settings::{self, Aliases, Rules};

/// How to open one building block.
pub(crate) struct Registration<K: Kind> {
    prepare: Arc<Prepare<K>>,
    exclusive: bool,
}

type Prepare<K> = dyn Fn(&InstanceId, &Metadata) -> Result<Bare<K>> + Send + Sync;

/// An open that has decoded its settings and not begun; what it gives is not yet under guard.
type Bare<K> = BoxFuture<'static, Result<Arc<<K as Kind>::Value>>>;

impl<K: Kind> Registration<K> {
    /// Decodes the metadata. The opening it gives does the rest, and puts the value under guard.
    pub(crate) fn prepare(
        &self,
        instance: &InstanceId,
        properties: &Metadata,
    ) -> Result<Opening<K>> {
        let options = Options::read(K::BLOCK, properties)?;
        let properties = Options::strip(K::BLOCK, properties);
        Guard::prepare(instance, options, || (self.prepare)(instance, &properties))
    }

    /// Whether the old value is to be closed before the opening begins.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    pub(crate) fn open<C: Open>(share: fn(C) -> Arc<K::Value>) -> Self {
        Self {
            exclusive: C::EXCLUSIVE,
            prepare: Arc::new(move |instance, properties| {
                let settings: C::Settings =
                    decode::<K, _>(instance, properties, C::RULES, C::ALIASES)?;
                let instance = instance.clone();
                Ok(Box::pin(async move {
                    C::open(settings, &instance).await.map(share)
                }))
            }),
        }
    }

    pub(crate) fn from_fn<C: Send + 'static>(
        make: impl Fn() -> C + Send + Sync + 'static,
        share: fn(C) -> Arc<K::Value>,
    ) -> Self {
        let make = Arc::new(make);
        Self {
            exclusive: false,
            prepare: Arc::new(move |_, _| {
                let make = Arc::clone(&make);
                Ok(Box::pin(async move { Ok(share(make())) }))
            }),
        }
    }

    pub(crate) fn with<S, C, F, O>(rules: Rules, open: F, share: fn(C) -> Arc<K::Value>) -> Self
    where
        S: DeserializeOwned + Send + 'static,
        C: 'static,
        F: Fn(S, InstanceId) -> O + Send + Sync + 'static,
        O: Future<Output = Result<C>> + Send + 'static,
    {
        let open = Arc::new(open);
        Self {
            exclusive: false,
            prepare: Arc::new(move |instance, properties| {
                let settings = decode::<K, S>(instance, properties, rules, &[])?;
                let (open, instance) = (Arc::clone(&open), instance.clone());
                Ok(Box::pin(async move {
                    open(settings, instance).await.map(share)
                }))
            }),
        }
    }
}

impl<K: Kind> Clone for Registration<K> {
    fn clone(&self) -> Self {
        Self {
            prepare: Arc::clone(&self.prepare),
            exclusive: self.exclusive,
        }
    }
}

fn decode<K: Kind, S: DeserializeOwned>(
    instance: &InstanceId,
    properties: &Metadata,
    rules: Rules,
    aliases: Aliases,
) -> Result<S> {
    let mut decoded = settings::decode(properties.as_map(), rules, aliases)?;
    decoded.unknown.retain(|key| !is_for_runtime(K::BLOCK, key));
    if !decoded.unknown.is_empty() {
        tracing::info!(
            block = %K::BLOCK, %instance, keys = ?decoded.unknown,
            "metadata keys that this component does not know"
        );
    }
    Ok(decoded.settings)
}
