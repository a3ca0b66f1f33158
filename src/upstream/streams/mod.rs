//! HTTP/2 streams to endpoints: calls whose bodies may flow both ways for as long as they like.
//!
//! All streams to an endpoint share one connection; another is made only where those that there are carry as many as
//! the peer allows, see [`pool`]. How connections are made and watched is in [`dial`].
//!
//! What one stream does to the others on its connection:
//! - Whoever does not read an answer holds back its own stream only: the window of the connection is as large as the
//!   protocol allows, so that the windows of all its streams fit into it.
//! - Whether a request that the peer does not read holds back the others' bodies is the peer's to say: it does where
//!   its window for the connection is no larger than that for a stream.
//! - A cancelled stream costs the others nothing.
//! - A lost TCP segment holds back all of them, as it does with HTTP/2 anywhere.
//!
//! Known gap: hyper 1.12 resets a stream whose response is dropped only once it looks for more of the request's body.
//! A peer that has answered, but grants no window for the rest of the request, so keeps such a stream until it grants
//! some, resets it or goes away. Its place and one piece of the body are what that costs.

mod body;
mod dial;
mod link;
mod pool;
#[cfg(test)]
mod tests;

pub use body::{AnswerBody, StreamBody};
pub(super) use {dial::Waits, pool::Streams};

use super::{CallFault, Endpoint, FaultKind, Upstream};
use body::Outgoing;
use h2::Reason;
use http::{
    Request, Response, Uri,
    header::HOST,
    uri::{self, PathAndQuery},
};
use std::{error::Error, iter, sync::Arc};

/// A call that did not come to an answer, and the request where nothing was made of it yet.
struct Failed {
    fault: CallFault,
    unsent: Option<Request<StreamBody>>,
}

impl Upstream {
    /// Opens one HTTP/2 stream at an endpoint whose turn it is and answers with the head of the response; the body is
    /// the caller's to read. `request.uri()` holds path and query only: scheme and authority are written here.
    /// Dropping the future or the response resets the stream (`RST_STREAM`, `CANCEL`), whether or not the request's
    /// body has ended; so does an error of that body.
    ///
    /// It is tried at the next endpoint where no connection was made, at each once. It is tried once more on another
    /// connection where the peer has made nothing of it: the connection was closed before the request went out, or the
    /// peer says so (`REFUSED_STREAM`, or a stream beyond its `GOAWAY`, RFC 9113 section 8.7) of a request that is
    /// whole. gRPC calls that a transparent retry.
    ///
    /// No deadline is kept here but that of connecting: streams may wait long.
    ///
    /// # Errors
    /// Where no response began. `Unreachable` is the only one after which the peer has certainly made nothing of it.
    pub async fn open(&self, mut request: Request<StreamBody>) -> Result<Response<AnswerBody>, CallFault> {
        let mut gone = Vec::new();
        let mut is_repeated = false;
        loop {
            let Some(endpoint) = self.pick(&gone).cloned() else {
                return Err(CallFault::no_endpoint(self.name()));
            };
            let failed = match endpoint.open(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(unsent) = failed.unsent else { return Err(failed.fault) };
            // An endpoint that could not be connected to just now cannot be at once.
            if matches!(failed.fault, CallFault::Unreachable { .. }) {
                gone.push(endpoint);
                if gone.len() >= self.endpoints().len() {
                    return Err(failed.fault);
                }
            } else if is_repeated {
                return Err(failed.fault);
            } else {
                is_repeated = true;
            }
            request = unsent;
        }
    }
}

impl Endpoint {
    async fn open(self: &Arc<Self>, request: Request<StreamBody>) -> Result<Response<AnswerBody>, Failed> {
        let place = match self.streams.place(self).await {
            Ok(place) => place,
            Err(why) => {
                let fault = CallFault::unreachable(self, &why);
                return Err(Failed { fault, unsent: Some(request) });
            }
        };
        self.reached();
        let (mut head, body) = request.into_parts();
        head.uri = self.uri(&head.uri);
        // The authority says it (RFC 9113 section 8.3.1).
        head.headers.remove(HOST);
        let spare = body.again().map(|body| Request::from_parts(head.clone(), body));
        let request = Request::from_parts(head, Outgoing::new(body, Arc::clone(&place)));
        let mut error = match place.link().send(request).await {
            Ok(response) => {
                self.answered(response.status().as_u16());
                return Ok(response.map(|incoming| AnswerBody::new(incoming, place)));
            }
            Err(error) => error,
        };
        let (cause, reset) = (causes(error.error()), reset_reason(error.error()));
        let broken = CallFault::Broken { endpoint: self.authority().to_owned(), cause, reset };
        if let Some(handed_back) = error.take_message() {
            self.streams.lost(self, place.link());
            return Err(Failed { fault: broken, unsent: Some(handed_back.map(Outgoing::into_inner)) });
        }
        let unsent = spare.filter(|_| is_untouched(error.error()));
        if unsent.is_none() {
            self.failed(FaultKind::Reset, &broken);
        }
        Err(Failed { fault: broken, unsent })
    }

    /// Path and query of `uri` at this endpoint.
    fn uri(&self, uri: &Uri) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
        // All three are there, which is all that it asks for.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Whether the peer says that it has made nothing of a stream. h2 0.4 ends with a `GOAWAY` of the peer only those
/// streams that are beyond it; the others go on.
fn is_untouched(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| h2.is_remote() && (h2.is_go_away() || h2.reason() == Some(Reason::REFUSED_STREAM)))
}

/// The word with which a stream was reset, and nothing but that stream.
pub(super) fn reset_reason(error: &hyper::Error) -> Option<Reason> {
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    h2.filter(|h2| h2.is_reset()).and_then(h2::Error::reason)
}

/// An error with everything beneath it: hyper's own words alone are "http2 error".
fn causes(error: &(dyn Error + 'static)) -> String {
    let all = iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
