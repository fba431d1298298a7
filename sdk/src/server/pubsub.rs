//! The broker behind its service.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable_protocol::components::v1 as proto;
use proto::pub_sub_server::{PubSub as Service, PubSubServer};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::adapter::{Answer, Caller, Socket, done, refuse, reply};
use super::instances::{Found, Instances};
use super::pauses::{Pauses, TellComponent};
use super::streams::{Exchange, Outgoing};
use crate::blocks::Registration;
use crate::delivery;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::PubSubKind;
use crate::pubsub::{
    BulkPublication, FailedEntry, Pausable, PubSub as _, Publication, Subscription,
};
use crate::wire::pubsub::{Features, read_answer};
use crate::wire::{PARTIAL_RESULTS_HEADER, Wire as _};

/// How long a component may take to hear that a pause is over. Streams, and so the end of its value, wait for that.
const RESUME_CAP: Duration = Duration::from_secs(5);

/// Adds the service.
pub(super) fn serve(socket: &mut Socket<'_>, registration: &Registration<PubSubKind>) {
    let broker = Broker {
        instances: socket.instances(registration),
        pauses: Arc::default(),
    };
    let service = PubSubServer::new(broker);
    socket.add::<PubSubKind>(service.max_decoding_message_size(socket.max_message_size));
}

struct Broker {
    instances: Arc<Instances<PubSubKind>>,
    pauses: Arc<Pauses>,
}

#[async_trait]
impl Service for Broker {
    type PullMessagesStream = Outgoing<proto::PullMessagesResponse>;

    async fn init(
        &self,
        request: Request<proto::PubSubInitRequest>,
    ) -> Answer<proto::PubSubInitResponse> {
        let (headers, extensions, message) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        let answer = self.instances.open(caller, message.metadata).await?;
        let ended = self.pauses.resume(caller.peer.id, caller.instance);
        if let Some(found) = self.instances.find_if_any(caller.instance, caller.peer) {
            tell(&found, ended).await;
        }
        Ok(answer)
    }

    async fn features(
        &self,
        request: Request<proto::FeaturesRequest>,
    ) -> Answer<proto::FeaturesResponse> {
        let broker = self.instances.answering(&request)?;
        let features = Features {
            claims: broker.claims(),
            bulk_publisher: broker.bulk_publisher().is_some(),
        };
        reply("Features", Ok(features))
    }

    async fn publish(
        &self,
        request: Request<proto::PublishRequest>,
    ) -> Answer<proto::PublishResponse> {
        let (broker, publication) = self.instances.accept::<Publication>(request)?;
        done(broker.publish(publication).await)
    }

    async fn bulk_publish(
        &self,
        request: Request<proto::BulkPublishRequest>,
    ) -> Answer<proto::BulkPublishResponse> {
        let asked = request.metadata().get(PARTIAL_RESULTS_HEADER);
        let asked = asked.is_some_and(|value| value.as_bytes() == b"true");
        let broker = self.instances.answering(&request)?;
        let publisher = broker.bulk_publisher();
        let publisher = publisher.ok_or_else(|| refuse(Error::unsupported("bulk publish")))?;
        let publication = BulkPublication::from_wire(request.into_inner()).map_err(refuse)?;
        let count = publication.entries.len();
        let failed = publisher.bulk_publish(publication).await.map_err(refuse)?;
        if failed.is_empty() || asked || broker.options().bulk_publish_partial_results {
            return reply("BulkPublish", Ok(failed));
        }
        Err(refuse(partly_failed(count, &failed)))
    }

    async fn pull_messages(
        &self,
        request: Request<Streaming<proto::PullMessagesRequest>>,
    ) -> Result<Response<Self::PullMessagesStream>, Status> {
        let (headers, extensions, mut incoming) = request.into_parts();
        let caller = Caller::from_parts(&headers, &extensions)?;
        let found = self.instances.find(caller.instance, caller.peer);
        let found = found.map_err(refuse)?;
        let first = tokio::select! {
            first = incoming.message() => first?.unwrap_or_default(),
            () = found.ending() => return Err(Status::unavailable("the instance is closing")),
        };
        let subscription = Subscription::from_wire(first).map_err(refuse)?;

        let (peer, instance) = (caller.peer.id, caller.instance.to_owned());
        let (gate, ended) = self.pauses.begin(peer, &instance);
        let (window, consumer) = delivery::window(found.options().window, &gate);
        let exchange = Exchange {
            rpc: "PullMessages",
            instance: instance.clone(),
            incoming,
            read: read_answer,
            window: window.clone(),
            consumer,
        };
        let pauses = Arc::clone(&self.pauses);
        let delivering = async move {
            tell(&found, ended).await;
            let outcome = found.subscribe(subscription, window).await;
            tell(&found, pauses.end(peer, &instance)).await;
            outcome
        };
        Ok(Response::new(exchange.serve(delivering)))
    }

    async fn pause(&self, request: Request<proto::PauseRequest>) -> Answer<proto::PauseResponse> {
        let caller = Caller::of(&request)?;
        let found = self.instances.answering(&request)?;
        let peer = caller.peer.id;
        if self.pauses.has_streams(peer, caller.instance) {
            let told = pause_component(&found).await.map_err(refuse)?;
            let ended = self.pauses.pause(peer, caller.instance, told);
            tell(&found, ended).await;
        }
        done(Ok(()))
    }

    async fn resume(
        &self,
        request: Request<proto::ResumeRequest>,
    ) -> Answer<proto::ResumeResponse> {
        let caller = Caller::of(&request)?;
        let found = self.instances.answering(&request)?;
        let ended = self.pauses.resume(caller.peer.id, caller.instance);
        tell(&found, ended).await;
        done(Ok(()))
    }

    async fn ping(&self, request: Request<proto::PingRequest>) -> Answer<proto::PingResponse> {
        self.instances.answer_ping(&request).await
    }
}

/// Tells the component to fetch no more, where it can be told and the value is the caller's own.
async fn pause_component(found: &Found<PubSubKind>) -> Result<TellComponent> {
    match found.pausable() {
        Some(component) if found.is_own => {
            component.pause().await?;
            Ok(TellComponent(true))
        }
        _ => Ok(TellComponent(false)),
    }
}

/// Tells the component that a pause is over, if it was told of the pause.
async fn tell(found: &Found<PubSubKind>, TellComponent(tell): TellComponent) {
    let component = if tell { found.pausable() } else { None };
    if let Some(component) = component
        && let Err(error) = resume(component).await
    {
        tracing::warn!(value = ?**found, %error, "failed to resume");
    }
}

async fn resume(component: &dyn Pausable) -> Result<()> {
    let resumed = timeout(RESUME_CAP, component.resume()).await;
    resumed.unwrap_or_else(|_| {
        let text = format!("resume: no answer within {RESUME_CAP:?}");
        Err(Error::new(ErrorKind::TimedOut, text))
    })
}

/// An answer with failed entries would be a success to the runtime, and their loss silent.
fn partly_failed(count: usize, failed: &[FailedEntry]) -> Error {
    let list = |text: &dyn Fn(&FailedEntry) -> String, between| {
        let texts: Vec<String> = failed.iter().map(text).collect();
        texts.join(between)
    };
    // The ids first: what is too long is cut at its end.
    let ids = list(&|entry| format!("{:?}", entry.entry_id), ", ");
    let reasons = list(
        &|entry| format!("{:?}: {}", entry.entry_id, entry.error),
        "; ",
    );
    Error::new(
        ErrorKind::Unavailable,
        format!("of {count} entries, these were not published: {ids} ({reasons})"),
    )
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    struct Stuck;

    #[async_trait]
    impl Pausable for Stuck {
        async fn pause(&self) -> Result<()> {
            Ok(())
        }

        async fn resume(&self) -> Result<()> {
            pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_does_not_resume_is_not_waited_for() {
        let error = resume(&Stuck).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::TimedOut);
    }
}
