//! The secret store: every key of its metadata is a secret.

use std::collections::{BTreeMap, HashMap};

use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::settings::Redacted;
use dapr_pluggable::{
    Component, Error, ErrorKind, InstanceId, Metadata, Open, Result, async_trait,
};

/// A secret store whose secrets stand in the metadata of its resource file: for development, where that file is no secret.
#[derive(Debug)]
pub struct MemorySecretStore {
    secrets: BTreeMap<String, Secret>,
}

#[async_trait]
impl Open for MemorySecretStore {
    type Settings = HashMap<String, Redacted<String>>;

    async fn open(settings: Self::Settings, _: &InstanceId) -> Result<Self> {
        let secrets = settings.into_iter().map(|(name, value)| {
            let secret = Secret::single(&*name, value.into_inner());
            (name, secret)
        });
        Ok(Self {
            secrets: secrets.collect(),
        })
    }
}

impl Component for MemorySecretStore {}

#[async_trait]
impl SecretStore for MemorySecretStore {
    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        self.secrets.get(&request.name).cloned().ok_or_else(|| {
            let message = format!("secret {} not found", request.name);
            Error::new(ErrorKind::NotFound, message)
        })
    }

    async fn bulk_get(&self, _: Metadata) -> Result<BTreeMap<String, Secret>> {
        Ok(self.secrets.clone())
    }
}

#[cfg(test)]
mod tests {
    use dapr_pluggable::Opener as _;

    use super::*;

    #[tokio::test]
    async fn every_key_is_a_secret() {
        let metadata = Metadata::from([("user", "ada"), ("Pass word", "a,b")]);
        let store = crate::blocks()
            .open_secret_store(&InstanceId::new("vault"), &metadata)
            .await
            .unwrap();
        for (name, value) in metadata.iter() {
            let secret = store.get(GetSecretRequest::new(name)).await.unwrap();
            assert_eq!(secret, Secret::single(name, value));
        }
        let all = store.bulk_get(Metadata::new()).await.unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all["user"].get("user"), Some("ada"));
        let error = store.get(GetSecretRequest::new("none")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NotFound);
        assert_eq!(error.message(), "secret none not found");
    }
}
