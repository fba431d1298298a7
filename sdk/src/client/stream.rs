//! Streams of messages or events: from the wire into a window, and the answers back.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, try_join};
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::connection::{Answer, Instance};
use crate::delivery::{self, Closed, Pending, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{Identified, Wire};

/// Answers that may wait for the connection to take them.
const QUEUED_ANSWERS: usize = 16;
/// How long the last answers and the component's goodbye may take once the window is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// The way of answers, and the request stream at its end, which begins with `first`.
pub(super) fn answers<Q>(first: Option<Q>) -> (mpsc::Sender<Q>, ReceiverStream<Q>) {
    let (answers, requests) = mpsc::channel(QUEUED_ANSWERS);
    if let Some(first) = first {
        // The queue is empty.
        let _ = answers.try_send(first);
    }
    (answers, ReceiverStream::new(requests))
}

/// Delivers what comes into the window, as far as it has room, and sends the answers. What is not answered stays so:
/// silence is the wire's word for it.
///
/// Returns when the window is closed: the answers that were given go out first, the request stream ends, and the
/// component has a moment to end its own.
pub(super) async fn deliver<M, A, F, Q>(
    instance: &Instance,
    opening: BoxFuture<'static, Answer<Streaming<F>>>,
    answers: mpsc::Sender<Q>,
    window: Window<M, A>,
    frame: fn(String, A) -> Option<Q>,
) -> Result<()>
where
    M: Send,
    A: delivery::Answer,
    Identified<M>: Wire<Message = F>,
{
    // A component may open its side of the stream with its first message only.
    let mut frames = match window.until_closed(opening).await {
        Err(Closed) => return Ok(()),
        Ok(opened) => opened
            .map_err(|status| instance.error(status))?
            .into_inner(),
    };
    let exchange = async {
        let (delivered, pending) = mpsc::channel(1);
        let answering = async {
            answer(pending, answers, frame).await;
            Ok(())
        };
        try_join(
            receive(instance, &mut frames, &window, delivered),
            answering,
        )
        .await?;
        // The request stream has ended with the answers; what still comes is not delivered.
        while let Ok(Some(_)) = frames.message().await {}
        Ok(())
    };
    let overdue = async {
        window.closed().await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        () = overdue => Ok(()),
    }
}

/// Delivers frames until the window is closed, and passes on what their answers can be awaited with.
async fn receive<M, A, F>(
    instance: &Instance,
    frames: &mut Streaming<F>,
    window: &Window<M, A>,
    delivered: mpsc::Sender<(String, Pending<A>)>,
) -> Result<()>
where
    M: Send,
    A: delivery::Answer,
    Identified<M>: Wire<Message = F>,
{
    while let Ok(next) = window.until_closed(frames.message()).await {
        let next = next.map_err(|status| instance.error(status))?;
        let Identified { id, content } =
            Identified::from_wire(next.ok_or_else(|| ended(instance))?)?;
        let Ok(pending) = window.deliver(content).await else {
            break;
        };
        if delivered.send((id, pending)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Sends the answers as they come, in any order, until no more can come.
async fn answer<A: delivery::Answer, Q>(
    mut delivered: mpsc::Receiver<(String, Pending<A>)>,
    answers: mpsc::Sender<Q>,
    frame: fn(String, A) -> Option<Q>,
) {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((id, pending)) = delivered.recv() => {
                open.push(async move { frame(id, pending.await) });
            }
            Some(answer) = open.next() => {
                if let Some(answer) = answer {
                    // When the connection broke, the other direction says why.
                    let _ = answers.send(answer).await;
                }
            }
            else => break,
        }
    }
}

fn ended(instance: &Instance) -> Error {
    let socket = instance.socket().display();
    let text = format!("receive from {socket}: the component ended the stream");
    Error::new(ErrorKind::Unavailable, text)
}
