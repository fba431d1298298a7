//! The secret store: the trait, its requests and answers.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::component::Component;
use crate::error::{Error, Result};
use crate::metadata::Metadata;

/// A store of secrets by name.
#[async_trait]
pub trait SecretStore: Component {
    /// What the store does beyond the methods it has. The runtime reads it once, after Init.
    fn claims(&self) -> SecretClaims {
        SecretClaims::default()
    }

    /// A secret.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is none of that name.
    async fn get(&self, request: GetSecretRequest) -> Result<Secret>;

    /// All secrets that the store gives away, by name. The default gives none.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where a store cannot list.
    async fn bulk_get(&self, metadata: Metadata) -> Result<BTreeMap<String, Secret>> {
        drop(metadata);
        Err(Error::unsupported("bulk get of secrets"))
    }
}

/// What a secret store does beyond the methods it has.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretClaims {
    /// A secret may have several keys. Feature `MULTIPLE_KEY_VALUES_PER_SECRET`.
    pub multiple_keys: bool,
    /// Further feature names, passed on as they are.
    pub other: Vec<String>,
}

impl SecretClaims {
    /// Nothing beyond the methods.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With several keys a secret.
    #[must_use]
    pub fn with_multiple_keys(mut self) -> Self {
        self.multiple_keys = true;
        self
    }

    /// With a feature of another name.
    #[must_use]
    pub fn with_other(mut self, feature: impl Into<String>) -> Self {
        self.other.push(feature.into());
        self
    }
}

/// Asks for a secret.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetSecretRequest {
    /// The name.
    pub name: String,
    /// Options of this request.
    pub metadata: Metadata,
}

impl GetSecretRequest {
    /// For a name, with no options.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// A secret: one value under its own name in most stores, several values by key in some. Its `Debug` form shows the
/// keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(BTreeMap<String, String>);

impl Secret {
    /// A secret of one value.
    pub fn single(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(BTreeMap::from([(name.into(), value.into())]))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The values by key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The values by key, moved out.
    #[must_use]
    pub fn into_values(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Secret {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        Self(
            values
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}
