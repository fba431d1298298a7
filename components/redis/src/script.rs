//! Scripts, which Redis runs as one step: nothing else sees a part of what they do.

use redis::{Arg, Cmd, RedisError};

/// A script in Lua. It is named by its hash; a server that does not know it is taught.
#[derive(Debug)]
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(crate) fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    /// The command that runs it on keys. Its arguments are to be added.
    pub(crate) fn on(&self, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len()).arg(keys);
        command
    }

    /// The same with the code in place of the hash: it runs, and teaches, wherever in a cluster it goes.
    pub(crate) fn in_full(&self, command: &Cmd) -> Cmd {
        let mut full = redis::cmd("EVAL");
        full.arg(self.code);
        for word in command.args_iter().skip(2) {
            if let Arg::Simple(word) = word {
                full.arg(word);
            }
        }
        full
    }
}

/// Whether the server does not know the script. It has done nothing then.
pub(crate) fn is_unknown(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
