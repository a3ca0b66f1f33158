//! What is wrong with a configuration that no check of the file can see.

use super::route::MatchProblem;
use crate::{
    client::TrustFault,
    config::{Unplaced, descriptors::DescriptorFault, secrets::SecretFault},
    store::redis::OptionsFault,
    upstream::EndpointProblem,
};
use filters::api::BuildFault;

/// Why a configuration gives no plan.
#[derive(Debug, thiserror::Error)]
pub enum BuildProblem {
    /// A filter could not be built.
    #[error("chain of route `{route}`: {fault}")]
    Filter {
        /// The route.
        route: String,
        /// What is wrong.
        fault: BuildFault,
    },
    /// Something names what is not there.
    #[error("{user} names {kind} `{name}`, which is not configured")]
    Missing {
        /// Who names it.
        user: String,
        /// What kind of thing.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A route's chain cannot be written out.
    #[error("route `{route}`: {unplaced}")]
    Chain {
        /// The route.
        route: String,
        /// Why not.
        unplaced: Unplaced,
    },
    /// A route has no target, or two.
    #[error("route `{0}` needs exactly one target: `forward`, `rpc`, `commands`, `websocket`, `sse` or `publish`")]
    Target(String),
    /// A service's descriptors could not be read.
    #[error("route `{route}`: {fault}")]
    Descriptors {
        /// The route.
        route: String,
        /// Why.
        fault: DescriptorFault,
    },
    /// A secret could not be read.
    #[error("signing key `{key_id}`: {fault}")]
    Secret {
        /// The key's name.
        key_id: String,
        /// Why.
        fault: SecretFault,
    },
    /// A budget could not be built.
    #[error(transparent)]
    Budget(BuildFault),
    /// A store cannot be made.
    #[error("store `{store}`: {fault}")]
    Store {
        /// The store's name.
        store: String,
        /// Why.
        fault: OptionsFault,
    },
    /// A match that does not compile.
    #[error(transparent)]
    Match(#[from] MatchProblem),
    /// An endpoint that is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointProblem),
    /// There is nobody to trust at an `https://` endpoint.
    #[error("{user}: {fault}")]
    Trust {
        /// Whose endpoint.
        user: String,
        /// Why.
        fault: TrustFault,
    },
    /// What has `https://` endpoints would be spoken to in cleartext.
    #[error("{user} goes out in cleartext, but upstream `{upstream}` has `https://` endpoints")]
    Cleartext {
        /// What goes out.
        user: String,
        /// The upstream's name.
        upstream: String,
    },
    /// A header value that is none.
    #[error("route `{0}`: its `host` is no header value")]
    Host(String),
    /// An origin that is no header value.
    #[error("route `{0}`: its `origins` have what is no origin")]
    Origin(String),
    /// A feed's address is none.
    #[error("events `{0}`: the address of its feed is no `http://host:port` or `https://host:port`")]
    Feed(String),
    /// Networks that are none.
    #[error("listener `{0}`: `trusted_proxies` has what is no network")]
    Network(String),
}
