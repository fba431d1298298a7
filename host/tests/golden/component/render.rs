//! Requests as the recordings show them: members that have no value are left out, `options` is always there.

use dapr_pluggable::Metadata;
use dapr_pluggable::state::{
    Concurrency, Consistency, DeleteRequest, Etag, GetRequest, Operation, Order, Parallelism,
    Query, SetRequest,
};
use serde_json::{Map, Value, json};

pub(super) fn get(request: &GetRequest) -> Value {
    let mut shown = Map::new();
    put_text(&mut shown, "key", &request.key);
    put_metadata(&mut shown, &request.metadata);
    put_text(&mut shown, "consistency", consistency(request.consistency));
    Value::Object(shown)
}

pub(super) fn bulk_get(requests: &[GetRequest], parallelism: Parallelism) -> Value {
    let items: Vec<Value> = requests.iter().map(get).collect();
    let options = match parallelism.raw() {
        0 => json!({}),
        raw => json!({ "parallelism": raw }),
    };
    json!({ "items": items, "options": options })
}

pub(super) fn set(request: &SetRequest) -> Value {
    let mut shown = Map::new();
    put_text(&mut shown, "key", &request.key);
    let value = String::from_utf8(request.value.to_vec()).unwrap();
    put_text(&mut shown, "value", &value);
    put_metadata(&mut shown, &request.metadata);
    put_etag(&mut shown, request.etag.as_ref());
    let options = options(request.concurrency, request.consistency);
    shown.insert("options".to_owned(), options);
    let content_type = request.content_type.as_deref().unwrap_or_default();
    put_text(&mut shown, "content_type", content_type);
    Value::Object(shown)
}

pub(super) fn bulk_set(requests: &[SetRequest]) -> Value {
    let items: Vec<Value> = requests.iter().map(set).collect();
    json!({ "items": items, "options": {} })
}

pub(super) fn delete(request: &DeleteRequest) -> Value {
    let mut shown = Map::new();
    put_text(&mut shown, "key", &request.key);
    put_metadata(&mut shown, &request.metadata);
    put_etag(&mut shown, request.etag.as_ref());
    let options = options(request.concurrency, request.consistency);
    shown.insert("options".to_owned(), options);
    Value::Object(shown)
}

pub(super) fn transact(operations: &[Operation], metadata: &Metadata) -> Value {
    let operations: Vec<Value> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Set(request) => json!({ "set": set(request) }),
            Operation::Delete(request) => json!({ "delete": delete(request) }),
            other => panic!("no such operation: {other:?}"),
        })
        .collect();
    let mut shown = Map::new();
    shown.insert("operations".to_owned(), json!(operations));
    put_metadata(&mut shown, metadata);
    Value::Object(shown)
}

pub(super) fn query(query: &Query) -> Value {
    let mut inner = Map::new();
    if let Some(filter) = &query.filter {
        let (operator, argument) = filter.to_operator();
        let filter = json!({ operator: { "value": argument.to_string() } });
        inner.insert("filter".to_owned(), filter);
    }
    if !query.sort.is_empty() {
        let keys: Vec<Value> = query
            .sort
            .iter()
            .map(|sort| match sort.order {
                Order::Descending => json!({ "key": sort.path, "order": "DESC" }),
                _ => json!({ "key": sort.path }),
            })
            .collect();
        inner.insert("sort".to_owned(), json!(keys));
    }
    let mut page = Map::new();
    if let Some(limit) = query.page.limit {
        page.insert("limit".to_owned(), json!(limit.get()));
    }
    put_text(
        &mut page,
        "token",
        query.page.token.as_deref().unwrap_or_default(),
    );
    inner.insert("pagination".to_owned(), Value::Object(page));
    let mut shown = Map::new();
    shown.insert("query".to_owned(), Value::Object(inner));
    put_metadata(&mut shown, &query.metadata);
    Value::Object(shown)
}

fn put_text(shown: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        shown.insert(name.to_owned(), json!(text));
    }
}

fn put_metadata(shown: &mut Map<String, Value>, metadata: &Metadata) {
    if !metadata.is_empty() {
        shown.insert("metadata".to_owned(), json!(metadata.as_map()));
    }
}

fn put_etag(shown: &mut Map<String, Value>, etag: Option<&Etag>) {
    let shown_etag = match etag.map(Etag::as_str) {
        None => return,
        Some("") => json!({}),
        Some(text) => json!({ "value": text }),
    };
    shown.insert("etag".to_owned(), shown_etag);
}

fn options(with: Concurrency, of: Consistency) -> Value {
    let mut shown = Map::new();
    put_text(&mut shown, "concurrency", concurrency(with));
    put_text(&mut shown, "consistency", consistency(of));
    Value::Object(shown)
}

fn concurrency(concurrency: Concurrency) -> &'static str {
    match concurrency {
        Concurrency::FirstWrite => "CONCURRENCY_FIRST_WRITE",
        Concurrency::LastWrite => "CONCURRENCY_LAST_WRITE",
        _ => "",
    }
}

fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Eventual => "CONSISTENCY_EVENTUAL",
        Consistency::Strong => "CONSISTENCY_STRONG",
        _ => "",
    }
}
