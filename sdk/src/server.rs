//! The server side: components behind a Unix socket.

#[allow(
    clippy::allow_attributes,
    dead_code,
    unused_imports,
    reason = "what serves building blocks through it comes next; the tests use a part"
)]
pub(crate) mod core;
