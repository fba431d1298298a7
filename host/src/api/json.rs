//! Request bodies, read as Dapr reads them: the case of member names does not count, members that are not known are
//! passed over, `null` is as good as absent, of equal names the last counts.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use dapr_pluggable::Metadata;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// An object of a request.
pub(super) trait Object<'de>: Default {
    /// What it is, for messages: `a save item`.
    const WHAT: &'static str;

    /// Takes the value of the member of that name, which is in lower case; `false` when there is no such member.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads an [`Object`] by Dapr's rules.
#[derive(Debug, Default)]
pub(super) struct Loose<T>(pub(super) T);

impl<'de, T: Object<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Members(PhantomData)).map(Self)
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(mut name) = map.next_key::<String>()? {
            name.make_ascii_lowercase();
            if !object.member(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

/// Reads the value of a member into its place; `null` changes nothing. Always `true`: the member is known.
pub(super) fn read<'de, T, A>(place: &mut T, map: &mut A) -> Result<bool, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    if let Some(value) = map.next_value()? {
        *place = value;
    }
    Ok(true)
}

/// As [`read`], for a member whose absence has a meaning: `null` is absence.
pub(super) fn read_optional<'de, T, A>(place: &mut Option<T>, map: &mut A) -> Result<bool, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    *place = map.next_value()?;
    Ok(true)
}

/// As [`read`], for an object.
pub(super) fn read_object<'de, T, A>(place: &mut T, map: &mut A) -> Result<bool, A::Error>
where
    T: Object<'de>,
    A: MapAccess<'de>,
{
    *place = map.next_value::<Loose<T>>()?.0;
    Ok(true)
}

/// As [`read`], for an array of objects.
pub(super) fn read_objects<'de, T, A>(place: &mut Vec<T>, map: &mut A) -> Result<bool, A::Error>
where
    T: Object<'de>,
    A: MapAccess<'de>,
{
    *place = objects(map.next_value()?);
    Ok(true)
}

/// As [`read`], for a map of strings.
pub(super) fn read_metadata<'de, A>(place: &mut Metadata, map: &mut A) -> Result<bool, A::Error>
where
    A: MapAccess<'de>,
{
    let entries: Option<HashMap<String, Option<String>>> = map.next_value()?;
    *place = entries
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, value.unwrap_or_default()))
        .collect();
    Ok(true)
}

/// The objects of an array that may be `null`.
pub(super) fn objects<T>(array: Option<Vec<Loose<T>>>) -> Vec<T> {
    array
        .into_iter()
        .flatten()
        .map(|Loose(item)| item)
        .collect()
}

/// Reads the first JSON value of a body. What follows it is ignored, as Dapr does.
pub(super) fn first<'de, T: Deserialize<'de>>(body: &'de [u8]) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(body))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Default)]
    struct Thing<'de> {
        name: String,
        value: Option<&'de RawValue>,
        metadata: Metadata,
    }

    impl<'de> Object<'de> for Thing<'de> {
        const WHAT: &'static str = "a thing";

        fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
            match name {
                "name" => read(&mut self.name, map),
                "value" => read(&mut self.value, map),
                "metadata" => read_metadata(&mut self.metadata, map),
                _ => Ok(false),
            }
        }
    }

    #[test]
    fn names_have_no_case_and_values_keep_their_text() {
        let body = br#" {"NAME":"first","nAme":"last","Other":[{}], "VALUE" :  {"b":1.0, "a":1e3,"a":"\ud800<"} ,
            "metadata":{"k":"v","n":null}} and more"#;
        let Loose(thing) = first::<Loose<Thing<'_>>>(body).unwrap();
        assert_eq!(thing.name, "last");
        let text = thing.value.map(RawValue::get);
        assert_eq!(text, Some(r#"{"b":1.0, "a":1e3,"a":"\ud800<"}"#));
        assert_eq!(thing.metadata, Metadata::from([("k", "v"), ("n", "")]));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let body = br#"[null, {"name":null,"value":null,"metadata":null}]"#;
        let things = objects(first::<Option<Vec<Loose<Thing<'_>>>>>(body).unwrap());
        assert_eq!(things.len(), 2);
        for thing in things {
            assert!(thing.name.is_empty() && thing.value.is_none() && thing.metadata.is_empty());
        }
        assert!(objects(first::<Option<Vec<Loose<Thing<'_>>>>>(b"null").unwrap()).is_empty());
    }

    #[test]
    fn a_wrong_type_is_said() {
        let error = first::<Loose<Thing<'_>>>(b"[1]").unwrap_err().to_string();
        assert!(error.contains("expected a thing"), "{error}");
        assert!(first::<Loose<Thing<'_>>>(br#"{"metadata":{"a":1}}"#).is_err());
    }
}
