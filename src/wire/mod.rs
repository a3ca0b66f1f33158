//! What gRPC, gRPC-Web and Connect have in common on the wire, toward clients and toward upstreams: status codes,
//! failures with their details, framed messages, compression, time-outs.

pub mod accept;
pub mod code;
pub mod encoding;
pub mod failure;
pub mod frames;
pub mod lists;
pub mod timeout;

pub use code::Code;
pub use encoding::Encoding;
pub use failure::Failure;
