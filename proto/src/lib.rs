//! The wire of Portcullis: generated messages, their JSON form, and the signing inputs.

pub mod json;
#[cfg(test)]
mod json_tests;
pub mod signing;

/// What devices and browsers speak to the gateway.
pub mod edge {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/edge.v1.rs"));
    }
}

/// What the gateway speaks to the backend to be told of events.
pub mod push {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/push.v1.rs"));
    }
}

/// The standard error details of `google.rpc` that a refusal carries.
pub mod google {
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

/// The compiled `FileDescriptorSet` of every .proto file here, for reflection and generic clients.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
