//! Queries over the values that are JSON. Values that are not are never found.

use std::cmp::Ordering;

use dapr_pluggable::state::{Filter, Order, Query, QueryItem, QueryPage, Sort};
use dapr_pluggable::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::member::Member;
use super::table::Row;

/// A query that was found to be in order.
#[derive(Debug)]
pub(super) struct Search {
    condition: Condition,
    sort: Vec<Sort>,
    /// The last row of the page before. As it names a row, not a number of rows, none is skipped or repeated when others
    /// come or go between two pages.
    after: Option<Position>,
    limit: usize,
}

/// The place of a row in a result: its sort keys, and its key.
#[derive(Debug, Serialize, Deserialize)]
struct Position(Vec<Member>, String);

/// A filter with its values ready to be compared.
#[derive(Debug)]
enum Condition {
    /// The member at the path is of the value's kind and compares to it in one of these ways.
    Compares(String, &'static [Ordering], Member),
    /// The member at the path is there and is not the value.
    Differs(String, Member),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Search {
    pub(super) fn new(query: Query) -> Result<Self> {
        let token = query
            .page
            .token
            .as_deref()
            .filter(|token| !token.is_empty());
        Ok(Self {
            condition: match &query.filter {
                Some(filter) => Condition::new(filter)?,
                None => Condition::All(Vec::new()),
            },
            after: token
                .map(|token| Position::read(token, query.sort.len()))
                .transpose()?,
            sort: query.sort,
            limit: query.page.limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit.get()).unwrap_or(usize::MAX)
            }),
        })
    }

    pub(super) fn run(&self, rows: Vec<(String, Row)>) -> Result<QueryPage> {
        let mut found: Vec<(Position, Row)> = rows
            .into_iter()
            .filter_map(|(key, row)| Some((self.position(key, &row)?, row)))
            .filter(|(position, _)| {
                let after = self.after.as_ref();
                after.is_none_or(|after| self.compare(position, after).is_gt())
            })
            .collect();
        found.sort_by(|(one, _), (other, _)| self.compare(one, other));
        let is_last = found.len() <= self.limit;
        found.truncate(self.limit);
        let token = match found.last() {
            Some((position, _)) if !is_last => Some(position.write()?),
            _ => None,
        };
        let items = found.into_iter().map(|(Position(_, key), row)| {
            QueryItem::new(key, row.value.clone(), Some(row.etag()))
        });
        Ok(QueryPage::new(items.collect(), token))
    }

    /// The place of a row in the result, if it is in it.
    fn position(&self, key: String, row: &Row) -> Option<Position> {
        let document: Value = serde_json::from_slice(&row.value).ok()?;
        self.condition.holds(&document).then(|| {
            let members = self.sort.iter();
            let members = members.map(|sort| Member::at(&sort.path, &document));
            Position(members.collect(), key)
        })
    }

    fn compare(&self, one: &Position, other: &Position) -> Ordering {
        let keys = self.sort.iter().zip(one.0.iter().zip(&other.0));
        keys.map(|(sort, (one, other))| match sort.order {
            Order::Descending => other.cmp(one),
            _ => one.cmp(other),
        })
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| one.1.cmp(&other.1))
    }
}

impl Position {
    /// Reads the token of a page of a query with so many sort keys.
    fn read(token: &str, sorts: usize) -> Result<Self> {
        serde_json::from_str(token)
            .ok()
            .filter(|Self(members, _)| members.len() == sorts)
            .ok_or_else(|| {
                Error::invalid_request(format!(
                    "invalid page token {token:?}: expected the token of a page of the same query"
                ))
            })
    }

    /// The token.
    fn write(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal("cannot write a page token").with_source(error))
    }
}

impl Condition {
    fn new(filter: &Filter) -> Result<Self> {
        use Ordering::{Equal, Greater, Less};

        let group = |filters: &[Filter]| filters.iter().map(Self::new).collect::<Result<Vec<_>>>();
        match filter {
            Filter::Equal(path, value) => Self::compares(path, &[Equal], value),
            Filter::NotEqual(path, value) => Ok(Self::Differs(path.clone(), member(value)?)),
            // Nothing is less or more than null.
            Filter::Greater(_, Value::Null)
            | Filter::GreaterOrEqual(_, Value::Null)
            | Filter::Less(_, Value::Null)
            | Filter::LessOrEqual(_, Value::Null) => Ok(Self::Any(Vec::new())),
            Filter::Greater(path, value) => Self::compares(path, &[Greater], value),
            Filter::GreaterOrEqual(path, value) => Self::compares(path, &[Greater, Equal], value),
            Filter::Less(path, value) => Self::compares(path, &[Less], value),
            Filter::LessOrEqual(path, value) => Self::compares(path, &[Less, Equal], value),
            Filter::In(path, values) => {
                let equals = values
                    .iter()
                    .map(|value| Self::compares(path, &[Equal], value));
                equals.collect::<Result<_>>().map(Self::Any)
            }
            Filter::And(filters) => group(filters).map(Self::All),
            Filter::Or(filters) => group(filters).map(Self::Any),
            other => Err(Error::unsupported(format!("a filter such as {other:?}"))),
        }
    }

    fn compares(path: &str, ways: &'static [Ordering], value: &Value) -> Result<Self> {
        Ok(Self::Compares(path.to_owned(), ways, member(value)?))
    }

    fn holds(&self, document: &Value) -> bool {
        match self {
            Self::Compares(path, ways, value) => Member::at(path, document)
                .compare(value)
                .is_some_and(|way| ways.contains(&way)),
            Self::Differs(path, value) => {
                let member = Member::at(path, document);
                member != Member::Missing && member != *value
            }
            Self::All(conditions) => conditions.iter().all(|part| part.holds(document)),
            Self::Any(conditions) => conditions.iter().any(|part| part.holds(document)),
        }
    }
}

/// The value of a filter, which must be one that has an order.
fn member(value: &Value) -> Result<Member> {
    match Member::of(value) {
        Member::Other(_) => Err(Error::invalid_request(format!(
            "a filter compares with a string, number, boolean or null, not with {value}"
        ))),
        member => Ok(member),
    }
}
