//! The way of changes to the server.

use std::slice;

use dapr_pluggable::{Error, ErrorKind, Result};
use redis::{Cmd, RedisError, RedisResult, Value};

use super::change::{Change, Form};
use super::replicas::Replicas;
use crate::connection::Connection;
use crate::script::{Script, is_unknown};

/// The scripts that make changes, and how to have them run.
#[derive(Debug)]
pub(super) struct Writer {
    set: Script,
    delete: Script,
    transact: Script,
    replicas: Option<Replicas>,
}

impl Writer {
    pub(super) fn new(replicas: Option<Replicas>) -> Self {
        Self {
            set: Script::new(include_str!("set.lua")),
            delete: Script::new(include_str!("delete.lua")),
            transact: Script::new(include_str!("transact.lua")),
            replicas,
        }
    }

    /// Makes one change.
    pub(super) async fn make(&self, connection: &Connection, change: &Change<'_>) -> Result<()> {
        if change.form() == Form::Json {
            return self.make_all(connection, slice::from_ref(change)).await;
        }
        let script = self.alone(change);
        let command = change.alone(script);
        let answer = self.run(connection, script, command, change.is_strong());
        match answer
            .await
            .map_err(|error| in_key(connection, change, error))?
        {
            Value::Int(1) => Ok(()),
            _ => Err(change.refused()),
        }
    }

    /// Makes changes, all or none.
    pub(super) async fn make_all(
        &self,
        connection: &Connection,
        changes: &[Change<'_>],
    ) -> Result<()> {
        let command = Change::together(changes, &self.transact);
        let is_strong = changes.iter().any(Change::is_strong);
        let answer = self.run(connection, &self.transact, command, is_strong);
        let answer = answer
            .await
            .map_err(|error| in_keys(connection, changes, error))?;
        let refused = match answer {
            Value::Int(0) => return Ok(()),
            Value::Int(number) => usize::try_from(number - 1).ok(),
            _ => None,
        };
        let refused = refused.and_then(|place| changes.get(place));
        Err(refused.map_or_else(
            || Error::internal("the server's answer is none to a transaction"),
            Change::refused,
        ))
    }

    /// Makes changes, each for itself, in one round trip to each server.
    pub(super) async fn make_each<'a>(
        &self,
        connection: &Connection,
        changes: impl Iterator<Item = (&'a str, Result<Change<'a>>)>,
    ) -> Result<()> {
        let (mut failed, mut valid) = (Vec::new(), Vec::new());
        for (place, (key, change)) in changes.enumerate() {
            match change {
                Ok(change) => valid.push((place, change)),
                Err(error) => failed.push((place, key, error)),
            }
        }
        match self.run_each(connection, &valid).await {
            Ok(answers) => {
                for ((place, change), answer) in valid.iter().zip(answers) {
                    let made = if change.form() == Form::Hash { 1 } else { 0 };
                    let outcome = match answer {
                        Ok(Value::Int(answer)) if answer == made => continue,
                        Ok(_) => change.refused(),
                        Err(error) => in_key(connection, change, error),
                    };
                    failed.push((*place, change.key(), outcome));
                }
            }
            // Nothing is known of any of them. That is said once, first, and beside what was wrong already.
            Err(error) => {
                if let Some((_, change)) = valid.first() {
                    failed.insert(0, (0, change.key(), connection.error(error)));
                }
            }
        }
        failed.sort_by_key(|(place, ..)| *place);
        let failed = failed
            .into_iter()
            .map(|(_, key, error)| (key.to_owned(), error));
        Error::join(failed.collect()).map_or(Ok(()), Err)
    }

    /// Ends its connections, for good.
    pub(super) fn close(&self) {
        if let Some(replicas) = &self.replicas {
            replicas.close();
        }
    }

    fn alone(&self, change: &Change<'_>) -> &Script {
        match (change.form(), change.is_delete()) {
            (Form::Json, _) => &self.transact,
            (Form::Hash, false) => &self.set,
            (Form::Hash, true) => &self.delete,
        }
    }

    async fn run(
        &self,
        connection: &Connection,
        script: &Script,
        command: Cmd,
        is_strong: bool,
    ) -> RedisResult<Value> {
        match self.send_one(connection, &command, is_strong).await {
            Err(error) if is_unknown(&error) => {
                let command = script.in_full(&command);
                self.send_one(connection, &command, is_strong).await
            }
            answer => answer,
        }
    }

    async fn run_each(
        &self,
        connection: &Connection,
        changes: &[(usize, Change<'_>)],
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let is_strong = changes.iter().any(|(_, change)| change.is_strong());
        let command = |change: &Change<'_>| match change.form() {
            Form::Hash => change.alone(self.alone(change)),
            Form::Json => Change::together(slice::from_ref(change), &self.transact),
        };
        let commands = changes.iter().map(|(_, change)| command(change));
        let mut answers = self.send(connection, commands.collect(), is_strong).await?;
        let unrun: Vec<_> = answers
            .iter_mut()
            .zip(changes)
            .filter(|(answer, _)| answer.as_ref().is_err_and(is_unknown))
            .collect();
        if !unrun.is_empty() {
            let in_full = |change| self.alone(change).in_full(&command(change));
            let commands = unrun.iter().map(|(_, (_, change))| in_full(change));
            let again = self.send(connection, commands.collect(), is_strong).await?;
            for ((answer, _), again) in unrun.into_iter().zip(again) {
                *answer = again;
            }
        }
        Ok(answers)
    }

    async fn send_one(
        &self,
        connection: &Connection,
        command: &Cmd,
        is_strong: bool,
    ) -> RedisResult<Value> {
        if !is_strong || self.replicas.is_none() {
            return connection.write(command).await;
        }
        let answers = self.send(connection, vec![command.clone()], true).await?;
        answers.into_iter().next().unwrap_or(Ok(Value::Nil))
    }

    async fn send(
        &self,
        connection: &Connection,
        commands: Vec<Cmd>,
        is_strong: bool,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        match self.replicas.as_ref().filter(|_| is_strong) {
            Some(replicas) => replicas.write_all(commands).await,
            None => connection.write_all(&commands).await,
        }
    }
}

fn in_key(connection: &Connection, change: &Change<'_>, error: RedisError) -> Error {
    connection.error(error).context(change.what())
}

/// The error of a transaction as a whole.
fn in_keys(connection: &Connection, changes: &[Change<'_>], error: RedisError) -> Error {
    const NAMED: usize = 4;
    let error = connection.error(error);
    let (first, rest) = match changes {
        [change] => return error.context(change.what()),
        _ => changes.split_at(changes.len().min(NAMED)),
    };
    if *error.kind() != ErrorKind::InvalidRequest {
        return error;
    }
    let mut keys: Vec<String> = first
        .iter()
        .map(|change| format!("{:?}", change.key()))
        .collect();
    if !rest.is_empty() {
        keys.push("…".to_owned());
    }
    error.context(format!("a transaction of the keys {}", keys.join(", ")))
}
