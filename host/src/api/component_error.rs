//! What an application reads of a component's error. A component in this process shows what the same component would
//! show over its socket.

use dapr_pluggable::{Error, ErrorKind, RuntimeFault};
use http::StatusCode;

/// The error as Dapr writes it: `rpc error: code = Unavailable desc = …`.
pub(super) fn text(error: &Error) -> String {
    let (code, message) = match error.wire() {
        Some(status) => (status.code, status.message.as_str()),
        None => (error.kind().grpc_code(), error.message()),
    };
    let origin = match error.kind() {
        ErrorKind::Runtime(_) => "api",
        _ => "rpc",
    };
    format!(
        "{origin} error: code = {} desc = {message}",
        code_name(code)
    )
}

/// The error as the component said it, without code.
pub(super) fn bare_text(error: &Error) -> &str {
    match error.wire() {
        Some(status) => &status.message,
        None => error.message(),
    }
}

/// The fault that a component told the runtime to show, with its HTTP status.
pub(super) fn runtime_fault(error: &Error) -> Option<(StatusCode, &RuntimeFault)> {
    let ErrorKind::Runtime(fault) = error.kind() else {
        return None;
    };
    let status = StatusCode::from_u16(fault.http_code)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some((status, fault))
}

/// The HTTP status of an error that has no meaning of its own for the call.
pub(super) fn status(error: &Error) -> StatusCode {
    runtime_fault(error).map_or(StatusCode::INTERNAL_SERVER_ERROR, |(status, _)| status)
}

/// The status and the text of a failed write: only there etags have a meaning.
pub(super) fn write(error: &Error) -> (StatusCode, String) {
    // The text of an etag error is the reason given with it, not the message of the status.
    let reason = error.message();
    match error.kind() {
        ErrorKind::EtagMismatch => (
            StatusCode::CONFLICT,
            format!("possible etag mismatch. error from state store: {reason}"),
        ),
        ErrorKind::EtagInvalid => (
            StatusCode::BAD_REQUEST,
            format!("invalid etag value: {reason}"),
        ),
        _ => (status(error), text(error)),
    }
}

/// The name of a gRPC code as Go writes it.
fn code_name(code: u32) -> String {
    let name = match code {
        0 => "OK",
        1 => "Canceled",
        2 => "Unknown",
        3 => "InvalidArgument",
        4 => "DeadlineExceeded",
        5 => "NotFound",
        6 => "AlreadyExists",
        7 => "PermissionDenied",
        8 => "ResourceExhausted",
        9 => "FailedPrecondition",
        10 => "Aborted",
        11 => "OutOfRange",
        12 => "Unimplemented",
        13 => "Internal",
        14 => "Unavailable",
        15 => "DataLoss",
        16 => "Unauthenticated",
        other => return format!("Code({other})"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use dapr_pluggable::WireStatus;

    use super::*;

    #[test]
    fn errors_read_the_same_from_a_wire_and_from_this_process() {
        for (kind, code) in [
            (ErrorKind::Unavailable, 14),
            (ErrorKind::InvalidRequest, 3),
            (ErrorKind::EtagMismatch, 9),
            (ErrorKind::Runtime(RuntimeFault::new(8, 418, "ERR_TAG")), 8),
        ] {
            let here = Error::new(kind.clone(), "down for now");
            let there = Error::new(kind.clone(), "down for now").with_wire(WireStatus::new(
                code,
                "down for now",
                Vec::new(),
            ));
            assert_eq!(text(&here), text(&there), "{kind:?}");
            assert_eq!(write(&here), write(&there), "{kind:?}");
            assert_eq!(bare_text(&here), bare_text(&there), "{kind:?}");
        }
    }

    #[test]
    fn a_fault_with_an_impossible_status_is_an_internal_error() {
        for (given, shown) in [(418, 418), (200, 500), (0, 500), (999, 500)] {
            let kind = ErrorKind::Runtime(RuntimeFault::new(13, given, "ERR_TAG"));
            assert_eq!(status(&Error::new(kind, "x")).as_u16(), shown);
        }
    }
}
