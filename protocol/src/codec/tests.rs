//! The codec beside tonic's own: the same bytes, the same refusals, other buffers.

use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use proptest::prelude::*;
use proptest::sample::Index;
use prost::bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::Streaming;
use tonic::body::Body;
use tonic::codec::EncodeBody;
use tonic_prost::ProstCodec;

use super::*;
use crate::components::v1::SetRequest;

type Ours = Codec<SetRequest, SetRequest>;
type Theirs = ProstCodec<SetRequest, SetRequest>;

/// The frames that a codec makes of messages, or why it does not.
async fn frames<C>(
    mut codec: C,
    messages: &[SetRequest],
    limit: usize,
) -> Result<Vec<Bytes>, Status>
where
    C: tonic::codec::Codec<Encode = SetRequest>,
{
    let messages: Vec<_> = messages.iter().cloned().map(Ok).collect();
    let body = EncodeBody::new_client(
        codec.encoder(),
        tokio_stream::iter(messages),
        None,
        Some(limit),
    );
    let mut body = std::pin::pin!(body);
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.extend(frame?.into_data());
    }
    Ok(frames)
}

/// The messages that a codec reads, or why it does not.
async fn messages<C>(mut codec: C, body: Body, limit: usize) -> Result<Vec<SetRequest>, Status>
where
    C: tonic::codec::Codec<Decode = SetRequest>,
{
    let stream = Streaming::new_request(codec.decoder(), body, None, Some(limit));
    stream.collect().await
}

fn request(bytes: usize) -> SetRequest {
    SetRequest {
        value: Bytes::from(vec![7; bytes]),
        ..SetRequest::default()
    }
}

fn any_request() -> impl Strategy<Value = SetRequest> {
    let value = prop_oneof![0..600_usize, 8000..9000_usize, 0..200_000_usize];
    let metadata = proptest::collection::hash_map("[a-z]{0,9}", "[a-z]{0,9}", 0..2);
    (".{0,20}", value, metadata).prop_map(|(key, value, metadata)| SetRequest {
        key,
        metadata,
        ..request(value)
    })
}

/// Runs what waits for nothing but itself.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(test)
}

proptest! {
    #[test]
    fn the_bytes_are_tonics_and_come_back_however_they_are_cut(
        sent in proptest::collection::vec(any_request(), 0..5),
        cut in any::<Index>(),
    ) {
        run(async {
            let ours = frames(Ours::default(), &sent, usize::MAX).await.unwrap().concat();
            let theirs = frames(Theirs::default(), &sent, usize::MAX).await.unwrap().concat();
            assert!(ours == theirs, "other bytes than tonic's");
            let (head, tail) = ours.split_at(cut.index(ours.len() + 1));
            let parts = [head, tail].map(|part| Frame::data(Bytes::copy_from_slice(part)));
            let body = StreamBody::new(tokio_stream::iter(parts.map(Ok::<_, Status>)));
            let read = messages(Ours::default(), Body::new(body), usize::MAX).await.unwrap();
            assert!(read == sent, "other messages than were sent");
        });
    }
}

#[test]
fn what_is_over_the_limit_is_refused_as_tonic_does() {
    run(async {
        let sent = [request(1000)];
        let limit = sent[0].encoded_len();
        let whole = frames(Ours::default(), &sent, limit)
            .await
            .unwrap()
            .concat();
        let body = || Body::new(Full::new(Bytes::from(whole.clone())));
        let read = messages(Ours::default(), body(), limit).await.unwrap();
        assert_eq!(read, sent);

        let same = |ours: Status, theirs: Status| {
            assert_eq!(ours.code(), theirs.code());
            assert_eq!(ours.message(), theirs.message());
            assert!(ours.message().contains(&(limit - 1).to_string()), "{ours}");
        };
        let ours = frames(Ours::default(), &sent, limit - 1).await;
        let theirs = frames(Theirs::default(), &sent, limit - 1).await;
        same(ours.unwrap_err(), theirs.unwrap_err());
        let ours = messages(Ours::default(), body(), limit - 1).await;
        let theirs = messages(Theirs::default(), body(), limit - 1).await;
        same(ours.unwrap_err(), theirs.unwrap_err());
    });
}

#[test]
fn a_buffer_has_the_size_of_its_message() {
    for size in [0, 1, 256, 480, 1000, 8000, 100_000, 1 << 20] {
        let sent = [request(size)];
        let frames = run(frames(Ours::default(), &sent, usize::MAX)).unwrap();
        let frame = frames.into_iter().next().unwrap();
        let length = frame.len();
        let capacity = frame.try_into_mut().unwrap().capacity();
        assert!(capacity <= BUFFER.max(2 * length), "{length}: {capacity}");
    }
}
