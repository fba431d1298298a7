//! The errors of the state API, with their details in Dapr's order.

use dapr_pluggable::Error;
use http::StatusCode;

use super::super::component_error;
use super::super::failure::{Detail, Failure, Link, Violation};

const STATE: &str = "state";
/// What is said of a write without value.
const NO_VALUE: &str = "an attempt to set a nil value was received, try to use Delete instead";

const NOT_CONFIGURED: &str = "ERR_STATE_STORE_NOT_CONFIGURED";
const NOT_SUPPORTED: &str = "ERR_STATE_STORE_NOT_SUPPORTED";
const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// There is no state store at all.
pub(super) fn not_configured(store: &str, app_id: Option<&str>) -> Failure {
    let message = format!("state store {store} is not configured");
    let detail = no_store("DAPR_STATE_NOT_CONFIGURED", app_id);
    Failure::new(INTERNAL, NOT_CONFIGURED, message).with_details([detail])
}

/// The store has a resource file, but is not open yet.
pub(super) fn waiting(store: &str, reason: &str, app_id: Option<&str>) -> Failure {
    let message = format!("state store {store} is not configured: {reason}");
    let detail = no_store("DAPR_STATE_NOT_CONFIGURED", app_id);
    Failure::new(INTERNAL, NOT_CONFIGURED, message).with_details([detail])
}

/// There are state stores, but none of that name.
pub(super) fn not_found(store: &str, app_id: Option<&str>) -> Failure {
    let message = format!("state store {store} is not found");
    let detail = no_store("DAPR_STATE_NOT_FOUND", app_id);
    Failure::new(
        StatusCode::BAD_REQUEST,
        "ERR_STATE_STORE_NOT_FOUND",
        message,
    )
    .with_details([detail])
}

fn no_store(reason: &'static str, app_id: Option<&str>) -> Detail {
    match app_id {
        Some(app_id) => Detail::reason_with(reason, [("appID", app_id.to_owned())]),
        None => Detail::reason(reason),
    }
}

/// The key contains what separates prefix and key. In a transaction Dapr names no field.
pub(super) fn illegal_key(store: &str, field: Option<&str>, reason: &str) -> Failure {
    let message = format!("api error: code = InvalidArgument desc = {reason}");
    let violation = Violation {
        field: field.map(str::to_owned),
        description: message.clone(),
    };
    Failure::malformed(message).with_details([
        Detail::BadRequest {
            field_violations: vec![violation],
        },
        Detail::resource(STATE, store),
        Detail::reason("DAPR_STATE_ILLEGAL_KEY"),
    ])
}

/// A get failed.
pub(super) fn get(store: &str, key: &str, error: &Error) -> Failure {
    let text = component_error::text(error);
    let message = format!("fail to get {key} from state store {store}: {text}");
    Failure::new(component_error::status(error), "ERR_STATE_GET", message)
}

/// A bulk get failed as a whole.
pub(super) fn bulk_get(error: &Error) -> Failure {
    let status = component_error::status(error);
    Failure::new(status, "ERR_STATE_BULK_GET", component_error::text(error))
}

/// A save failed.
pub(super) fn save(store: &str, error: &Error) -> Failure {
    let (status, text) = component_error::write(error);
    saving(status, store, &text)
}

/// A save has no value.
pub(super) fn save_nothing(store: &str) -> Failure {
    saving(INTERNAL, store, NO_VALUE)
}

fn saving(status: StatusCode, store: &str, text: &str) -> Failure {
    let message = format!("failed saving state in state store {store}: {text}");
    Failure::new(status, "ERR_STATE_SAVE", message)
}

/// A delete failed.
pub(super) fn delete(key: &str, error: &Error) -> Failure {
    let (status, text) = component_error::write(error);
    let message = format!("failed deleting state with key {key}: {text}");
    Failure::new(status, "ERR_STATE_DELETE", message)
}

/// A transaction failed. Dapr shows every error of one alike, etags and faults included.
pub(super) fn transaction(error: &Error) -> Failure {
    transacting(&component_error::text(error))
}

/// A write of a transaction has no value.
pub(super) fn transact_nothing() -> Failure {
    transacting(NO_VALUE)
}

fn transacting(text: &str) -> Failure {
    let message = format!("error while executing state transaction: {text}");
    Failure::new(INTERNAL, "ERR_STATE_TRANSACTION", message)
}

/// The store has no transactions.
pub(super) fn no_transactions(store: &str) -> Failure {
    let message = format!("state store {store} doesn't support transactions");
    let help = Detail::Help {
        links: vec![Link {
            description: "Check the list of state stores and the features they support",
            url: "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
        }],
    };
    Failure::new(INTERNAL, NOT_SUPPORTED, message).with_details([
        help,
        Detail::resource(STATE, store),
        Detail::reason("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED"),
    ])
}

/// A transaction is larger than the store allows.
pub(super) fn too_many_operations(store: &str, count: usize, limit: u32) -> Failure {
    let message = format!(
        "the transaction contains {count} operations, which is more than what the state store supports: {limit}"
    );
    let info = Detail::reason_with(
        "DAPR_STATE_TOO_MANY_TRANSACTIONS",
        [
            ("currentOpsTransaction", count.to_string()),
            ("maxOpsPerTransaction", limit.to_string()),
        ],
    );
    let code = "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS";
    Failure::new(StatusCode::BAD_REQUEST, code, message)
        .with_details([Detail::resource(STATE, store), info])
}

/// A transaction has an operation that there is not.
pub(super) fn unknown_operation(operation: &str) -> Failure {
    let message = format!("operation type {operation} not supported");
    let code = "ERR_NOT_SUPPORTED_STATE_OPERATION";
    Failure::new(StatusCode::BAD_REQUEST, code, message)
}

/// The store has no queries.
pub(super) fn no_queries(store: &str) -> Failure {
    let message = "state store does not support querying";
    Failure::new(INTERNAL, NOT_SUPPORTED, message).with_details([
        Detail::resource(STATE, store),
        Detail::reason("DAPR_STATE_QUERYING_NOT_SUPPORTED"),
    ])
}

/// A query cannot be read.
pub(super) fn bad_query(store: &str, reason: &str) -> Failure {
    querying(store, &format!("failed to parse JSON query body: {reason}"))
}

/// A query failed. Here a fault is shown with its own code.
pub(super) fn query(store: &str, error: &Error) -> Failure {
    let Some((status, fault)) = component_error::runtime_fault(error) else {
        return querying(store, &component_error::text(error));
    };
    let info = Detail::ErrorInfo {
        domain: fault.domain.clone().into(),
        metadata: None,
        reason: fault.reason.clone().into(),
    };
    Failure::new(status, fault.tag.clone(), component_error::bare_text(error)).with_details([info])
}

fn querying(store: &str, text: &str) -> Failure {
    let message = format!("state store {store} query failed: {text}");
    Failure::new(INTERNAL, "ERR_STATE_QUERY", message).with_details([
        Detail::resource(STATE, store),
        Detail::reason("DAPR_STATE_QUERY_FAILED"),
    ])
}
