//! How do I write a broker?

use std::process::ExitCode;

use dapr_pluggable::delivery::{Ack, Deliveries};
use dapr_pluggable::pubsub::{Message, PubSub, Publication, Subscription};
use dapr_pluggable::{Blocks, Component, Result, Server, async_trait};
use tokio::sync::broadcast;

struct Broker(broadcast::Sender<Message>);

impl Component for Broker {}

#[async_trait]
impl PubSub for Broker {
    async fn publish(&self, publication: Publication) -> Result<()> {
        let _nobody_may_listen = self
            .0
            .send(Message::new(publication.topic, publication.data));
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription, deliveries: Deliveries) -> Result<()> {
        let mut messages = self.0.subscribe();
        while let Ok(message) = deliveries.until_closed(messages.recv()).await? {
            let wanted = message.topic == subscription.topic;
            while wanted && deliveries.deliver(message.clone()).await?.await != Ack::Accepted {}
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let messages = broadcast::Sender::new(1024);
    Server::new("hello-pubsub")
        .blocks(Blocks::new().pubsub_from(move || Broker(messages.clone())))
        .run()
}
