//! The statuses with which the component fails, by the word that asks for them.
//!
//! They are given with all their details, as a component in another language sends them: a component on this SDK could
//! not make most of them.

use dapr_pluggable::{Error, Result, WireDetail, WireStatus};

const FAILED_PRECONDITION: u32 = 9;
const INVALID_ARGUMENT: u32 = 3;
const INTERNAL: u32 = 13;
const UNKNOWN: u32 = 2;

/// The word, the code, the message.
const STATUSES: &[(&str, u32, &str)] = &[
    ("err-etag-mismatch", FAILED_PRECONDITION, "etag differs"),
    ("err-etag-invalid", INVALID_ARGUMENT, "etag malformed"),
    ("err-etag-wrongfield", FAILED_PRECONDITION, "other field"),
    (
        "err-precondition",
        FAILED_PRECONDITION,
        "precondition plain",
    ),
    ("err-invalid", INVALID_ARGUMENT, "invalid plain"),
    ("err-kit-nocode", INTERNAL, "kit without code"),
    ("err-kit-badcode", INTERNAL, "kit bad code"),
    ("err-kit", 8, "kit failure"),
    ("err-two-details", FAILED_PRECONDITION, "two details"),
    ("err-rows", INTERNAL, "rows differ"),
    ("err-unimplemented", 12, "not here"),
    ("err-unavailable", 14, "down for now"),
    ("err-notfound", 5, "nothing there"),
    ("err-deadline", 4, "too slow"),
    ("err-cancelled", 1, "cancelled by component"),
    ("err-permission", 7, "no permission"),
    ("err-plain", INTERNAL, "plain failure"),
    ("err-unknown", UNKNOWN, "unknown failure"),
    ("err-empty", INTERNAL, ""),
    (
        "err-panic",
        UNKNOWN,
        "Exception calling application: component raised",
    ),
];

/// Fails when the text contains one of the words; the longest counts.
pub(super) fn trigger(text: &str) -> Result<()> {
    let words = STATUSES.iter().map(|(word, ..)| *word);
    match words
        .filter(|word| text.contains(word))
        .max_by_key(|word| word.len())
    {
        Some(word) => Err(error(word)),
        None => Ok(()),
    }
}

/// The error of a word.
pub(super) fn error(word: &str) -> Error {
    let (_, code, message) = STATUSES.iter().find(|(other, ..)| *other == word).unwrap();
    with_details(*code, message, details(word))
}

pub(super) fn bad_ttl(text: &str) -> Error {
    let message = format!("ttlInSeconds is not a number: {text}");
    with_details(INVALID_ARGUMENT, &message, Vec::new())
}

fn with_details(code: u32, message: &str, details: Vec<WireDetail>) -> Error {
    Error::internal(message).with_wire(WireStatus::new(code, message, details))
}

fn details(word: &str) -> Vec<WireDetail> {
    const KIT: [(&str, &str); 2] = [("kit_error", "true"), ("tag", "ERR_KIT_TAG")];
    match word {
        "err-etag-mismatch" => vec![violation("etag", "etag differs (detail)")],
        "err-etag-invalid" => vec![violation("etag", "etag malformed (detail)")],
        "err-etag-wrongfield" => vec![violation("key", "bad etag")],
        "err-kit-nocode" => vec![info("GOLDEN", &KIT)],
        "err-kit-badcode" => vec![info(
            "GOLDEN",
            &[&KIT[..], &[("http_code", "abc")]].concat(),
        )],
        "err-kit" => {
            let metadata = [&KIT[..], &[("http_code", "418"), ("extra", "x")]].concat();
            vec![info("KIT_REASON", &metadata)]
        }
        "err-two-details" => vec![
            violation("etag", "bad etag"),
            info("GOLDEN", &[&KIT[..], &[("http_code", "418")]].concat()),
        ],
        "err-rows" => vec![info("GOLDEN", &[("expected", "3"), ("affected", "1")])],
        _ => Vec::new(),
    }
}

fn violation(of: &str, description: &str) -> WireDetail {
    let violation = [field(1, of.as_bytes()), field(2, description.as_bytes())].concat();
    let value = field(1, &violation).into();
    WireDetail::new("type.googleapis.com/google.rpc.BadRequest", value)
}

fn info(reason: &str, metadata: &[(&str, &str)]) -> WireDetail {
    let mut value = [field(1, reason.as_bytes()), field(2, b"golden.example")].concat();
    for (name, text) in metadata {
        let entry = [field(1, name.as_bytes()), field(2, text.as_bytes())].concat();
        value.extend(field(3, &entry));
    }
    WireDetail::new("type.googleapis.com/google.rpc.ErrorInfo", value.into())
}

/// A field of a protobuf message that is a text or a message. All are short here.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128, "one byte has no room for {length}");
    let mut bytes = vec![number << 3 | 2, length];
    bytes.extend_from_slice(content);
    bytes
}

/// The name of the code of an error, as the recordings have it.
pub(super) fn code_name(error: &Error) -> &'static str {
    match error.wire().unwrap().code {
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        other => panic!("no such code: {other}"),
    }
}
