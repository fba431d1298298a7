//! The keys of a component's metadata that are meant for the runtime.

use crate::component::Block;

/// Whether the runtime reads that key of a resource whose component has that building block. It hands all metadata to the
/// component as it stands, its own keys included, so such a key is no typing error where a component does not take it.
///
/// The keys are those of Dapr's reference of component resources (scopes of topics, sharing and encryption of state,
/// outbox, binding specifications) and what our host reads besides. Letter case does not count, as in the runtime.
pub(super) fn is_for_runtime(block: Block, key: &str) -> bool {
    let keys: &[&str] = match block {
        Block::StateStore => &[
            "keyPrefix",
            "actorStateStore",
            "primaryEncryptionKey",
            "secondaryEncryptionKey",
            "outboxPublishPubsub",
            "outboxPublishTopic",
            "outboxPubsub",
            "outboxDiscardWhenMissingState",
        ],
        Block::PubSub => &[
            "publishingScopes",
            "subscriptionScopes",
            "allowedTopics",
            "protectedTopics",
            // The runtime adds this one itself, whatever the component is.
            "consumerID",
            "maxInFlight",
        ],
        // One resource opens both sides, and the window is for what the other side delivers.
        Block::OutputBinding => &["direction", "route", "deliveryWindow"],
        Block::InputBinding => &["direction", "route"],
        Block::SecretStore => &[],
    };
    keys.iter().any(|own| own.eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_keys_depend_on_the_block() {
        for (block, key) in [
            (Block::StateStore, "keyPrefix"),
            (Block::StateStore, "ACTORSTATESTORE"),
            (Block::PubSub, "consumerId"),
            (Block::PubSub, "publishingscopes"),
            (Block::InputBinding, "direction"),
            (Block::OutputBinding, "route"),
            (Block::OutputBinding, "deliveryWindow"),
        ] {
            assert!(is_for_runtime(block, key), "{key} of {block}");
        }
        for (block, key) in [
            (Block::StateStore, "direction"),
            (Block::PubSub, "keyPrefix"),
            (Block::InputBinding, "consumerID"),
            (Block::SecretStore, "route"),
            (Block::StateStore, "keyPrefixes"),
            (Block::StateStore, ""),
        ] {
            assert!(!is_for_runtime(block, key), "{key} of {block}");
        }
    }
}
