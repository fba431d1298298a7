//! What a stop means to streams, calls and values.

use std::time::Duration;

use dapr_pluggable::{Server, Stop};
use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::within;
use proto::pub_sub_client::PubSubClient;
use tonic::Code;

use super::acting::{Notes, blocks};
use super::pubsub::Pull;
use super::rig::{Rig, metadata, to, with_rig};

#[tokio::test]
async fn a_drain_abandons_what_is_unanswered_and_closes_the_values() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("label", "p")]).await;
        rig.open_state("s", &[("label", "s")]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 2).await;
        let answered = pull.next().await;
        pull.next().await;
        pull.ack(&answered.id).await;
        rig.notes.wait_for("1 Accepted").await;
        let notes = rig.notes.clone();
        let ((), ended) = tokio::join!(rig.stop(Stop::Drain), pull.end());
        assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
        for note in ["2 Abandoned", "left orders", "close p", "close s"] {
            notes.wait_for(note).await;
        }
        let notes = notes.all();
        let place = |note: &str| notes.iter().position(|known| known == note).unwrap();
        assert!(place("left orders") < place("close p"), "{notes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_lingering_server_takes_answers_until_its_runtime_leaves() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("label", "p")]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        let message = pull.next().await;
        let notes = rig.notes.clone();
        let leaves = async {
            pull.ack(&message.id).await;
            notes.wait_for("1 Accepted").await;
            drop(pull);
        };
        tokio::join!(rig.stop(Stop::Linger), leaves);
        notes.wait_for("close p").await;
    })
    .await;
}

#[tokio::test]
async fn a_lingering_server_takes_nothing_new_from_its_backends() {
    with_rig(async |rig| {
        let properties = [("deliveryWindow", "1")];
        rig.open_pubsub("p", &properties).await;
        let mut client = PubSubClient::new(rig.connect().await);
        let mut pull = Pull::open_on(client.clone(), "p", "orders", 2).await;
        let message = pull.next().await;
        let notes = rig.notes.clone();
        let stop = rig.stop(Stop::Linger);
        tokio::pin!(stop);
        assert!(futures::poll!(&mut stop).is_pending());
        // Once it answers, the subscription on the same worker has heard of it.
        for _ in 0..3 {
            client.ping(to("p", proto::PingRequest {})).await.unwrap();
        }
        pull.ack(&message.id).await;
        notes.wait_for("1 Accepted").await;
        let init = proto::PubSubInitRequest {
            metadata: metadata(&properties),
        };
        client.init(to("late", init)).await.unwrap();
        let late = Pull::open_on(client.clone(), "late", "bills", 1).await;
        notes.wait_for("subscribe bills").await;
        client.ping(to("p", proto::PingRequest {})).await.unwrap();
        let delivered = notes.all();
        let delivered = delivered
            .iter()
            .filter(|note| note.starts_with("delivered"));
        assert_eq!(delivered.collect::<Vec<_>>(), ["delivered 1"]);
        drop((pull, late, client));
        stop.await;
    })
    .await;
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_given_up_before_its_value_closes() {
    let notes = Notes::new();
    let adapt = |server: Server| {
        server
            .blocks(blocks(&notes))
            .drain_cap(Duration::from_millis(50))
    };
    let rig = Rig::start(notes.clone(), adapt).await;
    within("the test", async {
        rig.open_state("s", &[("label", "s")]).await;
        let mut state = rig.state();
        let call = tokio::spawn(async move {
            let request = proto::GetRequest {
                key: "wait".to_owned(),
                ..Default::default()
            };
            state.get(to("s", request)).await
        });
        notes.wait_for("get wait").await;
        rig.stop(Stop::Drain).await;
        call.await.unwrap().unwrap_err();
        let notes = notes.all();
        assert_eq!(
            notes.get(2..).unwrap(),
            ["given up", "close s"],
            "{notes:?}"
        );
    })
    .await;
}
