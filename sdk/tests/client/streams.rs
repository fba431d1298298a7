//! Subscriptions over a socket: the window, the answers, and how streams end.

use std::sync::Arc;

use dapr_pluggable::client::Client;
use dapr_pluggable::delivery::{Ack, Consumer, Gate, window};
use dapr_pluggable::pubsub::{Message, PubSub, Subscription};
use dapr_pluggable::{Error, ErrorKind, InstanceId, Result};
use dapr_pluggable_testbed::within;
use tokio::task::JoinHandle;

use super::foreign::{Acks, Acting, Foreign, next};

/// A subscription to a peer of another make.
struct Subscribed {
    consumer: Consumer<Message, Ack>,
    acks: Acks,
    task: JoinHandle<Result<()>>,
    broker: Arc<dyn PubSub>,
    peer: Foreign,
}

impl Subscribed {
    async fn to(topic: &str, messages: usize, size: usize) -> Self {
        let (mut acting, acks) = Acting::new();
        acting.messages = messages;
        let peer = Foreign::start(acting).await;
        let client = Client::connect(peer.socket()).await.unwrap();
        let broker = client.attach_pubsub(&InstanceId::new("orders")).await;
        let broker = broker.unwrap();
        let (deliveries, consumer) = window(size, &Gate::new());
        let task = {
            let (broker, subscription) = (Arc::clone(&broker), Subscription::new(topic));
            tokio::spawn(async move { broker.subscribe(subscription, deliveries).await })
        };
        Self {
            consumer,
            acks,
            task,
            broker,
            peer,
        }
    }

    async fn next(&mut self) -> u64 {
        let delivered = within("a message", self.consumer.next()).await;
        delivered.unwrap().id
    }

    fn settle(&self, id: u64, ack: Ack) {
        self.consumer.settler().settle(id, ack).unwrap();
    }

    async fn end(self) -> Result<()> {
        within("the end of the subscription", self.task)
            .await
            .unwrap()
    }
}

fn rejected() -> Ack {
    Ack::Rejected("not today".to_owned())
}

#[tokio::test]
async fn answers_go_back_in_any_order_and_the_abandoned_stay_silent() {
    let mut subscribed = Subscribed::to("orders", 3, 8).await;
    let ids = [
        subscribed.next().await,
        subscribed.next().await,
        subscribed.next().await,
    ];
    subscribed.settle(ids[2], Ack::Accepted);
    assert_eq!(next(&mut subscribed.acks).await, "id 2 true");
    subscribed.settle(ids[1], Ack::Abandoned);
    subscribed.settle(ids[0], rejected());
    assert_eq!(next(&mut subscribed.acks).await, "id 0 false");
    assert_eq!(
        subscribed.peer.acting.calls(),
        ["Features orders", "PullMessages orders"]
    );
    let mut acks = std::mem::replace(&mut subscribed.acks, Acting::new().1);
    drop(subscribed.consumer);
    assert_eq!(next(&mut acks).await, "end");
    within("the end", subscribed.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let mut subscribed = Subscribed::to("orders", 1, 8).await;
    let delivered = within("a message", subscribed.consumer.next()).await;
    let message = delivered.unwrap().message;
    assert_eq!(
        (message.topic.as_str(), &*message.data),
        ("orders", &b"message 0"[..])
    );
}

#[tokio::test]
async fn no_more_is_taken_than_the_window_holds() {
    let mut subscribed = Subscribed::to("orders", 100, 2).await;
    let first = subscribed.next().await;
    subscribed.next().await;
    let settler = subscribed.consumer.settler();
    assert_eq!(settler.in_flight(), 2);
    let third = tokio::time::timeout(
        std::time::Duration::from_millis(50),
        subscribed.consumer.next(),
    );
    assert!(third.await.is_err());
    settler.settle(first, Ack::Accepted).unwrap();
    subscribed.next().await;
    assert_eq!(settler.in_flight(), 2);
}

#[tokio::test]
async fn all_messages_come_through_a_small_window() {
    let mut subscribed = Subscribed::to("orders", 2000, 4).await;
    for _ in 0..2000 {
        let id = subscribed.next().await;
        subscribed.settle(id, Ack::Accepted);
    }
    for number in 0..2000 {
        assert_eq!(
            next(&mut subscribed.acks).await,
            format!("id {number} true")
        );
    }
}

#[tokio::test]
async fn what_was_answered_before_the_end_is_sent() {
    let mut subscribed = Subscribed::to("orders", 2, 8).await;
    let id = subscribed.next().await;
    subscribed.next().await;
    subscribed.settle(id, Ack::Accepted);
    subscribed.consumer.close();
    assert_eq!(next(&mut subscribed.acks).await, "id 0 true");
    assert_eq!(next(&mut subscribed.acks).await, "end");
    subscribed.end().await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_end_its_stream_is_not_waited_for() {
    let mut subscribed = Subscribed::to("deaf", 1, 8).await;
    subscribed.next().await;
    subscribed.consumer.close();
    assert_eq!(next(&mut subscribed.acks).await, "end");
    subscribed.end().await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_the_peer_has_not_opened_ends_with_the_window() {
    let subscribed = Subscribed::to("silent", 1, 8).await;
    subscribed
        .peer
        .acting
        .was_called("PullMessages orders")
        .await;
    subscribed.consumer.close();
    subscribed.end().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_the_peer_ends_is_an_error() {
    let kind_of = |error: Error| (error.kind().clone(), error.wire().map(|wire| wire.code));
    let ended = Subscribed::to("ends", 1, 8).await;
    let socket = ended.peer.socket().to_str().unwrap().to_owned();
    let error = within("the end", ended.task).await.unwrap().unwrap_err();
    assert!(error.message().contains(&socket), "{error}");
    assert_eq!(kind_of(error), (ErrorKind::Unavailable, None));
    let failed = Subscribed::to("fails", 1, 8).await;
    let error = within("the end", failed.task).await.unwrap().unwrap_err();
    assert_eq!(kind_of(error), (ErrorKind::Throttled, Some(8)));
}

#[tokio::test]
async fn a_peer_that_dies_ends_its_streams() {
    let mut subscribed = Subscribed::to("orders", 1, 8).await;
    subscribed.next().await;
    let socket = subscribed.peer.socket().to_str().unwrap().to_owned();
    drop(subscribed.peer);
    let error = within("the end", subscribed.task).await.unwrap();
    let error = error.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&socket), "{error}");
}

#[tokio::test]
async fn closing_the_value_ends_its_subscriptions_and_says_nothing() {
    let mut subscribed = Subscribed::to("orders", 1, 8).await;
    subscribed.next().await;
    subscribed.broker.close().await.unwrap();
    assert_eq!(next(&mut subscribed.acks).await, "end");
    let calls = subscribed.peer.acting.calls();
    assert_eq!(calls, ["Features orders", "PullMessages orders"]);
    let after = subscribed.broker.ping().await.unwrap_err();
    assert_eq!(*after.kind(), ErrorKind::NotOpened);
    subscribed.end().await.unwrap();
}
