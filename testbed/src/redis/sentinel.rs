//! A pair that a sentinel watches: a primary, and a replica that takes its place.

use super::{Redis, is_there};
use crate::patience::eventually;

/// What the sentinel calls the pair. It takes the primary for down after a second, and tries a fail-over again after some.
const NAME: &str = "pair";
const DOWN_AFTER: &str = "1000";
const FAILOVER_TIMEOUT: &str = "5000";

/// A primary and a replica on loopback, and the one sentinel that watches them.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinel: Redis,
    nodes: [Redis; 2],
}

impl RedisSentinel {
    /// A pair whose sentinel knows both. `None` where there is no `redis-server`, which is noted for the test.
    ///
    /// # Panics
    /// When there is none and `CI` is set, and when they do not come together.
    pub async fn start(test: &str) -> Option<Self> {
        if !is_there(test) {
            return None;
        }
        let primary = Redis::builder().start_there().await;
        let replica = Redis::builder().replica_of(&primary).start_there().await;
        let port = primary.port();
        let configuration = format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\n\
             sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT}\n"
        );
        let builder = Redis::builder().sentinel(&configuration);
        let mut sentinel = builder.start_there().await;
        let words = ["INFO", "sentinel"];
        sentinel.answers(&words, "status=ok").await;
        sentinel.answers(&words, "slaves=1").await;
        Some(Self {
            sentinel,
            nodes: [primary, replica],
        })
    }

    /// Where the sentinel listens.
    #[must_use]
    pub fn hosts(&self) -> String {
        self.sentinel.host()
    }

    /// What the sentinel calls the pair: Dapr's `sentinelMasterName`.
    #[must_use]
    pub fn master_name(&self) -> &str {
        NAME
    }

    /// The sentinel itself.
    #[must_use]
    pub fn sentinel(&self) -> &Redis {
        &self.sentinel
    }

    /// Both servers, the first primary first.
    #[must_use]
    pub fn nodes(&self) -> &[Redis; 2] {
        &self.nodes
    }

    /// The primary, as the sentinel says.
    ///
    /// # Panics
    /// When the sentinel does not answer.
    pub async fn primary(&self) -> &Redis {
        let port = self.primary_port().await;
        let node = self.nodes.iter().find(|node| node.port() == port);
        node.expect("the primary is one of the pair")
    }

    /// Has the replica take the place of the primary, while both run, and waits until it has. The sentinel makes a replica of
    /// the other some seconds later, which disconnects its clients.
    ///
    /// # Panics
    /// When it does not.
    pub async fn fail_over(&self) {
        let before = self.primary_port().await;
        let words = ["SENTINEL", "FAILOVER", NAME];
        // The sentinel declines while it has not heard of the replica lately.
        eventually("the sentinel begins a fail-over", async || {
            self.sentinel.try_command::<String>(&words).await.is_ok()
        })
        .await;
        self.has_other_primary(before).await;
    }

    /// Kills the primary, and waits until the sentinel has the replica take its place. What was killed may be started
    /// again: it becomes a replica.
    ///
    /// # Panics
    /// When the replica does not.
    pub async fn kill_primary(&mut self) -> &mut Redis {
        let before = self.primary_port().await;
        let [first, second] = &mut self.nodes;
        let is_first = first.port() == before;
        let primary = if is_first { first } else { second };
        primary.kill().await;
        self.has_other_primary(before).await;
        let [first, second] = &mut self.nodes;
        if is_first { first } else { second }
    }

    async fn has_other_primary(&self, before: u16) {
        eventually("there is another primary", async || {
            let port = self.primary_port().await;
            let node = self.nodes.iter().find(|node| node.port() == port);
            let node = node.filter(|_| port != before);
            let node = node.map(|node| node.try_command::<String>(&["INFO", "replication"]));
            match node {
                Some(info) => info.await.is_ok_and(|info| info.contains("role:master")),
                None => false,
            }
        })
        .await;
    }

    async fn primary_port(&self) -> u16 {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let (_, port): (String, u16) = self.sentinel.command(&words).await;
        port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replica_takes_over_when_told() {
        let Some(pair) = RedisSentinel::start("a_replica_takes_over_when_told").await else {
            return;
        };
        let [first, second] = pair.nodes();
        assert_eq!(pair.primary().await.port(), first.port());
        pair.fail_over().await;
        assert_eq!(pair.primary().await.port(), second.port());
        let _: String = second.command(&["SET", "key", "1"]).await;
    }

    #[tokio::test]
    async fn a_replica_takes_over_when_the_primary_is_killed() {
        let test = "a_replica_takes_over_when_the_primary_is_killed";
        let Some(mut pair) = RedisSentinel::start(test).await else {
            return;
        };
        let _: String = pair.primary().await.command(&["SET", "key", "1"]).await;
        eventually("the replica has it", async || {
            let exists: bool = pair.nodes()[1].command(&["EXISTS", "key"]).await;
            exists
        })
        .await;
        let killed = pair.kill_primary().await;
        let port = killed.port();
        killed.start_again().await;
        let primary = pair.primary().await;
        assert_ne!(primary.port(), port);
        let value: String = primary.command(&["GET", "key"]).await;
        assert_eq!(value, "1");
    }
}
