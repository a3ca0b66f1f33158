//! The guard on real sockets, before a small application of Pingora's kind.

mod doors;
mod http1;
mod http2;
mod proxied;

use super::{head::HeadLimits, *};
use async_trait::async_trait;
use pingora_core::{
    apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream},
    protocols::http::ServerSession,
    server::ShutdownWatch,
    services::Service as _,
};
use pingora_http::ResponseHeader;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// Longer than anything that is waited for; only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

/// What the application saw.
#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    broken_bodies: AtomicUsize,
    clients_gone: AtomicUsize,
}

/// Answers `METHOD target body-length`; to `/early` before reading the body, to `/wait` when the client is gone.
struct Echo(Arc<Seen>);

#[async_trait]
impl HttpServerApp for Echo {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let header = session.req_header();
        let target = header.uri.path_and_query().map_or("*", |target| target.as_str()).to_owned();
        let line = format!("{} {target}", header.method);
        let body = if target == "/early" { 0 } else { self.read(&mut session).await? };
        self.0.requests.lock().unwrap().push(format!("{line} {body}"));
        // As the proxy does: the client is watched while the answer is made.
        let done = async {
            if target == "/wait" {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            _ = session.read_body_or_idle(true), if target != "/early" => {
                self.0.clients_gone.fetch_add(1, SeqCst);
                return None;
            }
            () = done => {}
        }
        answer(&mut session, format!("{line} {body}")).await?;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

impl Echo {
    /// The length of the body; `None` where it does not come whole.
    async fn read(&self, session: &mut ServerSession) -> Option<usize> {
        let mut length = 0;
        loop {
            match session.read_request_body().await {
                Ok(Some(bytes)) => length += bytes.len(),
                Ok(None) => return Some(length),
                Err(_) => {
                    self.0.broken_bodies.fetch_add(1, SeqCst);
                    return None;
                }
            }
        }
    }
}

async fn answer(session: &mut ServerSession, text: String) -> Option<()> {
    let mut header = ResponseHeader::build(200, None).ok()?;
    header.insert_header("content-length", text.len()).ok()?;
    session.write_response_header(Box::new(header)).await.ok()?;
    session.write_response_body(text.into(), true).await.ok()
}

#[derive(Default)]
struct Ledger(Mutex<Vec<(u16, String)>>);

impl Hooks for Ledger {
    fn is_trusted(&self, _: &str, _: IpAddr) -> bool {
        false
    }

    fn request_id(&self) -> String {
        "made-here".to_owned()
    }

    fn refused(&self, refused: &Refused<'_>) {
        assert_eq!((refused.listener, refused.request_id), ("door", "made-here"));
        self.0.lock().unwrap().push((refused.refusal.status, refused.peer.ip().to_string()));
    }
}

/// A guarded listener that is up.
struct Door {
    address: SocketAddr,
    caps: Arc<Caps>,
    seen: Arc<Seen>,
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
}

fn connection_rules() -> ConnectionRules {
    ConnectionRules {
        head_deadline: HANG,
        keepalive: HANG,
        body_idle: HANG,
        write: HANG,
        drain: Duration::from_secs(1),
    }
}

pub(super) fn listener_rules() -> ListenerRules {
    ListenerRules {
        name: "door".into(),
        http1: true,
        http2: true,
        tls: None,
        head: HeadLimits { bytes_max: 512, headers_max: 8 },
        streams_max: 8,
        counted: true,
    }
}

fn open(rules: ListenerRules, connections: ConnectionRules, caps: Arc<Caps>) -> Door {
    let seen = Arc::<Seen>::default();
    open_before(Echo(Arc::clone(&seen)), seen, rules, connections, caps)
}

fn open_before<P>(app: P, seen: Arc<Seen>, rules: ListenerRules, connections: ConnectionRules, caps: Arc<Caps>) -> Door
where
    P: HttpServerApp + Send + Sync + 'static,
{
    let bound = bind_all(&[(rules.name.to_string(), "127.0.0.1:0".parse().unwrap())], Vec::new()).unwrap();
    let address = bound[0].address;
    let bindings = Arc::new(Bindings::new(vec![Endpoint { address, rules }]));
    let ledger = Arc::<Ledger>::default();
    let guard =
        Guard::new(app, Arc::clone(&bindings), connections, Arc::clone(&caps), Arc::clone(&ledger) as Arc<dyn Hooks>);
    let mut service = service(guard, &bindings);
    let (stop, stopped) = watch::channel(false);
    let fds = take_over(bound);
    tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await });
    Door { address, caps, seen, ledger, stop }
}

fn usual() -> Door {
    open(listener_rules(), connection_rules(), Caps::new(100, 100))
}

impl Door {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and reads until the gateway closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        rest(&mut client).await
    }

    fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let met = async {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        };
        timeout(HANG, met).await.unwrap();
    }
}

/// What comes until the other side closes.
async fn rest(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    timeout(HANG, client.read_to_end(&mut text)).await.unwrap().unwrap();
    String::from_utf8(text).unwrap()
}

/// Reads one answer with a Content-Length; its body.
async fn one_answer(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let whole = async {
        loop {
            text.push(char::from(client.read_u8().await.unwrap()));
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return body.to_owned();
            }
        }
    };
    timeout(HANG, whole).await.unwrap()
}
