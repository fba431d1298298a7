//! A store without transactions and queries, whose gets wait until they may answer.

use std::collections::HashMap;
use std::sync::Arc;

use dapr_pluggable::settings::Rules;
use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Blocks, Component, Error, ErrorKind, Result, async_trait};
use tokio::sync::Semaphore;

#[derive(Clone, Debug)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
    ended: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
            ended: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Gate {
    pub(crate) fn blocks(&self) -> Blocks {
        let gate = self.clone();
        let open = move |_: HashMap<String, String>, _| {
            let gate = gate.clone();
            async move { Ok(Gated(gate)) }
        };
        Blocks::new().state_store_with(Rules::Lenient, open)
    }

    /// Waits until a get waits.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Waits until a get has ended, with an answer or without.
    pub(crate) async fn end(&self) {
        self.ended.acquire().await.unwrap().forget();
    }

    /// Lets one get answer.
    pub(crate) fn let_one_through(&self) {
        self.open.add_permits(1);
    }
}

/// Says at its end that a get has ended.
struct Ending(Arc<Semaphore>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[derive(Debug)]
struct Gated(Gate);

impl Component for Gated {}

#[async_trait]
impl StateStore for Gated {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        let _ending = Ending(Arc::clone(&self.0.ended));
        self.0.arrived.add_permits(1);
        self.0.open.acquire().await.unwrap().forget();
        Ok(Some(Entry::new(request.key)))
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "store is read-only now"))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        panic!("deleting {}", request.key)
    }
}
