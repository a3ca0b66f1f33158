//! Accepts each command once.
//!
//! A signed command that was captured can be sent again as it is, and its signature holds. So each
//! (device_session_id, request_id) is reserved in a store, atomically, and the second is refused. It runs
//! behind `signature` and `freshness`: nobody can burn another's id, and what need not be remembered any more
//! is refused already. An id whose command a later budget refuses is given back.
//!
//! An id is kept for the whole time in which its command can be fresh: from `future` early to `past` late.
//! With a store in memory, ids of a process that has ended are lost. Commands from before the start of the
//! new one are therefore refused as replayed; a captured one that was stamped ahead of its time can pass once
//! more. Take a shared store where that matters.
//!
//! Where the store is out of reach or full, the command is refused with `REPLAY_STORE_UNAVAILABLE`; there is
//! no letting through.
//!
//! ```yaml
//! - replay: { store: main, keep: 2m }
//! ```

use crate::{
    api::{BuildFault, ConfigProblem, Configured, Filter, Named, OnFault, Parts, Reference, units::Duration},
    claims::{Claims, ReplayRule},
    freshness,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time;

/// How much longer than the freshness window an id is kept where nothing is configured: what the monotonic
/// clock, by which ids expire, and the wall clock, by which commands do, may drift apart in that time.
const KEEP_MARGIN: time::Duration = time::Duration::from_secs(5);

/// Accepts each command once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store that remembers the ids.
    pub store: String,
    /// How long an id is kept: at least as long as the whole freshness window, which is the default.
    #[serde(default)]
    pub keep: Option<Duration>,
    /// What happens when the store is out of reach. Only `refuse` is possible.
    #[serde(default)]
    pub on_fault: OnFault,
}

impl Config {
    /// How long an id is kept in a chain with this freshness window.
    #[must_use]
    pub fn keep_for(&self, window: time::Duration) -> time::Duration {
        self.keep.map_or(window + KEEP_MARGIN, Duration::get)
    }

    /// What is asked of the store, in a chain with this freshness window.
    pub(crate) fn rule(&self, window: time::Duration) -> ReplayRule<'_> {
        ReplayRule { store: &self.store, keep: self.keep_for(window) }
    }
}

impl Configured for Config {
    const NAME: &'static str = "replay";
    const AFTER: &'static [&'static str] = &["envelope", "session", "payload_hash", "signature", "freshness"];
    const ONCE: bool = true;

    fn references(&self) -> Vec<Reference> {
        vec![Reference { kind: Named::Store, name: self.store.clone(), pointer: "/store".to_owned() }]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        match self.on_fault {
            OnFault::Refuse => Vec::new(),
            OnFault::Pass => vec![ConfigProblem {
                pointer: "/on_fault".to_owned(),
                what: "whoever can make the store fail could replay every command".to_owned(),
                remedy: "write refuse, or leave it out".to_owned(),
            }],
        }
    }

    fn build(&self, parts: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(Claims::new(Some(self.rule(freshness::Config::default().window())), &[], parts)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{CommandState, Reason, ReplayClaim, ReplayKey},
        fakes::{FakeStore, NOW_MS, Request, Says, command, parts, reason},
    };
    use std::sync::Arc;

    async fn refused(says: Says, is_slow: bool) -> (Option<Reason>, Request, Arc<FakeStore>) {
        let store = FakeStore::new(says, is_slow);
        let mut parts = parts();
        parts.stores.insert("main".to_owned(), Arc::<FakeStore>::clone(&store));
        let config: Config = serde_yaml::from_str("{ store: main }").unwrap();
        let filter = config.build(&parts).unwrap();
        let mut request = Request::with_command(CommandState::Decoded(command().into()));
        let outcome = request.check(&*filter).await;
        (reason(outcome), request, store)
    }

    #[tokio::test]
    async fn the_first_passes_and_holds_a_reservation() {
        for is_slow in [false, true] {
            let (reason, request, store) = refused(Says::Granted(0), is_slow).await;
            assert_eq!(reason, None);
            let key = ReplayKey { device_session_id: "session-1".to_owned(), request_id: "req-1".to_owned() };
            let claim = store.claims.lock().unwrap()[0].clone();
            let keep = time::Duration::from_secs(95);
            assert_eq!(claim.replay, Some(ReplayClaim { key: key.clone(), timestamp_ms: NOW_MS, keep }));
            assert!(claim.charges.is_empty() && store.released.lock().unwrap().is_empty());
            drop(request);
            assert_eq!(*store.released.lock().unwrap(), [key], "a request that goes away gives its id back");
        }
    }

    #[tokio::test]
    async fn a_replay_and_a_fault_are_refused() {
        for (says, reason) in [(Says::Replayed, Reason::RequestReplayed), (Says::Down, Reason::ReplayStoreUnavailable)]
        {
            let (refused, request, store) = refused(says, false).await;
            assert_eq!((refused, request.facts.stopped_by), (Some(reason), Some("replay")));
            drop(request);
            assert!(store.released.lock().unwrap().is_empty(), "another's reservation must stay");
        }
    }

    #[test]
    fn passing_on_a_fault_is_a_problem() {
        let config: Config = serde_yaml::from_str("{ store: main, on_fault: pass }").unwrap();
        assert_eq!(config.problems()[0].pointer, "/on_fault");
        let what = config.build(&parts()).err().unwrap().to_string();
        assert_eq!(what, "replay: there is no store `main` for replay ids");
    }
}
