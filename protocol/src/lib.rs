//! The Dapr pluggable component protocol.
