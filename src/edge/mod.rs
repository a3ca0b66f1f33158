//! The service that the gateway itself is: `edge.v1.Gateway`, commands and subscriptions.

mod backend;
mod execute;
mod request;
mod rpc;
mod subscribe;

pub use rpc::serve as serve_rpc;
