//! The filter itself.

use super::{Exchange, Facts, Reason, Refusal};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to a request that a filter cannot decide on, because something it asks is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// The request is refused. The default.
    #[default]
    Refuse,
    /// The request passes as if the filter were not there, and a fault is counted.
    Pass,
}

/// Why a filter stopped a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// By rule.
    Refused(Refusal),
    /// Answered here, without the backend, such as a CORS preflight. The answer has no body.
    Answered(http::StatusCode),
    /// It could not decide. `on_fault` says whether this refusal is given or the request passes.
    Faulted(Refusal),
}

impl Halt {
    /// A filter runs where what it reads cannot be. The checks of a chain's order rule that out.
    pub(crate) fn misplaced(filter: &'static str) -> Self {
        Self::Faulted(Refusal::because(Reason::Internal, format!("`{filter}` has nothing to read in this chain")))
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A filter's verdict.
pub type Outcome = Result<(), Halt>;

/// A value that is there, or a future of it. Most checks need no waiting, so they need no allocation.
pub enum Step<'a, T> {
    /// At once.
    Ready(T),
    /// After waiting for something outside.
    Later(BoxFuture<'a, T>),
}

impl<'a, T: 'a> Step<'a, T> {
    /// Boxes a future.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self::Later(Box::pin(future))
    }

    /// The value, waiting where that is needed.
    pub async fn get(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

/// What [`Filter::check`] gives.
pub type Check<'a> = Step<'a, Outcome>;

/// That a filter looks into the body, which is then read whole before the filter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyNeed {
    /// A longer body is refused with `BODY_TOO_LARGE` while it is read.
    pub bytes_max: u64,
}

/// One of the ordered checks of a chain. Shared by all requests, so it holds no state of any one.
pub trait Filter: Send + Sync {
    /// Its name in the configuration, in metrics and in logs.
    fn name(&self) -> &'static str;

    /// What it needs of the body.
    fn body_need(&self) -> Option<BodyNeed> {
        None
    }

    /// What happens when it cannot decide.
    fn on_fault(&self) -> OnFault {
        OnFault::Refuse
    }

    /// Adds to a refusal that is made ahead of the chain what a page needs to read it. Whether this page may read it.
    fn admit_reader(&self, _headers: &HeaderMap, _facts: &mut Facts) -> bool {
        false
    }

    /// Lets the request pass (`Ok`), or stops it. Bounded in time: whatever it waits for has a deadline.
    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f>;
}
