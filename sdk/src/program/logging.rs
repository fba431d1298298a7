//! Logs, on standard error.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::error::{Error, Result};

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, trace, off, or a filter such as info,h2=debug
    #[arg(
        long,
        value_name = "LEVEL",
        env = "RUST_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log_level: String,
    /// How to log: lines for people, or one JSON object a line
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PLUGGABLE_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        default_value = "text"
    )]
    log_format: LogFormat,
}

/// How a line of the log looks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; with colour on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogArgs {
    /// Starts logging, unless this process does already.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a level that is none.
    pub fn init(&self) -> Result<()> {
        let filter = EnvFilter::try_new(&self.log_level).map_err(|error| {
            let text = format!("invalid log level {:?}: {error}", self.log_level);
            Error::invalid_request(text).with_source(error)
        })?;
        let colour = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let builder = SubscriberBuilder::default()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(colour);
        let installed = match self.log_format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        if let Err(error) = installed {
            tracing::debug!(%error, "logs go where they went before");
        }
        Ok(())
    }
}
