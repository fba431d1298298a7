//! What the nodes of a cluster answer that do not have what a command is about. The command has then done nothing.

use redis::RedisError;

use super::endpoint::Endpoint;
use super::hosts::Host;

/// How many nodes may send a command on to another.
pub(super) const HOPS: usize = 5;

/// What to do with the command instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot is at another node for good.
    Moved(Host),
    /// The key is at another node already, which answers only after `ASKING`.
    Ask(Host),
    /// The keys are at two nodes for the moment.
    TryAgain,
}

/// Where an error sends a command that was at `asked`.
pub(super) fn redirect(error: &RedisError, asked: &Endpoint) -> Option<Redirect> {
    let host = || {
        let (address, _) = error.redirect_node()?;
        let (name, port) = address.rsplit_once(':')?;
        let name = match name {
            "" => asked.host()?.name.clone(),
            name => name.trim_matches(['[', ']']).to_owned(),
        };
        let port = port.parse().ok()?;
        Some(Host { name, port })
    };
    match error.code() {
        Some("MOVED") => host().map(Redirect::Moved),
        Some("ASK") => host().map(Redirect::Ask),
        Some("TRYAGAIN") => Some(Redirect::TryAgain),
        _ => None,
    }
}
