//! The secret store under guard.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Guard, Kind};
use crate::component::Block;
use crate::error::Result;
use crate::metadata::Metadata;
use crate::observe::{Method, Scope};
use crate::secret::{GetSecretRequest, Secret, SecretClaims, SecretStore};

/// The methods of a secret store.
pub(crate) struct Methods {
    get: Method,
    bulk_get: Method,
}

/// Secret stores.
pub(crate) enum SecretKind {}

impl Kind for SecretKind {
    const BLOCK: Block = Block::SecretStore;
    type Value = dyn SecretStore;
    type Methods = Methods;

    fn methods(scope: &Scope) -> Methods {
        Methods {
            get: scope.method("get"),
            bulk_get: scope.method("bulk_get"),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl SecretStore for Guard<SecretKind> {
    fn claims(&self) -> SecretClaims {
        self.ask("claims", SecretStore::claims).unwrap_or_default()
    }

    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        self.call(&self.methods.get, self.value.get(request)).await
    }

    async fn bulk_get(&self, metadata: Metadata) -> Result<BTreeMap<String, Secret>> {
        self.call(&self.methods.bulk_get, self.value.bulk_get(metadata))
            .await
    }
}
