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

/// Where a command belongs.
pub(super) fn route(command: &Cmd) -> Route {
    let mut words = command.args_iter().map(|arg| match arg {
        Arg::Simple(word) => word,
        _ => b"",
    });
    let name = words.next().unwrap_or_default();
    let is = |names: &[&str]| {
        let mut names = names.iter();
        names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    let key = if is(&["PING", "SCRIPT", "FLUSHALL", "FLUSHDB"]) {
        return Route::Every;
    } else if is(&["INFO", "COMMAND", "MODULE", "WAIT", "TIME", "CLUSTER"]) {
        None
    } else if is(&["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"]) {
        words
            .nth(1)
            .filter(|count| *count != b"0")
            .and_then(|_| words.next())
    } else if is(&["XREADGROUP", "XREAD"]) {
        words.find(|word| word.eq_ignore_ascii_case(b"STREAMS"));
        words.next()
    } else if is(&["XGROUP", "XINFO", "OBJECT", "MEMORY"]) {
        words.nth(1)
    } else {
        words.next()
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
            ("hget {key}s data", key),
            ("EVALSHA hash 2 key other argument", key),
            ("EVALSHA hash 0 key", Route::Any),
            ("XADD key * data 1", key),
            ("XREADGROUP GROUP g c COUNT 1 BLOCK 5 STREAMS key >", key),
            ("XGROUP CREATE key g 0 MKSTREAM", key),
            ("XINFO STREAM key", key),
            ("JSON.GET key", key),
            ("JSON.GET", Route::Any),
            ("INFO server", Route::Any),
            ("SCRIPT LOAD code", Route::Every),
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
