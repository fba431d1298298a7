//! Queries over values that are JSON, through RediSearch.

mod answer;
mod filter;
mod index;

use dapr_pluggable::state::{Order, Query};
use dapr_pluggable::{Error, Result};
use redis::Cmd;

pub(super) use self::answer::page;
pub(super) use self::index::{Index, indexes};

/// A query as the server runs it.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) command: Cmd,
    /// Where its page begins; without a limit there are no pages.
    pub(super) offset: Option<u64>,
}

impl Search {
    /// Translates a query.
    ///
    /// # Errors
    /// `InvalidRequest` for what names no index, or a path that the index does not have, and for what RediSearch cannot do.
    pub(super) fn new(query: &Query, indexes: &[Index]) -> Result<Self> {
        let index = index(query, indexes)?;
        let filter = match &query.filter {
            Some(filter) => filter::translate(filter, index)?,
            None => "*".to_owned(),
        };
        let mut command = redis::cmd("FT.SEARCH");
        command.arg(index.name()).arg(filter);
        match query.sort.as_slice() {
            [] => {}
            [sort] => {
                command.arg("SORTBY").arg(index.alias(&sort.path)?);
                if sort.order == Order::Descending {
                    command.arg("DESC");
                }
            }
            _ => {
                return Err(Error::invalid_request(
                    "multiple SORTBY steps are not allowed: sort by one key",
                ));
            }
        }
        let offset = match query.page.limit {
            None => None,
            Some(limit) => {
                let offset = offset(query.page.token.as_deref())?;
                command.arg("LIMIT").arg(offset).arg(limit.get());
                Some(offset)
            }
        };
        command.arg("RETURN").arg(2).arg("$.data").arg("$.version");
        Ok(Self { command, offset })
    }
}

fn index<'a>(query: &Query, indexes: &'a [Index]) -> Result<&'a Index> {
    let Some(name) = query.metadata.get("queryIndexName") else {
        return Err(Error::invalid_request(
            "query index not found: metadata queryIndexName names one of queryIndexes",
        ));
    };
    let index = indexes.iter().find(|index| index.name() == name);
    index.ok_or_else(|| Error::invalid_request(format!("query index schema {name:?} not found")))
}

fn offset(token: Option<&str>) -> Result<u64> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    token.parse().map_err(|_| {
        Error::invalid_request(format!(
            "page token {token:?}: expected the token of a page before"
        ))
    })
}

#[cfg(test)]
mod tests;
