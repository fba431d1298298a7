//! Durations as Go writes them.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::Rules;
use super::fault::{Fault, shorten};
use crate::error::{Error, Result};

/// Asks the settings decoder for a duration by its own rules, as nanoseconds.
pub(super) const TOKEN: &str = "$dapr_pluggable::settings::GoDuration";

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    // The micro sign and the Greek letter mu look alike, and people type both.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const EXPECTED: &str = "a duration such as 5s or 250ms";

/// A signed duration in nanoseconds, as Go's `time.Duration`: about 292 years either way.
///
/// Most settings are a plain [`Duration`], for which a negative value is an error. This type is for those in which a
/// negative value has a meaning, such as "off".
///
/// ```
/// use dapr_pluggable::settings::parse_go_duration;
///
/// let pause = parse_go_duration("1h15m30.918s")?;
/// assert_eq!(pause.to_string(), "1h15m30.918s");
/// assert_eq!(parse_go_duration("-1s")?.positive(), None);
/// # Ok::<(), dapr_pluggable::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoDuration(i64);

impl GoDuration {
    /// A duration of so many nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The same time, if it is more than none.
    #[must_use]
    pub fn positive(self) -> Option<Duration> {
        self.non_negative().filter(|time| !time.is_zero())
    }

    /// The same time, if it is not negative.
    #[must_use]
    pub fn non_negative(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        f.write_str(&format_go_duration(Duration::from_nanos(
            self.0.unsigned_abs(),
        )))
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Nanos;

        impl<'de> Visitor<'de> for Nanos {
            type Value = GoDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> std::result::Result<GoDuration, E> {
                Ok(GoDuration(nanos))
            }

            /// Formats other than component metadata have the text only.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> std::result::Result<GoDuration, D::Error> {
                let text = String::deserialize(deserializer)?;
                parse_go_duration(&text).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_newtype_struct(TOKEN, Nanos)
    }
}

/// Reads a duration as Go's `time.ParseDuration` does: an optional sign, then decimal numbers, each with a unit and
/// perhaps a fraction: `300ms`, `-1.5h`, `1h15m30.918s`. The units are `ns`, `us` (or `µs`), `ms`, `s`, `m` and `h`; only
/// `0` needs none. Digits below a nanosecond are dropped.
///
/// # Errors
/// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for any other text, and for more than 2^63 nanoseconds.
pub fn parse_go_duration(text: &str) -> Result<GoDuration> {
    parse(text).map_err(|misfit| {
        Error::invalid_settings(format!(
            "invalid duration {:?}: expected {misfit}",
            shorten(text, 64)
        ))
    })
}

/// Writes a duration as Go does: `0s`, `1.5ms`, `1h15m30.918s`. [`parse_go_duration`] reads it back.
#[must_use]
pub fn format_go_duration(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanos.into(), 3)),
            _ => format!("{}ms", decimal(nanos.into(), 6)),
        };
    }
    let rest = decimal(seconds % 60 * 1_000_000_000 + u64::from(nanos), 9);
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// A duration by the rules of component metadata.
pub(super) fn setting(text: &str, rules: Rules) -> std::result::Result<GoDuration, Fault> {
    if text.is_empty() && rules == Rules::Lenient {
        return Ok(GoDuration::default());
    }
    let (unit, name) = match rules {
        Rules::Strict => (1_000_000, "milliseconds"),
        Rules::Lenient => (1_000_000_000, "seconds"),
    };
    let duration = match text.parse::<i64>() {
        Ok(count) => count.checked_mul(unit).map(GoDuration).ok_or(Misfit::Range),
        Err(_) => parse(text),
    };
    duration.map_err(|misfit| match misfit {
        Misfit::Form => Fault::expected(format_args!("{misfit}, or a whole number of {name}")),
        Misfit::Range => Fault::expected(misfit),
    })
}

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    Form,
    Range,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => EXPECTED,
            Self::Range => "a duration of at most 2562047h47m16s",
        })
    }
}

fn parse(text: &str) -> std::result::Result<GoDuration, Misfit> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(GoDuration::default());
    }
    if rest.is_empty() {
        return Err(Misfit::Form);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, tail) = split_at_first(rest, |c| !c.is_ascii_digit());
        let (fraction, tail) = match tail.strip_prefix('.') {
            Some(tail) => split_at_first(tail, |c| !c.is_ascii_digit()),
            None => ("", tail),
        };
        let (unit, tail) = split_at_first(tail, |c| c == '.' || c.is_ascii_digit());
        let scale = UNITS.iter().find(|(name, _)| *name == unit);
        let Some((_, scale)) = scale.filter(|_| !whole.is_empty() || !fraction.is_empty()) else {
            return Err(Misfit::Form);
        };
        total = total
            .checked_add(amount(whole, fraction, *scale).ok_or(Misfit::Range)?)
            .ok_or(Misfit::Range)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total })
        .map(GoDuration)
        .map_err(|_| Misfit::Range)
}

/// `whole.fraction` times a unit of `scale` nanoseconds, cut to whole nanoseconds.
fn amount(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = match whole {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    // Eighteen digits are more than the longest unit has nanoseconds, and their product still fits.
    let (numerator, denominator) =
        fraction
            .bytes()
            .take(18)
            .fold((0, 1), |(numerator, denominator), digit| {
                (numerator * 10 + i128::from(digit - b'0'), denominator * 10)
            });
    whole
        .checked_mul(scale)?
        .checked_add(numerator * scale / denominator)
}

/// The text up to the first character that is `end`, and the rest.
fn split_at_first(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    match text.find(end) {
        Some(index) => text.split_at(index),
        None => (text, ""),
    }
}

/// `amount / 10^places` without trailing zeros.
fn decimal(amount: u64, places: u32) -> String {
    let one = 10_u64.pow(places);
    let fraction = format!("{:0width$}", amount % one, width = places as usize);
    match fraction.trim_end_matches('0') {
        "" => (amount / one).to_string(),
        fraction => format!("{}.{fraction}", amount / one),
    }
}
