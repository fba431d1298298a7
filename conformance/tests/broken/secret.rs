//! A secret store with something wrong about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::{Component, Metadata, Result, async_trait};

use super::fault::Fault;

pub(crate) struct FaultySecrets {
    pub(crate) fault: Fault,
    pub(crate) inner: Arc<dyn SecretStore>,
}

impl Component for FaultySecrets {}

#[async_trait]
impl SecretStore for FaultySecrets {
    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        let name = request.name.clone();
        let secret = self.inner.get(request).await;
        match self.fault {
            Fault::InventsSecrets => Ok(secret.unwrap_or_default()),
            Fault::MixesSecrets => secret.map(|_| Secret::single(name, "another")),
            _ => secret,
        }
    }

    async fn bulk_get(&self, metadata: Metadata) -> Result<BTreeMap<String, Secret>> {
        let mut all = self.inner.bulk_get(metadata).await?;
        if self.fault == Fault::BulkHidesASecret {
            all.pop_first();
        }
        Ok(all)
    }
}
