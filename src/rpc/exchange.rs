//! One forwarded call: the caller's messages in, the callee's messages out, and whoever goes first ends it.

use super::{
    answer::{Answer, append},
    asked::Asked,
    caller::Protocol,
    refusal, transcode,
    upload::{Stop, Upload},
};
use crate::{
    listener::Dismissal,
    plan::services::{Method, RpcTarget},
    proxy::reply,
    upstream::grpc::{Call, Piece, Reply, Requests},
    vitals::LastCall,
    wire::{Code, Failure},
};
use bytes::Bytes;
use filters::api::{Facts, Reason, Refusal};
use futures_util::StreamExt as _;
use http::HeaderMap;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;
use std::{future::Future, mem, pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A call whose head was admitted.
pub struct Exchange<'a> {
    /// Where it goes.
    pub target: &'a RpcTarget,
    /// What is called.
    pub method: &'a Method,
    /// What the caller asked for.
    pub asked: &'a Asked,
    /// When the caller stops waiting, which the callee is told.
    pub given: Option<Instant>,
    /// When the gateway does.
    pub deadline: Option<Instant>,
    /// What every answer of this request carries.
    pub facts: &'a Facts,
    /// When the gateway stops.
    pub last_call: &'a LastCall,
    /// Where it goes on for long: the word that its route is another now.
    pub dismissal: Option<&'a Dismissal>,
    /// How late this call is told of a stop among all that are, 0 to 1.
    pub turn: f32,
}

/// What a call without a stream behind it ends with.
struct Whole {
    headers: HeaderMap,
    message: Bytes,
    trailers: HeaderMap,
}

impl Exchange<'_> {
    /// Makes the call and writes its answer. Gives the gateway's word for why it failed, where it has one.
    ///
    /// # Errors
    /// Where the client has gone, the call with it.
    pub async fn run(
        &self,
        session: &mut Session,
        upload: &mut Upload<'_>,
        metadata: HeaderMap,
        requests: Requests,
    ) -> Result<Option<Reason>> {
        let call = Call { path: self.method.path.clone(), headers: metadata, deadline: self.given, requests };
        let calling = self.target.callee.call(call);
        let mut answer = Answer::to(self.asked);
        let outcome = if self.method.server_streams {
            self.stream(session, upload, calling, &mut answer).await?
        } else {
            let whole = async move { collect(calling.await?).await };
            match self.race(session, upload, whole).await? {
                Ok(whole) => self.write_whole(session, answer, whole).await?,
                Err(failure) => Err(failure),
            }
        };
        let Err(failure) = outcome else { return Ok(None) };
        let is_ours = failure.reason == Some(Reason::BackendUnavailable);
        let failure = if is_ours { refusal::explained(failure) } else { failure };
        let reason = failure.reason;
        self.write_failure(session, answer, failure).await?;
        Ok(reason)
    }

    async fn stream(
        &self,
        session: &mut Session,
        upload: &mut Upload<'_>,
        calling: impl Future<Output = std::result::Result<Reply, Failure>>,
        answer: &mut Answer,
    ) -> Result<std::result::Result<(), Failure>> {
        let Reply { headers, mut pieces } = match self.race(session, upload, calling).await? {
            Ok(reply) => reply,
            Err(failure) => return Ok(Err(failure)),
        };
        answer.begin(session, self.headers(headers)).await?;
        loop {
            let next = async { Ok(pieces.next().await) };
            let message = match self.race(session, upload, next).await? {
                Ok(Some(Piece::Message(message))) => message,
                Ok(Some(Piece::End(Ok(trailers)))) => return answer.finish(session, None, &trailers).await.map(Ok),
                Ok(Some(Piece::End(Err(failure)))) | Err(failure) => return Ok(Err(failure)),
                Ok(None) => return Ok(Err(Failure::new(Code::Internal, "a reply without an end"))),
            };
            match transcode::from_proto(message, self.asked.caller.codec, &self.method.output) {
                Ok(message) => self.in_time(answer.message(session, message)).await?,
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }

    async fn write_whole(
        &self,
        session: &mut Session,
        answer: Answer,
        whole: Whole,
    ) -> Result<std::result::Result<(), Failure>> {
        match transcode::from_proto(whole.message, self.asked.caller.codec, &self.method.output) {
            Ok(message) => answer.whole(session, self.headers(whole.headers), message, &whole.trailers).await.map(Ok),
            Err(failure) => Ok(Err(failure)),
        }
    }

    async fn write_failure(&self, session: &mut Session, answer: Answer, mut failure: Failure) -> Result<()> {
        if answer.has_begun() {
            // The client is still sending, perhaps: its connection must not end ahead of this.
            return answer.finish(session, Some(&failure), &failure.metadata.trailers).await;
        }
        let mut headers = mem::take(&mut failure.metadata.headers);
        if self.asked.caller.protocol == Protocol::Grpc {
            // With a status that comes alone all metadata are headers, for which the filters' edits hold.
            append(&mut headers, &mem::take(&mut failure.metadata.trailers));
        }
        answer.fail(session, self.headers(headers), &failure).await
    }

    /// The callee's headers as ours: what filters remove or replace is the callee's, so they come last.
    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        reply::add_common(self.facts, &mut headers);
        headers
    }

    /// Writes while there is time for it: no upstream is kept waiting by a client that does not read.
    async fn in_time(&self, writing: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::select! {
            biased;
            written = writing => written,
            () = reached(self.deadline) => {
                Err(Error::explain(ErrorType::WriteTimedout, "the call's time is over, its answer unread").into_down())
            }
        }
    }

    /// The caller knows that its own time is over; that the gateway's is it has to be told.
    fn late(&self) -> Failure {
        let reason = Reason::BackendTimeout;
        let failure = Failure { reason: Some(reason), ..Failure::new(Code::DeadlineExceeded, reason.title()) };
        if self.given.is_some_and(|given| given <= Instant::now()) { failure } else { refusal::explained(failure) }
    }

    /// Waits for `event`, and meanwhile takes what the client sends.
    async fn race<T>(
        &self,
        session: &mut Session,
        upload: &mut Upload<'_>,
        event: impl Future<Output = std::result::Result<T, Failure>>,
    ) -> Result<std::result::Result<T, Failure>> {
        let mut event = pin!(event);
        loop {
            let idle = (!self.method.is_unary()).then(|| Instant::now() + self.target.idle);
            // In no order: a callee that always has a message ready must not keep the caller's from it, nor outlast the
            // deadline; nor must a caller that always sends keep what it is answered.
            tokio::select! {
                outcome = &mut event => return Ok(outcome),
                step = upload.step(session.as_mut()) => match step {
                    Ok(()) => {}
                    Err(Stop::Gone(error)) => return Err(error),
                    Err(Stop::Failed(failure)) => return Ok(Err(failure)),
                },
                () = reached(self.deadline) => return Ok(Err(self.late())),
                () = reached(idle) => return Ok(Err(silent())),
                () = self.last_call.comes(self.turn) => return Ok(Err(ended(Reason::GatewayShuttingDown))),
                () = dismissed(self.dismissal) => return Ok(Err(ended(Reason::RouteChanged))),
            }
        }
    }
}

/// A stream on which nothing came for as long as its route allows. No caller's deadline is over, and one that watches
/// something opens another stream.
fn silent() -> Failure {
    let what = "nothing came on the stream for as long as it may be silent";
    refusal::explained(Failure { reason: Some(Reason::BackendTimeout), ..Failure::new(Code::Unavailable, what) })
}

fn ended(reason: Reason) -> Failure {
    refusal::to_failure(&Refusal::new(reason))
}

async fn dismissed(dismissal: Option<&Dismissal>) {
    match dismissal {
        Some(dismissal) => dismissal.given().await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment; for ever where there is none.
pub async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The one message of a reply that has one.
async fn collect(reply: Reply) -> std::result::Result<Whole, Failure> {
    let Reply { headers, mut pieces } = reply;
    let mut message = None;
    while let Some(piece) = pieces.next().await {
        match piece {
            Piece::Message(first) if message.is_none() => message = Some(first),
            Piece::Message(_) => return Err(cardinality("more than one message")),
            Piece::End(Ok(trailers)) => {
                let message = message.ok_or_else(|| cardinality("no message"))?;
                return Ok(Whole { headers, message, trailers });
            }
            Piece::End(Err(mut failure)) => {
                append(&mut failure.metadata.headers, &headers);
                return Err(failure);
            }
        }
    }
    Err(Failure::new(Code::Internal, "a reply without an end"))
}

fn cardinality(what: &str) -> Failure {
    let reason = Some(Reason::BackendUnavailable);
    Failure { reason, ..Failure::new(Code::Unimplemented, format!("the upstream answered with {what}")) }
}

/// When a call is over for which `given` is the caller's word, that came at `started`.
#[must_use]
pub fn deadline(started: std::time::Instant, given: Option<Duration>, most: Option<Duration>) -> Option<Instant> {
    let most = match (given, most) {
        (Some(given), Some(most)) => given.min(most),
        (given, most) => given.or(most)?,
    };
    started.checked_add(most).map(Instant::from_std)
}
