//! Bindings with something wrong about them.

use std::sync::Arc;

use dapr_pluggable::binding::{InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::delivery::{DEFAULT_WINDOW, Events, Gate, Reply, window};
use dapr_pluggable::{Component, Result, async_trait};
use tokio::task::JoinSet;

use super::fault::Fault;

pub(crate) struct FaultyInput {
    pub(crate) fault: Fault,
    pub(crate) inner: Arc<dyn InputBinding>,
}

impl Component for FaultyInput {}

#[async_trait]
impl InputBinding for FaultyInput {
    async fn read(&self, outer: Events) -> Result<()> {
        let (inner, mut consumer) = window(DEFAULT_WINDOW, &Gate::new());
        let server = Arc::clone(&self.inner);
        let mut serving = JoinSet::new();
        serving.spawn(async move { server.read(inner).await });
        let mut replies = JoinSet::new();
        while let Ok(Some(delivered)) = outer.until_closed(consumer.next()).await {
            let mut event = delivered.message;
            if self.fault == Fault::EventsAreCut {
                event.data.truncate(3);
            }
            let Ok(pending) = outer.deliver(event).await else {
                break;
            };
            let (settler, fault, id) = (consumer.settler(), self.fault, delivered.id);
            replies.spawn(async move {
                let reply = match (fault, pending.await) {
                    (Fault::RepeatsHandled, Reply::Handled(_)) => Reply::Failed(String::new()),
                    (Fault::ForgetsFailed, Reply::Failed(_))
                    | (Fault::ForgetsUnanswered, Reply::Abandoned) => Reply::Handled("".into()),
                    (_, reply) => reply,
                };
                let _ = settler.settle(id, reply);
            });
        }
        while replies.join_next().await.is_some() {}
        consumer.close();
        serving.join_next().await;
        if self.fault == Fault::ReadsForEver {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

pub(crate) struct FaultyOutput {
    pub(crate) fault: Fault,
    pub(crate) inner: Arc<dyn OutputBinding>,
}

impl Component for FaultyOutput {}

#[async_trait]
impl OutputBinding for FaultyOutput {
    fn operations(&self) -> Vec<String> {
        match self.fault {
            Fault::NoOperations => Vec::new(),
            _ => self.inner.operations(),
        }
    }

    async fn invoke(&self, mut request: InvokeRequest) -> Result<InvokeResponse> {
        if self.fault == Fault::TakesAnyOperation {
            request.operation = "create".to_owned();
        }
        self.inner.invoke(request).await
    }
}
