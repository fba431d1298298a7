//! What a broker must do.

mod answers;
mod delivery;
mod groups;
mod optional;
mod subscriber;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use dapr_pluggable::pubsub::{PubSub, Publication};
use dapr_pluggable::{Block, InstanceId, Metadata};

use self::subscriber::Subscriber;
use crate::check::{Check, Need, Verdict};
use crate::fixture::Fixture;
use crate::plan::Data;

pub(crate) fn checks() -> Vec<Check> {
    [
        delivery::checks(),
        answers::checks(),
        groups::checks(),
        optional::checks(),
    ]
    .concat()
}

/// A check that works on one open broker.
fn check<F: Future<Output = Verdict> + Send + 'static>(
    name: &str,
    needs: &'static [Need],
    run: fn(Broker) -> F,
) -> Check {
    check_with(&[], name, needs, run)
}

/// A check that counts on it that a component sends one message and waits for its answer.
fn check_one_by_one<F: Future<Output = Verdict> + Send + 'static>(
    name: &str,
    needs: &'static [Need],
    run: fn(Broker) -> F,
) -> Check {
    check_with(&[("deliveryWindow", "1")], name, needs, run)
}

fn check_with<F: Future<Output = Verdict> + Send + 'static>(
    settings: &'static [(&'static str, &'static str)],
    name: &str,
    needs: &'static [Need],
    run: fn(Broker) -> F,
) -> Check {
    let name = format!("pubsub::{name}");
    Check::new(Block::PubSub, name, needs, move |fixture| async move {
        run(Broker::open(fixture, settings).await?).await
    })
}

/// A broker under check, with what the checks do all the time.
struct Broker {
    pubsub: Arc<dyn PubSub>,
    instance: InstanceId,
    fixture: Arc<Fixture>,
}

impl Broker {
    async fn open(fixture: Arc<Fixture>, settings: &[(&str, &str)]) -> Verdict<Self> {
        let instance = fixture.instance();
        let mut properties = properties(&fixture, "group");
        for (key, value) in settings {
            properties.insert(*key, *value);
        }
        let pubsub = fixture.open_pubsub(&instance, &properties).await?;
        Ok(Self {
            pubsub,
            instance,
            fixture,
        })
    }

    /// Another value that sees the same topics, for another group of consumers.
    async fn of_group(&self, group: &str) -> Verdict<Self> {
        let instance = match self.fixture.subject().setup().data {
            Data::Shared => self.fixture.instance(),
            Data::Instance => self.instance.clone(),
        };
        let properties = properties(&self.fixture, group);
        let pubsub = self.fixture.open_pubsub(&instance, &properties).await?;
        Ok(Self {
            pubsub,
            instance,
            fixture: Arc::clone(&self.fixture),
        })
    }

    /// A topic that nothing else has.
    fn topic(&self, name: &str) -> String {
        self.fixture.name(name)
    }

    async fn publish(&self, topic: &str, data: impl Into<Bytes>) -> Verdict {
        let publication = Publication::new(topic, data);
        let publish = self.pubsub.publish(publication);
        Ok(self.fixture.within("a publish", publish).await??)
    }

    /// Subscribes, and waits until messages arrive.
    async fn subscribe(&self, topic: &str, window: usize) -> Verdict<Subscriber> {
        let mut subscriber = self.join(topic, window);
        subscriber.hear(self, topic).await?;
        Ok(subscriber)
    }

    /// Subscribes as one more of a group that is there.
    fn join(&self, topic: &str, window: usize) -> Subscriber {
        Subscriber::start(Arc::clone(&self.fixture), &self.pubsub, topic, window)
    }
}

fn properties(fixture: &Fixture, group: &str) -> Metadata {
    fixture.properties(&[("consumerID", &fixture.name(group))])
}
