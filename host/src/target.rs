//! What a resource's `spec.type` and `spec.version` stand for.

use dapr_pluggable::{Block, Error, Result};

use crate::registry::Identity;

/// What Dapr has besides what a pluggable component can be.
const OTHER_CATEGORIES: [&str; 6] = [
    "configuration",
    "conversation",
    "crypto",
    "lock",
    "middleware",
    "nameresolution",
];

/// A building block, by the first half of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    State,
    PubSub,
    Bindings,
    SecretStores,
}

impl Category {
    const ALL: [Self; 4] = [
        Self::State,
        Self::PubSub,
        Self::Bindings,
        Self::SecretStores,
    ];

    /// The building blocks that a component can have of it.
    pub(crate) fn blocks(self) -> &'static [Block] {
        match self {
            Self::State => &[Block::StateStore],
            Self::PubSub => &[Block::PubSub],
            Self::Bindings => &[Block::InputBinding, Block::OutputBinding],
            Self::SecretStores => &[Block::SecretStore],
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::PubSub => "pubsub",
            Self::Bindings => "bindings",
            Self::SecretStores => "secretstores",
        }
    }

    /// As Dapr's messages call it.
    fn in_words(self) -> &'static str {
        match self {
            Self::State => "state store",
            Self::PubSub => "message bus",
            Self::Bindings => "binding",
            Self::SecretStores => "secret store",
        }
    }
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A component of that name, in lower case, as sockets are named.
    Component { category: Category, name: String },
    /// Something that this host does not have.
    NotHere,
}

impl Target {
    /// What the type of a component stands for.
    ///
    /// # Errors
    /// [`InvalidSettings`](dapr_pluggable::ErrorKind::InvalidSettings) for a type of no kind, and for a version that no
    /// pluggable component has; both in Dapr's words.
    pub(crate) fn of(identity: &Identity) -> Result<Self> {
        let Identity {
            component_type,
            version,
            ..
        } = identity;
        let incorrect = || {
            Error::invalid_settings(format!(
                "incorrect type {component_type}: expected a building block and a name, such as state.memory"
            ))
        };
        let (prefix, name) = component_type.split_once('.').ok_or_else(incorrect)?;
        if OTHER_CATEGORIES.contains(&prefix) {
            return Ok(Self::NotHere);
        }
        let category = Category::ALL
            .into_iter()
            .find(|category| category.as_str() == prefix)
            .filter(|_| !name.is_empty())
            .ok_or_else(incorrect)?;
        if !matches!(version.to_lowercase().as_str(), "" | "v0" | "v1") {
            let what = category.in_words();
            return Err(Error::invalid_settings(format!(
                "couldn't find {what} {component_type}/{version}"
            )));
        }
        Ok(Self::Component {
            category,
            name: name.to_lowercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(component_type: &str, version: &str) -> Result<Target> {
        Target::of(&Identity::new("c", component_type, version))
    }

    #[test]
    fn a_type_is_a_category_and_a_name() {
        for (component_type, category, name) in [
            ("state.redis", Category::State, "redis"),
            ("state.My-Store", Category::State, "my-store"),
            ("pubsub.a.b", Category::PubSub, "a.b"),
            ("bindings.cron", Category::Bindings, "cron"),
            (
                "secretstores.local.file",
                Category::SecretStores,
                "local.file",
            ),
        ] {
            for version in ["", "v0", "v1", "V1"] {
                let expected = Target::Component {
                    category,
                    name: name.to_owned(),
                };
                assert_eq!(target(component_type, version).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_dapr_has_and_this_host_has_not_is_no_error() {
        for component_type in ["middleware.http.bearer", "lock.redis", "configuration.x"] {
            assert_eq!(target(component_type, "v2").unwrap(), Target::NotHere);
        }
    }

    #[test]
    fn a_type_of_no_building_block_is_refused_with_what_was_expected() {
        for component_type in ["State.Golden", "memory", "state", "state.", "", "queue.x"] {
            let error = target(component_type, "v1").unwrap_err();
            let expected = format!(
                "incorrect type {component_type}: expected a building block and a name, such as state.memory"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_rest_is_refused_in_daprs_words() {
        for (component_type, version, expected) in [
            ("state.x", "v2", "couldn't find state store state.x/v2"),
            ("pubsub.x", "1", "couldn't find message bus pubsub.x/1"),
            ("bindings.x", "v2", "couldn't find binding bindings.x/v2"),
            (
                "secretstores.x",
                "v3",
                "couldn't find secret store secretstores.x/v3",
            ),
        ] {
            let error = target(component_type, version).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
