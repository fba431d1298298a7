//! How do I write a state store?

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Blocks, Bytes, Component, Result, Server, async_trait};
use tokio::sync::Mutex;

#[derive(Clone, Default)]
struct Values(Arc<Mutex<HashMap<String, Bytes>>>);

impl Component for Values {}

#[async_trait]
impl StateStore for Values {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        Ok(self
            .0
            .lock()
            .await
            .get(&request.key)
            .cloned()
            .map(Entry::new))
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        self.0.lock().await.insert(request.key, request.value);
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.0.lock().await.remove(&request.key);
        Ok(())
    }
}

fn main() -> ExitCode {
    let values = Values::default();
    Server::new("hello-state")
        .blocks(Blocks::new().state_store_from(move || values.clone()))
        .run()
}
