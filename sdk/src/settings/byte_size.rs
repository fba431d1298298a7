//! Sizes in bytes as Kubernetes writes them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::fault::shorten;
use crate::error::{Error, Result};

const EXPECTED: &str = "a size in bytes such as 512, 10k or 100Mi";

/// A size in bytes, written as a Kubernetes quantity under either rule set: plain bytes, powers of 1000 (`k M G T P E`),
/// powers of 1024 (`Ki Mi Gi Ti Pi Ei`) or an exponent (`1e6`), with a fraction where whole bytes result (`1.5Gi`).
///
/// A negative size, a part of a byte and more than 2^64 - 1 bytes are errors; Dapr's decoder takes the first, refuses
/// the second when the setting is used, and cuts at 2^63 - 1.
///
/// ```
/// use dapr_pluggable::settings::ByteSize;
///
/// assert_eq!("100Mi".parse::<ByteSize>()?.bytes(), 100 << 20);
/// # Ok::<(), dapr_pluggable::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    /// Reads a quantity.
    ///
    /// # Errors
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for anything but a quantity of whole bytes.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map(Self).ok_or_else(|| {
            Error::invalid_settings(format!(
                "invalid size {:?}: expected {EXPECTED}",
                shorten(text, 64)
            ))
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Quantity;

        impl Visitor<'_> for Quantity {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<ByteSize, E> {
                parse(text)
                    .map(ByteSize)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Quantity)
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (number, suffix) = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or((text, ""), |end| text.split_at(end));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits: u128 = match digits.trim_start_matches('0') {
        "" => return multiplier(suffix).map(|_| 0),
        digits => digits.parse().ok()?,
    };
    let (unit, exponent) = multiplier(suffix)?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
    let units = digits.checked_mul(unit)?;
    let bytes = if exponent >= 0 {
        units.checked_mul(power)?
    } else if units % power == 0 {
        units / power
    } else {
        return None;
    };
    u64::try_from(bytes).ok()
}

/// A suffix as a factor and a power of ten.
fn multiplier(suffix: &str) -> Option<(u128, i32)> {
    Some(match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "" => (1, 0),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => (1, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}
