//! Write and call Dapr pluggable components.
