//! Hosts with real components: in this process, and behind real sockets.

#![cfg(test)]

mod host {
    pub(crate) mod harness;
    mod order;
    mod refusals;
    mod sockets;
}
