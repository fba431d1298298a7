//! A broker with something wrong about it: what it delivers and how it is answered goes through a window of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use dapr_pluggable::delivery::{Ack, Deliveries, Gate, PendingAck, Settler, window};
use dapr_pluggable::pubsub::{
    BulkPublication, BulkPublisher, FailedEntry, Message, Pausable, PubSub, PubSubClaims,
    Publication, Subscription,
};
use dapr_pluggable::{
    Blocks, Component, Error, ErrorKind, InstanceId, Metadata, Opener, Result, async_trait,
};
use tokio::task::JoinSet;

use super::fault::Fault;

pub(crate) struct FaultyPubSub {
    fault: Fault,
    inner: Arc<dyn PubSub>,
    blocks: Blocks,
    instance: InstanceId,
    properties: Metadata,
    subscriptions: AtomicU32,
}

impl FaultyPubSub {
    pub(crate) fn new(
        fault: Fault,
        inner: Arc<dyn PubSub>,
        blocks: Blocks,
        instance: InstanceId,
        properties: Metadata,
    ) -> Self {
        Self {
            fault,
            inner,
            blocks,
            instance,
            properties,
            subscriptions: AtomicU32::new(0),
        }
    }

    /// The value that serves a subscription.
    async fn server(&self, number: u32) -> Result<Arc<dyn PubSub>> {
        let is_alone = [Fault::EverySubscriptionIsAGroup, Fault::MixesTopics];
        if !is_alone.contains(&self.fault) {
            return Ok(Arc::clone(&self.inner));
        }
        let mut properties = self.properties.clone();
        properties.insert("consumerID", format!("group {number}"));
        self.blocks.open_pubsub(&self.instance, &properties).await
    }

    fn message(&self, mut message: Message, topic: &str) -> Message {
        match self.fault {
            Fault::TextOnly => {
                message.data = Bytes::from(String::from_utf8_lossy(&message.data).into_owned());
            }
            Fault::WrongTopic => message.topic.push('!'),
            Fault::MixesTopics => topic.clone_into(&mut message.topic),
            _ => {}
        }
        message
    }
}

#[async_trait]
impl Component for FaultyPubSub {
    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl PubSub for FaultyPubSub {
    fn claims(&self) -> PubSubClaims {
        self.inner.claims()
    }

    async fn publish(&self, mut publication: Publication) -> Result<()> {
        match self.fault {
            Fault::IgnoresMessageTtl => {
                publication.metadata.remove("ttlInSeconds");
            }
            Fault::MixesTopics => publication.topic = "all".to_owned(),
            Fault::PublishTakesAnyTopic if publication.topic.is_empty() => return Ok(()),
            Fault::PublishRefusesMetadata if !publication.metadata.is_empty() => {
                return Err(Error::invalid_request("metadata"));
            }
            Fault::PublishNeedsSubscriber if self.subscriptions.load(Ordering::Relaxed) == 0 => {
                return Err(Error::new(ErrorKind::Unavailable, "nobody is there"));
            }
            _ => {}
        }
        self.inner.publish(publication).await
    }

    async fn subscribe(&self, mut subscription: Subscription, outer: Deliveries) -> Result<()> {
        let number = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let topic = subscription.topic.clone();
        match self.fault {
            Fault::MixesTopics => subscription.topic = "all".to_owned(),
            Fault::WildcardsMatchNothing => subscription.topic = topic.replace('*', "?"),
            _ => {}
        }
        let server = self.server(number).await?;
        let size = outer.room().await?;
        let (inner, mut consumer) = window(size, &Gate::new());
        let mut serving = JoinSet::new();
        serving.spawn(async move { server.subscribe(subscription, inner).await });
        let mut answers = Answers::new(self.fault, consumer.settler());
        let mut was_full = false;
        loop {
            let delivered = tokio::select! {
                biased;
                () = outer.closed() => break,
                true = answers.settle_next() => continue,
                Some(delivered) = consumer.next() => delivered,
                else => break,
            };
            if self.fault == Fault::StopsWhenFull && was_full {
                outer.closed().await;
                break;
            }
            let message = self.message(delivered.message, &topic);
            let Ok(pending) = outer.deliver(message).await else {
                break;
            };
            was_full |= outer.in_flight() == size;
            answers.expect(delivered.id, pending);
        }
        while answers.settle_next().await {}
        consumer.close();
        serving.join_next().await;
        if self.fault == Fault::NeverLetsGo {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn bulk_publisher(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }

    fn pausable(&self) -> Option<&dyn Pausable> {
        (self.fault == Fault::StopsWithoutPause).then_some(self as &dyn Pausable)
    }
}

#[async_trait]
impl BulkPublisher for FaultyPubSub {
    async fn bulk_publish(&self, mut publication: BulkPublication) -> Result<Vec<FailedEntry>> {
        match self.fault {
            Fault::BulkPublishLosesOne => {
                publication.entries.pop();
            }
            Fault::BulkPublishNeedsOne if publication.entries.is_empty() => {
                return Err(Error::invalid_request("nothing to publish"));
            }
            _ => {}
        }
        let publisher = self.inner.bulk_publisher().unwrap();
        publisher.bulk_publish(publication).await
    }
}

/// It says that it pauses, and does not.
#[async_trait]
impl Pausable for FaultyPubSub {
    async fn pause(&self) -> Result<()> {
        Ok(())
    }

    async fn resume(&self) -> Result<()> {
        Ok(())
    }
}

/// Answers on their way from the outer window to the inner one.
struct Answers {
    fault: Fault,
    settler: Settler<Ack>,
    pending: JoinSet<(u64, Ack)>,
    open: VecDeque<u64>,
}

impl Answers {
    fn new(fault: Fault, settler: Settler<Ack>) -> Self {
        Self {
            fault,
            settler,
            pending: JoinSet::new(),
            open: VecDeque::new(),
        }
    }

    fn expect(&mut self, id: u64, pending: PendingAck) {
        self.open.push_back(id);
        self.pending.spawn(async move { (id, pending.await) });
    }

    /// Passes the next answer on; `false` when none is to come.
    async fn settle_next(&mut self) -> bool {
        let Some(Ok((id, answer))) = self.pending.join_next().await else {
            return false;
        };
        let id = match self.fault {
            Fault::AnswersTheOldest => self.open.pop_front().unwrap(),
            _ => id,
        };
        let answer = match (self.fault, answer) {
            (Fault::RepeatsAccepted, Ack::Accepted) => Ack::Rejected("again".to_owned()),
            (Fault::ForgetsRejected, Ack::Rejected(_)) => Ack::Accepted,
            (Fault::ForgetsAbandoned, Ack::Abandoned) => Ack::Accepted,
            (_, answer) => answer,
        };
        let _ = self.settler.settle(id, answer);
        true
    }
}
