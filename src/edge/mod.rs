//! The service that the gateway itself is: `edge.v1.Gateway`, commands and subscriptions.
//!
//! All of it over RPC, subscriptions over WebSocket and as server-sent events too: the same request, the same chain, the
//! same hub. What differs is how a stream is written, which is a `deliver::Transport`. Filters run in the proxy; a stream that
//! they let through is handed over to the sidecar (`proxy::Outlet`), which delivers to it until it ends.

mod backend;
mod deliver;
mod execute;
mod frames;
pub(crate) mod offline;
mod request;
mod rpc;
mod sse;
mod subscribe;
mod websocket;

pub use rpc::serve as serve_rpc;
pub use sse::serve as serve_sse;
pub use websocket::serve as serve_websocket;
