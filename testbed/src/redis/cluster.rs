//! A cluster: three primaries without replicas.

use futures::future::join_all;

use super::{Redis, is_there};
use crate::place::server_port;

/// The slots of a cluster.
const SLOTS: u16 = 16384;
const NODES: u16 = 3;
/// How long a node may be silent before the others give it up, in milliseconds.
const NODE_TIMEOUT: &str = "5000";

/// A Redis Cluster of three nodes on loopback, with a third of the slots each.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// A cluster in which every node knows where every slot is. `None` where there is no `redis-server`, which is noted for
    /// the test.
    ///
    /// # Panics
    /// When there is none and `CI` is set, and when the nodes do not become a cluster.
    pub async fn start(test: &str) -> Option<Self> {
        if !is_there(test) {
            return None;
        }
        let buses: Vec<String> = (0..NODES).map(|_| server_port().to_string()).collect();
        let starts = buses.iter().map(|bus| {
            Redis::builder()
                .option("cluster-enabled", &["yes"])
                .option("cluster-port", &[bus])
                .option("cluster-node-timeout", &[NODE_TIMEOUT])
                .start_there()
        });
        let nodes = join_all(starts).await;
        for (number, node) in (0..).zip(&nodes) {
            let [from, to] = [number, number + 1].map(|third| third * SLOTS / NODES);
            let (from, to) = (from.to_string(), (to - 1).to_string());
            // Two nodes of one epoch would have to agree on another first.
            let epoch = (number + 1).to_string();
            done(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            done(node, &["CLUSTER", "ADDSLOTSRANGE", &from, &to]).await;
        }
        let mut cluster = Self { nodes };
        for (number, (node, bus)) in cluster.nodes.iter().zip(&buses).enumerate() {
            let port = node.port().to_string();
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, bus];
            // Everybody meets everybody: to hear of each other takes longer.
            for earlier in cluster.nodes.iter().take(number) {
                done(earlier, &meet).await;
            }
        }
        for node in &mut cluster.nodes {
            let words = ["CLUSTER", "INFO"];
            node.answers(&words, "cluster_slots_ok:16384").await;
            node.answers(&words, "cluster_state:ok").await;
        }
        Some(cluster)
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// A node.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn node(&self, number: usize) -> &Redis {
        self.nodes.get(number).expect("a node of the cluster")
    }

    /// A node, to stop it and start it again.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn node_mut(&mut self, number: usize) -> &mut Redis {
        self.nodes.get_mut(number).expect("a node of the cluster")
    }

    /// Where its nodes listen, with commas between.
    #[must_use]
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(Redis::host).collect();
        hosts.join(",")
    }

    /// The slot of a key.
    ///
    /// # Panics
    /// When the cluster does not answer.
    pub async fn slot(&self, key: &str) -> u16 {
        self.node(0).command(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// The number of the node that has a slot.
    ///
    /// # Panics
    /// When none has it.
    pub async fn owner(&self, slot: u16) -> usize {
        for (number, node) in self.nodes.iter().enumerate() {
            if has(node, slot).await {
                return number;
            }
        }
        panic!("no node has slot {slot}");
    }

    /// Moves a slot with its keys to another node, as `redis-cli --cluster reshard` does, while clients go on.
    ///
    /// # Panics
    /// When a node does not take part.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let from = self.owner(slot).await;
        if from == to {
            return;
        }
        let (source, target) = (self.node(from), self.node(to));
        let slot = slot.to_string();
        let (source_id, target_id) = (id(source).await, id(target).await);
        done(
            target,
            &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id],
        )
        .await;
        done(
            source,
            &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id],
        )
        .await;
        let port = target.port().to_string();
        loop {
            let keys: Vec<Vec<u8>> = source
                .command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])
                .await;
            if keys.is_empty() {
                break;
            }
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let mut words: Vec<&[u8]> = migrate.iter().map(|word| word.as_bytes()).collect();
            words.extend(keys.iter().map(Vec::as_slice));
            // OK, or NOKEY where they have expired meanwhile.
            let _: String = source.command(&words).await;
        }
        // The target first: nobody has a slot that nobody serves.
        let others = (0..).zip(&self.nodes).filter(|(node, _)| *node != to);
        for node in [target].into_iter().chain(others.map(|(_, node)| node)) {
            done(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
    }
}

/// Whether a node says that it has a slot itself.
async fn has(node: &Redis, slot: u16) -> bool {
    let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
    let own = nodes.lines().find(|line| line.contains("myself"));
    // After eight fields come slots and ranges of them; those that move have brackets.
    let ranges = own.into_iter().flat_map(|line| line.split(' ').skip(8));
    ranges.filter(|range| !range.starts_with('[')).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let [first, last] = [first, last].map(|slot| slot.parse::<u16>().expect("a slot"));
        (first..=last).contains(&slot)
    })
}

async fn id(node: &Redis) -> String {
    node.command(&["CLUSTER", "MYID"]).await
}

async fn done(node: &Redis, words: &[&str]) {
    let answer: String = node.command(words).await;
    assert_eq!(answer, "OK", "{words:?}");
}

#[cfg(test)]
mod tests;
