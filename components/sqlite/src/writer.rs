//! The one thread that writes: what waits in its queue goes into one transaction, so that many callers share one
//! flush to the disk. A caller hears of success only when that transaction is committed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dapr_pluggable::{Error, ErrorKind, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::connection::patiently;
use crate::error::{Fault, translate};

/// How many jobs may wait for the thread; whoever comes then waits for room, and that wait has the caller's time-out.
const QUEUE: usize = 1024;

/// How many jobs one transaction takes at most: beyond some dozens the flush costs each next to nothing, and the first
/// of them still waits for the last.
const BATCH: usize = 256;

/// A handle on the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Command>,
    database: String,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        connection: Connection,
        database: &str,
        patience: Duration,
    ) -> Result<Self> {
        let (queue, commands) = mpsc::channel(QUEUE);
        let worker = Worker {
            connection,
            database: database.to_owned(),
            patience,
        };
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || worker.run(commands))
            .map_err(|error| {
                Error::internal(format!("database {database:?}: no thread for its writer"))
                    .with_source(error)
            })?;
        Ok(Self {
            queue,
            database: database.to_owned(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Does a job in the thread, inside a transaction, and gives its result once that is committed. What fails in a job
    /// undoes nothing of another. The job may run twice, the first time in a transaction that was rolled back, and not at
    /// all when the caller gives up while it waits.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job = Task::new(work, Some(reply));
        if self.queue.send(Command::Run(Box::new(job))).await.is_err() {
            return Err(self.closed());
        }
        result.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Does a job that nobody waits for, unless the queue is full.
    pub(crate) fn run_detached<W>(&self, work: W)
    where
        W: FnMut(&Connection) -> Result<(), Fault> + Send + 'static,
    {
        let job = Task::new(work, None);
        if self.queue.try_send(Command::Run(Box::new(job))).is_err() {
            tracing::debug!(database = self.database, "no room for a job in the queue");
        }
    }

    /// Does what is in the queue, then ends the thread and closes its connection. Jobs that come later are refused.
    pub(crate) async fn close(&self) {
        // Without a receiver the thread has ended already.
        let _ = self.queue.send(Command::Stop).await;
        self.queue.closed().await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread has left its loop; what remains is to close the connection.
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!(database = self.database, "the writer ended in a panic");
            }
        }
    }

    fn closed(&self) -> Error {
        Error::new(
            ErrorKind::Cancelled,
            format!("database {:?} is closed", self.database),
        )
    }
}

enum Command {
    Run(Box<dyn Job>),
    Stop,
}

/// Work for the thread, and the one who waits for it.
trait Job: Send {
    /// Does the work and keeps the result.
    fn run(&mut self, connection: &Connection);

    /// Gives the result to the one who waits: it is committed.
    fn committed(self: Box<Self>, database: &str);

    /// Gives an error instead of the result: nothing of it happened.
    fn failed(self: Box<Self>, error: Error, database: &str);

    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;

    /// Since when it waits.
    fn since(&self) -> Instant;
}

struct Task<T, W> {
    work: W,
    result: Option<Result<T, Fault>>,
    reply: Option<oneshot::Sender<Result<T>>>,
    since: Instant,
}

impl<T, W> Task<T, W> {
    fn new(work: W, reply: Option<oneshot::Sender<Result<T>>>) -> Self {
        Self {
            work,
            result: None,
            reply,
            since: Instant::now(),
        }
    }

    fn answer(self, result: Result<T>, database: &str) {
        match (self.reply, result) {
            // The one who waited may have gone meanwhile.
            (Some(reply), result) => drop(reply.send(result)),
            (None, Ok(_)) => {}
            (None, Err(error)) => tracing::debug!(database, %error, "a job failed"),
        }
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnMut(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection) {
        self.result = Some((self.work)(connection));
    }

    fn committed(mut self: Box<Self>, database: &str) {
        if let Some(result) = self.result.take() {
            self.answer(result.map_err(|fault| fault.into_error(database)), database);
        }
    }

    fn failed(mut self: Box<Self>, error: Error, database: &str) {
        // What the job itself ran into says more than that its transaction is gone.
        let error = match self.result.take() {
            Some(Err(fault)) => fault.into_error(database),
            _ => error,
        };
        self.answer(Err(error), database);
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn since(&self) -> Instant {
        self.since
    }
}

/// What the thread owns.
struct Worker {
    connection: Connection,
    database: String,
    patience: Duration,
}

impl Worker {
    fn run(self, mut commands: mpsc::Receiver<Command>) {
        let mut open = true;
        while open {
            let first = match commands.blocking_recv() {
                Some(Command::Run(job)) => job,
                Some(Command::Stop) | None => break,
            };
            if let Err(error) = self.begin(first.since()) {
                first.failed(translate(error, &self.database), &self.database);
                continue;
            }
            // Taken now, when the lock is there: those who came while others held it go with this transaction.
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match commands.try_recv() {
                    Ok(Command::Run(job)) => batch.push(job),
                    Ok(Command::Stop) => open = false,
                    Err(_) => break,
                }
            }
            self.serve(batch);
        }
    }

    /// Does the jobs in the transaction that has begun. When that is lost, each gets one of its own, so that it fails for
    /// its own reasons only.
    fn serve(&self, mut batch: Vec<Box<dyn Job>>) {
        let lost = match self.transact(&mut batch) {
            Ok(()) => {
                for job in batch {
                    job.committed(&self.database);
                }
                return;
            }
            Err(lost) => lost,
        };
        match <[Box<dyn Job>; 1]>::try_from(batch) {
            Ok([job]) => job.failed(lost.into_error(&self.database), &self.database),
            Err(batch) => {
                tracing::debug!(
                    database = self.database, jobs = batch.len(), reason = ?lost,
                    "a transaction of several jobs was lost; each runs again alone"
                );
                for job in batch {
                    match self.begin(job.since()) {
                        Ok(()) => self.serve(vec![job]),
                        Err(error) => {
                            job.failed(translate(error, &self.database), &self.database);
                        }
                    }
                }
            }
        }
    }

    fn transact(&self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Lost> {
        batch.retain(|job| !job.is_abandoned());
        for job in batch {
            job.run(&self.connection);
            if self.connection.is_autocommit() {
                return Err(Lost::InJob);
            }
        }
        self.execute("COMMIT").map_err(|error| {
            self.roll_back();
            Lost::InCommit(error)
        })
    }

    /// Begins a transaction that may write at once. A job waits as long as busyTimeout says from when it came, but is
    /// tried once however long the queue was.
    fn begin(&self, since: Instant) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let begun = patiently(since + self.patience, || self.execute("BEGIN IMMEDIATE"));
        self.connection.busy_timeout(self.patience)?;
        begun
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(database = self.database, %error, "cannot roll back");
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(drop)
    }
}

/// How a transaction was lost, with all its jobs.
#[derive(Debug)]
enum Lost {
    /// SQLite ended it while a job ran, as it does when the disk is full. The job has the error.
    InJob,
    /// It could not be committed.
    InCommit(rusqlite::Error),
}

impl Lost {
    fn into_error(self, database: &str) -> Error {
        match self {
            Self::InJob => Error::internal(format!(
                "database {database:?}: the transaction was rolled back"
            )),
            Self::InCommit(error) => translate(error, database),
        }
    }
}
