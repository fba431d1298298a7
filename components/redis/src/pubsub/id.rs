//! The id of an entry of a stream: a time in milliseconds and a number.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};

/// The id of an entry. Ids grow along the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryId {
    millis: u64,
    number: u64,
}

impl EntryId {
    /// Before every entry.
    pub(super) const START: Self = Self {
        millis: 0,
        number: 0,
    };

    /// Reads what Redis writes, such as `1526919030474-55`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (millis, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self {
            millis: millis.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    /// The next id that there can be.
    pub(super) fn next(self) -> Option<Self> {
        let Self { millis, number } = self;
        Some(match number.checked_add(1) {
            Some(number) => Self { millis, number },
            None => Self {
                millis: millis.checked_add(1)?,
                number: 0,
            },
        })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

impl ToRedisArgs for EntryId {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl ToSingleRedisArg for EntryId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_was_read_and_has_a_next() {
        for (text, next) in [
            ("0-1", Some("0-2")),
            ("1526919030474-55", Some("1526919030474-56")),
            ("7-18446744073709551615", Some("8-0")),
            ("18446744073709551615-18446744073709551615", None),
        ] {
            let id = EntryId::parse(text.as_bytes()).unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(id.next().map(|id| id.to_string()).as_deref(), next);
        }
        for text in ["", "1", "1-", "-1", "a-1", "1-2-3"] {
            assert_eq!(EntryId::parse(text.as_bytes()), None, "{text}");
        }
    }
}
