//! Who gets a message when many subscribe.

use std::collections::BTreeSet;

use dapr_pluggable::delivery::Ack;

use super::{Broker, check, check_one_by_one};
use crate::check::{Check, Need, Verdict};
use crate::expect::equal;

const MESSAGES: [&str; 4] = ["1", "2", "3", "4"];

pub(super) fn checks() -> Vec<Check> {
    vec![
        check_one_by_one("groups::one_group_shares", &[], one_group_shares),
        check(
            "groups::each_group_gets_all",
            &[Need::TwoValues],
            each_group_gets_all,
        ),
    ]
}

/// Of one group one gets a message, and who holds all it can take leaves the rest to others.
async fn one_group_shares(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let mut busy = broker.subscribe(&topic, 1).await?;
    broker.publish(&topic, "0").await?;
    let held = busy.next().await?;
    let mut other = broker.join(&topic, 1);
    let mut found = BTreeSet::new();
    for data in MESSAGES {
        broker.publish(&topic, data).await?;
        let data = other.settle(Ack::Accepted).await?;
        found.insert(String::from_utf8_lossy(&data).into_owned());
    }
    let expected: BTreeSet<String> = MESSAGES.map(ToOwned::to_owned).into();
    equal("what the other one gets", found, expected)?;
    busy.answer(&held, Ack::Accepted);
    busy.silence().await?;
    other.silence().await
}

async fn each_group_gets_all(broker: Broker) -> Verdict {
    let topic = broker.topic("topic");
    let other = broker.of_group("other").await?;
    let mut subscribers = [
        broker.subscribe(&topic, 8).await?,
        other.subscribe(&topic, 8).await?,
    ];
    for data in MESSAGES {
        broker.publish(&topic, data).await?;
    }
    for subscriber in &mut subscribers {
        let mut found = BTreeSet::new();
        for _ in MESSAGES {
            let data = subscriber.settle(Ack::Accepted).await?;
            found.insert(String::from_utf8_lossy(&data).into_owned());
        }
        let expected: BTreeSet<String> = MESSAGES.map(ToOwned::to_owned).into();
        equal("what a group gets", found, expected)?;
        subscriber.silence().await?;
    }
    Ok(())
}
