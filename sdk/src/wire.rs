//! The component protocol's messages and the domain types they stand for, both directions side by side: a server reads
//! requests and writes answers, a client the reverse. This is the only place that names both worlds.
//!
//! Values and metadata maps are moved, never copied. What proto3 leaves open is decided here, once:
//! an enum value that we do not know counts as unspecified, as the runtime does with texts that it does not know; an
//! empty content type, token or item error is none; a missing options message is one without options.

pub(crate) mod binding;
pub(crate) mod pubsub;
mod query;
pub(crate) mod secret;
pub(crate) mod state;
pub(crate) mod status;
#[cfg(test)]
mod tests;

use dapr_pluggable_protocol::components::v1 as proto;

use crate::error::{Error, Result};
use crate::metadata::Metadata;

/// The request header that names the component instance a call is for. Absent and empty both mean the default one.
pub(crate) const INSTANCE_HEADER: &str = "x-component-instance";

/// The request header by which a caller asks for the failed entries of a bulk publish as an answer instead of an error.
/// Its value is `true`. Dapr's runtime never sends it: over HTTP it would hide the failed entries from the application.
pub(crate) const PARTIAL_RESULTS_HEADER: &str = "x-pluggable-bulk-publish-partial-results";

/// A domain type that has a message on the wire.
pub(crate) trait Wire: Sized {
    /// The message.
    type Message;

    /// Reads the message.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) that names what is missing or wrong.
    fn from_wire(message: Self::Message) -> Result<Self>;

    /// Writes the message.
    fn into_wire(self) -> Self::Message;
}

/// What travels on a stream, with the id that its answer will name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identified<T> {
    /// The id: unique within the stream.
    pub(crate) id: String,
    /// The message or event.
    pub(crate) content: T,
}

/// The properties of an Init, the same in every building block.
///
/// # Errors
/// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) where there are none: a runtime sends an empty message for a
/// component without metadata.
pub(crate) fn init_properties(metadata: Option<proto::MetadataRequest>) -> Result<Metadata> {
    let metadata = metadata.ok_or_else(|| Error::invalid_settings("the Init has no metadata"))?;
    Ok(Metadata::from(metadata.properties))
}

/// The metadata message of an Init.
pub(crate) fn init_metadata(properties: Metadata) -> Option<proto::MetadataRequest> {
    Some(proto::MetadataRequest {
        properties: properties.into_map(),
    })
}

/// An empty text of the wire is none.
fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Puts feature names together, each once.
fn feature_list(
    known: impl IntoIterator<Item = (&'static str, bool)>,
    other: Vec<String>,
) -> proto::FeaturesResponse {
    let mut features: Vec<String> = known
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in other {
        if !features.contains(&name) {
            features.push(name);
        }
    }
    proto::FeaturesResponse { features }
}

/// Takes a feature name out of a list, and says whether it was there.
fn take_feature(features: &mut Vec<String>, name: &str) -> bool {
    let before = features.len();
    features.retain(|feature| feature != name);
    features.len() < before
}
