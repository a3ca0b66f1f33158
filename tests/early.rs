//! A client that is answered while it still sends gets the answer, whoever gives it; and a page in a browser may read
//! why it was refused.

use crate::kit::{
    authority::Vouched,
    backend::{Backend, Reply},
    eventually,
    gateway::Gateway,
    raw::{Raw, RawAnswer},
    scripted::scripted,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject as _};
use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const APP: &str = "https://app.example.com";

fn yaml(backend: &Backend, early: SocketAddr, tls: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0", limits: {{ body: 64MiB }}{tls} }}
  small: {{ bind: "127.0.0.1:0", limits: {{ body: 256KiB }} }}
upstreams:
  backend: {{ endpoints: ["http://{}"] }}
  early: {{ endpoints: ["http://{early}"] }}
  nowhere: {{ endpoints: ["http://127.0.0.1:1"] }}
budgets: {{ few: {{ key: [client.ip], instance: ["3/1m"] }} }}
routes:
  - {{ name: read, match: {{ path: /read }}, chain: request_id, forward: backend }}
  - {{ name: early, match: {{ path: /early }}, chain: request_id, forward: early }}
  - {{ name: lost, match: {{ path: /lost }}, chain: request_id, forward: nowhere }}
  - {{ name: shut, match: {{ path: /shut }}, chain: [ request_id, {{ ip: {{ allow: [192.0.2.0/24] }} }} ], forward: backend }}
  - {{ name: json, match: {{ path: /json }}, chain: [ request_id, {{ body: {{ max: 1KiB, json: true }} }} ], forward: backend }}
  - name: app
    match: {{ path: "/app/*", method: [GET, POST] }}
    chain: [ request_id, {{ cors: {{ origins: ["{APP}"] }} }}, {{ budget: [few] }} ]
    forward: backend
  - {{ name: tenant, match: {{ path: /tenant, headers: {{ x-tenant: a }} }}, chain: [ {{ cors: {{ origins: ["{APP}"] }} }} ], forward: backend }}
  - {{ name: closed, match: {{ path: /closed, method: GET }}, forward: backend }}
  - {{ name: closed-post, match: {{ path: /closed, method: POST }}, chain: [ {{ cors: {{ origins: ["{APP}"] }} }} ], forward: backend }}
"#,
        backend.address
    )
}

fn echo() -> Backend {
    Backend::start(|seen| Reply::json(200, serde_json::json!({ "length": seen.body.len() })))
}

fn gateway(backend: &Backend) -> Gateway {
    let early = scripted(|stream, _| {
        drop(stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly"));
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
    Gateway::start(&yaml(backend, early, ""))
}

/// A request with a body of so many bytes.
fn upload(path: &str, bytes: usize, is_chunked: bool, headers: &str) -> Vec<u8> {
    let framing = match is_chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {bytes}"),
    };
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}{framing}\r\n\r\n").into_bytes();
    if !is_chunked {
        request.resize(request.len() + bytes, b'x');
        return request;
    }
    for _ in 0..bytes / 50_000 {
        request.extend_from_slice(b"c350\r\n");
        request.resize(request.len() + 50_000, b'x');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// As most clients do: the whole request, and only then a look at the answer. A write that fails fails the call.
#[test]
fn whoever_still_sends_gets_his_answer() {
    let backend = echo();
    let gateway = gateway(&backend);
    for (listener, path, status) in [
        ("public", "/lost", 503),
        ("public", "/early", 413),
        ("public", "/shut", 403),
        ("public", "/nothing", 404),
        ("public", "/json", 413),
        ("small", "/read", 413),
    ] {
        for (bytes, is_chunked, headers) in [
            (1_000_000, false, ""),
            (1_000_000, true, "Connection: close\r\n"),
            (8_000_000, false, "Connection: close\r\n"),
            (8_000_000, true, ""),
        ] {
            for _ in 0..3 {
                let mut raw = Raw::connect(gateway.address(listener));
                raw.send_whole(upload(path, bytes, is_chunked, headers));
                assert_eq!(raw.answer().status, status, "{listener} {path} {bytes} {is_chunked} {headers}");
            }
        }
    }
    assert!(!gateway.has_panicked());
}

#[test]
fn whoever_sends_slowly_gets_his_answer() {
    let backend = echo();
    let gateway = gateway(&backend);
    let cases =
        [("public", "/lost", 503), ("public", "/early", 413), ("public", "/shut", 403), ("small", "/read", 413)];
    let sending = cases.map(|(listener, path, status)| {
        let address = gateway.address(listener);
        thread::spawn(move || {
            let request = upload(path, 1_000_000, true, "");
            let mut raw = Raw::connect(address);
            for piece in request.chunks(request.len() / 10 + 1) {
                raw.send_whole(piece);
                // Longer in all than a connection is kept for another request.
                thread::sleep(Duration::from_millis(400));
            }
            assert_eq!(raw.answer().status, status, "{path}");
        })
    });
    for one in sending {
        one.join().unwrap();
    }
}

#[tokio::test]
async fn over_tls_he_gets_it_as_well() {
    let vouched = Vouched::new("localhost");
    let tls =
        format!(r#", tls: {{ certificate: "{}", key: "{}" }}"#, vouched.certificate.display(), vouched.key.display());
    let backend = echo();
    let gateway = Gateway::start(&yaml(&backend, backend.address, &tls));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&vouched.ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for (path, status) in [("/lost", "503"), ("/shut", "403"), ("/nothing", "404")] {
        let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(&upload(path, 8_000_000, true, "")).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{path}");
    }
}

#[test]
fn a_client_that_has_closed_its_sending_side_is_answered() {
    let backend = Backend::start(|seen| {
        let after = if seen.target == "/read" { Duration::from_millis(300) } else { Duration::ZERO };
        Reply::json(200, "x".repeat(1 << 20)).after(after)
    });
    let gateway = gateway(&backend);
    for (head, status, body) in [
        ("GET /read HTTP/1.1\r\nHost: a\r\n\r\n", 200, 1 << 20),
        ("GET /read HTTP/1.0\r\n\r\n", 200, 1 << 20),
        ("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 200, 1 << 20),
        ("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 1 << 20),
        ("GET /lost HTTP/1.1\r\nHost: a\r\n\r\n", 503, 1),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, 1),
    ] {
        let answer = Raw::connect(gateway.address("public")).send(head).close_write().try_answer();
        let answer = answer.unwrap_or_else(|| panic!("no answer to {head:?}"));
        assert_eq!(answer.status, status, "{head:?}");
        assert!(answer.body.len() >= body, "{head:?}");
    }
}

#[test]
fn a_request_of_a_client_that_is_gone_is_given_up() {
    let is_given_up = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&is_given_up);
    let silent = scripted(move |stream, _| {
        stream.set_read_timeout(Some(crate::kit::PATIENCE)).unwrap();
        noted.store(matches!(stream.read(&mut [0; 64]), Ok(0)), SeqCst);
    });
    let gateway = Gateway::start(&yaml(&echo(), silent, ""));
    for is_half_closed in [true, false] {
        is_given_up.store(false, SeqCst);
        let mut raw = Raw::connect(gateway.address("public"));
        raw.send("GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
        let _still_open = is_half_closed.then(|| {
            raw.close_write();
            raw
        });
        eventually("the end of the backend's request", || is_given_up.load(SeqCst).then_some(()));
    }
}

fn allowed(answer: &RawAnswer) -> Option<String> {
    answer.header("access-control-allow-origin")
}

#[test]
fn a_page_may_read_that_its_body_is_too_large() {
    let backend = echo();
    let gateway = gateway(&backend);
    for is_chunked in [false, true] {
        let request = upload("/app/x", 300_000, is_chunked, &format!("Origin: {APP}\r\n"));
        let answer = Raw::connect(gateway.address("small")).send(request).answer();
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (413, Some("BODY_TOO_LARGE")));
        assert_eq!(allowed(&answer).as_deref(), Some(APP), "{answer:?}");
        assert_eq!(answer.header("vary").as_deref(), Some("Origin"), "{answer:?}");
        assert!(answer.header("x-ratelimit-remaining").is_some(), "it costs what others do: {answer:?}");
    }
    // Nothing of it is asked for, nor sent on.
    let head = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(Raw::connect(gateway.address("small")).send(head).answer().status, 413);
    assert!(backend.seen_at("/read").is_empty());
}

#[test]
fn a_page_may_read_that_it_has_no_route() {
    let backend = echo();
    let gateway = gateway(&backend);
    for (request, origin, status, expected) in [
        ("PUT /app/x", APP, 405, Some(APP)),
        ("PUT /app/x", "https://other.example", 405, None),
        ("GET /app/../x", APP, 400, Some(APP)),
        ("GET /app/a%2Fb", APP, 400, Some(APP)),
        ("GET /tenant", APP, 404, Some(APP)),
        // The most specific route that lets the page.
        ("PUT /closed", APP, 405, Some(APP)),
        ("GET /nothing", APP, 404, None),
        ("PUT /read", APP, 200, None),
        // What is shut looks like what is not there.
        ("GET /api/v1/internal/app", APP, 404, None),
    ] {
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");
        let answer = Raw::connect(gateway.address("public")).send(head).answer();
        assert_eq!((answer.status, allowed(&answer).as_deref()), (status, expected), "{request} {origin}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_may_read_it_over_h2() {
    let gateway = gateway(&echo());
    let stream = tokio::net::TcpStream::connect(gateway.address("small")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (method, path, status) in [("PUT", "/app/x", 405), ("GET", "/app/a%2Fb", 400), ("POST", "/app/x", 413)] {
        let request = http::Request::builder().method(method).uri(format!("http://a{path}")).header("origin", APP);
        let request = request.header("content-length", if status == 413 { "300000" } else { "0" }).body(()).unwrap();
        let (answer, _body) = client.send_request(request, status != 413).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers().get("access-control-allow-origin").unwrap(), APP, "{path}");
    }
}
