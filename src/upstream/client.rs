//! One whole call to a backend: request in, complete answer out, within a deadline.

use super::{
    Endpoint, FaultKind, Track, Unreached, Upstream, is_doubtful, is_of_connection,
    pool::{Pool, Sender},
    stand_in,
};
use bytes::{Bytes, BytesMut};
use filters::api::Fault;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{HOST, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
// Pingora's timers: set and dropped many times a call, they take no lock of the runtime for that.
use pingora_timeout::timeout;
use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::Instant};

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// No connection could be made, so nothing was sent.
    #[error("{endpoint} is out of reach: {cause}")]
    Unreachable {
        /// Which endpoint.
        endpoint: String,
        /// What went wrong.
        fault: FaultKind,
        /// Why.
        cause: String,
    },
    /// The answer did not come, or did not end, in time.
    #[error("{endpoint} did not answer in {waited:?}")]
    Timeout {
        /// Which endpoint.
        endpoint: String,
        /// How long it was given.
        waited: Duration,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("{endpoint} broke off: {cause}")]
    Broken {
        /// Which endpoint.
        endpoint: String,
        /// How.
        cause: String,
        /// The word for it, where it was one HTTP/2 stream that broke off.
        reset: Option<h2::Reason>,
    },
    /// What came is no answer.
    #[error("{endpoint} gave a malformed answer: {cause}")]
    Malformed {
        /// Which endpoint.
        endpoint: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The answer is larger than this upstream may give.
    #[error("{endpoint} answered with more than {bytes_max} bytes")]
    TooLarge {
        /// Which endpoint.
        endpoint: String,
        /// The limit.
        bytes_max: usize,
    },
}

impl CallFault {
    /// A stable word for the log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken_off",
            Self::Malformed { .. } => "malformed_answer",
            Self::TooLarge { .. } => "answer_too_large",
        }
    }

    pub(super) fn unreachable(endpoint: &Endpoint, why: &Unreached) -> Self {
        Self::Unreachable { endpoint: endpoint.authority().to_owned(), fault: why.fault, cause: why.cause.clone() }
    }

    pub(super) fn no_endpoint(upstream: &str) -> Self {
        Self::Unreachable { endpoint: upstream.to_owned(), fault: FaultKind::Refused, cause: "no endpoint".to_owned() }
    }

    /// The word for it.
    #[must_use]
    pub fn fault(&self) -> FaultKind {
        match self {
            Self::Unreachable { fault, .. } => *fault,
            Self::Timeout { .. } => FaultKind::Timeout,
            Self::Broken { .. } => FaultKind::Reset,
            Self::TooLarge { .. } | Self::Malformed { .. } => FaultKind::BadAnswer,
        }
    }

    /// The endpoint that it came about at.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Unreachable { endpoint, .. }
            | Self::Timeout { endpoint, .. }
            | Self::Broken { endpoint, .. }
            | Self::Malformed { endpoint, .. }
            | Self::TooLarge { endpoint, .. } => endpoint,
        }
    }
}

impl From<CallFault> for Fault {
    fn from(fault: CallFault) -> Self {
        Self::new(fault.kind(), fault.to_string())
    }
}

/// An attempt that failed.
struct Failed {
    fault: CallFault,
    /// The request, where it can be sent again: no byte of it went out, or a kept connection turned out to be closed
    /// and the method is idempotent.
    unsent: Option<Request<Full<Bytes>>>,
}

impl Upstream {
    /// Sends `request` (path and query in its URI, no `Host`) and reads the whole answer.
    ///
    /// Where no connection could be made, whatever the method, it is sent to the next endpoint, to each once. Where a
    /// kept connection was closed before the request went out, it is sent over a new one; so is an idempotent one where
    /// it was closed before the answer came (RFC 9110 section 9.2.2).
    ///
    /// `track` is told where it went.
    ///
    /// # Errors
    /// Where no complete answer came before `deadline` or the upstream's own limit.
    pub async fn call(
        &self,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
        track: &mut Track,
    ) -> Result<Answer, CallFault> {
        if let Some(stand_in) = self.stand_in.get() {
            return stand_in::ask(stand_in.as_ref(), self.name(), request).await;
        }
        let started = Instant::now();
        let deadline = deadline.min(started + self.options().request);
        let mut gone = Vec::new();
        let Some(mut endpoint) = self.pick(&gone) else { return Err(CallFault::no_endpoint(self.name())) };
        let mut may_reuse = true;
        loop {
            track.goes_to(endpoint);
            let left = deadline.saturating_duration_since(Instant::now());
            let failed = match timeout(left, self.attempt(endpoint, request, may_reuse)).await {
                Ok(Ok(answer)) => {
                    track.fault = None;
                    return Ok(answer);
                }
                Ok(Err(failed)) => failed,
                Err(_) => {
                    let fault =
                        CallFault::Timeout { endpoint: endpoint.authority().to_owned(), waited: started.elapsed() };
                    endpoint.failed(fault.fault(), &fault);
                    track.fault = Some(fault.fault());
                    return Err(fault);
                }
            };
            track.fault = Some(failed.fault.fault());
            let Some(unsent) = failed.unsent else {
                endpoint.failed(failed.fault.fault(), &failed.fault);
                return Err(failed.fault);
            };
            request = unsent;
            if !matches!(failed.fault, CallFault::Unreachable { .. }) {
                // Others that are kept may be closed as well.
                may_reuse = false;
                continue;
            }
            gone.push(Arc::clone(endpoint));
            match self.pick(&gone) {
                Some(next) => endpoint = next,
                None => return Err(failed.fault),
            }
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        mut request: Request<Full<Bytes>>,
        may_reuse: bool,
    ) -> Result<Answer, Failed> {
        let (mut sender, is_reused) = match self.sender(endpoint, may_reuse).await {
            Ok(sender) => sender,
            Err(why) => {
                endpoint.unreachable(why.fault, &why);
                return Err(Failed { fault: CallFault::unreachable(endpoint, &why), unsent: Some(request) });
            }
        };
        endpoint.reached();
        if let Ok(host) = HeaderValue::from_str(endpoint.authority()) {
            request.headers_mut().insert(HOST, host);
        }
        // A backend may close a kept connection at the very moment at which it is used again: what may be repeated
        // is then sent once more (RFC 9110 section 9.2.2).
        let spare = (is_reused && request.method().is_idempotent()).then(|| request.clone());
        let sent = sender.try_send_request(request);
        let response = match timeout(self.options().read, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => {
                let returned = error.take_message().filter(|_| is_reused);
                let unsent = returned.or_else(|| spare.filter(|_| !error.error().is_parse()));
                let fault = if error.error().is_parse() {
                    malformed(endpoint, error.error())
                } else {
                    broken(endpoint, error.error())
                };
                return Err(Failed { fault, unsent });
            }
            Err(_) => return Err(Failed { fault: self.late(endpoint), unsent: None }),
        };
        let answer = self.read(endpoint, response).await.map_err(|fault| Failed { fault, unsent: None })?;
        endpoint.answered(answer.status.as_u16());
        if !authenticates_connection(&answer) {
            endpoint.pool.put(sender, self.options().idle_max);
        }
        Ok(answer)
    }

    /// A connection, and whether it was used before.
    async fn sender(&self, endpoint: &Endpoint, may_reuse: bool) -> Result<(Sender, bool), Unreached> {
        if may_reuse && let Some(sender) = Pool::take(&endpoint.pool, self.options().idle_timeout) {
            return Ok((sender, true));
        }
        let started = Instant::now();
        let candidates = timeout(self.options().connect, endpoint.candidates());
        let late = |_| Err(Unreached::new(FaultKind::Dns, format!("no address in {:?}", self.options().connect)));
        let candidates = candidates.await.unwrap_or_else(late)?;
        let left = self.options().connect.saturating_sub(started.elapsed());
        let connect = async |address: SocketAddr| {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            std::io::Result::Ok(stream)
        };
        let stream = candidates.connect(left, connect).await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(128)
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Unreached::new(FaultKind::Reset, error))?;
        endpoint.connected(started.elapsed());
        // The connection's own errors reach the caller through the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok((sender, false))
    }

    async fn read(&self, endpoint: &Endpoint, response: http::Response<Incoming>) -> Result<Answer, CallFault> {
        let (head, mut body) = response.into_parts();
        if is_doubtful(head.version, &head.headers) {
            return Err(malformed(endpoint, &"it is in doubt where the answer ends"));
        }
        let mut whole = Whole::Nothing;
        loop {
            let frame = match timeout(self.options().read, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(broken(endpoint, &error)),
                Err(_) => return Err(self.late(endpoint)),
            };
            let Ok(data) = frame.into_data() else { continue };
            whole = whole.with(data);
            if whole.len() > self.options().answer_bytes_max {
                let bytes_max = self.options().answer_bytes_max;
                return Err(CallFault::TooLarge { endpoint: endpoint.authority().to_owned(), bytes_max });
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body: whole.into_bytes() })
    }

    fn late(&self, endpoint: &Endpoint) -> CallFault {
        CallFault::Timeout { endpoint: endpoint.authority().to_owned(), waited: self.options().read }
    }
}

fn broken(endpoint: &Endpoint, cause: &dyn Display) -> CallFault {
    CallFault::Broken { endpoint: endpoint.authority().to_owned(), cause: cause.to_string(), reset: None }
}

fn malformed(endpoint: &Endpoint, cause: &dyn Display) -> CallFault {
    CallFault::Malformed { endpoint: endpoint.authority().to_owned(), cause: cause.to_string() }
}

/// Whether the connection may belong to whoever was asked to show who they are: NTLM and Negotiate authenticate
/// connections, not requests (RFC 4559 section 6).
fn authenticates_connection(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED
        && answer.headers.get_all(WWW_AUTHENTICATE).iter().any(|value| is_of_connection(value.as_bytes()))
}

/// A body as it grows: most come in one piece, which is then never copied.
enum Whole {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl Whole {
    fn with(self, data: Bytes) -> Self {
        match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity(first.len() + data.len());
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                Self::Several(joined)
            }
            Self::Several(mut joined) => {
                joined.extend_from_slice(&data);
                Self::Several(joined)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(one) => one.len(),
            Self::Several(joined) => joined.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(one) => one,
            Self::Several(joined) => joined.freeze(),
        }
    }
}
