mod values;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    Aliases, ByteSize, Decoded, GoDuration, Redacted, Rules, Shared, Ttl, decode, parse_go_duration,
};
use crate::{ErrorKind, Metadata};

const BOTH: [Rules; 2] = [Rules::Strict, Rules::Lenient];

fn map(entries: &[(&str, &str)]) -> HashMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn decoded<S: DeserializeOwned>(
    entries: &[(&str, &str)],
    rules: Rules,
    aliases: Aliases,
) -> Result<Decoded<S>, String> {
    decode(&map(entries), rules, aliases).map_err(|error| {
        assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
        error.to_string()
    })
}

/// The value of one field `k`.
fn one<T: DeserializeOwned>(text: &str, rules: Rules) -> Result<T, String> {
    #[derive(Deserialize)]
    struct One<T> {
        k: T,
    }

    decoded::<One<T>>(&[("k", text)], rules, &[]).map(|decoded| decoded.settings.k)
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Plain {
    host_name: String,
    port: Option<u16>,
    #[serde(default)]
    read_only: bool,
}

#[test]
fn keys_match_whatever_their_case() {
    for rules in BOTH {
        let entries = [
            ("HOSTNAME", "a"),
            ("Port", "1"),
            ("other", "x"),
            ("Another", "y"),
        ];
        let Decoded { settings, unknown } = decoded::<Plain>(&entries, rules, &[]).unwrap();
        assert_eq!(
            settings,
            Plain {
                host_name: "a".to_owned(),
                port: Some(1),
                read_only: false
            }
        );
        assert_eq!(unknown, ["Another", "other"]);
    }
}

#[test]
fn keys_that_differ_in_case_only() {
    let entries = [("hostName", "exact"), ("HOSTNAME", "other")];
    let strict = decoded::<Plain>(&entries, Rules::Strict, &[]).unwrap();
    assert_eq!(strict.settings.host_name, "exact");
    assert_eq!(strict.unknown, ["HOSTNAME"]);
    assert_eq!(
        decoded::<Plain>(&entries, Rules::Lenient, &[]).unwrap_err(),
        r#"key "hostname" is duplicate in the metadata"#
    );
}

#[test]
fn missing_and_empty_keys() {
    for rules in BOTH {
        assert_eq!(
            decoded::<Plain>(&[], rules, &[]).unwrap_err(),
            r#"missing key "hostName""#
        );
        let settings = decoded::<Plain>(&[("hostName", "")], rules, &[])
            .unwrap()
            .settings;
        assert_eq!(
            settings,
            Plain {
                host_name: String::new(),
                port: None,
                read_only: false
            }
        );
    }
    let entries = [("hostName", ""), ("port", "")];
    assert_eq!(
        decoded::<Plain>(&entries, Rules::Lenient, &[])
            .unwrap()
            .settings
            .port,
        Some(0)
    );
    decoded::<Plain>(&entries, Rules::Strict, &[]).unwrap_err();
}

#[test]
fn aliases_stand_in_for_absent_keys() {
    const ALIASES: Aliases = &[("hostName", &["url", "address"]), ("port", &["url"])];
    let host = |entries: &[(&str, &str)]| {
        decoded::<Plain>(entries, Rules::Lenient, ALIASES)
            .map(|decoded| (decoded.settings.host_name, decoded.unknown))
    };
    assert_eq!(host(&[("ADDRESS", "a")]), Ok(("a".to_owned(), vec![])));
    assert_eq!(
        host(&[("address", "a"), ("port", "1"), ("Url", "u")]),
        Ok(("u".to_owned(), vec!["address".to_owned()]))
    );
    assert_eq!(
        host(&[("url", "u"), ("port", "1"), ("hostname", "h")]),
        Ok(("h".to_owned(), vec!["url".to_owned()]))
    );
    assert_eq!(
        host(&[("address", "a"), ("Url", "70000")]).unwrap_err(),
        r#"invalid value "70000" for key "port" (given as "Url"): expected an integer from 0 to 65535"#
    );
    assert_eq!(
        decoded::<Plain>(&[("url", "u")], Rules::Strict, ALIASES).unwrap_err(),
        r#"missing key "hostName""#
    );
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Tls {
    ca: Option<String>,
    #[serde(default)]
    verify: bool,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Connection {
    host: String,
    tls: Shared<Tls>,
    timeout: Option<Duration>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Store {
    before: u8,
    connection: Shared<Connection>,
    timeout: Duration,
    wrapped: Option<Shared<Tls>>,
    after: Option<bool>,
}

#[test]
fn shared_parts_come_from_the_same_map() {
    let entries = [
        ("host", "h"),
        ("verify", "true"),
        ("timeout", "5s"),
        ("before", "3"),
        ("color", "red"),
    ];
    for rules in BOTH {
        let Decoded { settings, unknown } = decoded::<Store>(&entries, rules, &[]).unwrap();
        let tls = || {
            Shared::new(Tls {
                ca: None,
                verify: true,
            })
        };
        let timeout = Duration::from_secs(5);
        let connection = Shared::new(Connection {
            host: "h".to_owned(),
            tls: tls(),
            timeout: Some(timeout),
        });
        assert_eq!(
            settings,
            Store {
                before: 3,
                connection,
                timeout,
                wrapped: Some(tls()),
                after: None
            }
        );
        assert_eq!(unknown, ["color"]);
    }
}

#[test]
fn a_key_with_the_name_of_a_shared_part_is_nobodys() {
    let entries = [("host", "h"), ("connection", "x")];
    let decoded = decoded::<Store>(&entries, Rules::Strict, &[]).unwrap();
    assert_eq!(decoded.settings.connection.host, "h");
    assert_eq!(decoded.unknown, ["connection"]);
}

#[test]
fn errors_of_shared_parts_name_the_key() {
    assert_eq!(
        decoded::<Store>(&[], Rules::Strict, &[]).unwrap_err(),
        r#"missing key "host""#
    );
    assert_eq!(
        decoded::<Store>(&[("host", "h"), ("verify", "si")], Rules::Strict, &[]).unwrap_err(),
        r#"invalid value "si" for key "verify": expected true or false"#
    );
}

#[test]
fn a_nested_struct_must_be_shared() {
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "never decoded")]
        tls: Tls,
    }

    let error = decoded::<Outer>(&[("tls", "x")], Rules::Strict, &[]).unwrap_err();
    assert_eq!(
        error,
        r#"the settings type has a field "tls" of type Tls, which must stand in settings::Shared"#
    );
}

#[test]
fn flatten_is_refused() {
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        #[expect(dead_code, reason = "never decoded")]
        tls: Tls,
    }

    let error = decoded::<Outer>(&[("verify", "true")], Rules::Strict, &[]).unwrap_err();
    assert!(
        error.starts_with("the settings type Outer uses serde(flatten)"),
        "{error}"
    );
}

#[test]
fn settings_without_fields_and_maps() {
    for rules in BOTH {
        let entries = [("b", "2"), ("a", "1")];
        assert_eq!(
            decoded::<()>(&entries, rules, &[]).unwrap().unknown,
            ["a", "b"]
        );
        let all = decoded::<BTreeMap<String, u8>>(&entries, rules, &[]).unwrap();
        assert_eq!(
            all.settings,
            BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)])
        );
        assert!(all.unknown.is_empty());
    }
    let both = [("a", "1"), ("A", "2")];
    let all = decoded::<HashMap<String, String>>(&both, Rules::Strict, &[]).unwrap();
    assert_eq!(all.settings.len(), 2);
}

#[test]
fn secrets_never_show() {
    #[derive(Debug, Deserialize)]
    struct Login {
        password: Redacted<String>,
        token: Option<Redacted<u64>>,
        #[serde(default)]
        codes: Vec<Redacted<std::net::IpAddr>>,
    }

    let good = decoded::<Login>(
        &[("password", "hunter2"), ("token", "77")],
        Rules::Strict,
        &[],
    )
    .unwrap();
    assert_eq!(
        format!("{:?}", good.settings),
        "Login { password: ***, token: Some(***), codes: [] }"
    );
    assert_eq!(good.settings.password.expose(), "hunter2");
    assert_eq!(good.settings.token.map(Redacted::into_inner), Some(77));
    assert!(good.settings.codes.is_empty());

    for rules in BOTH {
        let entries = [("password", "p"), ("token", "hunter2")];
        assert_eq!(
            decoded::<Login>(&entries, rules, &[]).unwrap_err(),
            r#"invalid value (redacted) for key "token": expected an integer from 0 to 18446744073709551615"#
        );
        let entries = [("password", "p"), ("codes", "10.0.0.1,hunter2")];
        assert_eq!(
            decoded::<Login>(&entries, rules, &[]).unwrap_err(),
            r#"invalid value (redacted) for key "codes""#
        );
    }
}

#[test]
fn long_values_are_shortened() {
    let long = "é".repeat(1_000);
    let error = one::<u8>(&long, Rules::Strict).unwrap_err();
    assert!(
        error.contains(&format!("\"{}…\"", "é".repeat(64))),
        "{error}"
    );
    assert!(error.chars().count() < 160, "{error}");
}

#[derive(Debug, Deserialize)]
struct Everything {
    #[expect(dead_code, reason = "only decoded")]
    text: Option<String>,
    #[expect(dead_code, reason = "only decoded")]
    flag: Option<bool>,
    #[expect(dead_code, reason = "only decoded")]
    number: Option<i32>,
    #[expect(dead_code, reason = "only decoded")]
    float: Option<f64>,
    #[expect(dead_code, reason = "only decoded")]
    duration: Option<Duration>,
    #[expect(dead_code, reason = "only decoded")]
    signed: Option<GoDuration>,
    #[expect(dead_code, reason = "only decoded")]
    size: Option<ByteSize>,
    #[expect(dead_code, reason = "only decoded")]
    list: Option<Vec<Duration>>,
    #[expect(dead_code, reason = "only decoded")]
    ip: Option<std::net::IpAddr>,
}

const KEYS: [&str; 9] = [
    "text", "flag", "number", "float", "duration", "signed", "size", "list", "ip",
];

fn rules() -> impl Strategy<Value = Rules> {
    prop_oneof![Just(Rules::Strict), Just(Rules::Lenient)]
}

/// Texts that come near to what is accepted.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[-+]?[0-9_.xXeEobns\u{b5}mhkKMi ,]{0,40}"]
}

proptest! {
    #[test]
    fn no_text_panics(rules in rules(), key in prop::sample::select(KEYS.to_vec()), text in text()) {
        let entries = map(&[(key, &text)]);
        if let Err(error) = decode::<Everything>(&entries, rules, &[]) {
            prop_assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
            let key = format!("{key:?}");
            prop_assert!(error.to_string().contains(&key));
        }
        let _ = parse_go_duration(&text);
        let _ = Ttl::from_metadata(&Metadata::from([(Ttl::KEY, text)]));
    }

    #[test]
    fn durations_survive_their_text(nanos in any::<i64>(), rules in rules()) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(parse_go_duration(&duration.to_string()).unwrap(), duration);
        prop_assert_eq!(one::<GoDuration>(&duration.to_string(), rules).unwrap(), duration);
    }

    #[test]
    fn integers_survive_their_text(signed in any::<i64>(), unsigned in any::<u64>(), rules in rules()) {
        prop_assert_eq!(one::<i64>(&signed.to_string(), rules).unwrap(), signed);
        prop_assert_eq!(one::<u64>(&unsigned.to_string(), rules).unwrap(), unsigned);
        prop_assert_eq!(one::<u64>(&format!("{unsigned:#x}"), Rules::Lenient).unwrap(), unsigned);
        prop_assert_eq!(one::<ByteSize>(&unsigned.to_string(), rules).unwrap(), ByteSize::new(unsigned));
    }

    #[test]
    fn unknown_keys_are_those_no_field_took(
        rules in rules(),
        taken in prop::collection::btree_set(prop::sample::select(vec!["hostName", "port", "readOnly"]), 0..=3),
        others in prop::collection::btree_set("[a-g]{1,4}", 0..6),
    ) {
        let mut entries: Vec<(&str, &str)> = taken.iter().map(|key| (*key, "1")).collect();
        entries.push(("hostName", "1"));
        entries.extend(others.iter().map(|key| (key.as_str(), "1")));
        let decoded = decoded::<Plain>(&entries, rules, &[]).unwrap();
        prop_assert_eq!(decoded.unknown, others.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(decoded.settings.port.is_some(), taken.contains("port"));
    }
}
