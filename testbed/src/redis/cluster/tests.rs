use super::*;

#[tokio::test]
async fn a_slot_moves_with_its_keys() {
    let Some(cluster) = RedisCluster::start("a_slot_moves_with_its_keys").await else {
        return;
    };
    assert_eq!(cluster.hosts().split(',').count(), 3);
    let slot = cluster.slot("{tag}0").await;
    let from = cluster.owner(slot).await;
    let to = (from + 1) % 3;
    let keys: Vec<String> = (0..150).map(|number| format!("{{tag}}{number}")).collect();
    for key in &keys {
        done(cluster.node(from), &["SET", key, key]).await;
    }
    let error = cluster
        .node(to)
        .try_command::<String>(&["GET", &keys[0]])
        .await;
    assert_eq!(error.unwrap_err().code(), Some("MOVED"));

    cluster.move_slot(slot, to).await;
    assert_eq!(cluster.owner(slot).await, to);
    for key in &keys {
        let value: String = cluster.node(to).command(&["GET", key]).await;
        assert_eq!(value, *key);
    }
    for number in (0..3).filter(|number| *number != to) {
        let error = cluster
            .node(number)
            .try_command::<String>(&["GET", &keys[0]])
            .await;
        assert_eq!(error.unwrap_err().code(), Some("MOVED"));
    }
}
