//! The Dapr pluggable component protocol: messages and services generated from `proto/`, and their descriptors. No logic
//! but how the bytes of a message are buffered.

#![expect(
    clippy::allow_attributes,
    reason = "what generated code trips over varies with its generator"
)]

mod codec;

/// Messages and services of `dapr.proto.components`: what a component serves.
pub mod components {
    /// Version 1.
    #[allow(
        missing_docs,
        missing_debug_implementations,
        clippy::all,
        clippy::clone_on_ref_ptr,
        reason = "generated"
    )]
    pub mod v1 {
        include!("generated/dapr.proto.components.v1.rs");
    }
}

/// The descriptors of [`components`], imports included: an encoded `FileDescriptorSet`.
pub const COMPONENTS_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/components.bin");

/// Messages of `dapr.proto.common`: what the application API shares.
#[cfg(feature = "runtime")]
pub mod common {
    /// Version 1.
    #[allow(
        missing_docs,
        missing_debug_implementations,
        clippy::all,
        clippy::clone_on_ref_ptr,
        reason = "generated"
    )]
    pub mod v1 {
        include!("generated/dapr.proto.common.v1.rs");
    }
}

/// Messages and services of `dapr.proto.runtime`: what a runtime and an application serve each other.
#[cfg(feature = "runtime")]
pub mod runtime {
    /// Version 1.
    #[allow(
        missing_docs,
        missing_debug_implementations,
        clippy::all,
        clippy::clone_on_ref_ptr,
        reason = "generated"
    )]
    pub mod v1 {
        include!("generated/dapr.proto.runtime.v1.rs");
    }
}

/// The descriptors of [`runtime`] and [`common`], imports included: an encoded `FileDescriptorSet`.
#[cfg(feature = "runtime")]
pub const RUNTIME_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/runtime.bin");
