//! From the metadata of a component to a settings type.
//!
//! Init brings the `metadata` list of a component's resource file as a map of strings. A component declares a type
//! for it, with serde, and gets it decoded:
//!
//! ```
//! use std::collections::HashMap;
//! use std::time::Duration;
//!
//! use dapr_pluggable::settings::{self, Aliases, ByteSize, Redacted, Rules, Shared};
//! use serde::Deserialize;
//!
//! /// Where the server is. State store and pub/sub share it.
//! #[derive(Debug, Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Connection {
//!     hosts: Vec<String>,
//!     password: Option<Redacted<String>>,
//! }
//!
//! #[derive(Debug, Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Settings {
//!     connection: Shared<Connection>,
//!     #[serde(default)]
//!     read_only: bool,
//!     #[serde(default = "twenty_seconds")]
//!     timeout: Duration,
//!     max_value: Option<ByteSize>,
//! }
//!
//! fn twenty_seconds() -> Duration {
//!     Duration::from_secs(20)
//! }
//!
//! let metadata = HashMap::from(
//!     [("hosts", "a:1,b:2"), ("password", "hunter2"), ("readonly", "yes"), ("timeoutInSeconds", "5"), ("color", "red")]
//!         .map(|(key, value)| (key.to_owned(), value.to_owned())),
//! );
//! const ALIASES: Aliases = &[("timeout", &["timeoutInSeconds"])];
//! let decoded = settings::decode::<Settings>(&metadata, Rules::Lenient, ALIASES)?;
//!
//! assert_eq!(decoded.settings.connection.hosts, ["a:1", "b:2"]);
//! assert_eq!(decoded.settings.timeout, Duration::from_secs(5));
//! assert!(decoded.settings.read_only);
//! assert_eq!(decoded.unknown, ["color"]);
//! assert!(!format!("{:?}", decoded.settings).contains("hunter2"));
//!
//! let metadata = HashMap::from([("hosts".to_owned(), "a".to_owned()), ("timeout".to_owned(), "soon".to_owned())]);
//! let error = settings::decode::<Settings>(&metadata, Rules::Strict, &[]).unwrap_err();
//! assert!(error.to_string().starts_with(
//!     r#"invalid value "soon" for key "timeout": expected a duration such as 5s or 250ms"#
//! ));
//! # Ok::<(), dapr_pluggable::Error>(())
//! ```
//!
//! # Field types
//!
//! | type | what is accepted |
//! |---|---|
//! | `String` and whatever parses itself from a string | any text, untrimmed |
//! | `bool`, integers, `f32`, `f64`, [`Duration`](std::time::Duration), [`GoDuration`] | see [`Rules`]; a float must be finite; a `Duration` must not be negative |
//! | `Vec<T>` | parts between commas; text is not trimmed, other parts are; an empty value is one empty part |
//! | [`ByteSize`] | a Kubernetes quantity: `100Mi`, `1k`, plain bytes |
//! | an enum of unit variants | a variant as serde spells it, or a serde `alias` of it; letter case counts |
//! | `Option<T>` | `None` if the key is absent; an empty value is a value |
//! | [`Redacted<T>`] | as `T`, and the value never appears in errors, logs or `{:?}` |
//! | [`Shared<T>`] | `T` is decoded from the same map, not from one key |
//! | a struct with one unnamed field | as that field |
//!
//! The settings as a whole can be a struct, `()` (takes no key) or a map such as `HashMap<String, String>` (takes every
//! key). Other names for a key are declared in a table ([`Aliases`]), not with serde's `alias`, which would refuse a map
//! that has both. `serde(flatten)` is refused: serde then reads every value before it knows its type, so that numbers
//! stop working; use [`Shared`]. `deny_unknown_fields` has no effect, since Dapr ignores unknown keys:
//! they are returned in [`Decoded::unknown`].
//!
//! Only the type of a field decides whether its value is a secret, never its name. `Redacted` is the type for passwords,
//! tokens, private keys, connection strings and URLs that may carry credentials.

mod byte_size;
mod decoder;
mod duration;
mod fault;
mod redacted;
mod scalar;
mod shared;
#[cfg(test)]
mod tests;
mod ttl;
mod value;

use std::collections::HashMap;

use serde::de::DeserializeOwned;

pub use self::byte_size::ByteSize;
pub use self::duration::{GoDuration, format_go_duration, parse_go_duration};
pub use self::redacted::Redacted;
pub use self::shared::Shared;
pub use self::ttl::Ttl;
use crate::error::Result;

/// How keys are matched and how booleans, numbers and durations are written.
///
/// Dapr's own components use one of two decoders, which differ in what `5` and `yes` mean; a component that takes over
/// their resource files follows the same one.
///
/// | | `Strict` | `Lenient` |
/// |---|---|---|
/// | key | the exact spelling, else any case | any case; two keys that differ in case only are an error |
/// | [`Aliases`] | ignored | honoured |
/// | `bool` | `1 t T TRUE true True 0 f F FALSE false False`, anything else is an error | `y yes true t on 1` in any case, trimmed; anything else is false |
/// | integer | decimal; empty is an error | decimal, `0x`, `0o`, `0b`, a leading `0` is octal, `_` between digits; empty is 0 |
/// | float | decimal; empty is an error | decimal; empty is 0 |
/// | duration | a bare integer is **milliseconds**, else Go's form (`1h30m`) | Go's form, else a bare integer is **seconds**; empty is 0 |
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// The rules of `config.Decode` in Dapr's kit, which all its Redis components use.
    Strict,
    /// The rules of `metadata.DecodeMetadata` in Dapr's kit, which most of its other components use.
    #[default]
    Lenient,
}

/// Other names of keys: each key as the settings type spells it, with the names that stand in for it in order of
/// preference. They count under [`Rules::Lenient`] only, and only where the key itself is absent.
pub type Aliases = &'static [(&'static str, &'static [&'static str])];

/// What came of a component's metadata.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<S> {
    /// The settings.
    pub settings: S,
    /// The keys that nobody took, as the resource file spells them, sorted: a typing error, or a key for the runtime.
    pub unknown: Vec<String>,
}

/// Decodes the metadata of a component.
///
/// # Errors
/// [`InvalidSettings`](crate::ErrorKind::InvalidSettings), with a text that names the key as the settings type spells it,
/// the value (shortened; never one of a [`Redacted`] field) and what was expected:
/// `invalid value "70000" for key "port": expected an integer from 0 to 65535`, `missing key "host"`, and under
/// [`Rules::Lenient`] `key "host" is duplicate in the metadata`.
pub fn decode<S: DeserializeOwned>(
    properties: &HashMap<String, String>,
    rules: Rules,
    aliases: Aliases,
) -> Result<Decoded<S>> {
    let source = decoder::Source::new(properties, rules, aliases)?;
    let settings = source.decode()?;
    let unknown = source.untaken();
    Ok(Decoded { settings, unknown })
}
