//! How do I read the metadata of a resource file? A secret store of what stands in the environment, behind a prefix.

use std::env;
use std::process::ExitCode;

use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Open, Result, Server, async_trait,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Environment {
    prefix: String,
}

#[async_trait]
impl Open for Environment {
    type Settings = Self;

    async fn open(settings: Self, _: &InstanceId) -> Result<Self> {
        if settings.prefix.is_empty() {
            return Err(Error::invalid_settings("prefix is empty"));
        }
        Ok(settings)
    }
}

impl Component for Environment {}

#[async_trait]
impl SecretStore for Environment {
    async fn get(&self, request: GetSecretRequest) -> Result<Secret> {
        let name = format!("{}{}", self.prefix, request.name);
        let value = env::var(&name).map_err(|error| {
            Error::new(ErrorKind::NotFound, format!("no secret in {name}")).with_source(error)
        })?;
        Ok(Secret::single(request.name, value))
    }
}

fn main() -> ExitCode {
    Server::new("hello-secret")
        .blocks(Blocks::new().secret_store::<Environment>())
        .run()
}
