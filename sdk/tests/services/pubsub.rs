//! The broker's service: publishing, pull streams, pauses.

use dapr_pluggable_protocol::components::v1 as proto;
use dapr_pluggable_testbed::within;
use proto::pub_sub_client::PubSubClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::acting::{Notes, blocks};
use super::rig::{Rig, refused, to, with_rig};

/// A pull stream.
pub(crate) struct Pull {
    frames: mpsc::Sender<proto::PullMessagesRequest>,
    messages: Streaming<proto::PullMessagesResponse>,
}

impl Pull {
    /// Opens one to a topic on which so many messages come.
    pub(crate) async fn open(rig: &Rig, instance: &str, topic: &str, count: usize) -> Self {
        Self::open_on(rig.pubsub(), instance, topic, count).await
    }

    /// The same by any client.
    pub(crate) async fn open_on(
        client: PubSubClient<Channel>,
        instance: &str,
        topic: &str,
        count: usize,
    ) -> Self {
        let first = proto::PullMessagesRequest {
            topic: Some(proto::Topic {
                name: topic.to_owned(),
                metadata: [("count".to_owned(), count.to_string())].into(),
            }),
            ..Default::default()
        };
        Self::open_with(client, instance, first).await.unwrap()
    }

    async fn open_with(
        mut client: PubSubClient<Channel>,
        instance: &str,
        first: proto::PullMessagesRequest,
    ) -> Result<Self, Status> {
        let (frames, receiver) = mpsc::channel(8);
        frames.send(first).await.unwrap();
        let request = to(instance, ReceiverStream::new(receiver));
        let messages = client.pull_messages(request).await?.into_inner();
        Ok(Self { frames, messages })
    }

    pub(crate) async fn next(&mut self) -> proto::PullMessagesResponse {
        self.messages.message().await.unwrap().unwrap()
    }

    /// How the stream ends.
    pub(crate) async fn end(&mut self) -> Result<(), Status> {
        self.messages
            .message()
            .await
            .map(|last| assert_eq!(last, None))
    }

    pub(crate) async fn ack(&self, id: &str) {
        self.answer(id, None).await;
    }

    async fn reject(&self, id: &str, why: &str) {
        self.answer(id, Some(why)).await;
    }

    async fn answer(&self, id: &str, error: Option<&str>) {
        let frame = proto::PullMessagesRequest {
            topic: None,
            ack_message_id: id.to_owned(),
            ack_error: error.map(|message| proto::AckMessageError {
                message: message.to_owned(),
            }),
        };
        self.frames.send(frame).await.unwrap();
    }

    /// Says that no more answers come.
    pub(crate) fn half_close(self) -> Streaming<proto::PullMessagesResponse> {
        self.messages
    }
}

async fn publish(rig: &Rig, topic: &str) -> Result<(), Status> {
    let request = proto::PublishRequest {
        data: "hello".into(),
        topic: topic.to_owned(),
        ..Default::default()
    };
    let answer = rig.pubsub().publish(to("p", request)).await;
    answer.map(|_| ())
}

fn bulk(entries: &[(&str, &str)]) -> proto::BulkPublishRequest {
    let entries = entries.iter().map(|(id, event)| proto::BulkMessageEntry {
        entry_id: (*id).to_owned(),
        event: (*event).to_owned().into(),
        ..Default::default()
    });
    proto::BulkPublishRequest {
        entries: entries.collect(),
        topic: "orders".to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn features_follow_from_what_the_instance_has() {
    with_rig(async |rig| {
        rig.open_pubsub("all", &[]).await;
        rig.open_pubsub("plain", &[("plain", "true")]).await;
        let features = async |instance| {
            let answer = rig
                .pubsub()
                .features(to(instance, proto::FeaturesRequest {}))
                .await;
            answer.unwrap().into_inner().features
        };
        assert_eq!(
            features("all").await,
            [
                "BULK_SUBSCRIBE_IMMEDIATE",
                "BULK_PUBSUB",
                "SUBSCRIBE_WILDCARDS"
            ]
        );
        assert_eq!(
            features("plain").await,
            ["BULK_SUBSCRIBE_IMMEDIATE", "SUBSCRIBE_WILDCARDS"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_publication_reaches_the_component_or_is_refused() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        publish(&rig, "orders").await.unwrap();
        rig.notes.wait_for("publish orders").await;
        rig.notes.clear();
        let status = publish(&rig, "").await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("topic"), "{status:?}");
        assert!(rig.notes.all().is_empty());
        let away = publish(&rig, "away").await.unwrap_err();
        assert_eq!(away.code(), Code::Unavailable);
        let panicked = publish(&rig, "panic").await.unwrap_err();
        assert_eq!(panicked.code(), Code::Internal);
    })
    .await;
}

#[tokio::test]
async fn failed_entries_are_an_error_unless_the_caller_or_the_metadata_asks_for_them() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        rig.open_pubsub("partial", &[("bulkPublishPartialResults", "true")])
            .await;
        rig.open_pubsub("plain", &[("plain", "true")]).await;
        let mut pubsub = rig.pubsub();
        let entries = bulk(&[("1", "good"), ("2", "bad"), ("3", "bad")]);
        refused(
            pubsub.bulk_publish(to("p", entries.clone())).await,
            Code::Unavailable,
            &["3 entries", r#""2", "3""#, "it is bad"],
        );
        let mut asking = to("p", entries.clone());
        let header = "x-pluggable-bulk-publish-partial-results";
        asking
            .metadata_mut()
            .insert(header, "true".parse().unwrap());
        for request in [asking, to("partial", entries.clone())] {
            let answer = pubsub.bulk_publish(request).await.unwrap().into_inner();
            let failed: Vec<_> = answer
                .failed_entries
                .iter()
                .map(|entry| (&*entry.entry_id, &*entry.error))
                .collect();
            assert_eq!(failed, [("2", "it is bad"), ("3", "it is bad")]);
        }
        let good = pubsub.bulk_publish(to("p", bulk(&[("1", "good")]))).await;
        assert!(good.unwrap().into_inner().failed_entries.is_empty());
        refused(
            pubsub.bulk_publish(to("plain", entries)).await,
            Code::Unimplemented,
            &["bulk publish"],
        );
    })
    .await;
}

#[tokio::test]
async fn entries_need_ids_of_their_own() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        rig.notes.clear();
        let mut pubsub = rig.pubsub();
        let code = Code::InvalidArgument;
        let twice = bulk(&[("1", "a"), ("1", "b")]);
        refused(pubsub.bulk_publish(to("p", twice)).await, code, &[r#""1""#]);
        let unnamed = bulk(&[("1", "a"), ("", "b")]);
        refused(
            pubsub.bulk_publish(to("p", unnamed)).await,
            code,
            &["entry 2"],
        );
        let mut elsewhere = bulk(&[("1", "a")]);
        elsewhere.topic.clear();
        refused(
            pubsub.bulk_publish(to("p", elsewhere)).await,
            code,
            &["topic"],
        );
        assert!(rig.notes.all().is_empty());
    })
    .await;
}

#[tokio::test]
async fn messages_come_with_ids_and_answers_reach_the_component() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 3).await;
        let mut ids = Vec::new();
        for number in 1..=3 {
            let message = pull.next().await;
            assert_eq!(message.topic_name, "orders");
            assert_eq!(message.data, format!("message {number}"));
            ids.push(message.id);
        }
        let [first, second, third] = &ids[..] else {
            panic!("{ids:?}");
        };
        pull.ack(second).await;
        rig.notes.wait_for("2 Accepted").await;
        pull.reject(first, "no stock").await;
        rig.notes.wait_for(r#"1 Rejected("no stock")"#).await;
        pull.reject(third, "").await;
        rig.notes.wait_for(r#"3 Rejected("")"#).await;
    })
    .await;
}

#[tokio::test]
async fn the_first_frame_must_name_a_topic() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        rig.notes.clear();
        let unnamed = proto::PullMessagesRequest {
            topic: Some(proto::Topic::default()),
            ..Default::default()
        };
        for first in [proto::PullMessagesRequest::default(), unnamed] {
            let status = Pull::open_with(rig.pubsub(), "p", first)
                .await
                .map(drop)
                .unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains("topic"), "{status:?}");
        }
        let nothing = to("p", tokio_stream::empty());
        refused(
            rig.pubsub().pull_messages(nothing).await,
            Code::InvalidArgument,
            &["first frame"],
        );
        assert!(rig.notes.all().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_fits_nothing_changes_nothing() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 2).await;
        let (first, second) = (pull.next().await, pull.next().await);
        for unknown in ["", "0", "99", "not ours"] {
            pull.ack(unknown).await;
        }
        pull.ack(&first.id).await;
        pull.reject(&first.id, "changed my mind").await;
        pull.ack(&second.id).await;
        rig.notes.wait_for("2 Accepted").await;
        rig.notes.wait_for("1 Accepted").await;
        let answers = rig.notes.all();
        let answers = answers.iter().filter(|note| note.starts_with("1 "));
        assert_eq!(answers.count(), 1);
        publish(&rig, "orders").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_window_bounds_what_is_unanswered() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("deliveryWindow", "2")]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 3).await;
        let first = pull.next().await;
        pull.next().await;
        publish(&rig, "meanwhile").await.unwrap();
        assert!(!rig.notes.all().contains(&"delivered 3".to_owned()));
        pull.ack(&first.id).await;
        assert_eq!(pull.next().await.data, "message 3");
    })
    .await;
}

#[tokio::test]
async fn a_half_closed_stream_ends_and_abandons_what_is_unanswered() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 2).await;
        let answered = pull.next().await;
        pull.next().await;
        pull.ack(&answered.id).await;
        let mut messages = pull.half_close();
        assert_eq!(messages.message().await.unwrap(), None);
        rig.notes.wait_for("1 Accepted").await;
        rig.notes.wait_for("2 Abandoned").await;
        rig.notes.wait_for("left orders").await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_its_stream_and_the_peer_is_told() {
    let notes = Notes::new();
    let rig = Rig::start(notes.clone(), |server| {
        server.blocks(blocks(&notes)).max_message_size(1024)
    })
    .await;
    within("the test", async {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        let message = pull.next().await;
        pull.reject(&message.id, &"x".repeat(1024)).await;
        let status = pull.end().await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        rig.notes.wait_for("1 Abandoned").await;
        publish(&rig, "orders").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_abandons_what_is_unanswered() {
    with_rig(async |mut rig| {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        pull.next().await;
        rig.channel = rig.connect().await;
        drop(pull);
        rig.notes.wait_for("1 Abandoned").await;
        rig.notes.wait_for("left orders").await;
        publish(&rig, "orders").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_component_that_stops_delivering_ends_the_stream() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        let mut early = Pull::open(&rig, "p", "early", 1).await;
        let status = loop {
            match early.messages.message().await {
                Ok(message) => drop(message.unwrap()),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        rig.notes.wait_for("1 Abandoned").await;
        let away = Pull::open(&rig, "p", "away", 0).await.end().await;
        let status = away.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("the backend is away"),
            "{status:?}"
        );
        let panicked = Pull::open(&rig, "p", "panic", 0).await.end().await;
        let status = panicked.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(
            status.message().contains("panicked in subscribe"),
            "{status:?}"
        );
        publish(&rig, "orders").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_component_that_does_not_return_holds_no_stream() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[]).await;
        let mut pull = Pull::open(&rig, "p", "stubborn", 1).await;
        pull.next().await;
        let mut messages = pull.half_close();
        assert_eq!(messages.message().await.unwrap(), None);
        rig.notes.wait_for("1 Abandoned").await;
    })
    .await;
}

#[tokio::test]
async fn another_init_ends_the_streams_of_the_value_that_it_replaces() {
    with_rig(async |rig| {
        rig.open_pubsub("p", &[("label", "old")]).await;
        let mut pull = Pull::open(&rig, "p", "orders", 1).await;
        pull.next().await;
        rig.open_pubsub("p", &[("label", "new")]).await;
        let status = pull.end().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        rig.notes.wait_for("1 Abandoned").await;
        rig.notes.wait_for("close old").await;
        let notes = rig.notes.all();
        let place = |note: &str| notes.iter().position(|known| known == note).unwrap();
        assert!(place("left orders") < place("close old"), "{notes:?}");
    })
    .await;
}
