//! A backend that answers as the test says and remembers what it was asked.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};
use tokio::sync::watch;

/// A request as the backend saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// What the backend answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// How long it takes before it answers.
    pub after: std::time::Duration,
    /// Where the test says when it answers: once this is true.
    pub gate: Option<watch::Receiver<bool>>,
}

impl Reply {
    /// A JSON answer.
    #[allow(clippy::needless_pass_by_value, reason = "what is answered is written in place")]
    pub fn json(status: u16, body: impl ToString) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: Bytes::from(body.to_string()), after: std::time::Duration::ZERO, gate: None }
    }

    /// The same, late.
    pub fn after(self, after: std::time::Duration) -> Self {
        Self { after, ..self }
    }

    /// The same, when the test says so.
    pub fn when(self, gate: &watch::Receiver<bool>) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Answer = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A backend on a free port.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Backend {
    /// Starts a backend that answers so.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (answer, into): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&seen));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, answer, into) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, _stop: stop }
    }

    /// Everything that was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was asked of a path that begins so.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.target.starts_with(path)).collect()
    }
}

async fn serve(listener: TcpListener, answer: Arc<Answer>, seen: Arc<Mutex<Vec<Seen>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
        let service = service_fn(move |request| respond(request, Arc::clone(&answer), Arc::clone(&seen)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn respond(
    request: Request<Incoming>,
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let request = Seen { method: head.method.to_string(), target: head.uri.to_string(), headers: head.headers, body };
    let reply = answer(&request);
    seen.lock().unwrap().push(request);
    tokio::time::sleep(reply.after).await;
    if let Some(mut gate) = reply.gate {
        // A test that has ended wants no answer.
        drop(gate.wait_for(|is_open| *is_open).await);
    }
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status.try_into().expect("a status");
    for (name, value) in reply.headers {
        response.headers_mut().append(name, value.parse().expect("a header value"));
    }
    Ok(response)
}
