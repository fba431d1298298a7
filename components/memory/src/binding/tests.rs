use dapr_pluggable::delivery::{Gate, Reply, window};
use dapr_pluggable::{ErrorKind, InstanceId, Metadata, Opener as _};
use tokio::task::JoinSet;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_goes_out_comes_in_until_it_is_handled() {
    let (blocks, instance) = (crate::blocks(), InstanceId::new("events"));
    let metadata = Metadata::from([("redeliverInterval", "1s")]);
    let output = blocks
        .open_output_binding(&instance, &metadata)
        .await
        .unwrap();
    let input = blocks
        .open_input_binding(&instance, &metadata)
        .await
        .unwrap();
    assert_eq!(output.operations(), ["create"]);

    let mut request = InvokeRequest::new("create", "1");
    request.metadata = Metadata::from([("key", "value")]);
    let response = output.invoke(request).await.unwrap();
    assert_eq!(response, InvokeResponse::default());

    let (events, mut consumer) = window(4, &Gate::new());
    let mut reading = JoinSet::new();
    reading.spawn(async move { input.read(events).await });
    let first = consumer.next().await.unwrap();
    assert_eq!(first.message.data, "1");
    assert_eq!(first.message.metadata.get("key"), Some("value"));
    let failed = Reply::Failed("busy".to_owned());
    consumer.settler().settle(first.id, failed).unwrap();
    let before = Instant::now();
    let again = consumer.next().await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 1);
    let handled = Reply::Handled("thanks".into());
    consumer.settler().settle(again.id, handled).unwrap();

    output
        .invoke(InvokeRequest::new("create", "2"))
        .await
        .unwrap();
    assert_eq!(consumer.next().await.unwrap().message.data, "2");
    consumer.close();
    reading.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn other_operations_are_refused() {
    let output = crate::blocks()
        .open_output_binding(&InstanceId::default(), &Metadata::new())
        .await
        .unwrap();
    let error = output
        .invoke(InvokeRequest::new("get", ""))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
    assert!(error.message().contains("\"get\""), "{error}");
}
