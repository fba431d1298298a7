//! One subscription: what goes on side by side while it lives, and what is done at its end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::delivery::Deliveries;
use dapr_pluggable::{Error, Result};
use redis::{Cmd, RedisError, RedisResult};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fetch::Fetch;
use super::group::{Group, is_group_gone};
use super::held::{Held, Settlement};
use super::settle::Settle;
use super::{Consumption, LARGEST_BATCH, closed};

/// How long the last words to Redis may take. With the wait for the last read it is less than the five seconds that a
/// subscription has for its end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How many delivered messages wait to be listened to.
const HANDOVER: usize = 64;

/// One subscription.
pub(super) struct Subscriber {
    group: Group,
    rules: Arc<Consumption>,
    deliveries: Deliveries,
    closed: CancellationToken,
    held: Held,
}

impl Subscriber {
    pub(super) fn new(
        group: Group,
        rules: Arc<Consumption>,
        deliveries: Deliveries,
        closed: &CancellationToken,
    ) -> Self {
        Self {
            group,
            rules,
            deliveries,
            closed: closed.clone(),
            held: Held::default(),
        }
    }

    /// Runs until the subscription is over.
    pub(super) async fn run(self) -> Result<()> {
        self.begin().await?;
        let (sender, delivered) = mpsc::channel(HANDOVER);
        let fetch = Fetch::new(&self, sender);
        let settle = Settle::new(&self, delivered);
        let work = async { tokio::join!(fetch.run(), settle.run()) };
        let outcome = tokio::select! {
            (_, ()) = work => Ok(()),
            () = self.closed.cancelled() => Err(closed()),
            never = self.tell() => match never {},
            never = self.renew() => match never {},
        };
        self.end().await;
        outcome
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn rules(&self) -> &Consumption {
        &self.rules
    }

    pub(super) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn warn(&self, error: RedisError, message: &str) {
        let (topic, group) = (&self.group.topic, &self.group.name);
        let error = self.group.connection.error(error);
        tracing::warn!(topic, %group, %error, "{message}");
    }

    /// Makes the group. A server that does not answer is waited for: a runtime does not open a stream again that has ended.
    async fn begin(&self) -> Result<()> {
        let mut pause = Pause::default();
        let mut is_first = true;
        loop {
            let Err(error) = self.group.create().await else {
                return Ok(());
            };
            let error = self.group.connection.error(error);
            if !error.is_transient() || self.closed.is_cancelled() {
                let Group { topic, name, .. } = &self.group;
                return Err(error.context(format!(
                    "redis streams: cannot create group {name:?} on topic {topic:?}"
                )));
            }
            if is_first {
                tracing::warn!(topic = self.group.topic, %error, "cannot subscribe; trying again");
                is_first = false;
            }
            let over = self.deliveries.until_closed(pause.wait()).await;
            over.map_err(Error::from)?;
        }
    }

    /// Tells Redis what the answers mean: one command for all that came while the last one was on its way.
    async fn tell(&self) -> Infallible {
        let mut failing: Option<Pause> = None;
        loop {
            let settlement = self.held.settlement(LARGEST_BATCH).await;
            match self.send(&self.commands(&settlement)).await {
                Ok(()) => {
                    self.held.done(&settlement);
                    failing = None;
                    continue;
                }
                Err(error) if self.is_passing(&error) => {
                    if failing.is_none() {
                        self.warn(error, "cannot acknowledge messages; trying again");
                    }
                }
                Err(error) => {
                    self.warn(error, "cannot acknowledge messages; they come again");
                    self.held.done(&settlement);
                }
            }
            failing.get_or_insert_default().wait().await;
        }
    }

    /// Keeps others from taking what is here, as long as the stream lives: what stands still on it is found out by the
    /// answers.
    async fn renew(&self) -> Infallible {
        let Some(patience) = self.rules.patience else {
            return std::future::pending().await;
        };
        let interval = (patience / 3).max(Duration::from_millis(1));
        loop {
            sleep(interval).await;
            let mut failing: Option<Pause> = None;
            loop {
                let ids = self.held.ids();
                let renewals = ids.chunks(LARGEST_BATCH).map(|ids| self.group.renew(ids));
                let Err(error) = self.send(&renewals.collect::<Vec<_>>()).await else {
                    break;
                };
                if failing.is_none() {
                    self.warn(error, "cannot renew the claim on messages; trying again");
                }
                failing.get_or_insert_default().wait().await;
            }
        }
    }

    /// Acknowledges what was handled, and gives the rest back for others to have at once.
    async fn end(&self) {
        let commands = self.commands(&self.held.last_settlement());
        let told = timeout(LAST_WORDS, self.send(&commands)).await;
        let what = "cannot settle the last messages of a subscription; they come again";
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.warn(error, what),
            Err(_) => tracing::warn!(topic = self.group.topic, "no answer in time: {what}"),
        }
    }

    fn commands(&self, settlement: &Settlement) -> Vec<Cmd> {
        let acknowledged = settlement.handled.chunks(LARGEST_BATCH);
        let mut commands: Vec<Cmd> = acknowledged
            .map(|ids| self.group.acknowledge(ids))
            .collect();
        // Without a limit nobody ever takes from another, so there is nothing to be said.
        if let Some(patience) = self.rules.patience {
            let returned = settlement.returned.chunks(LARGEST_BATCH);
            commands.extend(returned.map(|ids| self.group.give_back(ids, patience)));
        }
        commands
    }

    /// Sends commands about entries. Where the group is gone nobody has any, and there is nothing to be said of them.
    async fn send(&self, commands: &[Cmd]) -> RedisResult<()> {
        let connection = &self.group.connection;
        let answers = match commands {
            [] => return Ok(()),
            [command] => vec![connection.write(command).await],
            commands => connection.write_all(commands).await?,
        };
        answers.into_iter().try_for_each(|answer| match answer {
            Err(error) if !is_group_gone(&error) => Err(error),
            _ => Ok(()),
        })
    }

    fn is_passing(&self, error: &RedisError) -> bool {
        self.group.connection.error(error.clone()).is_transient()
    }
}

/// A pause between attempts, longer each time.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(1));
        sleep(pause).await;
    }
}
