//! The secret store's messages.

use std::collections::BTreeMap;

use dapr_pluggable_protocol::components::v1 as proto;

use super::{Wire, feature_list, take_feature};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::secret::{GetSecretRequest, Secret, SecretClaims};

const MULTIPLE_KEYS: &str = "MULTIPLE_KEY_VALUES_PER_SECRET";

impl Wire for SecretClaims {
    type Message = proto::FeaturesResponse;

    fn from_wire(proto::FeaturesResponse { mut features }: Self::Message) -> Result<Self> {
        let multiple_keys = take_feature(&mut features, MULTIPLE_KEYS);
        Ok(Self {
            multiple_keys,
            other: features,
        })
    }

    fn into_wire(self) -> Self::Message {
        feature_list([(MULTIPLE_KEYS, self.multiple_keys)], self.other)
    }
}

impl Wire for GetSecretRequest {
    type Message = proto::GetSecretRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        if message.key.is_empty() {
            return Err(Error::invalid_request("the request has no secret name"));
        }
        Ok(Self {
            name: message.key,
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::GetSecretRequest {
            key: self.name,
            metadata: self.metadata.into_map(),
        }
    }
}

impl Wire for Secret {
    type Message = proto::GetSecretResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(message.data.into_iter().collect())
    }

    fn into_wire(self) -> Self::Message {
        proto::GetSecretResponse {
            data: self.into_values().into_iter().collect(),
        }
    }
}

impl Wire for BTreeMap<String, Secret> {
    type Message = proto::BulkGetSecretResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        let secrets = message.data.into_iter();
        Ok(secrets
            .map(|(name, secret)| (name, secret.secrets.into_iter().collect()))
            .collect())
    }

    fn into_wire(self) -> Self::Message {
        let secrets = self.into_iter();
        let secrets = secrets.map(|(name, secret)| {
            let secrets = secret.into_values().into_iter().collect();
            (name, proto::SecretResponse { secrets })
        });
        proto::BulkGetSecretResponse {
            data: secrets.collect(),
        }
    }
}
