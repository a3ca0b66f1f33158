//! One whole call to a backend: request in, complete answer out, within a deadline.

use super::{
    Endpoint, Upstream, is_doubtful,
    pool::{Pool, Sender},
    stand_in,
};
use bytes::{Bytes, BytesMut};
use filters::api::Fault;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
// Pingora's timers: set and dropped many times a call, they take no lock of the runtime for that.
use pingora_timeout::timeout;
use std::{fmt::Display, time::Duration};
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
            Self::TooLarge { .. } => "answer_too_large",
        }
    }
}

impl From<CallFault> for Fault {
    fn from(fault: CallFault) -> Self {
        Self::new(fault.kind(), fault.to_string())
    }
}

/// An attempt that failed, and the request where it can be sent again: no byte of it went out, or a kept
/// connection turned out to be closed and the method is idempotent.
struct Failed {
    fault: CallFault,
    unsent: Option<Request<Full<Bytes>>>,
}

impl Upstream {
    /// Sends `request` (path and query in its URI, no `Host`) and reads the whole answer.
    ///
    /// A POST or PATCH is sent once. An idempotent call is tried a second time where nothing was sent, or where a
    /// kept connection was closed before a byte of the answer came (RFC 9110 section 9.2.2).
    ///
    /// # Errors
    /// Where no complete answer came before `deadline` or the upstream's own limit.
    pub async fn call(&self, mut request: Request<Full<Bytes>>, deadline: Instant) -> Result<Answer, CallFault> {
        if let Some(stand_in) = self.stand_in.get() {
            return stand_in::ask(stand_in.as_ref(), self.name(), request).await;
        }
        let started = Instant::now();
        let deadline = deadline.min(started + self.options().request);
        let idempotent = request.method().is_idempotent();
        let mut attempts_left = if idempotent { 2 } else { 1 };
        loop {
            attempts_left -= 1;
            let Some(endpoint) = self.pick() else {
                return Err(CallFault::Unreachable {
                    endpoint: self.name().to_owned(),
                    cause: "no endpoint".to_owned(),
                });
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let failed = match timeout(left, self.attempt(endpoint, request)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => {
                    let endpoint = endpoint.authority().to_owned();
                    return Err(CallFault::Timeout { endpoint, waited: started.elapsed() });
                }
            };
            match failed.unsent {
                Some(unsent) if attempts_left > 0 => request = unsent,
                _ => return Err(failed.fault),
            }
        }
    }

    async fn attempt(&self, endpoint: &Endpoint, mut request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        let (mut sender, is_reused) = match self.sender(endpoint).await {
            Ok(sender) => sender,
            Err(fault) => {
                endpoint.unreachable();
                return Err(Failed { fault, unsent: Some(request) });
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
                let unsent = error.take_message().or_else(|| spare.filter(|_| !error.error().is_parse()));
                return Err(Failed { fault: broken(endpoint, error.error()), unsent });
            }
            Err(_) => return Err(Failed { fault: self.late(endpoint), unsent: None }),
        };
        let answer = self.read(endpoint, response).await.map_err(|fault| Failed { fault, unsent: None })?;
        endpoint.pool.put(sender, self.options().idle_max);
        Ok(answer)
    }

    /// A connection, and whether it was used before.
    async fn sender(&self, endpoint: &Endpoint) -> Result<(Sender, bool), CallFault> {
        if let Some(sender) = Pool::take(&endpoint.pool, self.options().idle_timeout) {
            return Ok((sender, true));
        }
        let unreachable = |cause: String| CallFault::Unreachable { endpoint: endpoint.authority().to_owned(), cause };
        let connecting = async {
            let stream = TcpStream::connect(endpoint.address().await?).await?;
            stream.set_nodelay(true)?;
            std::io::Result::Ok(stream)
        };
        let stream = match timeout(self.options().connect, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no connection in {:?}", self.options().connect))),
        };
        let (sender, connection) = http1::Builder::new()
            .max_headers(128)
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        // The connection's own errors reach the caller through the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok((sender, false))
    }

    async fn read(&self, endpoint: &Endpoint, response: http::Response<Incoming>) -> Result<Answer, CallFault> {
        let (head, mut body) = response.into_parts();
        if is_doubtful(head.version, &head.headers) {
            return Err(broken(endpoint, &"it is in doubt where the answer ends"));
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
