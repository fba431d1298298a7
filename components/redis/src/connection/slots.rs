//! Which node of a cluster has which slot.

use std::collections::HashMap;

use redis::cluster_routing::Slot;
use redis::{RedisError, RedisResult, Value};

use super::endpoint::text;
use super::hosts::Host;
use crate::error::misread;

/// The primary of each slot.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Each of them once.
    hosts: Vec<Host>,
    /// For each slot the place in `hosts`.
    owners: HashMap<Slot, usize>,
}

impl Slots {
    /// Reads what a node answers to `CLUSTER SLOTS`. A node without a name is the one that was asked.
    pub(super) fn read(answer: Value, asked: &Host) -> RedisResult<Self> {
        let mut slots = Self::default();
        let Value::Array(ranges) = answer else {
            return Err(misread("CLUSTER SLOTS"));
        };
        for range in ranges {
            slots
                .add(range, asked)
                .ok_or_else(|| misread("CLUSTER SLOTS"))?;
        }
        if slots.hosts.is_empty() {
            return Err(RedisError::from((
                redis::ErrorKind::ClusterConnectionNotFound,
                "the node knows no slots: it is not part of a cluster (yet)",
            )));
        }
        Ok(slots)
    }

    pub(super) fn owner(&self, slot: Slot) -> Option<&Host> {
        self.hosts.get(*self.owners.get(&slot)?)
    }

    /// Every node that has a slot, once.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    fn add(&mut self, range: Value, asked: &Host) -> Option<()> {
        let Value::Array(parts) = range else {
            return None;
        };
        let mut parts = parts.into_iter();
        let (first, last) = (slot(parts.next()?)?, slot(parts.next()?)?);
        let Value::Array(primary) = parts.next()? else {
            return None;
        };
        let mut primary = primary.into_iter();
        let name = match primary.next()? {
            Value::Nil => String::new(),
            name => text(name)?,
        };
        let Value::Int(port) = primary.next()? else {
            return None;
        };
        let host = Host {
            // A question mark is a name that the node does not know.
            name: Some(name)
                .filter(|name| !name.is_empty() && name != "?")
                .unwrap_or_else(|| asked.name.clone()),
            port: u16::try_from(port).ok()?,
        };
        let index = self.hosts.iter().position(|known| *known == host);
        let index = index.unwrap_or_else(|| {
            self.hosts.push(host);
            self.hosts.len() - 1
        });
        let slots = (first..=last).filter_map(Slot::new);
        self.owners.extend(slots.map(|slot| (slot, index)));
        Some(())
    }
}

fn slot(value: Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(slot).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, name: Value, port: i64) -> Value {
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(vec![
                name,
                Value::Int(port),
                Value::BulkString(b"id".into()),
            ]),
        ])
    }

    #[test]
    fn slots_have_the_node_that_the_answer_names() {
        let asked = Host {
            name: "asked".into(),
            port: 1,
        };
        let name = |name: &str| Value::BulkString(name.as_bytes().to_vec());
        let answer = Value::Array(vec![
            range(0, 1, name("a"), 7000),
            range(2, 2, Value::Nil, 7001),
            range(4, 16383, name("a"), 7000),
        ]);
        let slots = Slots::read(answer, &asked).unwrap();
        let owner = |slot| Slot::new(slot).and_then(|slot| slots.owner(slot));
        for (slot, expected) in [
            (0, Some("a:7000")),
            (2, Some("asked:7001")),
            (3, None),
            (16383, Some("a:7000")),
        ] {
            let found = owner(slot).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{slot}");
        }
        assert_eq!(slots.owners().count(), 2);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let asked = Host {
            name: "asked".into(),
            port: 1,
        };
        for answer in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(-1, 2, Value::Nil, 1)]),
            Value::Array(vec![range(0, 2, Value::Nil, 70_000)]),
        ] {
            assert!(Slots::read(answer, &asked).is_err());
        }
    }
}
