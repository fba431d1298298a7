//! A database in use: one writer, some readers, a time limit.

use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::connection::{Location, Storage};
use crate::error::Fault;
use crate::readers::Readers;
use crate::schema::{self, Schema};
use crate::settings::ConnectionSettings;
use crate::writer::Writer;

/// A database in use. Dropped without [`close`](Self::close), it finishes what was asked of it and closes by itself.
#[derive(Debug)]
pub(crate) struct Database {
    location: Location,
    writer: Writer,
    /// None for a database in memory, where the writer's connection is the only one.
    readers: Option<Arc<Readers>>,
    timeout: Duration,
}

impl Database {
    /// Opens it, with what a building block keeps there.
    pub(crate) async fn open(
        settings: &ConnectionSettings,
        schema: Arc<dyn Schema>,
    ) -> Result<Self> {
        let location = Location::new(settings)?;
        let timeout = settings.timeout;
        let opening = tokio::task::spawn_blocking(move || {
            let opened = || {
                let connection = location.connect_writer()?;
                schema.add_functions(&connection)?;
                schema::create(&*schema, &connection, &location)?;
                Ok(connection)
            };
            let connection = opened().map_err(|fault: Fault| fault.into_error(location.name()))?;
            let writer = Writer::start(connection, location.name(), location.patience())?;
            let readers = (location.storage() != Storage::Memory)
                .then(|| Arc::new(Readers::new(location.clone(), schema)));
            Ok(Self {
                location,
                writer,
                readers,
                timeout,
            })
        });
        opening.await.unwrap_or_else(|error| {
            Err(Error::internal("opening a database did not finish").with_source(error))
        })
    }

    /// Where it is.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// A connection beside those that the database has. It does not wait for locks.
    pub(crate) async fn connect_aside(&self) -> Result<Connection> {
        let location = self.location.clone();
        let connecting = tokio::task::spawn_blocking(move || {
            let connection = location.connect()?;
            connection.busy_timeout(Duration::ZERO)?;
            Ok(connection)
        });
        connecting
            .await
            .unwrap_or_else(|error| {
                let unfinished = Error::internal("opening a connection did not finish");
                Err(Fault::Refused(unfinished.with_source(error)))
            })
            .map_err(|fault| self.error(fault))
    }

    /// A read of some rows, whose place is known by an index.
    pub(crate) async fn read<T, R>(&self, mut read: R) -> Result<T>
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        if let Some(readers) = &self.readers {
            match readers.read_now(&mut read) {
                Err(fault) if fault.is_busy() => {}
                result => return result.map_err(|fault| self.error(fault)),
            }
        }
        self.scan(read).await
    }

    /// A read of any length.
    pub(crate) async fn scan<T, R>(&self, read: R) -> Result<T>
    where
        T: Send + 'static,
        R: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => {
                let result = self.in_time(async { Ok(readers.read_aside(read).await) });
                result.await?.map_err(|fault| self.error(fault))
            }
            None => self.write(read).await,
        }
    }

    /// A write: done and committed, or not done at all. It may run twice, the first time in vain.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.in_time(self.writer.run(work)).await
    }

    /// A write that nobody waits for. It is left out when too many others wait.
    pub(crate) fn write_detached<W>(&self, work: W)
    where
        W: FnMut(&Connection) -> Result<(), Fault> + Send + 'static,
    {
        self.writer.run_detached(work);
    }

    /// Whether the file can be read.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM sqlite_master LIMIT 1")?;
            statement.exists(()).map(drop).map_err(Fault::from)
        })
        .await
    }

    /// Finishes what was asked of it, and closes the file.
    pub(crate) async fn close(&self) -> Result<()> {
        if let Some(readers) = &self.readers {
            readers.close();
        }
        self.in_time(async {
            self.writer.close().await;
            Ok(())
        })
        .await
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::TimedOut,
                format!(
                    "database {:?} did not answer within the timeout of {:?}",
                    self.location.name(),
                    self.timeout
                ),
            )),
        }
    }

    fn error(&self, fault: Fault) -> Error {
        fault.into_error(self.location.name())
    }
}
