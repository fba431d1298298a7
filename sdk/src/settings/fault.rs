//! What goes wrong while decoding, before and after the key is known.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::error::Error;

/// The longest part of a user's value that an error repeats, in characters.
const QUOTED: usize = 64;

/// The longest text of somebody else's parser that an error repeats, in characters.
const REASON: usize = 200;

#[derive(Debug)]
pub(super) enum Fault {
    /// The value has not this form. The text never contains the value.
    Expected(String),
    /// A field's own type refused the value. The text may contain the value.
    Refused(String),
    /// Everything is said.
    Complete(String),
}

impl Fault {
    pub(super) fn expected(form: impl fmt::Display) -> Self {
        Self::Expected(form.to_string())
    }

    /// Adds the key and the value, unless an inner field has done so.
    pub(super) fn at(self, key: &str, given: &str, value: &str, secret: bool) -> Self {
        let reason = match self {
            Self::Complete(_) => return self,
            Self::Expected(form) => format!(": expected {form}"),
            Self::Refused(_) if secret => String::new(),
            Self::Refused(reason) => format!(": {}", shorten(&reason, REASON)),
        };
        let value = if secret {
            "(redacted)".to_owned()
        } else {
            format!("{:?}", shorten(value, QUOTED))
        };
        let given = if given.to_lowercase() == key.to_lowercase() {
            String::new()
        } else {
            format!(" (given as {given:?})")
        };
        Self::Complete(format!(
            "invalid value {value} for key {key:?}{given}{reason}"
        ))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(form) => write!(f, "expected {form}"),
            Self::Refused(text) | Self::Complete(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::Expected(match variants {
            [only] => (*only).to_owned(),
            _ => format!("one of {}", variants.join(", ")),
        })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Complete(format!("missing key {key:?}"))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::Complete(format!(
            "key {key:?} is given more than once, under different names"
        ))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::invalid_settings(fault.to_string())
    }
}

/// The text, cut after `limit` characters with an ellipsis.
pub(super) fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => text.chars().take(limit).chain(['…']).collect(),
    }
}
