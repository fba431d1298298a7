use super::*;

fn arguments(command: &Cmd) -> Vec<String> {
    let packed = command.args_iter().map(|argument| match argument {
        redis::Arg::Simple(text) => String::from_utf8(text.to_vec()).unwrap(),
        _ => unreachable!(),
    });
    packed.collect()
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn raw(id: &str, fields: &[&str]) -> Value {
    let fields = fields.iter().map(|text| bulk(text)).collect();
    Value::Array(vec![bulk(id), Value::Array(fields)])
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text.as_bytes()).unwrap()
}

#[test]
fn metadata_is_written_as_go_does() {
    let metadata = Metadata::from([
        ("z", "1"),
        ("a", "<b>&\u{2028}\u{2029}"),
        ("Z", "\"\\/\n\r\t\u{8}\u{c}\u{1}\u{7f}é😀"),
    ]);
    let add = add("t", Trimming::Off, b"x", [&metadata]).unwrap();
    let expected = "{\"Z\":\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\u{7f}é😀\",\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\u2029\",\"z\":\"1\"}";
    assert_eq!(
        arguments(&add),
        ["XADD", "t", "*", "data", "x", "metadata", expected]
    );
    assert_eq!(from_json(expected.as_bytes()).unwrap(), metadata);
}

#[test]
fn empty_metadata_is_left_out_and_the_entry_goes_before_the_call() {
    let (none, all) = (Metadata::new(), Metadata::from([("a", "1"), ("b", "1")]));
    let alone = add("t", Trimming::Length(5), b"", [&none]).unwrap();
    assert_eq!(
        arguments(&alone),
        ["XADD", "t", "MAXLEN", "~", "5", "*", "data", ""]
    );
    let own = Metadata::from([("b", "2")]);
    let both = add("t", Trimming::Off, b"", [&all, &own]).unwrap();
    assert_eq!(arguments(&both).last().unwrap(), r#"{"a":"1","b":"2"}"#);
}

#[test]
fn the_oldest_id_is_the_first_of_its_millisecond_but_one() {
    let day = Duration::from_secs(86_400);
    let add = add("t", Trimming::Age(day), b"", []).unwrap();
    let arguments = arguments(&add);
    assert_eq!(arguments[2..4], ["MINID", "~"]);
    let (millis, number) = arguments[4].split_once('-').unwrap();
    assert_eq!(number, "1");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let age = now.unwrap().as_millis() - millis.parse::<u128>().unwrap();
    assert!((86_400_000..86_460_000).contains(&age), "{age}");
}

#[test]
fn whatever_stands_in_metadata_the_message_is_delivered() {
    for (json, expected) in [
        (r#"{"k":"v","k":"w"}"#, Metadata::from([("k", "w")])),
        (r#"{"k":null}"#, Metadata::from([("k", "")])),
        ("null", Metadata::new()),
        ("{}", Metadata::new()),
        (r#"{"k":1}"#, Metadata::from([("k", "")])),
        ("[]", Metadata::new()),
        ("", Metadata::new()),
    ] {
        let fields = [("metadata", json), ("data", "d"), ("other", "o")];
        let fields = fields.map(|(name, value)| (name.into(), value.into()));
        let message = message("t", id("1-1"), fields.to_vec());
        assert_eq!(message.metadata, expected, "{json}");
        assert_eq!((&*message.data, &*message.topic), (&b"d"[..], "t"));
        assert_eq!(message.content_type, None);
    }
    let empty = message("t", id("1-1"), Vec::new());
    assert_eq!(empty, Message::new("t", ""));
}

#[test]
fn entries_are_read_in_both_versions_of_the_protocol() {
    let entries = Value::Array(vec![
        raw("1-1", &["data", "a"]),
        Value::Array(vec![bulk("1-2"), Value::Nil]),
    ]);
    let map = Value::Map(vec![(bulk("t"), entries.clone())]);
    let array = Value::Array(vec![Value::Array(vec![bulk("t"), entries])]);
    for answer in [map, array] {
        let entries = read_streams(answer).unwrap();
        let [first, second] = &entries.found[..] else {
            unreachable!()
        };
        assert_eq!(first.id, id("1-1"));
        let fields = vec![(b"data".to_vec(), b"a".to_vec())];
        assert_eq!(first.fields.as_ref(), Some(&fields));
        assert_eq!((second.id, &second.fields), (id("1-2"), &None));
    }
    assert_eq!(read_streams(Value::Nil), Some(Entries::default()));
    let claimed = Value::Array(vec![Value::Nil, raw("1-1", &[])]);
    let claimed = read_entries(claimed).unwrap();
    assert_eq!((claimed.found.len(), claimed.gone), (1, 1));
    for broken in [
        Value::Okay,
        Value::Array(vec![Value::Okay]),
        Value::Array(vec![raw("1", &[])]),
        Value::Array(vec![raw("1-1", &["odd"])]),
    ] {
        assert_eq!(read_entries(broken), None);
    }
}
