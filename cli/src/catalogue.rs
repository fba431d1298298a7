//! The components that this program has: a type name, and how to open what it stands for.

use dapr_pluggable::Blocks;
use dapr_pluggable_host::Catalogue;

type Make = fn() -> Blocks;

/// By the second half of a type: `memory` of `state.memory`.
const COMPONENTS: [(&str, Make); 4] = [
    ("in-memory", dapr_component_memory::blocks),
    ("memory", dapr_component_memory::blocks),
    ("redis", dapr_component_redis::blocks),
    ("sqlite", dapr_component_sqlite::blocks),
];

/// The names, sorted.
pub(crate) fn names() -> [&'static str; COMPONENTS.len()] {
    COMPONENTS.map(|(name, _)| name)
}

/// The building blocks of the component of that name.
pub(crate) fn blocks(name: &str) -> Option<Blocks> {
    let entry = COMPONENTS.iter().find(|(known, _)| *known == name);
    entry.map(|(_, make)| make())
}

/// All of them, for a host.
pub(crate) fn for_host() -> Catalogue {
    COMPONENTS
        .into_iter()
        .fold(Catalogue::new(), |all, (name, make)| all.with(name, make))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_that_a_socket_can_have_and_stands_for_something() {
        assert!(names().is_sorted());
        for name in names() {
            dapr_pluggable::socket::SocketName::parse(name).unwrap();
            assert!(blocks(name).unwrap().list().next().is_some(), "{name}");
        }
        assert!(blocks("kafka").is_none());
    }
}
