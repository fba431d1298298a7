//! The bindings' services.

use dapr_pluggable_protocol::components::v1 as proto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::rig::{Rig, refused, to, with_rig};

type Replies = mpsc::Sender<proto::ReadRequest>;

/// Opens a read stream; the runtime sends no first frame.
async fn read(rig: &Rig, instance: &str) -> (Replies, Streaming<proto::ReadResponse>) {
    let (replies, receiver) = mpsc::channel(8);
    let request = to(instance, ReceiverStream::new(receiver));
    let events = rig.input().read(request).await.unwrap().into_inner();
    (replies, events)
}

fn reply(id: &str, data: &str, error: Option<&str>) -> proto::ReadRequest {
    proto::ReadRequest {
        response_data: data.to_owned().into(),
        message_id: id.to_owned(),
        response_error: error.map(|message| proto::AckResponseError {
            message: message.to_owned(),
        }),
    }
}

#[tokio::test]
async fn events_come_with_ids_and_replies_reach_the_component() {
    with_rig(async |rig| {
        rig.open_input("b", &[("size", "3")]).await;
        let (replies, mut events) = read(&rig, "b").await;
        let mut ids = Vec::new();
        for number in 1..=3 {
            let event = events.message().await.unwrap().unwrap();
            assert_eq!(event.data, format!("event {number}"));
            assert_eq!(event.metadata.get("number"), Some(&number.to_string()));
            ids.push(event.message_id);
        }
        let [first, second, _] = &ids[..] else {
            panic!("{ids:?}");
        };
        for stray in [
            reply("", "", None),
            reply("99", "", None),
            reply(second, "done", None),
            reply(second, "", Some("again")),
            reply(first, "", Some("no route")),
        ] {
            replies.send(stray).await.unwrap();
        }
        rig.notes.wait_for(r#"2 Handled(b"done")"#).await;
        rig.notes.wait_for(r#"1 Failed("no route")"#).await;
        drop(replies);
        assert_eq!(events.message().await.unwrap(), None);
        rig.notes.wait_for("3 Abandoned").await;
    })
    .await;
}

#[tokio::test]
async fn a_source_that_ends_ends_the_stream() {
    with_rig(async |rig| {
        rig.open_input("b", &[("plain", "true")]).await;
        let (_replies, mut events) = read(&rig, "b").await;
        let status = events.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("the source has closed"),
            "{status:?}"
        );
        rig.open_input("b", &[("label", "panic")]).await;
        let (_replies, mut events) = read(&rig, "b").await;
        let status = events.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status:?}");
    })
    .await;
}

#[tokio::test]
async fn the_window_bounds_what_is_unanswered() {
    with_rig(async |rig| {
        rig.open_input("b", &[("size", "2"), ("deliveryWindow", "1")])
            .await;
        let (replies, mut events) = read(&rig, "b").await;
        let first = events.message().await.unwrap().unwrap();
        replies
            .send(reply(&first.message_id, "", None))
            .await
            .unwrap();
        let second = events.message().await.unwrap().unwrap();
        assert_eq!(second.data, "event 2");
        assert!(rig.notes.all().contains(&r#"1 Handled(b"")"#.to_owned()));
    })
    .await;
}

fn invoke(operation: &str, data: &str) -> proto::InvokeRequest {
    proto::InvokeRequest {
        data: data.to_owned().into(),
        operation: operation.to_owned(),
        metadata: [("path".to_owned(), "/a".to_owned())].into(),
    }
}

#[tokio::test]
async fn operations_are_listed_and_run() {
    with_rig(async |rig| {
        rig.open_output("b").await;
        let mut output = rig.output();
        let list = proto::ListOperationsRequest {};
        let operations = output.list_operations(to("b", list)).await.unwrap();
        assert_eq!(operations.into_inner().operations, ["create", "get"]);
        let answer = output.invoke(to("b", invoke("create", "1"))).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!(answer.data, "1");
        assert_eq!(answer.content_type, "text/plain");
        assert_eq!(answer.metadata.get("path").unwrap(), "/a");
        refused(
            output.invoke(to("b", invoke("burn", "1"))).await,
            Code::InvalidArgument,
            &["burn"],
        );
        rig.notes.clear();
        refused(
            output.invoke(to("b", invoke("", "1"))).await,
            Code::InvalidArgument,
            &["operation"],
        );
        assert!(rig.notes.all().is_empty());
        refused(
            output.invoke(to("b", invoke("panic", ""))).await,
            Code::Internal,
            &["panicked in invoke"],
        );
    })
    .await;
}
