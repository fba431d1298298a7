//! What becomes of a message by its answer.

use dapr_pluggable::delivery::Ack;

use super::{Broker, check};
use crate::check::{Check, Verdict};
use crate::expect::equal;

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("accepted_is_over", &[], accepted_is_over),
        check("rejected_comes_again", &[], rejected_comes_again),
        check("abandoned_comes_again", &[], abandoned_comes_again),
        check(
            "answers_are_for_their_message",
            &[],
            answers_are_for_their_message,
        ),
        check("window", &[], window),
    ]
}

/// An accepted message does not come again, to this subscription or the next.
async fn accepted_is_over(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 8).await?;
    broker.publish(&topic, "accepted").await?;
    let data = subscriber.settle(Ack::Accepted).await?;
    equal("the message", data, "accepted".into())?;
    subscriber.silence().await?;
    subscriber.stop().await?;
    let mut next = broker.subscribe(&topic, 8).await?;
    broker.publish(&topic, "later").await?;
    let data = next.settle(Ack::Accepted).await?;
    equal("the message of the next subscription", data, "later".into())?;
    next.silence().await
}

async fn rejected_comes_again(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 8).await?;
    broker.publish(&topic, "rejected").await?;
    for _ in 0..3 {
        let answer = Ack::Rejected("not now".to_owned());
        let data = subscriber.settle(answer).await?;
        equal("the message", data, "rejected".into())?;
    }
    let data = subscriber.settle(Ack::Accepted).await?;
    equal("the message that was rejected", data, "rejected".into())?;
    subscriber.silence().await
}

/// What a subscription leaves unanswered comes to the next one.
async fn abandoned_comes_again(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 2).await?;
    let mut published = ["1", "2", "3", "4"].map(ToOwned::to_owned).to_vec();
    for data in &published {
        broker.publish(&topic, data.clone()).await?;
    }
    // Taken and not answered, and not even taken.
    subscriber.next().await?;
    subscriber.stop().await?;

    let mut next = broker.join(&topic, 8);
    let mut found = Vec::new();
    for _ in &published {
        let data = next.settle(Ack::Accepted).await?;
        found.push(String::from_utf8_lossy(&data).into_owned());
    }
    found.sort();
    published.sort();
    equal("what comes to the next subscription", found, published)?;
    next.silence().await
}

/// Answers in another order than the messages came.
async fn answers_are_for_their_message(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 8).await?;
    for data in ["a", "b", "c"] {
        broker.publish(&topic, data).await?;
    }
    let mut delivered = Vec::new();
    for _ in 0..3 {
        delivered.push(subscriber.next().await?);
    }
    for message in delivered.iter().rev() {
        let answer = match message.message.data.as_ref() {
            b"a" => Ack::Rejected("not now".to_owned()),
            _ => Ack::Accepted,
        };
        subscriber.answer(message, answer);
    }
    let again = subscriber.settle(Ack::Accepted).await?;
    equal("the one message that was rejected", again, "a".into())?;
    subscriber.silence().await
}

/// A full window holds the rest back, and an answer lets the next message in.
async fn window(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut subscriber = broker.subscribe(&topic, 2).await?;
    for data in ["1", "2", "3", "4"] {
        broker.publish(&topic, data).await?;
    }
    let (first, second) = (subscriber.next().await?, subscriber.next().await?);
    subscriber.silence().await?;
    subscriber.answer(&second, Ack::Accepted);
    let third = subscriber.next().await?;
    subscriber.silence().await?;
    for message in [first, third] {
        subscriber.answer(&message, Ack::Accepted);
    }
    subscriber.settle(Ack::Accepted).await?;
    subscriber.silence().await
}
