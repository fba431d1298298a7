//! Topics and consumer groups: which queues a message goes to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr_pluggable::pubsub::Message;
use dapr_pluggable::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::queue::{LENGTH, Queue};

/// How many messages wait for a first subscription.
const UNCLAIMED: usize = 1_000;

/// The topics of an instance.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    topics: Mutex<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    /// A queue stays when the last of its subscriptions ends, so that the next one finds what was not handled.
    queues: BTreeMap<Readers, Arc<Queue<Message>>>,
    /// The last messages that no queue took. They wait for the first that does.
    unclaimed: VecDeque<(Message, Option<Instant>)>,
}

/// Who reads a queue together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Readers {
    /// The topic of their subscriptions, wildcard and all.
    topic: Arc<str>,
    /// Their consumer group.
    group: Arc<str>,
}

impl Broker {
    /// The queue of a consumer group for the topic of a subscription.
    pub(super) fn queue(&self, topic: &str, group: &Arc<str>) -> Arc<Queue<Message>> {
        let mut topics = self.topics();
        let readers = Readers {
            topic: topic.into(),
            group: Arc::clone(group),
        };
        if let Some(queue) = topics.queues.get(&readers) {
            return Arc::clone(queue);
        }
        let queue = Arc::new(Queue::default());
        topics.queues.insert(readers, Arc::clone(&queue));
        for (message, end) in std::mem::take(&mut topics.unclaimed) {
            if covers(topic, &message.topic)
                && let Some(slot) = queue.try_reserve()
            {
                queue.push(slot, addressed(message, topic), end);
            } else {
                topics.unclaimed.push_back((message, end));
            }
        }
        queue
    }

    /// Puts a message into every queue that its topic concerns, or into none when one of them has no room until the
    /// deadline.
    pub(super) async fn publish(
        &self,
        message: Message,
        end: Option<Instant>,
        deadline: Instant,
    ) -> Result<()> {
        let queues = self.queues(&message, end);
        let mut places = Vec::with_capacity(queues.len());
        // In the order of their readers, so that two that publish at once never wait for each other.
        for (readers, queue) in queues {
            let slot = queue.reserve(deadline).await.ok_or_else(|| {
                let (topic, group) = (&message.topic, &readers.group);
                Error::new(
                    ErrorKind::Throttled,
                    format!(
                        "topic {topic:?} is full: consumer group {group:?} has {LENGTH} messages that are not handled"
                    ),
                )
            })?;
            places.push((readers, queue, slot));
        }
        for (readers, queue, slot) in places {
            queue.push(slot, addressed(message.clone(), &readers.topic), end);
        }
        Ok(())
    }

    /// The queues that a message goes to; when there are none it is kept for the first to come.
    fn queues(
        &self,
        message: &Message,
        end: Option<Instant>,
    ) -> Vec<(Readers, Arc<Queue<Message>>)> {
        let mut topics = self.topics();
        let queues = topics.queues.iter();
        let queues: Vec<_> = queues
            .filter(|(readers, _)| covers(&readers.topic, &message.topic))
            .map(|(readers, queue)| (readers.clone(), Arc::clone(queue)))
            .collect();
        if queues.is_empty() {
            if topics.unclaimed.len() == UNCLAIMED {
                topics.unclaimed.pop_front();
            }
            topics.unclaimed.push_back((message.clone(), end));
        }
        queues
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        // Every change is one step, so a panic elsewhere leaves the topics whole.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the topic of a subscription takes the messages of a topic.
fn covers(subscribed: &str, topic: &str) -> bool {
    match subscribed.strip_suffix('*') {
        Some(prefix) => topic.len() > prefix.len() && topic.starts_with(prefix),
        None => topic == subscribed,
    }
}

/// The message as a subscriber gets it. The topic is that of the subscription, wildcard and all, as Dapr's own broker in
/// memory has it: a runtime finds the application's route by it.
fn addressed(mut message: Message, topic: &str) -> Message {
    topic.clone_into(&mut message.topic);
    message
}
