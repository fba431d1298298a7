//! Receiving: messages of a topic, events of a binding, printed and answered as they come.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use clap::Args;
use dapr_pluggable::Error;
use dapr_pluggable::binding::Event;
use dapr_pluggable::delivery::{Ack, Answer, Consumer, Delivered, Reply};
use dapr_pluggable::program::Signals;
use dapr_pluggable::pubsub::Message;
use serde::Serialize;
use tokio::time::timeout;

use super::payload::{Payload, print_line, sorted};
use super::target::Target;
use crate::exit;
use crate::output::{self, Output};

/// How long the last answer may take to arrive.
const FAREWELL: Duration = Duration::from_secs(5);
/// How many may stay unanswered with `--no-ack`, when there is no count.
const UNANSWERED: usize = 1024;

/// How much to receive, and how to answer.
#[derive(Args, Debug)]
pub(super) struct Receive {
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<NonZeroUsize>,
    /// Answer that it was not handled, and why
    #[arg(
        long,
        value_name = "REASON",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "rejected by hand"
    )]
    reject: Option<String>,
    /// Answer nothing: all of it comes again when this ends
    #[arg(long, conflicts_with = "reject")]
    no_ack: bool,
}

/// What can be received.
pub(super) trait Incoming {
    fn data(&self) -> &Bytes;
    fn line(&self) -> Line<'_>;
}

/// An answer that says no.
pub(super) trait Refusal: Answer + Clone {
    fn refusal(reason: &str) -> Self;
}

/// What was received, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(flatten)]
    payload: Payload,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

impl Receive {
    /// How many may be on the way to us: one, so that what nobody prints stays with the component.
    pub(super) fn window(&self) -> usize {
        match (self.no_ack, self.count) {
            (false, _) => 1,
            (true, Some(count)) => count.get(),
            (true, None) => UNANSWERED,
        }
    }

    /// Receives until there is enough, none in time, or a signal. `receiving` is what delivers.
    pub(super) async fn run<M: Incoming, A: Refusal>(
        self,
        target: &Target,
        mut incoming: Consumer<M, A>,
        receiving: impl Future<Output = Result<(), Error>>,
        acceptance: A,
    ) -> Result<ExitCode> {
        let mut signals = Signals::install()?;
        let settler = incoming.settler();
        let mut count = 0;
        tokio::pin!(receiving);
        let code = loop {
            if self.count.is_some_and(|enough| count >= enough.get()) {
                break ExitCode::SUCCESS;
            }
            let next = tokio::select! {
                biased;
                signal = signals.next() => break signal.exit_code(),
                next = next_within(&mut incoming, target.timeout) => next,
                ended = &mut receiving => return Err(match ended {
                    Err(error) => target.explain("receive", &error),
                    Ok(()) => anyhow!("the component has ended the stream"),
                }),
            };
            let Some(Delivered { id, message, .. }) = next else {
                output::note("nothing came in time");
                break ExitCode::from(exit::NOTHING);
            };
            print(target.output, &message)?;
            count += 1;
            if !self.no_ack {
                let answer = match &self.reject {
                    Some(reason) => A::refusal(reason),
                    None => acceptance.clone(),
                };
                settler
                    .settle(id, answer)
                    .map_err(|error| anyhow!("answer: {error}"))?;
            }
        };
        incoming.close();
        // What it ends with says nothing: we have ended it.
        if timeout(FAREWELL, receiving).await.is_err() {
            output::note("the component does not end the stream: the last answer may be lost");
        }
        Ok(code)
    }
}

async fn next_within<M, A: Answer>(
    incoming: &mut Consumer<M, A>,
    patience: Option<Duration>,
) -> Option<Delivered<M>> {
    let next = async {
        match incoming.next().await {
            Some(delivered) => delivered,
            // Nobody delivers any more; what delivered says why.
            None => std::future::pending().await,
        }
    };
    match patience {
        Some(patience) => timeout(patience, next).await.ok(),
        None => Some(next.await),
    }
}

fn print(output: Output, message: &impl Incoming) -> Result<()> {
    match output {
        Output::Text => print_line(message.data()),
        Output::Json => output::print_json_line(&message.line()),
    }
}

impl Incoming for Message {
    fn data(&self) -> &Bytes {
        &self.data
    }

    fn line(&self) -> Line<'_> {
        Line {
            topic: Some(&self.topic),
            payload: Payload::new(&self.data),
            metadata: sorted(&self.metadata),
            content_type: self.content_type.as_deref(),
        }
    }
}

impl Incoming for Event {
    fn data(&self) -> &Bytes {
        &self.data
    }

    fn line(&self) -> Line<'_> {
        Line {
            topic: None,
            payload: Payload::new(&self.data),
            metadata: sorted(&self.metadata),
            content_type: self.content_type.as_deref(),
        }
    }
}

impl Refusal for Ack {
    fn refusal(reason: &str) -> Self {
        Self::Rejected(reason.to_owned())
    }
}

impl Refusal for Reply {
    fn refusal(reason: &str) -> Self {
        Self::Failed(reason.to_owned())
    }
}
