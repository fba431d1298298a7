//! How do I keep two writers from overwriting each other?

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use dapr_pluggable::state::{
    DeleteRequest, Entry, GetRequest, SetRequest, StateClaims, StateStore,
};
use dapr_pluggable::{Blocks, Component, Result, Server, async_trait};
use tokio::sync::Mutex;

#[derive(Clone, Default)]
struct Values(Arc<Mutex<(HashMap<String, Entry>, u64)>>);

impl Component for Values {}

#[async_trait]
impl StateStore for Values {
    fn claims(&self) -> StateClaims {
        StateClaims::none().with_etag()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        Ok(self.0.lock().await.0.get(&request.key).cloned())
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let (entries, version) = &mut *self.0.lock().await;
        let current = entries.get(&request.key);
        request.check_etag(current.and_then(|entry| entry.etag.as_ref()))?;
        *version += 1;
        let entry = Entry::new(request.value).with_etag(*version);
        entries.insert(request.key, entry);
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let (entries, _) = &mut *self.0.lock().await;
        let current = entries.get(&request.key);
        request.check_etag(current.and_then(|entry| entry.etag.as_ref()))?;
        entries.remove(&request.key);
        Ok(())
    }
}

fn main() -> ExitCode {
    let values = Values::default();
    Server::new("hello-etag")
        .blocks(Blocks::new().state_store_from(move || values.clone()))
        .run()
}
