//! Delivery: messages that wait with the broker, received and acknowledged as fast as they come.
//!
//! The subscription is there first, with its window full and nothing acknowledged, so that a broker keeps what is published
//! then, whether it keeps messages for nobody or not.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dapr_pluggable::delivery::{self, Ack, Consumer, Gate, Settler};
use dapr_pluggable::pubsub::{Message, PubSub, Publication, Subscription};
use futures::stream::{self, TryStreamExt as _};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::load::{ANSWER_CAP, AT_ONCE, CALLED_OFF_CAP, answered};
use super::plan::Plan;
use super::report::Report;
use super::server::Processes;
use crate::call::target::{Target, described};

/// How long the first message may take to arrive before another one is published: it may have been too early.
const FIRST: Duration = Duration::from_millis(200);
/// How many messages are published until the first one arrives, at most.
const FIRST_TRIES: u32 = 50;
/// How long the stream may take to end, with the last answers.
const FAREWELL: Duration = Duration::from_secs(5);

/// A measurement on a thread of its own. It ends when this is dropped.
pub(super) struct Delivery {
    call_off: oneshot::Sender<()>,
    thread: tokio::task::JoinHandle<Result<Option<Report>>>,
}

impl Delivery {
    pub(super) fn start(plan: Plan, target: Target, processes: Processes) -> Self {
        let (call_off, called_off) = oneshot::channel();
        let thread = tokio::task::spawn_blocking(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.context("start a runtime")?.block_on(async {
                tokio::select! {
                    _ = called_off => Ok(None),
                    report = measure(&plan, &target, processes) => report.map(Some),
                }
            })
        });
        Self { call_off, thread }
    }

    /// What was measured.
    pub(super) async fn report(&mut self) -> Result<Report> {
        let report = (&mut self.thread).await.context("wait for a thread")??;
        report.ok_or_else(|| anyhow!("the measurement was called off"))
    }

    /// Ends it before its time.
    pub(super) async fn call_off(self) {
        drop(self.call_off);
        // Who is not done by then holds nobody up any longer.
        let _ = timeout(CALLED_OFF_CAP, self.thread).await;
    }
}

async fn measure(plan: &Plan, target: &Target, processes: Processes) -> Result<Report> {
    let broker = target.pubsub().await?;
    let (deliveries, messages) = delivery::window(plan.in_flight as usize, &Gate::new());
    let receiver = Receiver {
        plan,
        settler: messages.settler(),
        messages,
    };
    let subscribed = broker.subscribe(Subscription::new(&plan.topic), deliveries);
    tokio::pin!(subscribed);
    let settler = receiver.settler.clone();
    let report = tokio::select! {
        report = receiver.run(&*broker, processes) => report?,
        ended = &mut subscribed => return Err(match ended {
            Err(error) => anyhow!(described("receive", &error)),
            Ok(()) => anyhow!("the component has ended the stream"),
        }),
    };
    settler.close();
    // What it ends with says nothing: we have ended it.
    let _ = timeout(FAREWELL, subscribed).await;
    Ok(report)
}

/// The side of the application.
struct Receiver<'a> {
    plan: &'a Plan,
    messages: Consumer<Message, Ack>,
    settler: Settler<Ack>,
}

impl Receiver<'_> {
    async fn run(mut self, broker: &dyn PubSub, processes: Processes) -> Result<Report> {
        let (first, early) = self.first(broker).await?;
        let rest = self.plan.messages.saturating_sub(early);
        let publications = (0..rest).map(|_| Ok(answered(broker.publish(self.publication()))));
        let published = stream::iter(publications)
            .try_for_each_concurrent(AT_ONCE, |publication| publication)
            .await;
        published.map_err(|error| anyhow!(described("publish", &error)))?;
        let total = u64::from(early + rest);

        let before = processes.cpu_time();
        let begun = Instant::now();
        let end = begun + self.plan.duration;
        self.settle(first)?;
        let mut count = 1;
        while count < total && Instant::now() < end {
            self.next(total - count).await?;
            count += 1;
        }
        let took = begun.elapsed();
        let cpu = processes.cpu_time_since(before);
        // Nothing is left behind unanswered.
        for left in (1..=total - count).rev() {
            self.next(left).await?;
        }
        Ok(Report::of_count(count, took, cpu))
    }

    /// Publishes until something arrives, which stays unanswered: its id, and how many were published.
    async fn first(&mut self, broker: &dyn PubSub) -> Result<(u64, u32)> {
        for tries in 1..=FIRST_TRIES {
            let published = answered(broker.publish(self.publication())).await;
            published.map_err(|error| anyhow!(described("publish", &error)))?;
            if let Ok(Some(delivered)) = timeout(FIRST, self.messages.next()).await {
                return Ok((delivered.id, tries));
            }
        }
        Err(anyhow!(
            "{FIRST_TRIES} messages were published, and none came"
        ))
    }

    /// Takes a message and acknowledges it.
    async fn next(&mut self, missing: u64) -> Result<()> {
        let delivered = timeout(ANSWER_CAP, self.messages.next()).await;
        let Ok(Some(delivered)) = delivered else {
            return Err(anyhow!(
                "{missing} messages did not come within {ANSWER_CAP:?}"
            ));
        };
        if delivered.message.data != self.plan.value {
            return Err(anyhow!("a message is not the one that was published"));
        }
        self.settle(delivered.id)
    }

    fn settle(&self, id: u64) -> Result<()> {
        let settled = self.settler.settle(id, Ack::Accepted);
        settled.map_err(|error| anyhow!("answer: {error}"))
    }

    fn publication(&self) -> Publication {
        Publication::new(&self.plan.topic, self.plan.value.clone())
    }
}
