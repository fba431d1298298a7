//! Values on the command line.

use std::time::Duration;

use dapr_pluggable::settings::{GoDuration, parse_go_duration};

/// A duration as Dapr writes it: `20s`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text)
        .ok()
        .and_then(GoDuration::non_negative)
        .ok_or_else(|| "expected a duration such as 20s or 1m30s".to_owned())
}
