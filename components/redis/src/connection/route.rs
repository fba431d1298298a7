//! Where in a cluster a command belongs.

use redis::cluster_routing::Slot;
use redis::{Arg, Cmd};

/// The nodes that a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The node that has the slot of its first key. That others are in the same slot is checked there.
    Slot(Slot),
    Any,
    Every,
}

/// Where a command of this component belongs.
pub(super) fn route(command: &Cmd) -> Route {
    let mut words = command.args_iter().map(|arg| match arg {
        Arg::Simple(word) => word,
        _ => b"",
    });
    let key = match words.next().unwrap_or_default() {
        b"PING" => return Route::Every,
        b"INFO" => None,
        b"EVAL" | b"EVALSHA" => words.nth(2),
        b"XGROUP" => words.nth(1),
        _ => words.next(),
    };
    key.map_or(Route::Any, |key| Route::Slot(Slot::for_key(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_goes_where_its_key_is() {
        let key = Route::Slot(Slot::for_key("key"));
        for (words, expected) in [
            ("HGETALL key", key),
            ("HGET {key}s data", key),
            ("EVALSHA hash 2 key other argument", key),
            ("XADD key * data 1", key),
            ("XGROUP CREATE key g 0 MKSTREAM", key),
            ("JSON.GET key", key),
            ("JSON.GET", Route::Any),
            ("INFO server", Route::Any),
            ("PING", Route::Every),
        ] {
            let mut command = Cmd::new();
            for word in words.split(' ') {
                command.arg(word);
            }
            assert_eq!(route(&command), expected, "{words}");
        }
    }
}
