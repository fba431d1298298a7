//! Many messages at once for as long as a broker takes them, what it has acknowledged of them, and who gets them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use dapr_pluggable::Result;
use dapr_pluggable::delivery::{Ack, Consumer, Gate, window};
use dapr_pluggable::pubsub::{Message, PubSub, Publication, Subscription};
use dapr_pluggable_testbed::within;
use tokio::task::JoinSet;

const TOPIC: &str = "numbers";
/// Publications that are on their way at any moment.
const PUBLISHERS: usize = 16;
/// Messages that a subscriber may have in its hands.
const WINDOW: usize = 64;

/// What was published, and what became of it, through all lives of the broker.
#[derive(Clone, Default)]
pub(crate) struct Messages(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    next: u32,
    /// Those that the broker has acknowledged to their publishers.
    acknowledged: BTreeSet<u32>,
    /// Those of them that a subscriber has accepted.
    accepted: BTreeSet<u32>,
}

impl Messages {
    /// Begins to publish numbers, each once, until the broker fails. The publishers say why it did.
    pub(crate) fn publish(&self, broker: &Arc<dyn PubSub>) -> JoinSet<String> {
        let mut publishers = JoinSet::new();
        for _ in 0..PUBLISHERS {
            let (broker, messages) = (Arc::clone(broker), self.clone());
            publishers.spawn(async move {
                loop {
                    let number = messages.next();
                    let publication = Publication::new(TOPIC, number.to_string());
                    if let Err(error) = broker.publish(publication).await {
                        return error.to_string();
                    }
                    messages.ledger().acknowledged.insert(number);
                }
            });
        }
        publishers
    }

    /// Publishes the next number.
    pub(crate) async fn publish_one(&self, broker: &Arc<dyn PubSub>) {
        let number = self.next();
        let publication = Publication::new(TOPIC, number.to_string());
        broker.publish(publication).await.unwrap();
        self.ledger().acknowledged.insert(number);
    }

    /// Those that were acknowledged and not accepted.
    pub(crate) fn owed(&self) -> BTreeSet<u32> {
        let ledger = self.ledger();
        &ledger.acknowledged - &ledger.accepted
    }

    /// Those that were accepted.
    pub(crate) fn accepted(&self) -> BTreeSet<u32> {
        self.ledger().accepted.clone()
    }

    /// How many were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger().acknowledged.len()
    }

    fn next(&self) -> u32 {
        let mut ledger = self.ledger();
        ledger.next += 1;
        ledger.next
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }
}

/// One subscription.
pub(crate) struct Subscriber {
    messages: Messages,
    consumer: Consumer<Message, Ack>,
    run: JoinSet<Result<()>>,
}

/// A message in the hands of a subscriber.
pub(crate) struct InHand {
    id: u64,
    pub(crate) number: u32,
}

impl Subscriber {
    pub(crate) fn start(broker: &Arc<dyn PubSub>, messages: &Messages) -> Self {
        let (deliveries, consumer) = window(WINDOW, &Gate::new());
        let broker = Arc::clone(broker);
        let mut run = JoinSet::new();
        run.spawn(async move { broker.subscribe(Subscription::new(TOPIC), deliveries).await });
        Self {
            messages: messages.clone(),
            consumer,
            run,
        }
    }

    /// Takes the next message.
    pub(crate) async fn take(&mut self) -> InHand {
        let delivered = within("a message", self.consumer.next()).await;
        let delivered = delivered.expect("the subscription has ended");
        let text = std::str::from_utf8(&delivered.message.data).unwrap();
        let number = text.parse().unwrap();
        assert!(number <= self.messages.ledger().next, "{number}");
        InHand {
            id: delivered.id,
            number,
        }
    }

    /// Accepts a message.
    pub(crate) fn accept(&self, message: &InHand) {
        let settler = self.consumer.settler();
        settler.settle(message.id, Ack::Accepted).unwrap();
        self.messages.ledger().accepted.insert(message.number);
    }

    /// Ends the subscription in order: the component gets the answers that were given.
    pub(crate) async fn stop(mut self) {
        self.consumer.close();
        let ended = within("the end of a subscription", self.run.join_next()).await;
        ended.unwrap().unwrap().unwrap();
    }

    /// Takes and accepts messages until all that are owed have come, and gives what came.
    pub(crate) async fn receive_owed(&mut self) -> BTreeSet<u32> {
        let mut owed = self.messages.owed();
        let mut received = BTreeSet::new();
        while !owed.is_empty() {
            let message = self.take().await;
            self.accept(&message);
            owed.remove(&message.number);
            received.insert(message.number);
        }
        received
    }
}
