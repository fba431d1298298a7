//! The light host.
