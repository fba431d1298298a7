//! A subscriber that takes messages one by one.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::Result;
use dapr_pluggable::delivery::{Ack, Consumer, Delivered, Gate, window};
use dapr_pluggable::pubsub::{Message, PubSub, Subscription};
use dapr_pluggable_testbed::within;
use tokio::task::JoinSet;

/// One subscription, run until it is stopped or dropped.
pub(crate) struct Subscriber {
    consumer: Consumer<Message, Ack>,
    run: JoinSet<Result<()>>,
}

impl Subscriber {
    pub(crate) fn start(pubsub: &Arc<dyn PubSub>, topic: &str, size: usize) -> Self {
        let (deliveries, consumer) = window(size, &Gate::new());
        let (pubsub, subscription) = (Arc::clone(pubsub), Subscription::new(topic));
        let mut run = JoinSet::new();
        run.spawn(async move { pubsub.subscribe(subscription, deliveries).await });
        Self { consumer, run }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Delivered<Message> {
        within("a message", self.consumer.next())
            .await
            .expect("the subscription ended")
    }

    /// The text of the next message, which stays unanswered.
    pub(crate) async fn peek(&mut self) -> String {
        text(&self.next().await)
    }

    pub(crate) fn answer(&self, delivered: &Delivered<Message>, ack: Ack) {
        self.consumer.settler().settle(delivered.id, ack).unwrap();
    }

    /// Takes the next message, accepts it and gives its text.
    pub(crate) async fn accept(&mut self) -> String {
        let delivered = self.next().await;
        self.answer(&delivered, Ack::Accepted);
        text(&delivered)
    }

    /// Takes the next message, rejects it and gives its text.
    pub(crate) async fn reject(&mut self) -> String {
        let delivered = self.next().await;
        self.answer(&delivered, Ack::Rejected("not now".to_owned()));
        text(&delivered)
    }

    /// The messages that are there without a wait.
    pub(crate) async fn waiting(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(Some(next)) = tokio::time::timeout(Duration::ZERO, self.consumer.next()).await
        {
            texts.push(text(&next));
        }
        texts
    }

    /// Ends the subscription, and waits until the broker has noticed.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.consumer.close();
        within("the end of a closed subscription", self.run.join_next())
            .await
            .unwrap()
            .unwrap()
    }
}

pub(crate) fn text(delivered: &Delivered<Message>) -> String {
    String::from_utf8(delivered.message.data.to_vec()).unwrap()
}
