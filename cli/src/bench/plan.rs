//! What is measured: the operation, the keys and the value, and who has which keys.

use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;

/// What a call in flight does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Read a value
    Get,
    /// Write a value
    Set,
    /// Read a value, then write with its etag
    Update,
    /// Read several values in one call
    BulkGet,
    /// Publish a message
    Publish,
    /// Receive and acknowledge messages that were published before
    Deliver,
}

impl Operation {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Update => "update",
            Self::BulkGet => "bulk-get",
            Self::Publish => "publish",
            Self::Deliver => "deliver",
        }
    }

    /// Whether it is one of a message broker, and not of a state store.
    pub(super) fn is_of_a_broker(self) -> bool {
        matches!(self, Self::Publish | Self::Deliver)
    }
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) operation: Operation,
    pub(super) connections: u32,
    /// On each connection.
    pub(super) in_flight: u32,
    pub(super) duration: Duration,
    pub(super) key_prefix: String,
    pub(super) key_count: u32,
    /// How many keys a bulk get has.
    pub(super) bulk: u32,
    pub(super) topic: String,
    /// How many messages are published before they are received.
    pub(super) messages: u32,
    pub(super) value: Bytes,
}

impl Plan {
    /// The keys, of this run alone.
    pub(super) fn keys(&self) -> Vec<String> {
        let prefix = &self.key_prefix;
        (0..self.key_count)
            .map(|index| format!("{prefix}{index}"))
            .collect()
    }

    /// How many calls are in flight, over all connections.
    pub(super) fn slots(&self) -> usize {
        self.connections as usize * self.in_flight as usize
    }

    /// How many keys a call has.
    fn keys_per_call(&self) -> usize {
        match self.operation {
            Operation::BulkGet => self.bulk as usize,
            _ => 1,
        }
    }

    /// The keys of one of the calls in flight, call by call. No two share a key unless there are too few.
    pub(super) fn keys_of(&self, slot: usize, keys: &[String]) -> Vec<Vec<String>> {
        let calls = keys.chunks_exact(self.keys_per_call());
        let own: Vec<Vec<String>> = calls
            .clone()
            .skip(slot)
            .step_by(self.slots())
            .map(<[String]>::to_vec)
            .collect();
        if own.is_empty() {
            let shared = calls.cycle().nth(slot);
            return shared.map(<[String]>::to_vec).into_iter().collect();
        }
        own
    }
}

/// A value of so many bytes: JSON text.
pub(super) fn value(size: u32) -> Bytes {
    let size = size as usize;
    let text = match size.checked_sub(2) {
        Some(inner) => format!("\"{}\"", "v".repeat(inner)),
        None => "7".repeat(size),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(key_count: u32) -> Plan {
        Plan {
            operation: Operation::Update,
            connections: 2,
            in_flight: 3,
            duration: Duration::from_secs(1),
            key_prefix: "k".to_owned(),
            key_count,
            bulk: 4,
            topic: "t".to_owned(),
            messages: 1,
            value: value(1),
        }
    }

    #[test]
    fn every_key_has_one_owner() {
        for count in [6, 7, 100] {
            let plan = plan(count);
            let keys = plan.keys();
            let owned: Vec<String> = (0..plan.slots())
                .flat_map(|slot| plan.keys_of(slot, &keys).concat())
                .collect();
            assert_eq!(owned.len(), keys.len());
            assert_eq!(owned.iter().collect::<BTreeSet<_>>().len(), keys.len());
        }
    }

    #[test]
    fn few_keys_are_shared() {
        let plan = plan(2);
        let keys = plan.keys();
        for slot in 0..plan.slots() {
            assert_eq!(plan.keys_of(slot, &keys), [[format!("k{}", slot % 2)]]);
        }
    }

    #[test]
    fn a_bulk_get_has_its_number_of_keys() {
        let mut plan = plan(11);
        plan.operation = Operation::BulkGet;
        let keys = plan.keys();
        assert_eq!(plan.keys_of(0, &keys), [&keys[..4]]);
        assert_eq!(plan.keys_of(1, &keys), [&keys[4..8]]);
        assert_eq!(plan.keys_of(2, &keys), [&keys[..4]]);
    }

    #[test]
    fn values_are_json_of_their_size() {
        for size in [1, 2, 3, 256] {
            let value = value(size);
            assert_eq!(value.len(), size as usize);
            serde_json::from_slice::<serde_json::Value>(&value).unwrap();
        }
    }
}
