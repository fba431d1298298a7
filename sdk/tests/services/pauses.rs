//! Pause and Resume: what they hold back, whom they concern, and when they end.

use dapr_pluggable_protocol::components::v1 as proto;
use tonic::Code;

use super::pubsub::Pull;
use super::rig::{Rig, refused, to, with_rig};

async fn pause(rig: &Rig, instance: &str) {
    let request = to(instance, proto::PauseRequest {});
    rig.pubsub().pause(request).await.unwrap();
}

async fn resume(rig: &Rig, instance: &str) {
    let request = to(instance, proto::ResumeRequest {});
    rig.pubsub().resume(request).await.unwrap();
}

#[tokio::test]
async fn a_pause_holds_messages_back_and_takes_answers() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("deliveryWindow", "1")]).await;
        rig.open_pubsub("q", &[("deliveryWindow", "1")]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 3).await;
        let mut other = Pull::open(&rig, "q", "orders", 2).await;
        let first = pull.next().await;
        pause(&rig, "p").await;
        pause(&rig, "p").await;
        pull.ack(&first.id).await;
        rig.notes.wait_for("1 Accepted").await;
        // What is paused is this instance alone.
        let free = other.next().await;
        other.ack(&free.id).await;
        other.next().await;
        let delivered = rig.notes.all();
        let delivered = delivered.iter().filter(|note| *note == "delivered 2");
        assert_eq!(delivered.count(), 1, "the other instance's");
        resume(&rig, "p").await;
        resume(&rig, "p").await;
        assert_eq!(pull.next().await.data, "message 2");
    })
    .await;
}

#[tokio::test]
async fn a_pause_ends_with_the_next_init_or_pull_stream() {
    with_rig(async |rig| {
        let properties = [
            ("deliveryWindow", "1"),
            ("label", "p"),
            ("pausable", "true"),
        ];
        rig.open_pubsub("p", &properties).await;
        let mut pull = Pull::open(&rig, "p", "orders", 3).await;
        let first = pull.next().await;
        pause(&rig, "p").await;
        pull.ack(&first.id).await;
        rig.open_pubsub("p", &properties).await;
        let second = pull.next().await;
        assert_eq!(second.data, "message 2");
        pause(&rig, "p").await;
        pull.ack(&second.id).await;
        let _another = Pull::open(&rig, "p", "bills", 0).await;
        assert_eq!(pull.next().await.data, "message 3");
        rig.notes.wait_for("subscribe bills").await;
        let notes = rig.notes.all();
        let told: Vec<_> = notes.iter().filter(|note| note.ends_with("e p")).collect();
        assert_eq!(told, ["pause p", "resume p", "pause p", "resume p"]);
    })
    .await;
}

#[tokio::test]
async fn a_pause_ends_with_the_streams() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("label", "p"), ("pausable", "true")])
            .await;
        // Without a stream there is nothing to pause.
        pause(&rig, "p").await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        pull.next().await;
        pause(&rig, "p").await;
        let mut messages = pull.half_close();
        assert_eq!(messages.message().await.unwrap(), None);
        rig.notes.wait_for("resume p").await;
        let notes = rig.notes.all();
        let pauses = notes.iter().filter(|note| *note == "pause p");
        assert_eq!(pauses.count(), 1, "{notes:?}");
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        assert_eq!(pull.next().await.data, "message 1");
    })
    .await;
}

#[tokio::test]
async fn a_component_that_cannot_pause_says_so_and_nothing_is_held_back() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("label", "away"), ("pausable", "true")])
            .await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        let refusal = rig.pubsub().pause(to("p", proto::PauseRequest {})).await;
        refused(refusal, Code::Unavailable, &["the backend is away"]);
        assert_eq!(pull.next().await.data, "message 1");
    })
    .await;
}
