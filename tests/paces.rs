//! Who is slow is waited for, and who stalls is not: `timeouts.request` bounds the time to the head of an answer, and what
//! comes in small pieces is passed on as it comes.

use crate::kit::{
    PATIENCE,
    backend::{Backend, Reply},
    gateway::Gateway,
    raw::Raw,
    scripted::scripted,
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

fn gateway(backend: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
connections: {{ write: 1s, body_idle: 1s }}
upstreams:
  backend: {{ endpoints: ["http://{backend}"], timeouts: {{ connect: 500ms, read: 1s, request: 1500ms }} }}
routes:
  - {{ name: read, match: {{ path: /read }}, chain: [ {{ body: {{ max: 1KiB }} }} ], forward: backend }}
  - {{ name: all, match: {{ path: "/*" }}, forward: backend }}
"#
    ))
}

fn get(gateway: &Gateway) -> Raw {
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    raw
}

async fn h2(gateway: &Gateway) -> h2::client::SendRequest<bytes::Bytes> {
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn ask(client: &mut h2::client::SendRequest<bytes::Bytes>) -> h2::client::ResponseFuture {
    client.send_request(http::Request::get("http://a/a").body(()).unwrap(), true).unwrap().0
}

/// So many pieces, so far apart that they take longer than `request` and each comes within `read`.
const PIECES: usize = 6;
const APART: Duration = Duration::from_millis(400);

fn dripping(head: &'static str, piece: &'static str, end: &'static str) -> SocketAddr {
    scripted(move |stream: &mut TcpStream, _| {
        drop(stream.write_all(head.as_bytes()));
        for _ in 0..PIECES {
            thread::sleep(APART);
            drop(stream.write_all(piece.as_bytes()));
        }
        drop(stream.write_all(end.as_bytes()));
    })
}

#[tokio::test]
async fn an_answer_may_take_longer_than_its_head() {
    for (head, piece, end) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "x", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "0\r\n\r\n"),
    ] {
        let gateway = gateway(dripping(head, piece, end));
        let (mut raw, mut client) = (get(&gateway), h2(&gateway).await);
        let answer = ask(&mut client);
        let http1 = thread::spawn(move || raw.answer());
        let mut body = answer.await.unwrap().into_body();
        let mut length = 0;
        while let Some(piece) = body.data().await {
            length += piece.unwrap().len();
        }
        assert_eq!((http1.join().unwrap().body.len(), length), (PIECES, PIECES), "{head:?}");
    }
}

#[test]
fn a_small_piece_is_passed_on_before_the_next_comes() {
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "x"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    ] {
        let (ask, asked) = mpsc::channel::<()>();
        let asked = Mutex::new(asked);
        let gateway = gateway(scripted(move |stream, _| {
            drop(stream.write_all(head.as_bytes()));
            while asked.lock().unwrap().recv_timeout(PATIENCE).is_ok() {
                drop(stream.write_all(piece.as_bytes()));
            }
        }));
        let mut raw = get(&gateway);
        assert!(raw.until(b"\r\n\r\n").is_some(), "{head:?}");
        for _ in 0..3 {
            ask.send(()).unwrap();
            assert_eq!(raw.exactly(piece.len()), piece.as_bytes(), "{head:?}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_stalls_in_its_answer_is_cut() {
    let gateway = gateway(scripted(|stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nx"));
        drop(stream.read(&mut [0; 64]));
    }));
    assert!(get(&gateway).rest().ends_with(b"\r\n\r\nx"));
    let mut body = ask(&mut h2(&gateway).await).await.unwrap().into_body();
    let mut outcome = body.data().await;
    while let Some(Ok(_)) = outcome {
        outcome = body.data().await;
    }
    assert!(matches!(outcome, Some(Err(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_head_that_drips_for_too_long_is_a_504() {
    let gateway = gateway(dripping("HTTP/1.1 200 OK\r\nX: ", "x", "\r\nContent-Length: 0\r\n\r\n"));
    let (mut raw, mut client) = (get(&gateway), h2(&gateway).await);
    let answer = ask(&mut client);
    let http1 = thread::spawn(move || raw.answer().status);
    assert_eq!((answer.await.unwrap().status().as_u16(), http1.join().unwrap()), (504, 504));
}

#[test]
fn a_download_may_be_read_slowly_but_must_be_read() {
    const BYTES: usize = 24 << 20;
    let backend = Backend::start(|_| Reply::json(200, "x".repeat(BYTES)));
    let gateway = gateway(backend.address);
    let mut raw = get(&gateway);
    assert!(raw.until(b"\r\n\r\n").is_some());
    let started = Instant::now();
    for _ in 0..24 {
        thread::sleep(Duration::from_millis(100));
        assert_eq!(raw.exactly(BYTES / 24).len(), BYTES / 24);
    }
    assert!(started.elapsed() > Duration::from_millis(1500), "longer than `request`");
    let mut idle = get(&gateway);
    let line = gateway.access_line(|line| line["bytes_out"].as_u64().is_some_and(|bytes| bytes < BYTES as u64));
    assert_eq!(line["status"], 200, "{line}");
    assert!(idle.rest().len() < BYTES);
}

#[tokio::test]
async fn an_upload_that_gets_on_has_its_time() {
    let early = scripted(|stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    });
    let backend = echo();
    // Bytes in each piece: a trickle, and what gets on. What is answered has no need of its end.
    for (backend, bytes, status) in [(backend.address, 1, 408), (backend.address, 1 << 10, 200), (early, 1, 200)] {
        let gateway = gateway(backend);
        let length = PIECES * bytes;
        let mut raw = Raw::connect(gateway.address("public"));
        raw.send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        let request = http::Request::post("http://a/a").header("content-length", length).body(()).unwrap();
        let (answer, mut body) = h2(&gateway).await.send_request(request, false).unwrap();
        for place in 1..=PIECES {
            tokio::time::sleep(APART).await;
            raw.send("x".repeat(bytes));
            // A stream that is answered takes no more of it.
            drop(body.send_data("x".repeat(bytes).into(), place == PIECES));
        }
        assert_eq!((raw.answer().status, answer.await.unwrap().status().as_u16()), (status, status), "{bytes}");
    }
}

fn echo() -> Backend {
    Backend::start(|seen| Reply::json(200, serde_json::json!({ "method": seen.method, "length": seen.body.len() })))
}

#[tokio::test]
async fn interim_answers_are_passed_on_to_who_knows_them() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
    let backend = scripted(|stream, _| {
        drop(stream.write_all([HINTS, HINTS, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"].concat().as_bytes()));
    });
    let gateway = gateway(backend);
    let mut raw = get(&gateway);
    for expected in [103, 103, 200] {
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("x-hop")), (expected, None));
        assert_eq!(answer.header("link").is_some(), expected == 103);
    }
    let mut raw = Raw::connect(gateway.address("public"));
    assert_eq!(raw.send("GET /a HTTP/1.0\r\n\r\n").answer().status, 200);
    let mut answer = ask(&mut h2(&gateway).await);
    for _ in 0..2 {
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!((interim.status().as_u16(), interim.headers().contains_key("x-hop")), (103, false));
    }
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_storm_of_interim_answers_has_an_end() {
    let gateway = gateway(scripted(|stream, _| while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {}));
    let mut raw = get(&gateway);
    let last = std::iter::from_fn(|| Some(raw.answer().status)).find(|status| *status != 102);
    assert_eq!(last, Some(502));
    assert_eq!(ask(&mut h2(&gateway).await).await.unwrap().status(), 502);
}

#[test]
fn a_client_is_told_to_go_on_where_it_can_be() {
    let backend = echo();
    let gateway = gateway(backend.address);
    let head = |path: &str, version: &str, headers: &str| {
        format!("POST {path} HTTP/{version}\r\nHost: a\r\nContent-Length: 2\r\n{headers}\r\n")
    };
    for path in ["/a", "/read"] {
        for (version, expect, statuses) in [
            ("1.1", "Expect: 100-continue\r\n", &[100, 200][..]),
            ("1.1", "Expect: 100-Continue\r\nExpect: 100-continue\r\n", &[100, 200]),
            ("1.1", "Expect:\r\n", &[200]),
            ("1.1", "", &[200]),
            ("1.0", "Expect: 100-continue\r\n", &[200]),
            ("1.1", "Expect: 200-ok\r\n", &[417]),
            ("1.1", "Expect: 100-continue, more\r\n", &[417]),
        ] {
            let mut raw = Raw::connect(gateway.address("public"));
            raw.send(head(path, version, expect));
            for (place, expected) in statuses.iter().enumerate() {
                if place + 1 == statuses.len() {
                    raw.send("{}");
                }
                assert_eq!(raw.answer().status, *expected, "{path} {version} {expect:?}");
            }
        }
    }
}

#[test]
fn any_method_may_have_a_body() {
    let backend = echo();
    let gateway = gateway(backend.address);
    let mut raw = Raw::connect(gateway.address("public"));
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "PURGE"] {
        for (framing, body) in [("Content-Length: 2", "{}"), ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n")] {
            let answer = raw.send(format!("{method} /a HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}")).answer();
            assert_eq!(answer.json()["length"], 2, "{method} {framing}");
        }
        let answer = raw.send(format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n")).answer();
        assert_eq!(answer.json()["length"], 0, "{method}");
    }
    // The answer to HEAD has the length of what GET would bring, and nothing of it.
    raw.send("HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    assert!(raw.until(b"\r\n\r\n").is_some());
    assert_eq!(raw.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    let seen = backend.seen();
    let unframed = seen.iter().filter(|seen| seen.body.is_empty());
    for seen in unframed {
        assert_eq!(seen.header("transfer-encoding"), None, "{seen:?}");
    }
}
