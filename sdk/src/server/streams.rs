//! One stream of messages to a peer and of its answers back: a pull stream of a broker, a read stream of an input binding.

use futures::FutureExt as _;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::adapter::warn_of_size;
use crate::delivery::{Answer, Consumer, Settler, Unsettled, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Panicked;
use crate::wire::{Identified, Wire, status};

/// What a peer receives.
pub(super) type Outgoing<M> = ReceiverStream<Result<M, Status>>;

/// The halves of a stream.
pub(super) struct Exchange<M, A: Answer, In> {
    /// The name of the method, for logs.
    pub(super) rpc: &'static str,
    /// The name of the instance, for logs.
    pub(super) instance: String,
    /// The frames of the peer.
    pub(super) incoming: Streaming<In>,
    /// Reads the answer that a frame holds.
    pub(super) read: fn(In) -> (String, A),
    /// Where the component delivers.
    pub(super) window: Window<M, A>,
    /// What it delivers.
    pub(super) consumer: Consumer<M, A>,
}

impl<M, A, In> Exchange<M, A, In>
where
    M: Send + 'static,
    A: Answer,
    In: Send + 'static,
{
    /// Serves the stream, in a task that ends with `delivering`, the call of the component: soon after the stream has
    /// ended, since the guard of the component gives it a grace only. The value that it holds closes after that.
    pub(super) fn serve<Out>(
        self,
        delivering: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Outgoing<Out>
    where
        Identified<M>: Wire<Message = Out>,
        Out: Message + 'static,
    {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.run(sender, delivering));
        ReceiverStream::new(receiver)
    }

    async fn run<Out>(
        self,
        sender: mpsc::Sender<Result<Out, Status>>,
        delivering: impl Future<Output = Result<()>> + Send,
    ) where
        Identified<M>: Wire<Message = Out>,
        Out: Message,
    {
        let Self {
            rpc,
            instance,
            incoming,
            read,
            window,
            consumer,
        } = self;
        // Asked in time: whatever ends the stream drops the consumer, and that closes the window.
        let delivering = async { (delivering.await, window.is_closed()) }.fuse();
        tokio::pin!(delivering);
        let settler = consumer.settler();
        // Leaving this drops the consumer: what is unanswered is abandoned.
        let ended = tokio::select! {
            biased;
            broken = settle(rpc, &instance, incoming, read, &settler) => broken,
            () = sender.closed() => None,
            (outcome, closed) = &mut delivering => Some(ended(closed, outcome)),
            () = send(rpc, consumer, &sender) => Some(ended(true, Ok(()))),
        };
        if let Some(status) = &ended {
            tracing::debug!(rpc, instance, %status, "a stream ends");
        }
        let last_word = async {
            if let Some(status) = ended {
                // It fails when the peer is gone, which is as good.
                let _ = sender.send(Err(status)).await;
            }
            drop(sender);
        };
        let finish = async {
            // Over already where the component returned first.
            futures::select_biased! {
                _outcome = delivering => {}
                complete => {}
            }
        };
        futures::join!(last_word, finish);
    }
}

/// Takes the peer's answers until it has no more. Gives why it could not go on taking them: the peer is gone,
/// or sent a frame that is none.
async fn settle<A: Answer, In>(
    rpc: &'static str,
    instance: &str,
    mut incoming: Streaming<In>,
    read: fn(In) -> (String, A),
    settler: &Settler<A>,
) -> Option<Status> {
    loop {
        match incoming.message().await {
            Ok(Some(frame)) => {
                let (id, answer) = read(frame);
                let settled = number(&id)
                    .ok_or(Unsettled::Unknown)
                    .and_then(|number| settler.settle(number, answer));
                if let Err(why) = settled {
                    tracing::warn!(rpc, instance, id, %why, "an answer that changes nothing");
                }
            }
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}

/// Sends what the component delivers until the window is closed or the peer is gone.
async fn send<M, A, Out>(
    rpc: &'static str,
    mut consumer: Consumer<M, A>,
    sender: &mpsc::Sender<Result<Out, Status>>,
) where
    A: Answer,
    Identified<M>: Wire<Message = Out>,
    Out: Message,
{
    // The place comes first: a message that is taken out is on its way.
    while let Ok(place) = sender.reserve().await {
        let Some(delivered) = consumer.next().await else {
            return;
        };
        let identified = Identified {
            id: delivered.id.to_string(),
            content: delivered.message,
        };
        let frame = identified.into_wire();
        warn_of_size(rpc, &frame);
        place.send(Ok(frame));
    }
}

/// The number of an id that we gave: decimal, as we write it.
fn number(id: &str) -> Option<u64> {
    let ours = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    ours.then(|| id.parse().ok())?
}

/// Why a stream ends that the peer did not end.
fn ended(closed: bool, outcome: Result<()>) -> Status {
    let why = match outcome {
        Err(error) if Panicked::caused(&error) => return status::from_error(&error),
        _ if closed => "the instance is closing, or was opened anew".to_owned(),
        Err(error) => format!("the component ended its deliveries: {error}"),
        Ok(()) => "the component ended its deliveries".to_owned(),
    };
    status::from_error(&Error::new(ErrorKind::Unavailable, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_as_we_write_them_are_ours() {
        assert_eq!(number("1"), Some(1));
        assert_eq!(number(&u64::MAX.to_string()), Some(u64::MAX));
        for foreign in [
            "",
            "0",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "one",
            "99999999999999999999",
        ] {
            assert_eq!(number(foreign), None, "{foreign:?}");
        }
    }
}
