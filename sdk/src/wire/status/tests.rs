use proptest::prelude::*;

use super::*;

fn details(status: &Status) -> Vec<Any> {
    if status.details().is_empty() {
        return Vec::new();
    }
    let decoded = pb::Status::decode(status.details()).unwrap();
    assert_eq!(decoded.code, i32::from(status.code()));
    assert_eq!(decoded.message, status.message());
    decoded.details
}

fn kinds() -> impl Strategy<Value = ErrorKind> {
    let fault = (
        1..=16u32,
        100..600u16,
        "[A-Z_]{1,12}",
        "[A-Z_]{1,12}",
        "[a-z.]{1,12}",
    )
        .prop_map(|(grpc_code, http_code, tag, reason, domain)| {
            ErrorKind::Runtime(RuntimeFault {
                grpc_code,
                http_code,
                tag,
                reason,
                domain,
            })
        });
    let mismatch = (any_number(), any_number())
        .prop_map(|(expected, affected)| ErrorKind::BulkDeleteMismatch { expected, affected });
    prop_oneof![
        Just(ErrorKind::NotFound),
        Just(ErrorKind::InvalidRequest),
        Just(ErrorKind::EtagMismatch),
        Just(ErrorKind::EtagInvalid),
        mismatch,
        Just(ErrorKind::Unsupported),
        Just(ErrorKind::NotOpened),
        Just(ErrorKind::Denied),
        Just(ErrorKind::Throttled),
        Just(ErrorKind::Unavailable),
        Just(ErrorKind::TimedOut),
        Just(ErrorKind::Cancelled),
        fault,
        Just(ErrorKind::Internal),
    ]
}

fn any_number() -> impl Strategy<Value = u64> {
    proptest::num::u64::ANY
}

proptest! {
    #[test]
    fn every_kind_comes_back(kind in kinds(), message in "[a-zäöü\\PC]{1,40}") {
        let error = Error::new(kind, message);
        let status = from_error(&error);
        prop_assert!(details(&status).len() <= 1);
        let back = to_error(status);
        prop_assert_eq!(back.kind(), error.kind());
        prop_assert_eq!(back.message(), error.message());
    }

    #[test]
    fn a_status_is_repeated_as_it_came(
        code in 1..=16u32,
        message in ".{0,40}",
        parts in proptest::collection::vec(("[a-z./]{0,30}", proptest::collection::vec(proptest::num::u8::ANY, 0..40)), 0..4),
    ) {
        let parts = parts.into_iter().map(|(type_url, value)| WireDetail::new(type_url, value.into()));
        let wire = WireStatus::new(code, message, parts.collect());
        let error = Error::internal("what we made of it").with_wire(wire.clone()).context("reading");
        let back = to_error(from_error(&error));
        prop_assert_eq!(back.wire(), Some(&wire));
    }

    #[test]
    fn no_bytes_of_details_are_a_panic(code in 0..=16i32, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let status = Status::with_details(Code::from_i32(code), "odd", bytes.into());
        let error = to_error(status);
        prop_assert_eq!(error.message(), "odd");
    }
}

#[test]
fn etag_errors_have_the_one_detail_that_the_runtime_reads() {
    for (kind, code) in [
        (ErrorKind::EtagMismatch, Code::FailedPrecondition),
        (ErrorKind::EtagInvalid, Code::InvalidArgument),
    ] {
        let status = from_error(&Error::new(kind, "another write was first"));
        assert_eq!(status.code(), code);
        let [detail] = &details(&status)[..] else {
            panic!("expected one detail");
        };
        assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.BadRequest");
        let [violation] = &pb::BadRequest::decode(&*detail.value)
            .unwrap()
            .field_violations[..]
        else {
            panic!("expected one violation");
        };
        assert_eq!(violation.field, "etag");
        assert_eq!(violation.description, "another write was first");
    }
}

#[test]
fn the_text_of_an_etag_error_is_the_reason_in_its_detail() {
    for (reason, text) in [
        ("another write was first", "another write was first"),
        ("", "no"),
    ] {
        let detail = pack(&bad_etag(reason));
        let error = to_error(status(Code::FailedPrecondition, "no", vec![detail]));
        assert_eq!(error.kind(), &ErrorKind::EtagMismatch);
        assert_eq!(error.message(), text);
        assert_eq!(error.wire().unwrap().message, "no");
    }
}

#[test]
fn row_mismatches_and_kit_errors_have_an_error_info() {
    let info = |kind| {
        let status = from_error(&Error::new(kind, "no"));
        let [detail] = &details(&status)[..] else {
            panic!("expected one detail");
        };
        assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        (
            status.code(),
            pb::ErrorInfo::decode(&*detail.value).unwrap(),
        )
    };
    let (code, rows) = info(ErrorKind::BulkDeleteMismatch {
        expected: 3,
        affected: 1,
    });
    assert_eq!(code, Code::Internal);
    assert_eq!(rows.metadata.get("expected").unwrap(), "3");
    assert_eq!(rows.metadata.get("affected").unwrap(), "1");

    let mut fault = RuntimeFault::new(8, 429, "ERR_QUOTA");
    fault.reason = "DAPR_STATE_QUOTA".to_owned();
    let (code, kit) = info(ErrorKind::Runtime(fault));
    assert_eq!(code, Code::ResourceExhausted);
    assert_eq!(kit.reason, "DAPR_STATE_QUOTA");
    assert_eq!(kit.domain, "dapr.io");
    assert_eq!(kit.metadata.get("kit_error").unwrap(), "true");
    assert_eq!(kit.metadata.get("http_code").unwrap(), "429");
    assert_eq!(kit.metadata.get("tag").unwrap(), "ERR_QUOTA");
}

#[test]
fn other_kinds_have_no_detail() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::InvalidSettings,
        ErrorKind::Internal,
    ] {
        assert!(from_error(&Error::new(kind, "no")).details().is_empty());
    }
}

#[test]
fn two_details_or_two_violations_are_a_plain_error() {
    let one = pack(&bad_etag("no"));
    let two = status(Code::InvalidArgument, "no", vec![one.clone(), one]);
    assert_eq!(to_error(two).kind(), &ErrorKind::InvalidRequest);

    let mut bad = bad_etag("no");
    bad.field_violations.extend(bad.field_violations.clone());
    let violations = status(Code::FailedPrecondition, "no", vec![pack(&bad)]);
    assert_eq!(to_error(violations).kind(), &ErrorKind::NotOpened);

    let elsewhere = status(Code::Unavailable, "no", vec![pack(&bad_etag("no"))]);
    assert_eq!(to_error(elsewhere).kind(), &ErrorKind::Unavailable);
}

#[test]
fn a_code_that_is_no_error_is_unknown() {
    for odd in [0, 17, u32::MAX] {
        let wire = WireStatus::new(odd, "odd", Vec::new());
        let error = Error::internal("odd").with_wire(wire);
        assert_eq!(from_error(&error).code(), Code::Unknown);
        let fault = Error::new(ErrorKind::Runtime(RuntimeFault::new(odd, 500, "T")), "odd");
        assert_eq!(from_error(&fault).code(), Code::Unknown);
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let error = Error::internal("ä".repeat(MOST_TEXT));
    let status = from_error(&error);
    assert_eq!(status.message().len(), MOST_TEXT);
    assert!(error.message().starts_with(status.message()));
}

#[test]
fn a_broken_connection_leaves_no_status_to_repeat() {
    let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let error = to_error(Status::from_error(Box::new(broken)));
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    assert_eq!(error.wire(), None);
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_bad_init_is_about_the_settings() {
    let error = to_init_error(Status::invalid_argument("missing host"));
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert_eq!(error.wire().unwrap().code, 3);
    let error = to_init_error(Status::unavailable("no host"));
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
}

#[test]
fn a_message_over_the_limit_is_told_from_what_is_out_of_range() {
    let text = "Error, decoded message length too large: found 70 bytes, the limit is: 64 bytes";
    let error = to_error(Status::out_of_range(text));
    assert_eq!(error.kind(), &ErrorKind::Throttled);
    assert_eq!(error.wire().unwrap().code, 8);
    for size in ["70", "64"] {
        assert!(error.message().contains(size), "{error}");
    }
    for other in [Status::out_of_range("no such page"), Status::internal(text)] {
        let error = to_error(other.clone());
        assert_eq!(error.message(), other.message());
        assert_ne!(error.kind(), &ErrorKind::Throttled);
    }
}
