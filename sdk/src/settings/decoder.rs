//! The serde decoder over a map of strings.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map};
use std::slice::Iter;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer,
    MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::value::Value;
use super::{Aliases, Rules, shared};

/// A key as the map spells it, and its value.
pub(super) type Property<'a> = (&'a str, &'a str);

/// The map, and what decoding it has found out so far.
pub(super) struct Source<'a> {
    properties: &'a HashMap<String, String>,
    /// Lower-cased keys with the spelling that counts.
    spellings: BTreeMap<String, &'a str>,
    rules: Rules,
    aliases: Aliases,
    taken: RefCell<BTreeSet<&'a str>>,
    /// Paths of absent fields that are not [`Shared`](super::Shared).
    plain: RefCell<HashSet<String>>,
    /// This pass came upon an absent field of unknown type.
    probed: Cell<bool>,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        properties: &'a HashMap<String, String>,
        rules: Rules,
        aliases: Aliases,
    ) -> Result<Self, Fault> {
        let mut spellings = BTreeMap::new();
        for key in properties.keys().collect::<BTreeSet<_>>() {
            match spellings.entry(key.to_lowercase()) {
                btree_map::Entry::Vacant(entry) => {
                    entry.insert(key.as_str());
                }
                btree_map::Entry::Occupied(entry) if rules == Rules::Lenient => {
                    return Err(Fault::Complete(format!(
                        "key {:?} is duplicate in the metadata",
                        entry.key()
                    )));
                }
                btree_map::Entry::Occupied(_) => {}
            }
        }
        Ok(Self {
            properties,
            spellings,
            rules,
            aliases,
            taken: RefCell::default(),
            plain: RefCell::default(),
            probed: Cell::default(),
        })
    }

    /// Decodes the whole map.
    ///
    /// A struct asks for its fields by name only, so whether an absent one is a key that is missing or a
    /// [`Shared`](super::Shared) part shows when serde is offered a value for it. Each plain field found so costs one
    /// more pass, in which it is left out.
    pub(super) fn decode<S: DeserializeOwned>(&self) -> Result<S, Fault> {
        loop {
            self.probed.set(false);
            let outcome = S::deserialize(Settings {
                source: self,
                path: "",
            });
            if !self.probed.get() {
                return outcome;
            }
        }
    }

    /// Decodes a [`Shared`](super::Shared) part at `path`.
    pub(super) fn part<'de, V: Visitor<'de>>(
        &self,
        path: &str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(Settings {
            source: self,
            path: &format!("{path}."),
        })
    }

    /// Notes that a field took a key.
    pub(super) fn take(&self, key: &'a str) {
        self.taken.borrow_mut().insert(key);
    }

    /// The keys that no field took, sorted.
    pub(super) fn untaken(&self) -> Vec<String> {
        let taken = self.taken.borrow();
        let mut entries = self.entries();
        entries.retain(|key, _| !taken.contains(key));
        entries.into_keys().map(str::to_owned).collect()
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Every property, in the order of their keys.
    fn entries(&self) -> BTreeMap<&'a str, &'a str> {
        self.properties
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_str()))
            .collect()
    }

    /// The property for a field.
    fn find(&self, field: &str) -> Option<Property<'a>> {
        let property = |key: &str| self.properties.get_key_value(key);
        let spelled = |name: &str| self.spellings.get(&name.to_lowercase()).copied();
        property(field)
            .or_else(|| property(spelled(field)?))
            .or_else(|| {
                if self.rules == Rules::Strict {
                    return None;
                }
                let (_, aliases) = self.aliases.iter().find(|(key, _)| *key == field)?;
                property(aliases.iter().find_map(|alias| spelled(alias))?)
            })
            .map(|(key, text)| (key.as_str(), text.as_str()))
    }
}

/// The map as a value: what a settings type and each [`Shared`](super::Shared) part of it is decoded from.
#[derive(Clone, Copy)]
struct Settings<'s, 'a> {
    source: &'s Source<'a>,
    /// The fields that lead here, each with a dot behind it.
    path: &'s str,
}

impl<'de> Deserializer<'de> for Settings<'_, '_> {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(Fields {
            settings: self,
            fields: fields.iter(),
            current: None,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let expected = (&visitor as &dyn Expected).to_string();
        if let Some(name) = expected.strip_prefix("struct ") {
            return Err(Fault::Complete(format!(
                "the settings type {name} uses serde(flatten), which loses the types of values: use settings::Shared"
            )));
        }
        visitor.visit_map(Entries {
            source: self.source,
            entries: self.source.entries().into_iter(),
            current: None,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map enum identifier
    }
}

/// The fields of a struct that the map has a key for, and those whose type is still to be found out.
struct Fields<'s, 'a> {
    settings: Settings<'s, 'a>,
    fields: Iter<'static, &'static str>,
    current: Option<(&'static str, Option<Property<'a>>)>,
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Settings { source, path } = self.settings;
        self.current = self
            .fields
            .by_ref()
            .map(|field| (*field, source.find(field)))
            .find(|(field, property)| {
                property.is_some() || !source.plain.borrow().contains(&format!("{path}{field}"))
            });
        self.current
            .map(|(field, _)| seed.deserialize(field.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((field, property)) = self.current.take() else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        let Settings { source, path } = self.settings;
        let path = format!("{path}{field}");
        match property {
            Some(property) => Value::decode(seed, source, &path, field, property),
            None => seed.deserialize(Absent {
                source,
                path: &path,
            }),
        }
    }
}

/// Every entry of the map, for settings that are a map themselves.
struct Entries<'s, 'a> {
    source: &'s Source<'a>,
    entries: btree_map::IntoIter<&'a str, &'a str>,
    current: Option<Property<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        self.current
            .map(|(key, _)| seed.deserialize(key.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(property) = self.current.take() else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        Value::decode(seed, self.source, property.0, property.0, property)
    }
}

/// A field that the map has no key for: a [`Shared`](super::Shared) part, or left out in the next pass.
#[derive(Clone, Copy)]
struct Absent<'s, 'a> {
    source: &'s Source<'a>,
    path: &'s str,
}

impl<'de> Deserializer<'de> for Absent<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        self.source.plain.borrow_mut().insert(self.path.to_owned());
        self.source.probed.set(true);
        Err(Fault::custom("the key is absent"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == shared::TOKEN {
            self.source.part(self.path, visitor)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
