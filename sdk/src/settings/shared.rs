//! Settings that several settings types have in common.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Tells the settings decoder to go on with the whole map.
pub(super) const TOKEN: &str = "$dapr_pluggable::settings::Shared";

/// A part of the settings that is a type of its own, decoded from the same map as the struct it stands in: the
/// connection, say, that a state store and a pub/sub component have in common.
///
/// The name of the field does not matter, and a key of that name is not looked at. The part is decoded whatever
/// `serde(default)` says; its own fields have their own defaults. It takes the place of `serde(flatten)`,
/// which does not work here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shared<T>(T);

impl<T> Shared<T> {
    /// A part made by hand, as tests do.
    pub const fn new(part: T) -> Self {
        Self(part)
    }

    /// The part, moved out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Shared<T> {
    fn from(part: T) -> Self {
        Self(part)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Part<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Part<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("settings")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<T, D::Error> {
                T::deserialize(deserializer)
            }
        }

        deserializer
            .deserialize_newtype_struct(TOKEN, Part(PhantomData))
            .map(Self)
    }
}
