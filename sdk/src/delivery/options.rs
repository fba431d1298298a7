//! What the SDK itself reads from a component's metadata about delivery.

use std::borrow::Cow;

use serde::Deserialize;

use super::DEFAULT_WINDOW;
use crate::component::Block;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::settings::{self, Rules};

const WINDOW: &str = "deliveryWindow";
const PARTIAL_RESULTS: &str = "bulkPublishPartialResults";
const LARGEST_WINDOW: u32 = 65_536;

/// Metadata of a broker or an input binding that the SDK reads and keeps: a component never sees these keys.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many messages may be unanswered on one stream. Metadata `deliveryWindow`, 1 to 65536; 64 without.
    pub window: usize,
    /// Whether a bulk publish of which some entries failed is an answer that lists them, and not an error. Metadata
    /// `bulkPublishPartialResults` of a broker; false without.
    pub bulk_publish_partial_results: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: DEFAULT_WINDOW,
            bulk_publish_partial_results: false,
        }
    }
}

impl Options {
    /// Reads the options of a block of that kind; blocks that deliver nothing have none.
    ///
    /// # Errors
    /// [`InvalidSettings`](crate::ErrorKind::InvalidSettings) for a value that is none of these.
    pub fn read(block: Block, properties: &Metadata) -> Result<Self> {
        let own: Metadata = keys(block)
            .iter()
            .filter_map(|key| Some((*key, properties.get_ignore_case(key)?)))
            .collect();
        if own.is_empty() {
            return Ok(Self::default());
        }
        let keys: Keys = settings::decode(own.as_map(), Rules::Lenient, &[])?.settings;
        let window = match keys.delivery_window {
            None => DEFAULT_WINDOW,
            Some(window @ 1..=LARGEST_WINDOW) => window as usize,
            Some(other) => {
                return Err(Error::invalid_settings(format!(
                    "{WINDOW} is {other}: expected a number from 1 to {LARGEST_WINDOW}"
                )));
            }
        };
        Ok(Self {
            window,
            bulk_publish_partial_results: keys.bulk_publish_partial_results,
        })
    }

    /// The properties without the keys that are read here.
    pub(crate) fn strip(block: Block, properties: &Metadata) -> Cow<'_, Metadata> {
        let is_own = |key: &str| keys(block).iter().any(|own| own.eq_ignore_ascii_case(key));
        if properties.iter().any(|(key, _)| is_own(key)) {
            Cow::Owned(properties.iter().filter(|(key, _)| !is_own(key)).collect())
        } else {
            Cow::Borrowed(properties)
        }
    }
}

fn keys(block: Block) -> &'static [&'static str] {
    match block {
        Block::PubSub => &[WINDOW, PARTIAL_RESULTS],
        Block::InputBinding => &[WINDOW],
        Block::StateStore | Block::OutputBinding | Block::SecretStore => &[],
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    delivery_window: Option<u32>,
    bulk_publish_partial_results: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_keys_in_any_case() {
        let properties = Metadata::from([("DELIVERYWINDOW", "8"), ("host", "a")]);
        let options = Options::read(Block::PubSub, &properties).unwrap();
        assert_eq!(options.window, 8);
        assert_eq!(
            Options::strip(Block::PubSub, &properties).into_owned(),
            Metadata::from([("host", "a")])
        );
    }

    #[test]
    fn blocks_without_deliveries_keep_the_keys() {
        let properties = Metadata::from([("deliveryWindow", "none")]);
        assert_eq!(
            Options::read(Block::StateStore, &properties).unwrap(),
            Options::default()
        );
        assert_eq!(
            Options::strip(Block::StateStore, &properties).as_ref(),
            &properties
        );
    }

    #[test]
    fn a_bad_window_names_key_value_and_range() {
        for bad in ["0", "65537", "-1", "many"] {
            let properties = Metadata::from([("deliveryWindow", bad)]);
            let error = Options::read(Block::InputBinding, &properties).unwrap_err();
            assert_eq!(error.kind(), &crate::ErrorKind::InvalidSettings);
            assert!(error.message().contains("deliveryWindow"), "{error}");
            assert!(error.message().contains(bad), "{error}");
        }
    }

    #[test]
    fn partial_results_are_for_brokers() {
        let properties = Metadata::from([("bulkPublishPartialResults", "true")]);
        let read = |block| Options::read(block, &properties).unwrap();
        assert!(read(Block::PubSub).bulk_publish_partial_results);
        assert!(!read(Block::InputBinding).bulk_publish_partial_results);
        // Whatever is not truthy is false under the lenient rules, and never an error.
        let odd = Metadata::from([("bulkPublishPartialResults", "perhaps")]);
        let odd = Options::read(Block::PubSub, &odd).unwrap();
        assert!(!odd.bulk_publish_partial_results);
    }
}
