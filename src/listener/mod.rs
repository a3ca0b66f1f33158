//! Where connections come in: addresses, TLS, and the guard that every byte passes before Pingora sees it.
//!
//! Pingora 0.9.1 alone waits 24 bytes for an HTTP/2 preface without a deadline, restarts its head time-out at every
//! byte, ends lines at a bare LF, repairs a request that has both Content-Length and Transfer-Encoding, serves
//! HTTP/1.1 without Host, and counts no connections. [`Guard`] stands before it: what it lets through has one
//! meaning, and nothing is waited for without an end.

mod bind;
mod caps;
mod chunked;
mod guard;
pub mod head;
mod http1;
mod http2;
mod linger;
pub mod offline;
mod parting;
pub mod problem;
mod refuse;
mod rules;
mod service;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod wait;

pub use bind::{BindProblem, Bound, bind_all, take_over};
pub use caps::{Caps, Shed, Slot};
pub use guard::Guard;
pub use http2::{Serving, note_malformed, serving, take_exit};
pub use refuse::{Hooks, Refused};
pub use rules::{Bindings, ConnectionRules, Endpoint, ListenerId, ListenerRules};
pub use service::service;
pub use stream::{Dismissal, Ended, GuardedStream, Overdue};
pub use tls::{Tls, TlsProblem};
