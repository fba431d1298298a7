//! The connections that read.
//!
//! A point read takes some microseconds from memory and does not wait for writers, so it happens where the caller is. What
//! takes longer, and what finds a lock after all, moves to a thread that may block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dapr_pluggable::{Error, Result};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::connection::Location;
use crate::error::Fault;
use crate::schema::Schema;

/// How many long reads run at a time, and how many connections are kept.
const READERS: usize = 4;

/// How many steps of SQLite's virtual machine pass between two looks at whether the caller is still there.
const STEPS: i32 = 10_000;

/// Connections for reading, opened when they are needed.
#[derive(Debug)]
pub(crate) struct Readers {
    location: Location,
    idle: Mutex<Option<Vec<Connection>>>,
    schema: Arc<dyn Schema>,
    turns: Semaphore,
}

impl Readers {
    /// No connection yet.
    pub(crate) fn new(location: Location, schema: Arc<dyn Schema>) -> Self {
        Self {
            location,
            idle: Mutex::new(Some(Vec::new())),
            schema,
            turns: Semaphore::new(READERS),
        }
    }

    /// Reads where the caller is, and does not wait for locks.
    pub(crate) fn read_now<T>(
        &self,
        read: &mut impl FnMut(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = self.take()?;
        let result = read(&connection);
        self.give_back(connection);
        result
    }

    /// Reads in a thread that may block. It stops when the caller goes away.
    pub(crate) async fn read_aside<T, R>(self: &Arc<Self>, mut read: R) -> Result<T, Fault>
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        // Nobody closes it.
        let _turn = self.turns.acquire().await;
        let readers = Arc::clone(self);
        let caller = Arc::new(Caller::default());
        let reading = Arc::clone(&caller);
        let _leaving = Leaving(caller);
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = readers.take()?;
            connection.busy_timeout(readers.location.patience())?;
            connection
                .progress_handler(STEPS, Some(move || reading.gone.load(Ordering::Relaxed)))?;
            let result = read(&connection);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            connection.busy_timeout(Duration::ZERO)?;
            readers.give_back(connection);
            result
        });
        done.await.unwrap_or_else(|error| {
            let name = self.location.name();
            let error = Error::internal(format!("database {name:?}: a read did not finish"))
                .with_source(error);
            Err(Fault::Refused(error))
        })
    }

    /// Closes the connections, and those in use when they come back.
    pub(crate) fn close(&self) {
        self.idle().take();
    }

    fn take(&self) -> Result<Connection, Fault> {
        if let Some(connection) = self.idle().as_mut().and_then(Vec::pop) {
            return Ok(connection);
        }
        let connection = self.location.connect()?;
        connection.busy_timeout(Duration::ZERO)?;
        self.schema.add_functions(&connection)?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if let Some(idle) = idle.as_mut().filter(|idle| idle.len() < READERS) {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who waits for a long read.
#[derive(Default)]
struct Caller {
    gone: AtomicBool,
}

/// Says so when the caller leaves.
struct Leaving(Arc<Caller>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}
