//! Writes with strong consistency: they are answered when the replicas have them.

use std::time::Duration;

use dapr_pluggable::Result;
use dapr_pluggable::settings::GoDuration;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::connection::{Connection, closed, within};
use crate::settings::ConnectionSettings;

/// How long a write waits for the replicas, in milliseconds. With fewer of them it has happened all the same.
const PATIENCE_MILLIS: u32 = 1000;

/// How many writes wait for the replicas together.
const TOGETHER: usize = 256;

/// The way to a server that has replicas. Waiting for them stops everything else on a connection, so it has one of its own;
/// the writes that come while some wait are sent together and wait once.
#[derive(Debug)]
pub(super) struct Replicas {
    writes: mpsc::Sender<Write>,
    /// How long a write may take, with those before it.
    limit: Duration,
    writer: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Write {
    commands: Vec<Cmd>,
    answers: oneshot::Sender<RedisResult<Vec<RedisResult<Value>>>>,
}

impl Replicas {
    /// The way to the replicas that the server has now; `None` when it has none.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub(super) async fn find(
        connection: &Connection,
        settings: &ConnectionSettings,
    ) -> Result<Option<Self>> {
        // In a cluster the question has no answer: each key has a server of its own.
        if settings.is_cluster() {
            return Ok(None);
        }
        let mut info = redis::cmd("INFO");
        info.arg("replication");
        let answer = connection.read(&info).await;
        let count = count(&answer.map_err(|error| connection.error(error))?);
        if count == 0 {
            return Ok(None);
        }
        let own = Connection::open(&patient(settings)).await?;
        let (writes, queue) = mpsc::channel(TOGETHER);
        let limit = own.limits().write;
        let writer = tokio::spawn(write(own, count, queue));
        Ok(Some(Self {
            writes,
            limit,
            writer: AbortOnDropHandle::new(writer),
        }))
    }

    /// Runs commands that change something. With an error they may happen all the same.
    pub(super) async fn write_all(
        &self,
        commands: Vec<Cmd>,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let (answers, answered) = oneshot::channel();
        let write = Write { commands, answers };
        let answer = async {
            self.writes.send(write).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        within(self.limit, answer).await
    }

    /// Ends the connection, for good.
    pub(super) fn close(&self) {
        self.writer.abort();
    }
}

/// Sends what is there, then waits once for all of it.
async fn write(connection: Connection, replicas: u64, mut queue: mpsc::Receiver<Write>) {
    let mut wait = redis::cmd("WAIT");
    wait.arg(replicas).arg(PATIENCE_MILLIS);
    let mut writes = Vec::new();
    while queue.recv_many(&mut writes, TOGETHER).await > 0 {
        // Whoever gave up has said by now that it failed.
        writes.retain(|write: &Write| !write.answers.is_closed());
        if writes.is_empty() {
            continue;
        }
        let mut commands: Vec<Cmd> = writes
            .iter()
            .flat_map(|write| write.commands.iter().cloned())
            .collect();
        commands.push(wait.clone());
        match connection.write_all(&commands).await {
            Ok(answers) => {
                if let Some(Ok(Value::Int(reached))) = answers.last()
                    && u64::try_from(*reached).is_ok_and(|reached| reached < replicas)
                {
                    tracing::debug!(reached, replicas, "not every replica has a write yet");
                }
                let mut answers = answers.into_iter();
                for write in writes.drain(..) {
                    let count = write.commands.len();
                    // Whoever asked may be gone.
                    let _ = write
                        .answers
                        .send(Ok(answers.by_ref().take(count).collect()));
                }
            }
            Err(error) => {
                for write in writes.drain(..) {
                    let _ = write.answers.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The settings with room for the wait in the time that a write has.
fn patient(settings: &ConnectionSettings) -> ConnectionSettings {
    const DEFAULT: GoDuration = GoDuration::from_nanos(3_000_000_000);
    let set = |time: Option<GoDuration>| time.filter(|time| time.as_nanos() != 0);
    let limit = set(settings.write_timeout)
        .or_else(|| set(settings.read_timeout))
        .unwrap_or(DEFAULT);
    let mut patient = settings.clone();
    if limit.as_nanos() > 0 {
        let wait = i64::from(PATIENCE_MILLIS) * 1_000_000;
        patient.write_timeout = Some(GoDuration::from_nanos(
            limit.as_nanos().saturating_add(wait),
        ));
    }
    patient
}

/// How many replicas the answer to `INFO replication` counts.
fn count(answer: &Value) -> u64 {
    let text = match answer {
        Value::BulkString(text) => String::from_utf8_lossy(text),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text.as_str().into(),
        _ => return 0,
    };
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix("connected_slaves:"))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
