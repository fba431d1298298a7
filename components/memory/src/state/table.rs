//! The rows of a state store, and what is written to them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use dapr_pluggable::settings::Ttl;
use dapr_pluggable::state::{DeleteRequest, Entry, Etag, Operation, SetRequest, require_key};
use dapr_pluggable::{Bytes, Error, Metadata, Result};
use jiff::Timestamp;
use tokio::time::Instant;

/// How many rows whose time is over one write removes. More than it adds, so that they cannot pile up.
const SWEEP: usize = 8;

/// Rows by key.
#[derive(Debug)]
pub(crate) struct Table {
    rows: HashMap<String, Row>,
    /// The keys of the rows with a limited life, those first whose time is over first. The version keeps rows apart that
    /// end together.
    ends: BTreeMap<(Instant, u64), String>,
    /// The version of the last row that was written.
    version: u64,
}

/// A stored value.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) value: Bytes,
    version: u64,
    end: Option<End>,
}

/// When the life of a row is over: by the clock that only goes forward, and as people are told.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Instant,
    time: Timestamp,
}

/// A write whose request was found to be in order.
#[derive(Debug)]
pub(super) enum Write {
    Set {
        request: SetRequest,
        ttl: Option<Duration>,
    },
    Delete(DeleteRequest),
}

impl Default for Table {
    fn default() -> Self {
        // Counting from the clock on, no etag of a process comes again in the one after it.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos();
        Self {
            rows: HashMap::new(),
            ends: BTreeMap::new(),
            version: u64::try_from(nanos).unwrap_or_default(),
        }
    }
}

impl Table {
    /// The value of a key.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Entry> {
        let row = self.rows.get(key).filter(|row| row.is_live(now))?;
        let expiry = row
            .end
            .map(|end| ("ttlExpireTime", format!("{:.0}", end.time)));
        let metadata: Metadata = expiry.into_iter().collect();
        Some(
            Entry::new(row.value.clone())
                .with_etag(row.etag())
                .with_metadata(metadata),
        )
    }

    /// Every key with its row.
    pub(super) fn rows(&self, now: Instant) -> Vec<(String, Row)> {
        let live = self.rows.iter().filter(|(_, row)| row.is_live(now));
        live.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Does all the writes in their order, or none.
    pub(super) fn write(&mut self, writes: Vec<Write>, now: Instant) -> Result<()> {
        self.sweep(now);
        let mut before = Vec::with_capacity(writes.len());
        for write in writes {
            let key = write.key().to_owned();
            match self.apply(write, now) {
                Ok(row) => before.push((key, row)),
                Err(error) => {
                    for (key, row) in before.into_iter().rev() {
                        self.put(key, row);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Does one write, and gives the row that was there before.
    fn apply(&mut self, write: Write, now: Instant) -> Result<Option<Row>> {
        let current = self.rows.get(write.key()).filter(|row| row.is_live(now));
        let current = current.map(Row::etag);
        match write {
            Write::Set { request, ttl } => {
                request.check_etag(current.as_ref())?;
                let end = ttl.map(|ttl| End::after(ttl, now)).transpose()?;
                self.version += 1;
                let row = Row {
                    value: request.value,
                    version: self.version,
                    end,
                };
                Ok(self.put(request.key, Some(row)))
            }
            Write::Delete(request) => {
                request.check_etag(current.as_ref())?;
                Ok(self.put(request.key, None))
            }
        }
    }

    /// Puts a row, or none, in the place of another, which it gives.
    fn put(&mut self, key: String, row: Option<Row>) -> Option<Row> {
        if let Some(end) = row.as_ref().and_then(Row::place) {
            self.ends.insert(end, key.clone());
        }
        let before = match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        };
        if let Some(end) = before.as_ref().and_then(Row::place) {
            self.ends.remove(&end);
        }
        before
    }

    /// Removes some of the rows whose time is over.
    fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEEP {
            match self.ends.first_entry() {
                Some(end) if end.key().0 <= now => {
                    self.rows.remove(&end.remove());
                }
                _ => return,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Row {
    pub(super) fn etag(&self) -> Etag {
        self.version.into()
    }

    fn is_live(&self, now: Instant) -> bool {
        self.end.is_none_or(|end| now < end.at)
    }

    /// Its place among the ends.
    fn place(&self) -> Option<(Instant, u64)> {
        Some((self.end?.at, self.version))
    }
}

impl End {
    fn after(ttl: Duration, now: Instant) -> Result<Self> {
        let at = now.checked_add(ttl);
        let time = Timestamp::now().checked_add(ttl).ok();
        at.zip(time)
            .map(|(at, time)| Self { at, time })
            .ok_or_else(|| Error::invalid_request(format!("no clock reaches {ttl:?} from now")))
    }
}

impl Write {
    pub(super) fn of(operation: Operation) -> Result<Self> {
        match operation {
            Operation::Set(request) => Self::set(request),
            Operation::Delete(request) => Self::delete(request),
            other => Err(Error::unsupported(format!(
                "a transaction operation such as {other:?}"
            ))),
        }
    }

    pub(super) fn set(request: SetRequest) -> Result<Self> {
        require_key(&request.key, "set")?;
        let ttl = match Ttl::from_metadata(&request.metadata)? {
            Ttl::Seconds(seconds) => Some(Duration::from_secs(seconds.into())),
            Ttl::Absent | Ttl::Never => None,
        };
        Ok(Self::Set { request, ttl })
    }

    pub(super) fn delete(request: DeleteRequest) -> Result<Self> {
        require_key(&request.key, "delete")?;
        Ok(Self::Delete(request))
    }

    fn key(&self) -> &str {
        match self {
            Self::Set { request, .. } => &request.key,
            Self::Delete(request) => &request.key,
        }
    }
}
