//! A state store with something wrong about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dapr_pluggable::state::{
    BulkEntry, Concurrency, DeleteRequest, Entry, Etag, GetRequest, Operation, Parallelism, Query,
    QueryPage, QueryableStateStore, SetRequest, StateClaims, StateStore, TransactionalStateStore,
};
use dapr_pluggable::{Component, Error, ErrorKind, Metadata, Result, async_trait};

use super::fault::Fault;
use super::opener::{Life, close, ping};

const TTL: &str = "ttlInSeconds";

pub(crate) struct FaultyStore {
    fault: Fault,
    inner: Arc<dyn StateStore>,
    life: Arc<Life>,
}

impl FaultyStore {
    pub(crate) fn new(fault: Fault, inner: Arc<dyn StateStore>, life: Arc<Life>) -> Self {
        Self { fault, inner, life }
    }

    fn key(&self, key: String) -> String {
        match self.fault {
            Fault::AcceptsEmptyKeys if key.is_empty() => "empty".to_owned(),
            Fault::FoldsKeys => key.to_lowercase(),
            _ => key,
        }
    }

    async fn current(&self, key: &str) -> Result<Option<Entry>> {
        if key.is_empty() {
            return Ok(None);
        }
        self.inner.get(GetRequest::new(key)).await
    }

    /// The etag that memory knows for one that this store gave.
    async fn etag(&self, key: &str, given: Option<Etag>) -> Result<Option<Etag>> {
        let Some(given) = given else { return Ok(None) };
        Ok(match self.fault {
            Fault::IgnoresEtags => None,
            Fault::EtagIsTheValue => match self.current(key).await? {
                Some(entry) if etag_of(&entry.value) == given => entry.etag,
                _ => Some(given),
            },
            Fault::TakesEmptyEtags if given.as_str().is_empty() => Some(Etag::new("empty")),
            Fault::EtagNever if !given.as_str().is_empty() => Some(Etag::new("other")),
            _ => Some(given),
        })
    }

    async fn set_request(&self, mut request: SetRequest) -> Result<SetRequest> {
        request.key = self.key(request.key);
        request.etag = self.etag(&request.key, request.etag).await?;
        let current = self.current(&request.key).await?;
        match self.fault {
            Fault::TextOnly => {
                let text = String::from_utf8_lossy(&request.value).into_owned();
                request.value = Bytes::from(text);
            }
            Fault::KeepsFirstValue => {
                if let Some(entry) = current {
                    request.value = entry.value;
                }
            }
            Fault::IgnoresFirstWrite => request.concurrency = Concurrency::LastWrite,
            Fault::IgnoresLastWrite if request.concurrency == Concurrency::LastWrite => {
                request.concurrency = Concurrency::FirstWrite;
            }
            Fault::LosesTtl => {
                request.metadata.remove(TTL);
            }
            Fault::EveryTtlExpires if matches!(request.metadata.get(TTL), Some("0" | "-1")) => {
                request.metadata.insert(TTL, "3600");
            }
            Fault::TtlSurvivesWrites => {
                let is_limited =
                    current.is_some_and(|entry| entry.metadata.get("ttlExpireTime").is_some());
                if is_limited {
                    request.metadata.insert(TTL, "1");
                }
            }
            _ => {}
        }
        Ok(request)
    }

    async fn delete_request(&self, mut request: DeleteRequest) -> Result<DeleteRequest> {
        request.key = self.key(request.key);
        request.etag = self.etag(&request.key, request.etag).await?;
        Ok(request)
    }

    fn entry(&self, mut entry: Entry) -> Entry {
        match self.fault {
            Fault::EtagIsTheValue => entry.etag = Some(etag_of(&entry.value)),
            Fault::NoExpireTime => entry.metadata = Metadata::new(),
            _ => {}
        }
        entry
    }
}

#[async_trait]
impl Component for FaultyStore {
    async fn ping(&self) -> Result<()> {
        ping(self.fault, &self.life, self.inner.as_ref()).await
    }

    async fn close(&self) -> Result<()> {
        close(self.fault, &self.life, self.inner.as_ref()).await
    }
}

#[async_trait]
impl StateStore for FaultyStore {
    fn claims(&self) -> StateClaims {
        match self.fault {
            Fault::ClaimsTooMuch => self.inner.claims().with_other("MIND_READING"),
            _ => self.inner.claims(),
        }
    }

    async fn get(&self, mut request: GetRequest) -> Result<Option<Entry>> {
        request.key = self.key(request.key);
        if self.life.is_empty.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let found = self.inner.get(request).await?;
        if found.is_none() && self.fault == Fault::GetMissingFails {
            return Err(Error::new(ErrorKind::NotFound, "no such key"));
        }
        Ok(found.map(|entry| self.entry(entry)))
    }

    async fn set(&self, request: SetRequest) -> Result<()> {
        let request = self.set_request(request).await?;
        if self.fault == Fault::ValuesExpireAtOnce && request.metadata.get(TTL).is_some() {
            return Ok(());
        }
        self.inner.set(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let request = self.delete_request(request).await?;
        match self.fault {
            Fault::DeleteForgets if request.etag.is_none() => Ok(()),
            Fault::DeleteMissingFails if self.current(&request.key).await?.is_none() => {
                Err(Error::new(ErrorKind::NotFound, "no such key"))
            }
            _ => self.inner.delete(request).await,
        }
    }

    async fn bulk_get(&self, requests: Vec<GetRequest>, _: Parallelism) -> Result<Vec<BulkEntry>> {
        if requests.is_empty() && self.fault == Fault::BulkNeedsOne {
            return Err(Error::invalid_request("nothing to get"));
        }
        let mut answers = Vec::new();
        for request in requests {
            let key = request.key.clone();
            let mut found = self.get(request).await?;
            if self.fault == Fault::BulkGetLeavesOutMissing && found.is_none() {
                continue;
            }
            if self.fault == Fault::BulkGetHasNoEtags
                && let Some(entry) = &mut found
            {
                entry.etag = None;
            }
            answers.push(BulkEntry::new(key, Ok(found)));
        }
        if self.fault == Fault::BulkGetReverses {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>, _: Parallelism) -> Result<()> {
        if self.fault == Fault::BulkStopsAtTheFirstError {
            for request in requests {
                self.set(request).await?;
            }
            return Ok(());
        }
        let mut outcome = Ok(());
        for (place, request) in requests.into_iter().enumerate() {
            if self.fault == Fault::KeepsFirstValue && place > 0 {
                continue;
            }
            outcome = outcome.and(self.set(request).await);
        }
        outcome
    }

    async fn bulk_delete(&self, requests: Vec<DeleteRequest>, _: Parallelism) -> Result<()> {
        if self.fault == Fault::BulkStopsAtTheFirstError {
            for request in requests {
                self.delete(request).await?;
            }
            return Ok(());
        }
        let mut outcome = Ok(());
        for request in requests {
            outcome = outcome.and(self.delete(request).await);
        }
        outcome
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn QueryableStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for FaultyStore {
    async fn transact(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<()> {
        let mut prepared = Vec::new();
        for operation in operations {
            let mut operation = match operation {
                Operation::Set(request) => Operation::Set(self.set_request(request).await?),
                Operation::Delete(request) => {
                    Operation::Delete(self.delete_request(request).await?)
                }
                other => other,
            };
            if self.fault == Fault::AcceptsStaleEtagsInTransactions {
                match &mut operation {
                    Operation::Set(request) => request.etag = None,
                    Operation::Delete(request) => request.etag = None,
                    _ => {}
                }
            }
            prepared.push(operation);
        }
        match self.fault {
            Fault::TransactionReverses => prepared.reverse(),
            Fault::TransactionNeedsOne if prepared.is_empty() => {
                return Err(Error::invalid_request("nothing to do"));
            }
            Fault::FullTransactionsFail if prepared.len() >= 20 => {
                return Err(Error::invalid_request("too much to do"));
            }
            Fault::TransactionLosesEtags => {
                for operation in &prepared {
                    if let Operation::Set(SetRequest { etag: Some(_), .. }) = operation {
                        return Err(Error::unsupported("an etag"));
                    }
                }
            }
            Fault::DeleteMissingFails => {
                for operation in &prepared {
                    if let Operation::Delete(request) = operation
                        && self.current(&request.key).await?.is_none()
                    {
                        return Err(Error::new(ErrorKind::NotFound, "no such key"));
                    }
                }
            }
            Fault::DeleteForgets => {
                prepared.retain(|operation| !matches!(operation, Operation::Delete(_)));
            }
            Fault::TransactionIsNoTransaction => {
                for operation in prepared {
                    match operation {
                        Operation::Set(request) => self.inner.set(request).await?,
                        Operation::Delete(request) => self.inner.delete(request).await?,
                        _ => {}
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        let transactional = self.inner.transactional().unwrap();
        transactional.transact(prepared, metadata).await
    }
}

#[async_trait]
impl QueryableStateStore for FaultyStore {
    async fn query(&self, mut query: Query) -> Result<QueryPage> {
        match self.fault {
            Fault::QueryIgnoresFilter => query.filter = None,
            Fault::QueryIgnoresLimit => query.page.limit = None,
            Fault::QueryIgnoresSort => query.sort.clear(),
            Fault::QueryIgnoresToken => query.page.token = None,
            _ => {}
        }
        let mut page = self.inner.queryable().unwrap().query(query).await?;
        if self.fault == Fault::QueryLosesEtags {
            for item in &mut page.items {
                item.etag = None;
            }
        }
        Ok(page)
    }
}

fn etag_of(value: &Bytes) -> Etag {
    Etag::new(format!("{value:?}"))
}
