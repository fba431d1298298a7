//! Answers as they leave: status, header fields, body.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::debug;

use super::failure::Failure;

/// What the server sends.
pub(super) type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// What Dapr answers when there is no trace.
const NO_TRACE: HeaderValue =
    HeaderValue::from_static("00-00000000000000000000000000000000-0000000000000000-00");

/// 204.
pub(super) fn nothing() -> Answer {
    with_status(StatusCode::NO_CONTENT, Bytes::new(), None)
}

/// 200 with bytes that are taken for JSON.
pub(super) fn json_bytes(body: impl Into<Bytes>) -> Answer {
    with_status(StatusCode::OK, body.into(), Some(JSON))
}

/// 200 with a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| {
        let message = format!("failed encoding the answer: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "ERR_INTERNAL", message)
    })?;
    Ok(json_bytes(body))
}

/// An error with a text for people, outside Dapr's API.
pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    with_status(status, Bytes::from_static(body.as_bytes()), Some(TEXT))
}

/// An error of Dapr's API.
pub(super) fn failure(failure: &Failure) -> Answer {
    with_status(failure.status, failure.to_json().into(), Some(JSON))
}

fn with_status(status: StatusCode, body: Bytes, content_type: Option<HeaderValue>) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    if let Some(content_type) = content_type {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer
}

/// Puts an etag onto an answer. One that cannot stand in a header field is left out.
pub(super) fn set_etag(answer: &mut Answer, etag: &str) {
    match HeaderValue::from_str(etag) {
        Ok(value) => {
            answer.headers_mut().insert(ETAG, value);
        }
        Err(_) => debug!(etag, "the etag cannot stand in a header field"),
    }
}

/// Puts `metadata.<name>` onto an answer. A name or a value that cannot stand in a header field is left out.
pub(super) fn set_metadata(answer: &mut Answer, name: &str, value: &str) {
    let field = format!("metadata.{}", name.to_ascii_lowercase());
    let value = value.replace(['\r', '\n'], " ");
    match (
        HeaderName::try_from(field),
        HeaderValue::from_bytes(value.as_bytes()),
    ) {
        (Ok(field), Ok(value)) => {
            answer.headers_mut().insert(field, value);
        }
        _ => debug!(name, "the metadata cannot stand in a header field"),
    }
}

/// Repeats the trace of a request on its answer.
pub(super) fn set_trace(answer: &mut Answer, request: &Trace) {
    let headers = answer.headers_mut();
    headers.insert(TRACEPARENT, request.traceparent.clone().unwrap_or(NO_TRACE));
    if let (Some(_), Some(state)) = (&request.traceparent, &request.tracestate) {
        headers.insert(TRACESTATE, state.clone());
    }
    if let Some(baggage) = &request.baggage {
        headers.insert(BAGGAGE, baggage.clone());
    }
}

/// The trace of a request (W3C Trace Context).
#[derive(Clone, Debug)]
pub(super) struct Trace {
    traceparent: Option<HeaderValue>,
    tracestate: Option<HeaderValue>,
    baggage: Option<HeaderValue>,
}

impl Trace {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            traceparent: headers
                .get(TRACEPARENT)
                .filter(|value| is_traceparent(value.as_bytes()))
                .cloned(),
            tracestate: headers.get(TRACESTATE).cloned(),
            baggage: headers.get(BAGGAGE).cloned(),
        }
    }
}

/// `<version>-<trace id>-<parent id>-<flags>`, in lower-case hexadecimal digits, neither id all zeros.
fn is_traceparent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
    let hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    match parts.as_slice() {
        [version, trace, parent, flags] => {
            (version.len(), trace.len(), parent.len(), flags.len()) == (2, 32, 16, 2)
                && parts.iter().all(|part| hex(part))
                && *version != b"ff"
                && !zero(trace)
                && !zero(parent)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_is_checked() {
        for (value, good) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
                false,
            ),
            (
                "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                false,
            ),
            ("zz", false),
            ("", false),
        ] {
            assert_eq!(is_traceparent(value.as_bytes()), good, "{value}");
        }
    }

    #[test]
    fn metadata_that_cannot_stand_in_a_header_field_is_left_out() {
        let mut answer = nothing();
        set_metadata(&mut answer, "ttlExpireTime", "2030-01-01T00:00:00Z");
        set_metadata(&mut answer, "two lines", "x");
        set_metadata(&mut answer, "lines", "a\nb");
        set_metadata(&mut answer, "bell", "\u{7}");
        let headers = answer.headers();
        assert_eq!(headers["metadata.ttlexpiretime"], "2030-01-01T00:00:00Z");
        assert_eq!(headers["metadata.lines"], "a b");
        assert_eq!(headers.len(), 2);
        set_etag(&mut answer, "1\n");
        assert!(!answer.headers().contains_key(ETAG));
    }
}
