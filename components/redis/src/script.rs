//! Scripts, which Redis runs as one step: nothing else sees a part of what they do.

use redis::{Cmd, RedisError, RedisResult};

use crate::connection::Connection;

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

    /// Teaches it to the servers.
    pub(crate) async fn load(&self, connection: &Connection) -> RedisResult<()> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.code);
        connection.write(&load).await?;
        Ok(())
    }
}

/// Whether the server does not know the script. It has done nothing then.
pub(crate) fn is_unknown(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
