//! What gRPC, gRPC-Web and Connect have in common on the wire, toward clients and toward upstreams: status codes,
//! failures with their details, framed messages, compression, time-outs. And whom a request of HTTP is for.

pub mod accept;
pub mod authority;
pub mod code;
pub mod encoding;
pub mod failure;
pub mod frames;
pub mod lists;
pub mod timeout;

pub use authority::{Authority, Host};
pub use code::Code;
pub use encoding::Encoding;
pub use failure::Failure;
