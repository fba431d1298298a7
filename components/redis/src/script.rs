//! Scripts, which Redis runs as one step: nothing else sees a part of what they do.

use redis::{Cmd, RedisError, RedisResult, Value};

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

    /// Runs such a command.
    pub(crate) async fn run(&self, connection: &Connection, command: &Cmd) -> RedisResult<Value> {
        match connection.write(command).await {
            Err(error) if is_unknown(&error) => {
                self.load(connection).await?;
                connection.write(command).await
            }
            answer => answer,
        }
    }

    /// Runs several such commands, in one round trip to each server.
    pub(crate) async fn run_all(
        &self,
        connection: &Connection,
        commands: &[Cmd],
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut answers = connection.write_all(commands).await?;
        let mut unrun: Vec<_> = answers.iter_mut().zip(commands).collect();
        unrun.retain(|(answer, _)| answer.as_ref().is_err_and(is_unknown));
        if !unrun.is_empty() {
            self.load(connection).await?;
            let commands: Vec<Cmd> = unrun
                .iter()
                .map(|(_, command)| (*command).clone())
                .collect();
            let again = connection.write_all(&commands).await?;
            for ((answer, _), again) in unrun.into_iter().zip(again) {
                *answer = again;
            }
        }
        Ok(answers)
    }

    async fn load(&self, connection: &Connection) -> RedisResult<()> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.code);
        connection.write(&load).await?;
        Ok(())
    }
}

/// Whether the server does not know the script. It has done nothing then.
fn is_unknown(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
