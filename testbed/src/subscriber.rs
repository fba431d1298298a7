//! A subscriber that takes messages one by one.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::Result;
use dapr_pluggable::delivery::{Ack, Consumer, Delivered, Gate, window};
use dapr_pluggable::pubsub::{Message, PubSub, Subscription};
use tokio::task::JoinSet;

use crate::patience::within;

/// One subscription, run until it is stopped or dropped.
#[derive(Debug)]
pub struct Subscriber {
    consumer: Consumer<Message, Ack>,
    run: JoinSet<Result<()>>,
}

impl Subscriber {
    /// Subscribes, with a window of that size.
    #[must_use]
    pub fn start(pubsub: &Arc<dyn PubSub>, topic: &str, size: usize) -> Self {
        let (deliveries, consumer) = window(size, &Gate::new());
        let (pubsub, subscription) = (Arc::clone(pubsub), Subscription::new(topic));
        let mut run = JoinSet::new();
        run.spawn(async move { pubsub.subscribe(subscription, deliveries).await });
        Self { consumer, run }
    }

    /// The next message.
    ///
    /// # Panics
    /// When the subscription ends, and when nothing comes within [`patience`](crate::patience).
    pub async fn next(&mut self) -> Delivered<Message> {
        within("a message", self.consumer.next())
            .await
            .expect("the subscription ended")
    }

    /// The text of the next message, which stays unanswered.
    ///
    /// # Panics
    /// As [`next`](Self::next), and when it is no text.
    pub async fn peek(&mut self) -> String {
        text(&self.next().await)
    }

    /// Answers a message.
    ///
    /// # Panics
    /// When it was answered before.
    pub fn answer(&self, delivered: &Delivered<Message>, ack: Ack) {
        let settled = self.consumer.settler().settle(delivered.id, ack);
        settled.expect("answer a message");
    }

    /// Takes the next message, accepts it and gives its text.
    ///
    /// # Panics
    /// As [`peek`](Self::peek).
    pub async fn accept(&mut self) -> String {
        let delivered = self.next().await;
        self.answer(&delivered, Ack::Accepted);
        text(&delivered)
    }

    /// Takes the next message, rejects it and gives its text.
    ///
    /// # Panics
    /// As [`peek`](Self::peek).
    pub async fn reject(&mut self) -> String {
        let delivered = self.next().await;
        self.answer(&delivered, Ack::Rejected("not now".to_owned()));
        text(&delivered)
    }

    /// The texts of the messages that are there without a wait.
    ///
    /// # Panics
    /// When one is no text.
    pub async fn waiting(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(Some(next)) = tokio::time::timeout(Duration::ZERO, self.consumer.next()).await
        {
            texts.push(text(&next));
        }
        texts
    }

    /// Ends the subscription, and waits until the broker has noticed.
    ///
    /// # Errors
    /// What the broker ends it with.
    ///
    /// # Panics
    /// When it does not end within [`patience`](crate::patience).
    pub async fn stop(mut self) -> Result<()> {
        self.consumer.close();
        let ended = within("the end of a closed subscription", self.run.join_next()).await;
        let ended = ended.expect("the subscription is waited for once");
        ended.expect("run a subscription to its end")
    }
}

/// The text of a message.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn text(delivered: &Delivered<Message>) -> String {
    String::from_utf8(delivered.message.data.to_vec()).expect("a message that is text")
}
