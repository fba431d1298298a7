//! Queries over the values that are JSON, in SQL. Values that are not are never found.
//!
//! Nothing of a request is ever part of a statement's text: paths and values are parameters.

mod clause;
mod token;

use dapr_pluggable::state::{Etag, Order, Query, QueryItem, QueryPage, Sort};
use dapr_pluggable::{Bytes, Result};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use self::clause::Clause;
use self::token::{Mark, Position};
use super::schema::{LIVE, Tables};
use super::value::{self, json_of_base64};
use crate::error::Fault;

/// The function that statements use beside SQLite's own.
pub(super) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function(
        "json_of_base64",
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |context| {
            let text = context.get_raw(0);
            Ok(json_of_base64(text.as_bytes().unwrap_or_default()))
        },
    )
}

/// A query as a statement with its parameters.
#[derive(Debug)]
pub(super) struct Search {
    sql: String,
    parameters: Vec<Value>,
    sorts: usize,
    limit: usize,
}

impl Search {
    /// Translates a query.
    ///
    /// The page token is the sort values and the key of the last row of the page before, so a row is neither skipped nor
    /// repeated when others come or go between two pages.
    pub(super) fn new(query: &Query, tables: &Tables) -> Result<Self> {
        let mut clause = Clause::default();
        if let Some(filter) = &query.filter {
            clause.filter(filter)?;
        }
        let (columns, order) = sort(&query.sort, &mut clause);
        let token = query.page.token.as_deref();
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            clause.after(&query.sort, Position::read(token, query.sort.len())?);
        }
        let limit = query.page.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit.get()).unwrap_or(usize::MAX)
        });
        let Clause { sql, parameters } = clause;
        // The inner selects give one row at a time, with its JSON decoded and checked once: LIMIT keeps SQLite from
        // merging them with the outer one, which would do both again for each condition.
        let sql = format!(
            "SELECT key, value, is_binary, etag{columns} FROM ( \
               SELECT key, value, is_binary, etag, CASE WHEN json_valid(text) THEN text END AS doc FROM ( \
                 SELECT key, value, is_binary, etag, \
                   CASE WHEN is_binary THEN json_of_base64(value) ELSE value END AS text \
                 FROM {} WHERE {LIVE} LIMIT -1) LIMIT -1) \
             WHERE doc IS NOT NULL{sql} ORDER BY {order}key",
            tables.state
        );
        Ok(Self {
            sql,
            parameters,
            sorts: query.sort.len(),
            limit,
        })
    }

    /// Runs it.
    pub(super) fn run(&self, connection: &Connection) -> Result<QueryPage, Fault> {
        // Not cached: two queries are rarely alike, and what is cached are the statements of every call.
        let mut statement = connection.prepare(&self.sql)?;
        let mut rows = statement.query(params_from_iter(&self.parameters))?;
        let mut items = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next()? {
            if items.len() == self.limit {
                // There is one more than the page takes.
                return Ok(QueryPage::new(items, last));
            }
            items.push(item(row)?);
            if items.len() == self.limit {
                last = Some(self.position(row)?.write()?);
            }
        }
        Ok(QueryPage::new(items, None))
    }

    fn position(&self, row: &Row<'_>) -> Result<Position, Fault> {
        let values = (0..self.sorts)
            .map(|sort| {
                let column = FIRST_SORT + 2 * sort;
                Ok((
                    row.get(column)?,
                    Mark::from(row.get::<_, Value>(column + 1)?),
                ))
            })
            .collect::<rusqlite::Result<_>>()?;
        Ok(Position {
            values,
            key: row.get(0)?,
        })
    }
}

/// The column of the first sort key's rank; its value comes next, then the other sort keys.
const FIRST_SORT: usize = 4;

fn item(row: &Row<'_>) -> Result<QueryItem, Fault> {
    let key: String = row.get(0)?;
    let is_binary: bool = row.get(2)?;
    let column = row.get_ref(1)?.as_bytes().unwrap_or_default();
    let etag = Etag::new(row.get::<_, String>(3)?);
    Ok(match value::restore(&key, column, is_binary) {
        Ok(value) => QueryItem::new(key, value, Some(etag)),
        Err(error) => {
            let mut item = QueryItem::new(key, Bytes::new(), Some(etag));
            item.error = Some(error.to_string());
            item
        }
    })
}

/// The columns of a sort order and what follows ORDER BY. Values of two kinds are in the order of their kinds: missing,
/// null, boolean, number, text, everything else; then come the values, then the key.
fn sort(sorts: &[Sort], clause: &mut Clause) -> (String, String) {
    let (mut columns, mut order) = (String::new(), String::new());
    for (index, sort) in sorts.iter().enumerate() {
        let path = clause.path(&sort.path);
        let direction = match sort.order {
            Order::Descending => " DESC",
            _ => "",
        };
        columns.push_str(&format!(
            ", CASE json_type(doc, {path}) WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 2 \
             WHEN 'integer' THEN 3 WHEN 'real' THEN 3 WHEN 'text' THEN 4 WHEN 'array' THEN 5 WHEN 'object' THEN 5 \
             ELSE 0 END AS rank{index}, json_extract(doc, {path}) AS value{index}"
        ));
        order.push_str(&format!(
            "rank{index}{direction}, value{index}{direction}, "
        ));
    }
    (columns, order)
}
