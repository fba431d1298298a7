use std::fmt::Debug;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{BOTH, one};
use crate::settings::{ByteSize, GoDuration, Rules, Ttl, format_go_duration, parse_go_duration};
use crate::{ErrorKind, Metadata};

#[track_caller]
fn accepts<T: DeserializeOwned + PartialEq + Debug>(rules: Rules, table: &[(&str, T)]) {
    for (text, value) in table {
        let found = one::<T>(text, rules);
        assert_eq!(found.as_ref(), Ok(value), "{text:?} under {rules:?}");
    }
}

#[track_caller]
fn refuses<T: DeserializeOwned + Debug>(rules: Rules, expected: &str, texts: &[&str]) {
    for text in texts {
        let error = one::<T>(text, rules).expect_err(text);
        let wanted = format!("invalid value {text:?} for key \"k\": expected {expected}");
        assert_eq!(error, wanted, "{rules:?}");
    }
}

#[test]
fn booleans() {
    accepts(
        Rules::Strict,
        &[
            ("1", true),
            ("t", true),
            ("T", true),
            ("TRUE", true),
            ("true", true),
            ("True", true),
            ("0", false),
            ("f", false),
            ("F", false),
            ("FALSE", false),
            ("false", false),
            ("False", false),
        ],
    );
    let others = ["", "yes", "on", "tRUE", " true", "2"];
    refuses::<bool>(Rules::Strict, "true or false", &others);
    accepts(
        Rules::Lenient,
        &[
            ("y", true),
            ("YES", true),
            (" True\t", true),
            ("t", true),
            ("oN", true),
            ("1", true),
            ("", false),
            ("no", false),
            ("2", false),
            ("enabled", false),
        ],
    );
}

#[test]
fn strict_integers_are_decimal() {
    accepts::<i16>(
        Rules::Strict,
        &[("0", 0), ("-32768", i16::MIN), ("+7", 7), ("007", 7)],
    );
    accepts::<u64>(Rules::Strict, &[("18446744073709551615", u64::MAX)]);
    refuses::<u16>(
        Rules::Strict,
        "an integer from 0 to 65535",
        &["", "-1", "+1", "65536", "0x10", "1_000", " 1", "1.0", "ten"],
    );
    refuses::<i8>(
        Rules::Strict,
        "an integer from -128 to 127",
        &[
            "128",
            "-129",
            "-",
            "+",
            "--1",
            "99999999999999999999999999999999999999999999",
        ],
    );
}

#[test]
fn lenient_integers_are_go_literals() {
    accepts::<i64>(
        Rules::Lenient,
        &[
            ("", 0),
            ("0", 0),
            ("-0", 0),
            ("0x10", 16),
            ("-0X1f", -31),
            ("0b101", 5),
            ("0o17", 15),
            ("010", 8),
            ("1_000", 1000),
            ("0x_ff", 255),
            ("0_7", 7),
            ("+5", 5),
            ("-9223372036854775808", i64::MIN),
        ],
    );
    accepts::<u8>(Rules::Lenient, &[("", 0), ("0xff", 255)]);
    refuses::<u8>(
        Rules::Lenient,
        "an integer from 0 to 255",
        &[
            "-1", "+1", "256", "0x", "08", "1__0", "_1", "1_", "0xg", "0b2", "0x-1", " 1", "a",
        ],
    );
}

#[test]
fn every_width_has_its_own_range() {
    for rules in BOTH {
        refuses::<i8>(rules, "an integer from -128 to 127", &["200"]);
        refuses::<i16>(rules, "an integer from -32768 to 32767", &["x"]);
        refuses::<i32>(rules, "an integer from -2147483648 to 2147483647", &["x"]);
        let range = "an integer from -9223372036854775808 to 9223372036854775807";
        refuses::<i64>(rules, range, &["9223372036854775808"]);
        refuses::<u8>(rules, "an integer from 0 to 255", &["x"]);
        refuses::<u32>(rules, "an integer from 0 to 4294967295", &["4294967296"]);
        let range = "an integer from 0 to 18446744073709551615";
        refuses::<u64>(rules, range, &["18446744073709551616"]);
        refuses::<NonZeroU16>(rules, "a nonzero u16", &["0"]);
    }
}

#[test]
fn floats_are_finite() {
    for rules in BOTH {
        accepts::<f64>(
            rules,
            &[("1.5", 1.5), ("-2", -2.0), ("1e3", 1000.0), (".5", 0.5)],
        );
        accepts::<f32>(rules, &[("0.25", 0.25)]);
        let bad = ["x", "NaN", "inf", "1e400", " 1"];
        refuses::<f64>(rules, "a number such as 2 or 0.5", &bad);
        refuses::<f32>(rules, "a number such as 2 or 0.5", &["1e39"]);
    }
    accepts::<f64>(Rules::Lenient, &[("", 0.0)]);
    refuses::<f64>(Rules::Strict, "a number such as 2 or 0.5", &[""]);
}

#[test]
fn bare_numbers_are_milliseconds_or_seconds() {
    let ms = Duration::from_millis;
    accepts(
        Rules::Strict,
        &[
            ("5", ms(5)),
            ("0", ms(0)),
            ("5s", ms(5000)),
            ("1h", ms(3_600_000)),
            ("+3", ms(3)),
        ],
    );
    accepts(
        Rules::Lenient,
        &[
            ("5", ms(5000)),
            ("", ms(0)),
            ("250ms", ms(250)),
            ("1m30s", ms(90_000)),
        ],
    );
    accepts(Rules::Strict, &[("-1", GoDuration::from_nanos(-1_000_000))]);
    accepts(
        Rules::Lenient,
        &[
            ("-1", GoDuration::from_nanos(-1_000_000_000)),
            ("", GoDuration::default()),
        ],
    );
    let bad = ["abc", "5 s", "1d", " 5s", "5S"];
    let form = "a duration such as 5s or 250ms, or a whole number of milliseconds";
    refuses::<Duration>(Rules::Strict, form, &bad);
    refuses::<GoDuration>(Rules::Strict, form, &[""]);
    let form = "a duration such as 5s or 250ms, or a whole number of seconds";
    refuses::<Duration>(Rules::Lenient, form, &bad);
    for rules in BOTH {
        refuses::<Duration>(rules, "a duration that is not negative", &["-1", "-5ms"]);
        let most = "a duration of at most 2562047h47m16s";
        refuses::<Duration>(
            rules,
            most,
            &["9223372036854775807", "3000000h", "-3000000h"],
        );
    }
}

#[test]
fn go_durations() {
    let table: &[(&str, i64)] = &[
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("-1m", -60_000_000_000),
        ("+1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("1h15m30.918s", 4_530_918_000_000),
        ("100us", 100_000),
        ("100µs", 100_000),
        ("100μs", 100_000),
        ("1ns", 1),
        ("0.3333333333333333333h", 1_199_999_999_999),
        ("0.9ns", 0),
        ("1s1s", 2_000_000_000),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("2562047h47m16.854775807s", i64::MAX),
    ];
    for (text, nanos) in table {
        let found = parse_go_duration(text).map(GoDuration::as_nanos);
        assert_eq!(found.ok(), Some(*nanos), "{text}");
    }
    for text in [
        "", "-", "+", ".s", "5", "1d", "s", "1s ", "1h-1m", "..5s", "1.2.3s", "--1s", "1 s", "µs",
        "٣s",
    ] {
        let error = parse_go_duration(text).expect_err(text).to_string();
        let wanted = format!("invalid duration {text:?}: expected a duration such as 5s or 250ms");
        assert_eq!(error, wanted);
    }
    for text in [
        "9223372036854775808ns",
        "99999999999999999999s",
        "2562048h",
        "-2562048h",
        "1h9223372036854775807ns",
    ] {
        let error = parse_go_duration(text).expect_err(text).to_string();
        assert!(error.contains("at most"), "{error}");
    }
}

#[test]
fn durations_are_written_as_go_writes_them() {
    let table: &[(u64, &str)] = &[
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_000_000_000, "3s"),
        (60_000_000_000, "1m0s"),
        (3_600_000_000_000, "1h0m0s"),
        (4_530_918_000_000, "1h15m30.918s"),
        (9_223_372_036_854_775_807, "2562047h47m16.854775807s"),
    ];
    for (nanos, text) in table {
        assert_eq!(format_go_duration(Duration::from_nanos(*nanos)), *text);
    }
    assert_eq!(GoDuration::from_nanos(-1_500_000).to_string(), "-1.5ms");
    assert_eq!(
        GoDuration::from_nanos(i64::MIN).to_string(),
        "-2562047h47m16.854775808s"
    );
    assert_eq!(GoDuration::from_nanos(0).positive(), None);
    assert_eq!(
        GoDuration::from_nanos(0).non_negative(),
        Some(Duration::ZERO)
    );
    assert_eq!(GoDuration::from_nanos(-1).non_negative(), None);
}

#[test]
fn lists_are_split_at_commas() {
    for rules in BOTH {
        accepts::<Vec<String>>(
            rules,
            &[
                ("a", vec!["a".to_owned()]),
                (
                    "a, b,",
                    vec!["a".to_owned(), " b".to_owned(), String::new()],
                ),
                ("", vec![String::new()]),
            ],
        );
        accepts::<Vec<u16>>(rules, &[("1, 2,3", vec![1, 2, 3])]);
        accepts(
            rules,
            &[(
                "1s, 2s",
                vec![Duration::from_secs(1), Duration::from_secs(2)],
            )],
        );
        refuses::<Vec<u8>>(rules, "an integer from 0 to 255", &["1,256"]);
        accepts(rules, &[("a,1", ("a".to_owned(), 1_u8))]);
        refuses::<(u8, u8)>(rules, "a tuple of size 2", &["1"]);
    }
}

#[test]
fn byte_sizes() {
    for rules in BOTH {
        accepts(
            rules,
            &[
                ("512", ByteSize::new(512)),
                ("0", ByteSize::new(0)),
                ("+1k", ByteSize::new(1_000)),
                ("1Ki", ByteSize::new(1_024)),
                ("100Mi", ByteSize::new(100 << 20)),
                ("1.5Gi", ByteSize::new(3 << 29)),
                (".5k", ByteSize::new(500)),
                ("5.", ByteSize::new(5)),
                ("5000m", ByteSize::new(5)),
                ("1e6", ByteSize::new(1_000_000)),
                ("1E3", ByteSize::new(1_000)),
                ("12E", ByteSize::new(12_000_000_000_000_000_000)),
                ("100e-2", ByteSize::new(1)),
                ("0e99999", ByteSize::new(0)),
                ("18446744073709551615", ByteSize::new(u64::MAX)),
                (
                    "1.000000000000000000000000000000000000000",
                    ByteSize::new(1),
                ),
            ],
        );
        refuses::<ByteSize>(
            rules,
            "a size in bytes such as 512, 10k or 100Mi",
            &[
                "",
                "-1",
                "1.5",
                "1m",
                "16Ei",
                "18446744073709551616",
                "1K",
                "1ki",
                "1MB",
                "Mi",
                ".",
                "1.2.3",
                "1e",
                "1e99999",
                " 1",
                "1e99999999999",
            ],
        );
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Order {
    #[serde(alias = "oldest-first")]
    OldestFirst,
    Newest,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Only {
    #[serde(rename = "one")]
    One,
}

#[test]
fn enums_list_their_spellings() {
    for rules in BOTH {
        accepts(
            rules,
            &[
                ("newest", Order::Newest),
                ("oldest-first", Order::OldestFirst),
            ],
        );
        let spellings = "one of oldest-first, oldestFirst, newest";
        refuses::<Order>(rules, spellings, &["Newest", "", "latest"]);
        refuses::<Only>(rules, "one", &["two"]);
    }
}

#[test]
fn types_may_parse_themselves() {
    let address = "127.0.0.1".parse().unwrap();
    accepts::<std::net::IpAddr>(Rules::Strict, &[("127.0.0.1", address)]);
    accepts(Rules::Strict, &[("x", 'x')]);
    accepts(Rules::Strict, &[(" a,b ", " a,b ".to_owned())]);
    assert_eq!(
        one::<std::net::IpAddr>("home", Rules::Strict).unwrap_err(),
        r#"invalid value "home" for key "k": invalid IP address syntax"#
    );
}

#[test]
fn ttl_rule_of_sql_stores() {
    let read = |text: &str| Ttl::from_metadata(&Metadata::from([(Ttl::KEY, text)]));
    for (text, ttl) in [
        ("", Ttl::Absent),
        ("-1", Ttl::Never),
        ("0", Ttl::Never),
        ("1", Ttl::Seconds(1)),
        ("+60", Ttl::Seconds(60)),
        ("2147483647", Ttl::Seconds(2_147_483_647)),
    ] {
        assert_eq!(read(text).unwrap(), ttl, "{text}");
    }
    for text in [
        "foo",
        "-2",
        "2147483648",
        "1.5",
        " 1",
        "0x10",
        "99999999999999999999",
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest);
        let start =
            "error parsing TTL: incorrect value for metadata 'ttlInSeconds': must be -1 or greater";
        assert!(
            error.message().starts_with(start) && error.message().contains(text),
            "{error}"
        );
    }
    let elsewhere = Metadata::from([("TTLINSECONDS", "60")]);
    assert_eq!(Ttl::from_metadata(&elsewhere).unwrap(), Ttl::Absent);
}
