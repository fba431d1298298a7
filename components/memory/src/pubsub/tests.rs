use dapr_pluggable::delivery::{Ack, Consumer, Delivered, Gate, window};
use dapr_pluggable::pubsub::BulkPublishEntry;
use dapr_pluggable::{Blocks, ErrorKind, Opener as _};
use tokio::task::JoinSet;

use super::*;
use crate::queue::LENGTH;

async fn open(blocks: &Blocks, consumer: &str) -> Arc<dyn PubSub> {
    let metadata = Metadata::from([("consumerID", consumer)]);
    let instance = InstanceId::new("pubsub");
    blocks.open_pubsub(&instance, &metadata).await.unwrap()
}

/// A subscription and its runtime's end of it.
struct Subscriber {
    consumer: Consumer<Message, Ack>,
    subscription: JoinSet<Result<()>>,
}

impl Subscriber {
    fn new(broker: &Arc<dyn PubSub>, topic: &str) -> Self {
        let (deliveries, consumer) = window(8, &Gate::new());
        let (broker, topic) = (Arc::clone(broker), Subscription::new(topic));
        let mut subscription = JoinSet::new();
        subscription.spawn(async move { broker.subscribe(topic, deliveries).await });
        Self {
            consumer,
            subscription,
        }
    }

    async fn next(&mut self) -> Delivered<Message> {
        let next = tokio::time::timeout(Duration::from_secs(100), self.consumer.next());
        next.await.expect("a message comes").unwrap()
    }

    async fn next_is(&mut self, expected: &str) -> u64 {
        let delivered = self.next().await;
        assert_eq!(delivered.message.data, expected);
        delivered.id
    }

    /// Waits longer than anything takes to come again; the subscription has begun after it.
    async fn nothing_comes(&mut self) {
        let next = tokio::time::timeout(Duration::from_secs(3600), self.consumer.next());
        assert!(next.await.is_err());
    }

    fn answer(&self, id: u64, ack: Ack) {
        self.consumer.settler().settle(id, ack).unwrap();
    }

    async fn accept(&mut self, expected: &str) {
        let id = self.next_is(expected).await;
        self.answer(id, Ack::Accepted);
    }

    async fn end(mut self) {
        self.consumer.close();
        self.subscription
            .join_next()
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

async fn publish(broker: &Arc<dyn PubSub>, topic: &str, data: &str) {
    let publication = Publication::new(topic, data.to_owned());
    broker.publish(publication).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn groups_get_everything_and_share_it_inside() {
    let blocks = crate::blocks();
    let (app, same_app, other) = (
        open(&blocks, "app").await,
        open(&blocks, "app").await,
        open(&blocks, "other").await,
    );
    let (mut one, mut two) = (Subscriber::new(&app, "t"), Subscriber::new(&same_app, "t"));
    let mut all = Subscriber::new(&other, "t");
    all.nothing_comes().await;
    for data in ["1", "2"] {
        publish(&app, "t", data).await;
    }
    all.accept("1").await;
    all.accept("2").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (subscriber, delivered) = tokio::select! {
            delivered = one.next() => (&one, delivered),
            delivered = two.next() => (&two, delivered),
        };
        subscriber.answer(delivered.id, Ack::Accepted);
        seen.push(delivered.message.data);
    }
    seen.sort();
    assert_eq!(seen, ["1", "2"]);
    one.nothing_comes().await;
    two.nothing_comes().await;
    all.nothing_comes().await;
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_takes_longer_topics_under_its_own_name() {
    let broker = open(&crate::blocks(), "app").await;
    let mut wild = Subscriber::new(&broker, "orders*");
    let mut plain = Subscriber::new(&broker, "orders");
    wild.nothing_comes().await;
    for topic in ["orders", "orders1", "order", "orders/eu"] {
        publish(&broker, topic, topic).await;
    }
    plain.accept("orders").await;
    let delivered = wild.next().await;
    assert_eq!(delivered.message.topic, "orders*");
    assert_eq!(delivered.message.data, "orders1");
    wild.answer(delivered.id, Ack::Accepted);
    wild.accept("orders/eu").await;
    wild.nothing_comes().await;
    plain.nothing_comes().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_again_until_it_is_accepted() {
    let blocks = crate::blocks();
    let broker = open(&blocks, "app").await;
    // Nobody has subscribed yet.
    for data in ["1", "2", "3"] {
        publish(&broker, "t", data).await;
    }
    let mut first = Subscriber::new(&broker, "t");
    let id = first.next_is("1").await;
    first.next_is("2").await;
    first.next_is("3").await;
    first.answer(id, Ack::Rejected("busy".to_owned()));
    let before = Instant::now();
    first.next_is("1").await;
    assert_eq!(before.elapsed().as_millis(), 200);
    first.end().await;

    // The next subscription of the group, from another Init, gets what is open in its order.
    let mut second = Subscriber::new(&open(&blocks, "app").await, "t");
    second.accept("1").await;
    second.accept("2").await;
    // No answer comes to this one for a long time.
    second.next_is("3").await;
    second.accept("3").await;
    second.nothing_comes().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_end_counts() {
    let broker = open(&crate::blocks(), "app").await;
    let mut first = Subscriber::new(&broker, "t");
    publish(&broker, "t", "1").await;
    let id = first.next_is("1").await;
    first.answer(id, Ack::Accepted);
    first.end().await;
    Subscriber::new(&broker, "t").nothing_comes().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_makes_publishers_wait_and_then_tells_them() {
    let broker = open(&crate::blocks(), "app").await;
    let mut subscriber = Subscriber::new(&broker, "t");
    publish(&broker, "t", "first").await;
    let id = subscriber.next_is("first").await;
    for _ in 1..LENGTH {
        publish(&broker, "t", "more").await;
    }
    let before = Instant::now();
    let error = broker
        .publish(Publication::new("t", "one too many"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled);
    assert!(
        error.message().starts_with("topic \"t\" is full"),
        "{error}"
    );
    assert_eq!(before.elapsed(), PATIENCE);

    let waiting = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move { broker.publish(Publication::new("t", "last")).await }
    });
    subscriber.answer(id, Ack::Accepted);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_bulk_stand_for_themselves() {
    let broker = open(&crate::blocks(), "app").await;
    let entry = |id: &str, ttl: Option<&str>| {
        let mut entry = BulkPublishEntry::new(id, id.to_owned());
        entry.metadata = ttl.map(|ttl| ("ttlInSeconds", ttl)).into_iter().collect();
        entry
    };
    let mut publication = BulkPublication::new(
        "t",
        vec![
            entry("short", None),
            entry("bad", Some("soon")),
            entry("long", Some("60")),
        ],
    );
    publication.metadata = Metadata::from([("ttlInSeconds", "10")]);
    let bulk = broker.bulk_publisher().unwrap();
    let failed = bulk.bulk_publish(publication).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].entry_id, "bad");
    assert!(failed[0].error.contains("ttlInSeconds"), "{failed:?}");

    tokio::time::advance(Duration::from_secs(10)).await;
    let mut subscriber = Subscriber::new(&broker, "t");
    subscriber.accept("long").await;
    subscriber.nothing_comes().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let blocks = crate::blocks();
    let metadata = Metadata::from([("visibilityTimeout", "1ms")]);
    let error = blocks
        .open_pubsub(&InstanceId::default(), &metadata)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert!(error.message().contains("visibilityTimeout"), "{error}");

    let broker = open(&blocks, "app").await;
    let error = broker.publish(Publication::new("", "1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
}
