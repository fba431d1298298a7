//! The bindings: what goes out of the one comes in by the other of the same name.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::binding::{Event, InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::delivery::Events;
use dapr_pluggable::{Component, Error, ErrorKind, Result, async_trait};
use tokio::time::Instant;

use crate::delivery::deliver;
use crate::queue::{LENGTH, Queue};
use crate::settings::RedeliverySettings;

/// How long an invocation waits for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// The operation of the output binding.
const CREATE: &str = "create";

/// An input binding: the events that the output binding of the same name was given. Each goes to one reader, and again
/// until one handles it; data that the application sends back goes nowhere.
#[derive(Debug)]
pub struct MemoryInputBinding {
    events: Arc<Queue<Event>>,
    redelivery: RedeliverySettings,
}

impl Component for MemoryInputBinding {}

#[async_trait]
impl InputBinding for MemoryInputBinding {
    async fn read(&self, events: Events) -> Result<()> {
        deliver(&self.events, events, self.redelivery).await;
        Ok(())
    }
}

impl MemoryInputBinding {
    pub(crate) fn new(events: Arc<Queue<Event>>, redelivery: RedeliverySettings) -> Result<Self> {
        redelivery.validate()?;
        Ok(Self { events, redelivery })
    }
}

/// An output binding with one operation, `create`: its data and metadata become an event of the input binding of the same
/// name. The answer is empty and comes when the event is queued.
#[derive(Debug)]
pub struct MemoryOutputBinding {
    events: Arc<Queue<Event>>,
}

impl Component for MemoryOutputBinding {}

#[async_trait]
impl OutputBinding for MemoryOutputBinding {
    fn operations(&self) -> Vec<String> {
        vec![CREATE.to_owned()]
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        if request.operation != CREATE {
            return Err(Error::invalid_request(format!(
                "unknown operation {:?}: expected {CREATE:?}",
                request.operation
            )));
        }
        let deadline = Instant::now() + PATIENCE;
        let slot = self.events.reserve(deadline).await.ok_or_else(|| {
            let message = format!("{LENGTH} events are not handled yet");
            Error::new(ErrorKind::Throttled, message)
        })?;
        let event = Event::new(request.data).with_metadata(request.metadata);
        self.events.push(slot, event, None);
        Ok(InvokeResponse::default())
    }
}

impl MemoryOutputBinding {
    pub(crate) fn new(events: Arc<Queue<Event>>) -> Self {
        Self { events }
    }
}
