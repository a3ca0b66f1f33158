//! Filters whose verdicts are seen, for requests that are only tried.

use crate::api::{BodyNeed, Check, Exchange, Facts, Filter, Halt, HeaderEdit, OnFault, Outcome, Step};
use http::HeaderMap;
use std::sync::Arc;

/// What one filter made of a request.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The filter, or of several that decide together the one that stopped the request.
    pub filter: &'static str,
    /// Whether it let the request pass, and why not.
    pub outcome: Outcome,
    /// It could not decide, and the request passes nevertheless (`on_fault: pass`).
    pub is_waived: bool,
    /// The changes that it asks for in the request to the backend.
    pub to_backend: Vec<HeaderEdit>,
    /// The changes that it asks for in the answer to the client.
    pub to_client: Vec<HeaderEdit>,
}

/// Who is told of each verdict, with the filter's place in the chain.
pub type Watch = dyn Fn(usize, Verdict) + Send + Sync;

/// A filter that is watched.
pub(super) struct Watched {
    filter: Box<dyn Filter>,
    place: usize,
    watch: Arc<Watch>,
}

impl Watched {
    pub(super) fn boxed(filter: Box<dyn Filter>, place: usize, watch: Arc<Watch>) -> Box<dyn Filter> {
        Box::new(Self { filter, place, watch })
    }

    async fn judge(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let known = (exchange.facts.upstream_headers.iter().count(), exchange.facts.downstream_headers.iter().count());
        let outcome = self.filter.check(exchange).get().await;
        let facts = &*exchange.facts;
        let verdict = Verdict {
            filter: facts.stopped_by.unwrap_or_else(|| self.filter.name()),
            is_waived: matches!(outcome, Err(Halt::Faulted(_))) && self.filter.on_fault() == OnFault::Pass,
            outcome: outcome.clone(),
            to_backend: facts.upstream_headers.iter().skip(known.0).cloned().collect(),
            to_client: facts.downstream_headers.iter().skip(known.1).cloned().collect(),
        };
        (self.watch)(self.place, verdict);
        outcome
    }
}

impl Filter for Watched {
    fn name(&self) -> &'static str {
        self.filter.name()
    }

    fn body_need(&self) -> Option<BodyNeed> {
        self.filter.body_need()
    }

    fn on_fault(&self) -> OnFault {
        self.filter.on_fault()
    }

    fn admit_reader(&self, headers: &HeaderMap, facts: &mut Facts) -> bool {
        self.filter.admit_reader(headers, facts)
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::later(self.judge(exchange))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Reason,
        chain::{Chain, build_chain},
        fakes::{Request, parts},
        table::{ChainEntry, FilterConfig},
    };
    use std::sync::{Mutex, PoisonError};

    fn chain(yaml: &str) -> Chain {
        let entries: Vec<ChainEntry> = serde_yaml::from_str(yaml).unwrap();
        let filters = entries.into_iter().map(|entry| match entry {
            ChainEntry::Filter(filter) => *filter,
            ChainEntry::Name(name) => FilterConfig::bare(&name).unwrap().clone(),
        });
        let filters: Vec<FilterConfig> = filters.collect();
        build_chain(&filters.iter().collect::<Vec<_>>(), &parts()).unwrap()
    }

    #[tokio::test]
    async fn each_verdict_is_told_and_none_is_changed() {
        let yaml = "[request_id: {}, headers: { request: { remove: [x-debug] } }, ip: { deny: [192.0.2.0/24] }, \
                    body: { max: 1KiB }]";
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&seen);
        let watch: Arc<Watch> = Arc::new(move |place, verdict: Verdict| {
            let passed = verdict.outcome.is_ok();
            let line = format!("{place} {} {passed} {}", verdict.filter, verdict.to_backend.len());
            told.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        });
        let watched = chain(yaml).watched(&watch);
        assert_eq!(watched.names().collect::<Vec<_>>(), ["request_id", "headers", "ip", "body"]);
        let mut request = Request::get("/");
        let stop = watched.run_head(&mut request.exchange()).await.unwrap_err();
        assert_eq!(stop, chain(yaml).run_head(&mut Request::get("/").exchange()).await.unwrap_err());
        assert!(matches!(stop, crate::chain::Stop::Refused(refusal) if refusal.reason == Reason::AddressForbidden));
        assert_eq!(*seen.lock().unwrap(), ["0 request_id true 1", "1 headers true 1", "2 ip false 0"]);
    }
}
