//! Hosts with real components: in this process, and behind real sockets.

#[path = "host/harness.rs"]
mod harness;
#[path = "host/order.rs"]
mod order;
#[path = "host/refusals.rs"]
mod refusals;
#[path = "host/sockets.rs"]
mod sockets;
