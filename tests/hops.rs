//! What a request's way through proxies means: what trusted ones say of the client's request, how often it is forwarded,
//! and that it does not come round.

use crate::kit::{
    backend::{Backend, Reply, Seen},
    gateway::Gateway,
    raw::{Raw, RawAnswer},
};
use std::net::{SocketAddr, TcpListener};

const TRUSTED: &str = "trusted_proxies: [127.0.0.0/8], ";

fn yaml(bind: &str, backend: SocketAddr, trusted: &str) -> String {
    format!(
        r#"
version: 1
listeners: {{ public: {{ {trusted}bind: "{bind}" }} }}
upstreams: {{ backend: {{ endpoints: ["http://{backend}"] }} }}
routes: [{{ name: all, match: {{ path: "/*" }}, chain: request_id, forward: backend }}]
"#
    )
}

fn capped(backend: SocketAddr, trusted: &str) -> String {
    yaml("127.0.0.1:0", backend, trusted) + "connections: { per_ip: 2 }\n"
}

fn echo() -> Backend {
    Backend::start(|_| Reply::json(200, "{}"))
}

fn send(gateway: &Gateway, request: &str, headers: &str) -> RawAnswer {
    let head = format!("{request} HTTP/1.1\r\nHost: a.example\r\n{headers}\r\n");
    Raw::connect(gateway.address("public")).send(head).answer()
}

/// Scheme, host, port, and `Forwarded` without its `for`.
fn told(seen: &Seen) -> [&str; 4] {
    let forwarded = seen.header("forwarded").and_then(|value| value.split_once(';')).unwrap().1;
    ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]
        .map(|name| seen.header(name).unwrap())
        .into_iter()
        .chain([forwarded])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

const OWN: [&str; 4] = ["http", "a.example", "80", r#"host="a.example";proto=http"#];

#[test]
fn a_trusted_proxy_says_what_the_client_asked() {
    let backend = echo();
    let gateway = Gateway::start(&yaml("127.0.0.1:0", backend.address, TRUSTED));
    let untrusting = Gateway::start(&yaml("127.0.0.1:0", backend.address, ""));
    let long = format!("X-Forwarded-Host: {}\r\nX-Forwarded-Proto: {0}\r\n", "a".repeat(10_000));
    let https = ["https", "a.example", "443", r#"host="a.example";proto=https"#];
    for (headers, expected) in [
        (
            "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\nX-Forwarded-Port: 443\r\n",
            ["https", "shop.example.com", "443", r#"host="shop.example.com";proto=https"#],
        ),
        ("X-Forwarded-Proto: https\r\n", https),
        ("X-Forwarded-Proto: HTTPS\r\n", https),
        ("Forwarded: for=203.0.113.7;proto=https\r\n", https),
        ("X-Forwarded-Port: 8443\r\n", ["http", "a.example", "8443", OWN[3]]),
        (
            "X-Forwarded-Host: shop.example.com.:8443\r\nX-Forwarded-Proto: https\r\n",
            ["https", "shop.example.com:8443", "8443", r#"host="shop.example.com:8443";proto=https"#],
        ),
        // The proxy that the client was connected to, and not the one behind it.
        ("X-Forwarded-For: 203.0.113.7, 127.0.0.9\r\nX-Forwarded-Proto: https, http\r\n", https),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-Proto: https, http\r\n", OWN),
        // What a client has sent through a proxy that writes the other kind.
        ("X-Forwarded-For: 203.0.113.7\r\nForwarded: host=evil.example;proto=https\r\n", OWN),
        ("X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: a/b\r\nX-Forwarded-Port: 65536\r\n", OWN),
        ("X-Forwarded-Proto: https\x01\r\n", ["", "", "", ""]),
        ("X-Forwarded-Host: \"a\\\"b\"\r\nX-Forwarded-Port: -1\r\n", OWN),
        (long.as_str(), OWN),
        ("", OWN),
    ] {
        for (gateway, expected) in [(&gateway, expected), (&untrusting, OWN)] {
            let before = backend.seen().len();
            let answer = send(gateway, "GET /", headers);
            if headers.contains('\u{1}') {
                assert_eq!((answer.status, backend.seen().len()), (400, before));
                continue;
            }
            assert_eq!(answer.status, 200, "{headers}");
            let seen = backend.seen().pop().unwrap();
            assert_eq!(told(&seen), expected, "{headers}");
            // Routes and the backend go by Host.
            assert_eq!(seen.header("host"), Some("a.example"), "{headers}");
        }
    }
}

#[test]
fn the_way_is_told_to_the_backend() {
    let backend = echo();
    let gateway = Gateway::start(&yaml("127.0.0.1:0", backend.address, ""));
    assert_eq!(send(&gateway, "GET /", "Via: 1.0 fred\r\n").status, 200);
    let seen = backend.seen().pop().unwrap();
    let via: Vec<_> = seen.headers.get_all("via").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(via.len() == 2 && via[0] == "1.0 fred" && via[1].starts_with("1.1 portcullis ("), "{via:?}");
    assert_eq!(Raw::connect(gateway.address("public")).send("GET / HTTP/1.0\r\n\r\n").answer().status, 200);
    assert!(backend.seen().pop().unwrap().header("via").unwrap().starts_with("1.0 portcullis ("));

    let unnamed = yaml("127.0.0.1:0", backend.address, "") + "node: { via: off }\n";
    assert_eq!(send(&Gateway::start(&unnamed), "GET /", "").status, 200);
    assert_eq!(backend.seen().pop().unwrap().header("via"), None);
}

#[test]
fn a_request_that_comes_round_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&yaml(&free.to_string(), free, ""));
    let answer = send(&gateway, "GET /round", "");
    assert_eq!((answer.status, &answer.json()["reason"]), (508, &"LOOP_DETECTED".into()), "{}", answer.head);
    assert_eq!(gateway.access_line(|line| line["reason"] == "LOOP_DETECTED")["status"], 508);
    // What passes another gateway has not been here.
    let backend = echo();
    let first = Gateway::start(&yaml("127.0.0.1:0", backend.address, ""));
    let second = Gateway::start(&yaml("127.0.0.1:0", first.address("public"), ""));
    assert_eq!(send(&second, "GET /", "").status, 200);
    assert_eq!(backend.seen().pop().unwrap().headers.get_all("via").iter().count(), 2);
}

#[test]
fn a_request_is_forwarded_as_often_as_it_may() {
    let backend = echo();
    let gateway = Gateway::start(&yaml("127.0.0.1:0", backend.address, ""));
    for (request, sent, expected) in [
        ("OPTIONS /x", "0", None),
        ("OPTIONS /x", "00", None),
        ("OPTIONS /x", "1", Some("0")),
        ("OPTIONS /x", "10", Some("9")),
        ("OPTIONS /x", "99999999999999999999999", Some("18446744073709551614")),
        ("OPTIONS /x", "x", Some("x")),
        ("GET /x", "0", Some("0")),
    ] {
        let before = backend.seen().len();
        let answer = send(&gateway, request, &format!("Max-Forwards: {sent}\r\n"));
        let seen = backend.seen().into_iter().nth(before);
        assert_eq!(seen.as_ref().map(|seen| seen.header("max-forwards").unwrap()), expected, "{request} {sent}");
        if expected.is_none() {
            assert_eq!(answer.status, 204, "{request} {sent}");
            assert!(answer.header("allow").unwrap().contains("GET"), "{}", answer.head);
        }
    }
    assert_eq!(send(&gateway, "TRACE /x", "Max-Forwards: 0\r\n").status, 405);
}

#[test]
fn a_proxy_has_as_many_connections_as_it_needs() {
    let backend = echo();
    let gateway = Gateway::start(&capped(backend.address, TRUSTED));
    let mut held: Vec<Raw> = (0..5).map(|_| Raw::connect(gateway.address("public"))).collect();
    for raw in &mut held {
        assert_eq!(raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    }
    // Whoever speaks for himself is held, and the log says why.
    let alone = Gateway::start(&capped(backend.address, ""));
    let mut held: Vec<Raw> = (0..2).map(|_| Raw::connect(alone.address("public"))).collect();
    for raw in &mut held {
        assert_eq!(raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    }
    let third = Raw::connect(alone.address("public")).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").try_answer();
    assert!(third.is_none());
    alone.log_line("connections.per_ip");
}

#[test]
fn a_client_behind_a_proxy_has_its_share_of_requests() {
    let (open, gate) = tokio::sync::watch::channel(false);
    let backend = Backend::start(move |seen| {
        let answer = Reply::json(200, "{}");
        if seen.target == "/held" { answer.when(&gate) } else { answer }
    });
    let gateway = Gateway::start(&capped(backend.address, TRUSTED));
    let ask = |path: &str, client: &str| {
        let mut raw = Raw::connect(gateway.address("public"));
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{client}\r\n"));
        raw
    };
    let one = "X-Forwarded-For: 192.0.2.1\r\n";
    let mut held = [ask("/held", one), ask("/held", one)];
    crate::kit::eventually("two requests at the backend", || (backend.seen_at("/held").len() == 2).then_some(()));
    let refused = ask("/", one).answer();
    assert_eq!((refused.status, &refused.json()["reason"]), (429, &"BUDGET_EXHAUSTED".into()));
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    // Another client, and the proxy itself, who stands for nobody known.
    assert_eq!(ask("/", "X-Forwarded-For: 192.0.2.2\r\n").answer().status, 200);
    assert_eq!(ask("/", "").answer().status, 200);
    gateway.log_line("connections.per_ip");
    open.send_replace(true);
    for raw in &mut held {
        assert_eq!(raw.answer().status, 200);
    }
    crate::kit::eventually("a free place", || (ask("/", one).answer().status == 200).then_some(()));
}
