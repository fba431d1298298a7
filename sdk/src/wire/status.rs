//! Errors as statuses, and back.
//!
//! An error of ours carries at most one detail; where the runtime reads one (etags, bulk deletes, kit errors), exactly one:
//! with two it would see a plain error. A status that came off a wire is repeated with the details that it had.

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::error::{Error, ErrorKind, RuntimeFault, WireDetail, WireStatus};

/// How many bytes of an error's text travel: it is a header, and peers limit those.
const MOST_TEXT: usize = 2048;

const ETAG_FIELD: &str = "etag";
const KIT_ERROR: &str = "kit_error";
const HTTP_CODE: &str = "http_code";
const TAG: &str = "tag";
const EXPECTED: &str = "expected";
const AFFECTED: &str = "affected";

/// The status that says an error.
pub(crate) fn from_error(error: &Error) -> Status {
    if let Some(wire) = error.wire() {
        return repeat(wire);
    }
    let message = shorten(error.message());
    let detail = match error.kind() {
        ErrorKind::EtagMismatch | ErrorKind::EtagInvalid => Some(pack(&bad_etag(message))),
        ErrorKind::BulkDeleteMismatch { expected, affected } => {
            Some(pack(&row_mismatch(*expected, *affected)))
        }
        ErrorKind::Runtime(fault) => Some(pack(&kit_error(fault))),
        _ => None,
    };
    let code = code(error.kind().grpc_code());
    status(code, message, detail.into_iter().collect())
}

/// The error that a status says. One that was received keeps its status; one that our own end made, when the connection
/// failed, has none to keep. The text of an etag error is the reason given in its detail, as the runtime shows it.
pub(crate) fn to_error(status: Status) -> Error {
    if std::error::Error::source(&status).is_some() {
        return local(status);
    }
    let status = too_large(&status).unwrap_or(status);
    let details: Vec<Any> = pb::Status::decode(status.details())
        .map(|decoded| decoded.details)
        .unwrap_or_default();
    let kind = kind(status.code(), &details);
    let reason = match kind {
        ErrorKind::EtagMismatch | ErrorKind::EtagInvalid => violation(&details),
        _ => None,
    };
    let reason = reason.map(|violation| violation.description);
    let message = match (&reason, status.message()) {
        (Some(reason), _) if !reason.is_empty() => reason,
        (_, "") => status.code().description(),
        (_, message) => message,
    };
    let details = details.into_iter().map(|detail| WireDetail {
        type_url: detail.type_url,
        value: detail.value.into(),
    });
    Error::new(kind, message).with_wire(WireStatus {
        code: number(status.code()),
        message: status.message().to_owned(),
        details: details.collect(),
    })
}

/// What a message over the limit is to gRPC's other implementations, and so to those whom we call and who call us:
/// RESOURCE_EXHAUSTED. To tonic it is OUT_OF_RANGE. `None` for a status that says something else.
pub(crate) fn too_large(status: &Status) -> Option<Status> {
    let sizes = "Error, decoded message length too large: found ";
    let sizes = status.message().strip_prefix(sizes)?;
    let (found, limit) = sizes.split_once(" bytes, the limit is: ")?;
    let limit = limit.strip_suffix(" bytes")?;
    let text = format!("a message has {found} bytes: at most {limit} are taken");
    (status.code() == Code::OutOfRange).then(|| Status::resource_exhausted(text))
}

/// As [`to_error`], for an Init: what is wrong with it are the settings.
pub(crate) fn to_init_error(status: Status) -> Error {
    let error = to_error(status);
    match (error.kind(), error.wire()) {
        (ErrorKind::InvalidRequest, Some(wire)) => {
            let wire = wire.clone();
            Error::invalid_settings(error.message()).with_wire(wire)
        }
        _ => error,
    }
}

fn repeat(wire: &WireStatus) -> Status {
    let details = wire.details.iter().map(|detail| Any {
        type_url: detail.type_url.clone(),
        value: detail.value.to_vec(),
    });
    status(code(wire.code), &wire.message, details.collect())
}

fn status(code: Code, message: &str, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let encoded = pb::Status {
        code: code.into(),
        message: message.to_owned(),
        details,
    };
    Status::with_details(code, message, encoded.encode_to_vec().into())
}

/// A code that an error can have: anything else, 0 for success among them, is unknown.
fn code(number: u32) -> Code {
    match i32::try_from(number).map(Code::from_i32) {
        Ok(Code::Ok) | Err(_) => Code::Unknown,
        Ok(code) => code,
    }
}

fn number(code: Code) -> u32 {
    u32::try_from(i32::from(code)).unwrap_or_default()
}

fn local(status: Status) -> Error {
    let kind = match status.code() {
        // What the transport could not name: a connection that broke.
        Code::Unknown => ErrorKind::Unavailable,
        code => plain(code),
    };
    Error::new(kind, status.message()).with_source(status)
}

fn kind(code: Code, details: &[Any]) -> ErrorKind {
    let [detail] = details else {
        return plain(code);
    };
    if let Some(info) = unpack::<pb::ErrorInfo>(detail) {
        return fault(code, &info)
            .map(ErrorKind::Runtime)
            .or_else(|| mismatch(code, &info))
            .unwrap_or_else(|| plain(code));
    }
    match (violation(details), code) {
        (Some(violation), Code::FailedPrecondition) if violation.field == ETAG_FIELD => {
            ErrorKind::EtagMismatch
        }
        (Some(violation), Code::InvalidArgument) if violation.field == ETAG_FIELD => {
            ErrorKind::EtagInvalid
        }
        _ => plain(code),
    }
}

/// The one violation of the one detail.
fn violation(details: &[Any]) -> Option<pb::bad_request::FieldViolation> {
    let [detail] = details else {
        return None;
    };
    let violations = unpack::<pb::BadRequest>(detail)?.field_violations;
    match <[_; 1]>::try_from(violations) {
        Ok([violation]) => Some(violation),
        Err(_) => None,
    }
}

/// What a code alone says.
fn plain(code: Code) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidRequest,
        Code::FailedPrecondition => ErrorKind::NotOpened,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::TimedOut,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Ok
        | Code::Unknown
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => ErrorKind::Internal,
    }
}

fn fault(code: Code, info: &pb::ErrorInfo) -> Option<RuntimeFault> {
    if info.metadata.get(KIT_ERROR).map(String::as_str) != Some("true") {
        return None;
    }
    let http_code = info.metadata.get(HTTP_CODE)?.parse().ok()?;
    Some(RuntimeFault {
        grpc_code: number(code),
        http_code,
        tag: info.metadata.get(TAG).cloned().unwrap_or_default(),
        reason: info.reason.clone(),
        domain: info.domain.clone(),
    })
}

fn mismatch(code: Code, info: &pb::ErrorInfo) -> Option<ErrorKind> {
    if code != Code::Internal {
        return None;
    }
    let number = |key| info.metadata.get(key)?.parse().ok();
    Some(ErrorKind::BulkDeleteMismatch {
        expected: number(EXPECTED)?,
        affected: number(AFFECTED)?,
    })
}

fn bad_etag(description: &str) -> pb::BadRequest {
    pb::BadRequest {
        field_violations: vec![pb::bad_request::FieldViolation {
            field: ETAG_FIELD.to_owned(),
            description: description.to_owned(),
            ..Default::default()
        }],
    }
}

fn row_mismatch(expected: u64, affected: u64) -> pb::ErrorInfo {
    pb::ErrorInfo {
        reason: "BULK_DELETE_ROW_MISMATCH".to_owned(),
        domain: "dapr.io".to_owned(),
        metadata: [
            (EXPECTED.to_owned(), expected.to_string()),
            (AFFECTED.to_owned(), affected.to_string()),
        ]
        .into(),
    }
}

fn kit_error(fault: &RuntimeFault) -> pb::ErrorInfo {
    pb::ErrorInfo {
        reason: fault.reason.clone(),
        domain: fault.domain.clone(),
        metadata: [
            (KIT_ERROR.to_owned(), "true".to_owned()),
            (HTTP_CODE.to_owned(), fault.http_code.to_string()),
            (TAG.to_owned(), fault.tag.clone()),
        ]
        .into(),
    }
}

fn pack<M: Detail>(message: &M) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{}", M::NAME),
        value: message.encode_to_vec(),
    }
}

fn unpack<M: Detail>(detail: &Any) -> Option<M> {
    let (_, name) = detail.type_url.rsplit_once('/')?;
    (name == M::NAME).then(|| M::decode(&*detail.value).ok())?
}

/// As much of a text as fits, up to the end of a character.
fn shorten(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST_TEXT))
        .unwrap_or(text)
}

/// A message that can be a detail.
trait Detail: prost::Message + Default {
    /// Its full name.
    const NAME: &'static str;
}

impl Detail for pb::BadRequest {
    const NAME: &'static str = "google.rpc.BadRequest";
}

impl Detail for pb::ErrorInfo {
    const NAME: &'static str = "google.rpc.ErrorInfo";
}

#[cfg(test)]
mod tests;
