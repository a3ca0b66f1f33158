//! A request's head has one meaning, whatever protocol brings it: to routes, to filters, to `explain` and to the backend.

use crate::kit::{
    backend::{Backend, Reply, Seen},
    gateway::{Gateway, portcullis},
    raw::Raw,
};
use http::{Method, Request, StatusCode};
use std::net::SocketAddr;

fn yaml(backend: SocketAddr) -> String {
    format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
upstreams: {{ backend: {{ endpoints: ["http://{backend}"] }} }}
routes:
  - {{ name: admin, match: {{ host: admin.example.com, path: "/*" }}, chain: {{ ip: {{ allow: [192.0.2.0/24] }} }}, forward: backend }}
  - {{ name: below, match: {{ host: "*.below.example.", path: "/*" }}, chain: {{ ip: {{ allow: [192.0.2.0/24] }} }}, forward: backend }}
  - {{ name: rooted, match: {{ host: rooted.example., path: "/*" }}, chain: {{ ip: {{ allow: [192.0.2.0/24] }} }}, forward: backend }}
  - {{ name: literal, match: {{ host: "2001:db8::1", path: "/*" }}, chain: {{ ip: {{ allow: [192.0.2.0/24] }} }}, forward: backend }}
  - {{ name: rest, match: {{ path: "/*" }}, chain: request_id, forward: backend }}
  - {{ name: crumbs, match: {{ path: /crumbs, headers: {{ cookie: "a=1; b=2" }} }}, forward: backend }}
"#
    )
}

fn start() -> (Gateway, Backend) {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    (Gateway::start(&yaml(backend.address)), backend)
}

/// The status of a head over HTTP/1.
fn send(gateway: &Gateway, head: impl AsRef<[u8]>) -> u16 {
    Raw::connect(gateway.address("public")).send(head).answer().status
}

/// The status of one request over HTTP/2.
async fn send_h2(gateway: &Gateway, request: Request<()>) -> StatusCode {
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    client.send_request(request, true).unwrap().0.await.unwrap().status()
}

fn h2(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(uri).body(()).unwrap();
    for (name, value) in headers {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value);
    }
    request
}

/// The route of a request, as `explain` tells it.
fn explained(gateway: &Gateway, request: &[&str]) -> (String, serde_json::Value) {
    let output = portcullis()
        .args(["explain", gateway.config().to_str().unwrap(), "--format", "json", "--from", "127.0.0.1"])
        .args(request)
        .env("TEST_SIGNER", crate::kit::gateway::SIGNER_PEM)
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (told["route"].as_str().unwrap_or_default().to_owned(), told)
}

#[tokio::test]
async fn a_host_is_one_however_it_is_spelled() {
    let (gateway, backend) = start();
    for (host, status, route) in [
        ("admin.example.com", 403, "admin"),
        ("ADMIN.example.com", 403, "admin"),
        ("admin.example.com.", 403, "admin"),
        ("admin.example.com.:80", 403, "admin"),
        ("admin.example.com:", 403, "admin"),
        ("a.below.example", 403, "below"),
        ("a.Below.example.", 403, "below"),
        ("rooted.example", 403, "rooted"),
        ("rooted.example.", 403, "rooted"),
        ("[2001:db8::1]", 403, "literal"),
        ("[2001:DB8:0::1]:8080", 403, "literal"),
        ("below.example", 200, "rest"),
        ("other.example.", 200, "rest"),
        ("admin.example.com..", 400, ""),
        (".admin.example.com", 400, ""),
        (".", 400, ""),
    ] {
        assert_eq!(send(&gateway, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), status, "{host}");
        let absolute = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(send(&gateway, absolute), status, "{host}");
        assert_eq!(send_h2(&gateway, h2("/", &[("host", host)])).await, status, "{host}");
        if status != 400 {
            assert_eq!(send_h2(&gateway, h2(&format!("http://{host}/"), &[])).await, status, "{host}");
        }
        for more in [&[][..], &["--http2"]] {
            let header = format!("host: {host}");
            if status != 400 || more.is_empty() {
                let (found, told) = explained(&gateway, &[&["/", "-H", &header], more].concat());
                assert_eq!(found, route, "{host}: {told:#}");
            }
        }
    }
    let hosts: Vec<_> = backend.seen().iter().filter_map(|seen| seen.header("host").map(str::to_owned)).collect();
    assert!(hosts.iter().any(|host| host == "other.example"), "{hosts:?}");
    assert!(!hosts.iter().any(|host| host.ends_with('.')), "{hosts:?}");
}

#[tokio::test]
async fn hosts_that_are_the_same_are_no_contradiction() {
    let (gateway, _backend) = start();
    for (target, host, status) in [
        ("http://a.example:80/x", "a.example", 200),
        ("http://A.example/x", "a.example", 200),
        ("http://a.example./x", "a.example", 200),
        ("http://a.example/x", "a.example:", 200),
        ("https://a.example:443/x", "a.example", 200),
        ("http://a.example:81/x", "a.example", 400),
        ("http://b.example/x", "a.example", 400),
    ] {
        assert_eq!(send(&gateway, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")), status, "{target} {host}");
        assert_eq!(send_h2(&gateway, h2(target, &[("host", host)])).await, status, "{target} {host}");
    }
}

#[tokio::test]
async fn http2_is_held_to_what_holds_for_http1() {
    let (gateway, backend) = start();
    for (uri, headers, status) in [
        ("http://a/b?q=%C3%A4", &[][..], 200),
        ("http://a/b?q=\u{e4}", &[], 400),
        ("http://a/b\u{e4}", &[], 400),
        ("http://a/", &[("x", " a")], 400),
        ("http://a/", &[("x", "a ")], 400),
        ("http://a/", &[("x", "a\t")], 400),
        ("http://a/", &[("x", "a b")], 200),
        ("http://a/", &[("x", "")], 200),
        ("http://a/", &[("content_length", "1")], 400),
    ] {
        assert_eq!(send_h2(&gateway, h2(uri, headers)).await, status, "{uri} {headers:?}");
    }
    assert!(backend.seen().iter().all(|seen| seen.target.is_ascii()));
}

#[tokio::test]
async fn a_status_says_what_is_too_long() {
    let (gateway, _backend) = start();
    let (path, query, long) = ("a".repeat(9_000), "b".repeat(20_000), "c".repeat(40_000));
    for (head, status) in [
        (format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n\r\n"), 200),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /?{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100)), 431),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(40)), 501),
    ] {
        let answer = Raw::connect(gateway.address("public")).send(&head).answer();
        let shown = head.get(..40).unwrap();
        assert_eq!(answer.status, status, "{shown}");
        assert!(status == 200 || answer.json()["status"] == status, "{shown}");
    }
    let over_h2 = [("/", &path, "", 414), ("/?", &query, "", 200), ("/?", &long, "", 414), ("/", &query, &*long, 431)];
    for (target, more, value, status) in over_h2 {
        let request = h2(&format!("http://a{target}{more}"), &[("x", value)]);
        assert_eq!(send_h2(&gateway, request).await, status, "{target} {} {}", more.len(), value.len());
    }
    let target = format!("/{path}");
    assert_eq!(explained(&gateway, &[&target]).1["answer"]["status"], 414);
    assert_eq!(explained(&gateway, &[&target, "--http2"]).1["answer"]["status"], 414);
}

fn cookies(seen: &Seen) -> Vec<&str> {
    seen.headers.get_all("cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn cookies_are_one_line_to_everybody_behind() {
    let (gateway, backend) = start();
    let crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
    assert_eq!(send_h2(&gateway, h2("http://a/x", &crumbs)).await, 200);
    assert_eq!(cookies(&backend.seen().pop().unwrap()), ["a=1; b=2; c=3; d=4"]);
    let head = "GET /x HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\ncookie: b=2\r\n\r\n";
    assert_eq!(send(&gateway, head), 200);
    assert_eq!(cookies(&backend.seen().pop().unwrap()), ["a=1; b=2"]);
    assert_eq!(send_h2(&gateway, h2("http://a/x", &[("cookie", "a=1")])).await, 200);
    assert_eq!(cookies(&backend.seen().pop().unwrap()), ["a=1"]);
    // Routes are found by what backends read.
    assert_eq!(send_h2(&gateway, h2("http://a/crumbs", &crumbs[..2])).await, 200);
    assert_eq!(gateway.access_line(|line| line["path"] == "/crumbs")["route"], "crumbs");
    let told = explained(&gateway, &["/crumbs", "-H", "cookie: a=1", "-H", "cookie: b=2", "--http2"]);
    assert_eq!(told.0, "crumbs");
}

#[test]
fn http_1_0_is_served_as_such() {
    let (gateway, backend) = start();
    let address = gateway.address("public");
    let mut raw = Raw::connect(address);
    let answer = raw.send("GET /old HTTP/1.0\r\n\r\n").answer();
    assert!(answer.head.starts_with("HTTP/1.1 200 "), "{}", answer.head);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert_eq!(raw.rest(), b"", "the connection ends");
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.header("host"), Some(backend.address.to_string().as_str()));
    assert_eq!(seen.header("x-forwarded-host"), None);
    assert_eq!(gateway.access_line(|line| line["path"] == "/old")["protocol"], "HTTP/1.0");

    let mut kept = Raw::connect(address);
    for _ in 0..2 {
        let answer = kept.send("GET /kept HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").answer();
        assert_eq!((answer.status, answer.header("connection").as_deref()), (200, Some("keep-alive")));
        assert_eq!(backend.seen().pop().unwrap().header("host"), Some("a"));
    }
    assert_eq!(send(&gateway, "GET http://other.example/x HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(backend.seen().pop().unwrap().header("host"), Some("other.example"));
    assert_eq!(send(&gateway, "GET http://admin.example.com./x HTTP/1.0\r\n\r\n"), 403);
}

#[test]
fn a_later_minor_version_is_taken_for_1_1() {
    let (gateway, backend) = start();
    let mut raw = Raw::connect(gateway.address("public"));
    for version in ["1.2", "1.9", "1.1"] {
        let answer = raw.send(format!("GET /v HTTP/{version}\r\nHost: a\r\n\r\n")).answer();
        assert!(answer.head.starts_with("HTTP/1.1 200 "), "{version}: {}", answer.head);
    }
    assert_eq!(backend.seen_at("/v").len(), 3);
    let other = raw.send("GET /v HTTP/2.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!(other.status, 505);
}

#[tokio::test]
async fn a_question_to_the_server_is_answered_here() {
    let (gateway, backend) = start();
    let answer = Raw::connect(gateway.address("public")).send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!(answer.status, 204);
    assert!(answer.header("allow").unwrap().contains("OPTIONS"), "{}", answer.head);
    let mut request = h2("http://a/", &[]);
    *request.method_mut() = Method::OPTIONS;
    *request.uri_mut() = "*".parse().unwrap();
    request.headers_mut().insert("host", "a".parse().unwrap());
    assert_eq!(send_h2(&gateway, request).await, 204);
    assert!(backend.seen().is_empty());
}
