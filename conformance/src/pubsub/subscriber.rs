//! A subscriber that takes messages one by one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dapr_pluggable::Result;
use dapr_pluggable::delivery::{Ack, Consumer, Delivered, Gate, window};
use dapr_pluggable::pubsub::{Message, PubSub, Subscription};
use tokio::task::JoinSet;

use super::Broker;
use crate::check::{Finding, Verdict};
use crate::expect::{ended, holds};
use crate::fixture::Fixture;

/// What finds out whether a subscription is live. It is no message of a check.
const PROBE: &str = "a probe of a conformance check";
/// How often to publish one.
const BETWEEN_PROBES: Duration = Duration::from_millis(100);
/// How long nothing must come where nothing may.
const SILENCE: Duration = Duration::from_millis(500);

/// One subscription, run until it is stopped or dropped.
pub(super) struct Subscriber {
    fixture: Arc<Fixture>,
    consumer: Consumer<Message, Ack>,
    run: JoinSet<Result<()>>,
}

impl Subscriber {
    pub(super) fn start(
        fixture: Arc<Fixture>,
        pubsub: &Arc<dyn PubSub>,
        topic: &str,
        size: usize,
    ) -> Self {
        let (deliveries, consumer) = window(size, &Gate::new());
        let (pubsub, subscription) = (Arc::clone(pubsub), Subscription::new(topic));
        let mut run = JoinSet::new();
        run.spawn(async move { pubsub.subscribe(subscription, deliveries).await });
        Self {
            fixture,
            consumer,
            run,
        }
    }

    /// Publishes probes until one arrives: what is published from then on must arrive too.
    pub(super) async fn hear(&mut self, broker: &Broker, topic: &str) -> Verdict {
        let fixture = Arc::clone(&self.fixture);
        let hear = async {
            loop {
                broker.publish(topic, PROBE).await?;
                if let Ok(delivered) = tokio::time::timeout(BETWEEN_PROBES, self.take()).await {
                    self.answer(&delivered?, Ack::Accepted);
                    return Ok(());
                }
            }
        };
        fixture
            .within("a message on a new subscription", hear)
            .await?
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Verdict<Delivered<Message>> {
        let fixture = Arc::clone(&self.fixture);
        fixture.within("a message", self.next_but_probes()).await?
    }

    /// Takes the next message, answers it and gives its data.
    pub(super) async fn settle(&mut self, answer: Ack) -> Verdict<Bytes> {
        let delivered = self.next().await?;
        self.answer(&delivered, answer);
        Ok(delivered.message.data)
    }

    pub(super) fn answer(&self, delivered: &Delivered<Message>, answer: Ack) {
        // It may have been abandoned meanwhile; then the broker has been told so.
        let _ = self.consumer.settler().settle(delivered.id, answer);
    }

    /// Nothing comes, for a while.
    pub(super) async fn silence(&mut self) -> Verdict {
        match tokio::time::timeout(SILENCE, self.next_but_probes()).await {
            Err(_) => Ok(()),
            Ok(delivered) => {
                let data = delivered?.message.data;
                holds(format!("no message, and not {data:?}"), false)
            }
        }
    }

    /// Ends the subscription; the broker must notice.
    pub(super) async fn stop(mut self) -> Verdict {
        self.consumer.close();
        let fixture = Arc::clone(&self.fixture);
        let end = fixture.within("the end of a closed subscription", self.run.join_next());
        ended("a subscription", end.await?)
    }

    async fn next_but_probes(&mut self) -> Verdict<Delivered<Message>> {
        loop {
            let delivered = self.take().await?;
            if delivered.message.data != PROBE {
                return Ok(delivered);
            }
            self.answer(&delivered, Ack::Accepted);
        }
    }

    async fn take(&mut self) -> Verdict<Delivered<Message>> {
        if let Some(delivered) = self.consumer.next().await {
            return Ok(delivered);
        }
        let ended = self.run.join_next().await;
        Err(Finding::Failed(format!(
            "a subscription that lives ended by itself: {ended:?}"
        )))
    }
}
