//! How long a stored value lives.

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::settings::fault::shorten;

/// What the metadata entry `ttlInSeconds` of a write says, by the rules of Dapr's SQL state stores.
///
/// The key counts in this spelling only. It is exhaustive because the rule is: there is no fourth case.
///
/// ```
/// use dapr_pluggable::Metadata;
/// use dapr_pluggable::settings::Ttl;
///
/// let metadata = Metadata::from([("ttlInSeconds", "60")]);
/// assert_eq!(Ttl::from_metadata(&metadata)?, Ttl::Seconds(60));
/// # Ok::<(), dapr_pluggable::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// Nothing, or the empty text.
    #[default]
    Absent,
    /// `-1` or `0`: the value is kept for ever.
    Never,
    /// The value lives so long: 1 to 2147483647 seconds.
    Seconds(u32),
}

impl Ttl {
    /// The metadata key.
    pub const KEY: &'static str = "ttlInSeconds";

    /// Reads the entry.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for anything but a decimal integer from -1 to 2147483647;
    /// the text begins as in Dapr's own stores: `error parsing TTL: incorrect value for metadata 'ttlInSeconds': `.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let text = match metadata.get(Self::KEY) {
            None | Some("") => return Ok(Self::Absent),
            Some(text) => text,
        };
        text.parse::<i32>()
            .ok()
            .filter(|seconds| *seconds >= -1)
            .map(|seconds| match u32::try_from(seconds) {
                Ok(0) | Err(_) => Self::Never,
                Ok(seconds) => Self::Seconds(seconds),
            })
            .ok_or_else(|| {
                Error::invalid_request(format!(
                    "error parsing TTL: incorrect value for metadata '{}': must be -1 or greater, an integer and at \
                     most {}, not {:?}",
                    Self::KEY,
                    i32::MAX,
                    shorten(text, 64)
                ))
            })
    }
}
