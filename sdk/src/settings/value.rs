//! One value of the map, in the form that its field asks for.

use std::cell::Cell;
use std::str::Split;

use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::decoder::{Property, Source};
use super::fault::Fault;
use super::{duration, redacted, scalar, shared};

/// The fields by which `std::time::Duration` asks for itself.
const STD_DURATION: (&str, &[&str]) = ("Duration", &["secs", "nanos"]);

#[derive(Clone, Copy)]
pub(super) struct Value<'v, 'a> {
    source: &'v Source<'a>,
    path: &'v str,
    key: &'a str,
    text: &'a str,
    /// One of several values between commas.
    part: bool,
    /// Set once the field turns out to be [`Redacted`](super::Redacted).
    secret: &'v Cell<bool>,
}

impl<'v, 'a> Value<'v, 'a> {
    /// Decodes the value of a field that is called `name` in its struct.
    pub(super) fn decode<'de, S: DeserializeSeed<'de>>(
        seed: S,
        source: &Source<'a>,
        path: &str,
        name: &str,
        (key, text): Property<'a>,
    ) -> Result<S::Value, Fault> {
        let secret = Cell::new(false);
        let value = Value {
            source,
            path,
            key,
            text,
            part: false,
            secret: &secret,
        };
        seed.deserialize(value)
            .map_err(|fault| fault.at(name, key, text, secret.get()))
    }

    /// The value as it is.
    fn text(self) -> &'a str {
        self.source.take(self.key);
        self.text
    }

    /// The value where white space has no meaning.
    fn scalar(self) -> &'a str {
        let text = self.text();
        if self.part { text.trim() } else { text }
    }

    fn duration(self) -> Result<duration::GoDuration, Fault> {
        duration::setting(self.scalar(), self.source.rules())
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ident,)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                let range = i128::from($type::MIN)..=i128::from($type::MAX);
                let number: $type = scalar::integer(self.scalar(), self.source.rules(), &range)?;
                visitor.$visit(number)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Fault;

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(scalar::boolean(self.scalar(), self.source.rules())?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_f32(scalar::float(self.scalar(), self.source.rules())?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_f64(scalar::float(self.scalar(), self.source.rules())?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Parts {
            parts: self.text().split(','),
            whole: self,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.scalar().into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match name {
            shared::TOKEN => return self.source.part(self.path, visitor),
            duration::TOKEN => return visitor.visit_i64(self.duration()?.as_nanos()),
            redacted::TOKEN => self.secret.set(true),
            _ => {}
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if (name, fields) != STD_DURATION {
            return Err(Fault::Complete(format!(
                "the settings type has a field {:?} of type {name}, which must stand in settings::Shared",
                self.key
            )));
        }
        let Some(duration) = self.duration()?.non_negative() else {
            return Err(Fault::expected("a duration that is not negative"));
        };
        visitor.visit_seq(SeqDeserializer::new(
            [duration.as_secs(), duration.subsec_nanos().into()].into_iter(),
        ))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct map identifier ignored_any
    }
}

/// The values between the commas of one value.
struct Parts<'v, 'a> {
    parts: Split<'a, char>,
    whole: Value<'v, 'a>,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.parts
            .next()
            .map(|text| {
                seed.deserialize(Value {
                    text,
                    part: true,
                    ..self.whole
                })
            })
            .transpose()
    }
}
