//! `advisories`: known vulnerabilities in the dependencies.

use anyhow::Result;

use crate::deny;

/// Fails when a dependency has one that is not accepted in deny.toml.
pub(crate) fn run() -> Result<()> {
    deny::check(&["advisories"])
}
