//! Queries over the values that are JSON.

use std::cmp::Ordering;

use dapr_pluggable::state::{Filter, Order, Query, QueryItem, QueryPage};
use serde_json::Value;

use super::{Row, Rows};

pub(super) fn run(rows: &Rows, query: &Query) -> QueryPage {
    let mut found: Vec<(&String, &Row, Value)> = rows
        .iter()
        .filter_map(|(key, row)| {
            let value: Value = serde_json::from_slice(&row.value).ok()?;
            let selected = query
                .filter
                .as_ref()
                .is_none_or(|filter| holds(filter, &value));
            selected.then_some((key, row, value))
        })
        .collect();
    for sort in query.sort.iter().rev() {
        found.sort_by(|(_, _, left), (_, _, right)| {
            let order = member(left, &sort.path)
                .to_string()
                .cmp(&member(right, &sort.path).to_string());
            match sort.order {
                Order::Descending => order.reverse(),
                _ => order,
            }
        });
    }
    let total = found.len();
    let start: usize = match &query.page.token {
        Some(token) => token.parse().unwrap(),
        None => 0,
    };
    let limit = query.page.limit.map_or(total, |limit| limit.get() as usize);
    let items = found.into_iter().skip(start).take(limit);
    let items = items
        .map(|(key, row, _)| QueryItem::new(key.clone(), row.value.clone(), Some(row.etag.into())));
    let end = start + limit;
    QueryPage::new(items.collect(), (end < total).then(|| end.to_string()))
}

fn member<'a>(value: &'a Value, path: &str) -> &'a Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    value.pointer(&pointer).unwrap_or(&Value::Null)
}

fn holds(filter: &Filter, value: &Value) -> bool {
    let compared = |path: &String, with: &Value, wanted: &[Ordering]| {
        let (Some(left), Some(right)) = (member(value, path).as_f64(), with.as_f64()) else {
            return false;
        };
        left.partial_cmp(&right)
            .is_some_and(|order| wanted.contains(&order))
    };
    match filter {
        Filter::Equal(path, with) => member(value, path) == with,
        Filter::NotEqual(path, with) => member(value, path) != with,
        Filter::Greater(path, with) => compared(path, with, &[Ordering::Greater]),
        Filter::GreaterOrEqual(path, with) => {
            compared(path, with, &[Ordering::Greater, Ordering::Equal])
        }
        Filter::Less(path, with) => compared(path, with, &[Ordering::Less]),
        Filter::LessOrEqual(path, with) => compared(path, with, &[Ordering::Less, Ordering::Equal]),
        Filter::In(path, among) => among.contains(member(value, path)),
        Filter::And(all) => all.iter().all(|filter| holds(filter, value)),
        Filter::Or(any) => any.iter().any(|filter| holds(filter, value)),
        other => panic!("no such filter: {other:?}"),
    }
}
