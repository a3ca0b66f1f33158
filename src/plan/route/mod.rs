//! Which request goes to which route: the most specific match wins, whatever the order in the file.
//!
//! Specificity is compared in this order: host (exact, then the longest `*.` suffix, then any), path
//! (segment by segment: literal, then `{param}`, then `/*`), number of headers, method. A request whose path
//! is known but whose method is not falls through to less specific routes before it is a 405.

mod matcher;
mod search;
mod table;

pub use matcher::{HostPattern, MatchProblem, Matcher, Segment, by_specificity};
pub use search::{Found, Lookup};
pub(super) use table::Matchers;
pub use table::RouteTable;
