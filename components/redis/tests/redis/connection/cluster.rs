//! A cluster: who has a slot may change, and all of it may go away.

use std::time::Duration;

use dapr_pluggable::state::{GetRequest, Operation, Parallelism, SetRequest};
use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::{Redis, RedisCluster, eventually, free_port};
use tokio::time::Instant;

use super::{FAST, fails_fast, get, open, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_where_their_slot_is() {
    let Some(cluster) = RedisCluster::start("keys_are_where_their_slot_is").await else {
        return;
    };
    // One node is enough to find the others; a cluster has no databases.
    let host = cluster.node(2).host();
    let store = open(&[
        ("redisHost", &host),
        ("redisType", "cluster"),
        ("redisDB", "3"),
    ])
    .await;
    let keys: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
    let sets = keys.iter().map(|key| SetRequest::new(key, key.clone()));
    store
        .bulk_set(sets.collect(), Parallelism::default())
        .await
        .unwrap();

    let mut before = Vec::new();
    for node in cluster.nodes() {
        before.push(reads(node).await);
    }
    let gets = keys.iter().map(GetRequest::new).collect();
    let found = store.bulk_get(gets, Parallelism::default()).await.unwrap();
    for (key, entry) in keys.iter().zip(found) {
        assert_eq!(entry.key, *key);
        assert_eq!(entry.outcome.unwrap().unwrap().value, key.as_bytes());
    }
    // One write and so one read of the server for each node, not one for each key; the server reads 16 KiB at once.
    for (node, before) in cluster.nodes().iter().zip(before) {
        let reads = reads(node).await - before;
        assert!(reads < 15, "{reads} reads for a third of the keys");
    }

    let operations = ["a", "b"].map(|key| Operation::Set(SetRequest::new(key, "1")));
    let transacted = store
        .transactional()
        .unwrap()
        .transact(operations.to_vec(), Metadata::default())
        .await;
    let error = transacted.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest, "{error}");
}

/// How often a server has read from a connection.
async fn reads(node: &dapr_pluggable_testbed::Redis) -> u64 {
    let info: String = node.command(&["INFO", "stats"]).await;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_reads_processed:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_under_load_without_a_wrong_answer() {
    let test = "a_slot_moves_under_load_without_a_wrong_answer";
    let Some(cluster) = RedisCluster::start(test).await else {
        return;
    };
    let hosts = cluster.hosts();
    let store = open(&[("redisHost", &hosts), ("redisType", "cluster")]).await;
    let slot = cluster.slot("{moves}").await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move {
            let mut rounds = 0_u64;
            while !*stopped.borrow_and_update() {
                for key in 0..20 {
                    let (key, value) = (format!("{{moves}}-{key}"), rounds.to_string());
                    set(&store, &key, &value).await.unwrap();
                    assert_eq!(get(&store, &key).await.unwrap(), Some(value));
                }
                rounds += 1;
            }
            rounds
        }
    });
    let mut owner = cluster.owner(slot).await;
    for _ in 0..6 {
        owner = (owner + 1) % 3;
        cluster.move_slot(slot, owner).await;
    }
    stop.send_replace(true);
    assert!(load.await.unwrap() > 0);
    assert_eq!(cluster.owner(slot).await, owner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_goes_and_comes_back() {
    let test = "a_whole_cluster_goes_and_comes_back";
    let Some(mut cluster) = RedisCluster::start(test).await else {
        return;
    };
    let hosts = cluster.hosts();
    let store = open(&[("redisHost", &hosts), ("redisType", "cluster")]).await;
    set(&store, "away", "1").await.unwrap();
    for number in 0..3 {
        cluster.node_mut(number).kill().await;
    }
    fails_fast(&store).await;
    for number in 0..3 {
        cluster.node_mut(number).start_again().await;
    }
    for node in cluster.nodes() {
        eventually("the cluster is whole", async || {
            let info: String = node.command(&["CLUSTER", "INFO"]).await;
            info.contains("cluster_state:ok")
        })
        .await;
    }
    let back = Instant::now();
    eventually("the store works", async || {
        set(&store, "away", "2").await.is_ok()
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(2),
        "{:?}",
        back.elapsed()
    );
    for key in 0..30 {
        let key = format!("key-{key}");
        set(&store, &key, "x").await.unwrap();
        assert_eq!(get(&store, &key).await.unwrap().as_deref(), Some("x"));
    }
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_is_taken_for_a_server_is_said() {
    let Some(cluster) = RedisCluster::start("a_cluster_that_is_taken_for_a_server_is_said").await
    else {
        return;
    };
    let store = open(&[("redisHost", &cluster.node(0).host())]).await;
    let mut moved = 0;
    for key in ["a", "b", "c", "d", "e", "f"] {
        if let Err(error) = set(&store, key, "value").await {
            assert!(error.message().contains("redisType"), "{error}");
            moved += 1;
        }
    }
    assert!(moved > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_over_is_followed() {
    let test = "a_replica_that_takes_over_is_followed";
    let Some(mut cluster) = RedisCluster::start(test).await else {
        return;
    };
    let store = open(&[("redisHost", &cluster.hosts()), ("redisType", "cluster")]).await;
    let (mut keys, mut number) = ([const { None }; 3], 0);
    while keys.iter().any(Option::is_none) {
        let key = format!("key-{number}");
        number += 1;
        let owner = cluster.owner(cluster.slot(&key).await).await;
        set(&store, &key, &key).await.unwrap();
        keys[owner].get_or_insert(key);
    }
    let keys = keys.map(Option::unwrap);
    let replica = replica(&cluster, 0).await;
    cluster.node_mut(0).kill().await;

    // Until the others give it up, what they have is as it was.
    let begin = Instant::now();
    let gets = keys.iter().map(GetRequest::new).collect();
    let found = store.bulk_get(gets, Parallelism::default()).await.unwrap();
    let [gone, others @ ..] = found.as_slice() else {
        panic!("{found:?}");
    };
    let error = gone.outcome.as_ref().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(others.iter().all(|found| found.outcome.is_ok()));
    assert!(begin.elapsed() < FAST, "{:?}", begin.elapsed());

    // Without a vote, which comes to nothing now and then and is held again only after twenty seconds.
    let words = ["CLUSTER", "FAILOVER", "TAKEOVER"];
    let _: String = replica.command(&words).await;
    eventually("the replica takes over", async || {
        let role: redis::Value = replica.command(&["ROLE"]).await;
        format!("{role:?}").contains("master")
    })
    .await;
    let back = Instant::now();
    eventually("the store works", async || {
        set(&store, &keys[0], "new").await.is_ok()
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(2),
        "{:?}",
        back.elapsed()
    );
    assert_eq!(get(&store, &keys[0]).await.unwrap().as_deref(), Some("new"));
    for key in &keys[1..] {
        assert_eq!(get(&store, key).await.unwrap().as_ref(), Some(key));
    }
}

/// Another node of a cluster, which has what one of its primaries has.
async fn replica(cluster: &RedisCluster, of: usize) -> Redis {
    let primary = cluster.node(of);
    let builder = Redis::builder()
        .option("cluster-enabled", &["yes"])
        .option("cluster-port", &[&free_port().to_string()])
        .option("cluster-node-timeout", &["5000"]);
    let replica = builder.start("a replica").await.unwrap();
    let (_, bus): (String, String) = primary.command(&["CONFIG", "GET", "cluster-port"]).await;
    let port = primary.port().to_string();
    let _: String = replica
        .command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
        .await;
    let id: String = primary.command(&["CLUSTER", "MYID"]).await;
    eventually("it is a replica", async || {
        let words = ["CLUSTER", "REPLICATE", &id];
        replica.try_command::<String>(&words).await.is_ok()
    })
    .await;
    eventually("it has what the primary has", async || {
        let info: String = replica.command(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    for node in cluster.nodes() {
        eventually("everybody knows it", async || {
            let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
            nodes.contains("slave")
        })
        .await;
    }
    replica
}
