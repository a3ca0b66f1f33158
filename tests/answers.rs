//! What a backend answers reaches the client as an answer of the gateway's own connection, and nothing else does.

use crate::kit::{
    gateway::Gateway,
    raw::Raw,
    scripted::{saying, scripted},
};
use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

const WEBSOCKET: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nKeep-Alive: timeout=5\r\nSec-WebSocket-Accept: x\r\n\r\n";

fn gateway(backend: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
connections: {{ body_idle: 300ms }}
upstreams:
  backend: {{ endpoints: ["http://{backend}"], timeouts: {{ connect: 500ms, read: 300ms, request: 2s }} }}
routes:
  - {{ name: api, match: {{ path: "/api/*" }}, chain: request_id, forward: backend }}
  - {{ name: ws, match: {{ path: /ws }}, forward: {{ upstream: backend, websocket: true }} }}
"#
    ))
}

fn ask(gateway: &Gateway, path: &str, headers: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
    raw
}

/// The status and, of a refusal, its reason.
fn outcome(raw: &mut Raw) -> (u16, Option<String>) {
    let answer = raw.answer();
    let reason = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    (answer.status, reason.and_then(|problem| problem["reason"].as_str().map(str::to_owned)))
}

fn unavailable() -> (u16, Option<String>) {
    (502, Some("BACKEND_UNAVAILABLE".to_owned()))
}

#[test]
fn a_tunnel_lives_while_it_is_idle_and_carries_nothing_but_its_own() {
    let backend = scripted(|stream, _| {
        drop(stream.write_all(SWITCHING.as_bytes()));
        let mut buffer = [0; 100];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            drop(stream.write_all(&buffer[..read].to_ascii_uppercase()));
        }
    });
    let gateway = gateway(backend);
    // What is sent ahead of the 101 is the tunnel's too.
    let mut raw = ask(&gateway, "/ws", WEBSOCKET);
    raw.send("early.");
    let answer = raw.answer();
    assert_eq!((answer.status, answer.header("connection").as_deref()), (101, Some("Upgrade")));
    assert_eq!((answer.header("upgrade").as_deref(), answer.header("keep-alive")), (Some("websocket"), None));
    assert_eq!(raw.until(b".").as_deref(), Some(&b"EARLY."[..]));
    // Longer than every time-out of the configuration: that nothing happens is what is waited for.
    assert_eq!(raw.silent_for(Duration::from_millis(2500)), b"");
    assert_eq!(raw.send("late.").until(b".").as_deref(), Some(&b"LATE."[..]));
}

/// A Pingora race: a 101 that came fast enough ended the tunnel that it began, one time in fifty.
#[test]
fn every_one_of_many_tunnels_stays_open() {
    let backend = scripted(|stream, _| {
        drop(stream.write_all(SWITCHING.as_bytes()));
        let mut buffer = [0; 100];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            drop(stream.write_all(&buffer[..read]));
        }
    });
    let gateway = gateway(backend);
    for turn in 0..300 {
        let mut raw = ask(&gateway, "/ws", WEBSOCKET);
        assert_eq!(raw.answer().status, 101);
        assert_eq!(raw.send("ping").until(b"ping").as_deref(), Some(&b"ping"[..]), "{turn}");
    }
}

#[test]
fn a_tunnel_that_breaks_is_closed_without_a_word() {
    let backend = scripted(|stream, _| {
        drop(stream.write_all(SWITCHING.as_bytes()));
        drop(stream.write_all(b"bye"));
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
    let gateway = gateway(backend);
    let mut raw = ask(&gateway, "/ws", WEBSOCKET);
    assert_eq!(raw.answer().status, 101);
    assert_eq!(raw.rest(), b"bye");
}

#[test]
fn the_wait_for_a_tunnel_is_bounded() {
    let started = Instant::now();
    let silent = scripted(|stream, _| drop(stream.read(&mut [0])));
    let gateway = gateway(silent);
    assert_eq!(outcome(&mut ask(&gateway, "/ws", WEBSOCKET)), (504, Some("BACKEND_TIMEOUT".to_owned())));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_broken_answer() {
    let gateway = gateway(saying(SWITCHING));
    for (path, headers) in [
        ("/api/a", ""),
        ("/api/a", WEBSOCKET),
        ("/api/a", "Connection: Upgrade\r\nUpgrade: other\r\n"),
        ("/ws", ""),
        ("/ws", "Upgrade: websocket\r\n"),
        ("/ws", "Connection: Upgrade\r\nUpgrade: other\r\n"),
    ] {
        assert_eq!(outcome(&mut ask(&gateway, path, headers)), unavailable(), "{path} {headers}");
    }
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for path in ["api/a", "ws"] {
        let request = http::Request::get(format!("http://a/{path}")).body(()).unwrap();
        assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 502, "{path}");
    }
}

#[test]
fn an_upgrade_that_is_not_made_changes_nothing_about_the_connection() {
    let gateway = gateway(saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    for path in ["/api/a", "/ws"] {
        let mut raw = Raw::connect(gateway.address("public"));
        let next = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{WEBSOCKET}\r\n{next}{next}"));
        for _ in 0..3 {
            let answer = raw.answer();
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]), "{path}");
        }
    }
}

const HOPS: &str = "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authenticate: x\r\nTE: trailers\r\nTrailer: X-T\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn what_speaks_of_the_backends_connection_stays_on_it() {
    let gateway = gateway(saying(HOPS));
    let dropped = ["x-hop", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "upgrade"];
    let answer = ask(&gateway, "/api/a", "").answer();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    assert_eq!(answer.header("x-kept").as_deref(), Some("1"));
    assert_eq!(answer.header("connection").as_deref(), Some("keep-alive"));
    for name in dropped {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://a/api/a").body(()).unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.headers()["x-kept"], "1");
    for name in dropped {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
}

#[test]
fn an_http_1_0_client_gets_no_chunks_and_nothing_informational() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let gateway = gateway(saying(answer));
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send("GET /api/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let text = String::from_utf8(raw.rest()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nConnection: close"), "{text}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{text}");
    assert_eq!(body, "abc");
}

#[test]
fn trace_is_not_served() {
    let gateway = gateway(saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let mut raw = Raw::connect(gateway.address("public"));
    let answer = raw.send("TRACE /api/a HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (405, Some("METHOD_NOT_ALLOWED")));
    assert!(answer.header("allow").is_some());
}

#[tokio::test]
async fn an_h2_client_that_does_not_read_holds_the_backend_back() {
    const WHOLE: usize = 50 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let backend = scripted(move |stream, _| {
        drop(stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n").as_bytes()));
        let piece = vec![b'x'; 64 << 10];
        while counted.load(SeqCst) < WHOLE && stream.write_all(&piece).is_ok() {
            counted.fetch_add(piece.len(), SeqCst);
        }
    });
    let gateway = gateway(backend);
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://a/api/a").body(()).unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), 200);
    // The backend has been stopped when what it could send no longer grows.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = sent.swap(sent.load(SeqCst), SeqCst);
        if now == before {
            break;
        }
        before = now;
    }
    // The kernel's buffers on both sides of the gateway are part of it.
    assert!(before < WHOLE / 4, "{before}");
    drop(answer);
}

#[test]
fn a_426_names_the_protocol_that_it_asks_for() {
    let gateway = gateway(saying(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    ));
    for path in ["/ws", "/api/x"] {
        let answer = ask(&gateway, path, "").answer();
        assert_eq!((answer.status, answer.header("upgrade").as_deref()), (426, Some("websocket")), "{answer:?}");
    }
}
