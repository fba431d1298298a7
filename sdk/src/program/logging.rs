//! Logs, on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
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
        let filter = filter(&self.log_level)?;
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

/// A word that is no level would be the name of a module, and nothing else be logged: more likely a mistake.
fn filter(text: &str) -> Result<EnvFilter> {
    let is_level = |word: &str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
    let invalid = |why: &dyn Display| {
        Error::invalid_request(format!(
            "invalid log level {text:?}: {why}: expected error, warn, info, debug, trace, off, or a filter such as \
             info,h2=debug"
        ))
    };
    let odd = text
        .split(',')
        .find(|part| !part.contains(['=', '[']) && !is_level(part));
    if let Some(odd) = odd {
        return Err(invalid(&format_args!("{odd:?} is no level")));
    }
    EnvFilter::try_new(text).map_err(|error| invalid(&error).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_taken_and_other_words_are_not() {
        for good in [
            "",
            "info",
            "WARN",
            "off",
            "debug,h2=info",
            "info,[call]=trace",
            "a::b=off",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for (bad, part) in [
            ("verbose", "\"verbose\" is no level"),
            ("info,h2", "\"h2\" is no level"),
            ("h2=loud", "h2=loud"),
        ] {
            let error = filter(bad).unwrap_err();
            assert_eq!(error.kind(), &crate::ErrorKind::InvalidRequest);
            for part in [bad, part, "expected error, warn"] {
                assert!(error.message().contains(part), "{part}: {error}");
            }
        }
    }
}
