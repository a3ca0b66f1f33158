//! Who a client is: the peer, or whom a trusted proxy names. Budgets, the access log and the backend all go by that
//! one address, of either family.

use crate::kit::{
    backend::{Backend, Reply},
    gateway::Gateway,
    raw::{Raw, RawAnswer},
    scripted::saying_on,
};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};

fn yaml(backend: SocketAddr, listener: &str) -> String {
    format!(
        r#"
version: 1
listeners: {{ public: {{ {listener} }} }}
upstreams: {{ backend: {{ endpoints: ["http://{backend}"] }} }}
budgets: {{ few: {{ key: [client.ip], instance: ["2/1h"] }} }}
routes:
  - {{ name: free, match: {{ path: "/*" }}, forward: backend }}
  - {{ name: few, match: {{ path: /few }}, chain: {{ budget: [few] }}, forward: backend }}
  - {{ name: inside, match: {{ path: /inside }}, chain: {{ ip: {{ allow: [10.0.0.0/8] }} }}, forward: backend }}
"#
    )
}

fn echo() -> Backend {
    Backend::start(|_| Reply::json(200, "{}"))
}

/// Whether this machine has IPv6. Without it what is bound there has nothing to show.
fn has_ipv6() -> bool {
    let bound = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    bound.inspect_err(|error| skip(&format!("this machine has no ::1: {error}"))).is_ok()
}

#[allow(clippy::print_stderr, reason = "whoever reads the outcome is to know what was not tried")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// A request on a connection to this address, with these headers.
fn get_at(address: SocketAddr, path: &str, headers: &[u8]) -> RawAnswer {
    let head = [format!("GET {path} HTTP/1.1\r\nHost: a\r\n").as_bytes(), headers, b"\r\n"].concat();
    Raw::connect(address).send(head).answer()
}

fn get(gateway: &Gateway, path: &str, headers: &str) -> RawAnswer {
    get_at(gateway.address("public"), path, headers.as_bytes())
}

#[test]
fn an_ipv6_client_is_named_as_the_rfc_has_it() {
    if !has_ipv6() {
        return;
    }
    let backend = echo();
    let gateway = Gateway::start(&yaml(backend.address, r#"bind: "[::1]:0""#));
    assert!(gateway.address("public").is_ipv6());
    assert_eq!(get(&gateway, "/a", "").status, 200);
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-for"), Some("::1"));
    // RFC 7239 section 6: brackets, and quotes because of the colons.
    assert_eq!(seen.header("forwarded"), Some(r#"for="[::1]";host="a";proto=http"#));
    assert_eq!(gateway.access_line(|line| line["path"] == "/a")["client_ip"], "::1");
}

#[test]
fn a_listener_of_both_families_knows_its_ipv4_clients_as_such() {
    if !has_ipv6() {
        return;
    }
    let backend = echo();
    let gateway = Gateway::start(&yaml(backend.address, r#"bind: "[::]:0""#));
    let port = gateway.address("public").port();
    for (client, forwarded) in [("127.0.0.1", "for=127.0.0.1;"), ("::1", r#"for="[::1]";"#)] {
        let address = SocketAddr::new(client.parse().unwrap(), port);
        // The kernel's default; where an administrator has changed it only the other family is served.
        let Ok(_) = std::net::TcpStream::connect(address) else {
            skip(&format!("[::] does not take {client} here"));
            continue;
        };
        assert_eq!(get_at(address, "/a", b"").status, 200);
        let seen = backend.seen().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(client));
        assert!(seen.header("forwarded").unwrap().starts_with(forwarded), "{seen:?}");
        gateway.access_line(|line| line["client_ip"] == client);
    }
}

#[test]
fn an_ipv6_caller_is_its_network() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(backend.address, r#"bind: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]"#));
    for (client, status) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 200),
        ("2001:db8:0:1::3", 429),
        ("[2001:db8:0:1::4]:443", 429),
        ("2001:db8:0:2::1", 200),
        // The same caller, however it is written.
        ("192.0.2.1", 200),
        ("::ffff:192.0.2.1", 200),
        ("192.0.2.1:80", 429),
        ("192.0.2.2", 200),
    ] {
        let answer = get(&gateway, "/few", &format!("X-Forwarded-For: {client}\r\n"));
        assert_eq!(answer.status, status, "{client}");
    }
}

#[test]
fn an_ipv6_backend_is_reached() {
    if !has_ipv6() {
        return;
    }
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let backend = listener.local_addr().unwrap();
    saying_on(listener, "HTTP/1.1 204 No Content\r\n\r\n");
    let gateway = Gateway::start(&yaml(backend, r#"bind: "127.0.0.1:0""#));
    assert_eq!(get(&gateway, "/a", "").status, 204);
}

/// What is written in `X-Forwarded-For`, a line each, and who the client then is.
const CHAINS: &[(&[&[u8]], &str)] = &[
    (&[b"1.2.3.4"], "1.2.3.4"),
    // What a client has invented stands to the left of what the proxy saw.
    (&[b"10.0.0.1, 1.2.3.4"], "1.2.3.4"),
    (&[b"10.0.0.1", b"1.2.3.4"], "1.2.3.4"),
    (&[b"10.0.0.1", b"nonsense, 1.2.3.4"], "1.2.3.4"),
    (&[b"10.0.0.1", b"\xff, 1.2.3.4"], "1.2.3.4"),
    (&[b"10.0.0.1, \xff, 1.2.3.4, 127.0.0.9"], "1.2.3.4"),
    (&[b"10.0.0.1,,1.2.3.4,127.0.0.9"], "1.2.3.4"),
    // Through several proxies that are trusted.
    (&[b"1.2.3.4, 127.0.0.7,127.0.0.8"], "1.2.3.4"),
    (&[b"127.0.0.7"], "127.0.0.7"),
    // An empty element counts for nothing (RFC 9110 section 5.6.1.2).
    (&[b"203.0.113.7,,127.0.0.9"], "203.0.113.7"),
    (&[b"203.0.113.7, "], "203.0.113.7"),
    (&[b"203.0.113.7", b"", b" ,\t,"], "203.0.113.7"),
    // Where the proxy itself names nobody, it is the client.
    (&[b"10.0.0.1, unknown"], "127.0.0.1"),
    (&[b"10.0.0.1", b"_hidden"], "127.0.0.1"),
    (&[b"10.0.0.1, 1.2.3.4:x"], "127.0.0.1"),
    (&[b"10.0.0.1, [1.2.3.4]"], "127.0.0.1"),
    (&[b""], "127.0.0.1"),
    (&[], "127.0.0.1"),
];

fn lines(chain: &[&[u8]]) -> Vec<u8> {
    chain.iter().flat_map(|line| [b"X-Forwarded-For: ", *line, b"\r\n"].concat()).collect()
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(backend.address, r#"bind: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]"#));
    for (number, (chain, client)) in CHAINS.iter().enumerate() {
        let (shown, path) = (lines(chain).escape_ascii().to_string(), format!("/{number}"));
        let answer = get_at(gateway.address("public"), &path, &lines(chain));
        assert_eq!(answer.status, 200, "{shown}");
        let seen = backend.seen().pop().unwrap();
        assert_eq!(seen.headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), [client], "{shown}");
        let line = gateway.access_line(|line| line["path"] == path.as_str());
        assert_eq!(line["client_ip"], *client, "{shown}");
    }
    assert_eq!(get(&gateway, "/inside", "X-Forwarded-For: 10.0.0.1\r\n").status, 200);
    assert_eq!(get(&gateway, "/inside", "X-Forwarded-For: 10.0.0.1, 1.2.3.4\r\n").status, 403);
    // No other header counts.
    for header in ["Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "X-Forwarded-For : 10.0.0.1"] {
        assert_ne!(get(&gateway, "/inside", &format!("{header}\r\n")).status, 200, "{header}");
    }
}

#[test]
fn nobody_else_is_believed() {
    let backend = echo();
    for trusted in ["", ", trusted_proxies: [10.0.0.0/8, \"::1/128\"]"] {
        let gateway = Gateway::start(&yaml(backend.address, &format!(r#"bind: "127.0.0.1:0"{trusted}"#)));
        for (number, (chain, _)) in CHAINS.iter().enumerate() {
            let path = format!("/{number}");
            assert_eq!(get_at(gateway.address("public"), &path, &lines(chain)).status, 200);
            let seen = backend.seen().pop().unwrap();
            assert_eq!(seen.headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["127.0.0.1"]);
            assert_eq!(gateway.access_line(|line| line["path"] == path.as_str())["client_ip"], "127.0.0.1");
        }
        // Another address in each request is still one caller.
        let statuses = [1, 2, 3].map(|n| get(&gateway, "/few", &format!("X-Forwarded-For: 192.0.2.{n}\r\n")).status);
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!(get(&gateway, "/inside", "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
    }
}

#[tokio::test]
async fn each_request_of_a_proxys_connection_has_its_own_client() {
    let backend = echo();
    let gateway = Gateway::start(&yaml(backend.address, r#"bind: "127.0.0.1:0", trusted_proxies: [127.0.0.1]"#));
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (client_ip, status) in [
        ("2001:db8::1", 200),
        ("192.0.2.1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::3", 429),
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
    ] {
        let request = http::Request::get("http://a/few").header("x-forwarded-for", client_ip).body(()).unwrap();
        let answer = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), status, "{client_ip}");
    }
    let seen = backend.seen().remove(0);
    assert_eq!(seen.header("x-forwarded-for"), Some("2001:db8::1"));
    assert_eq!(seen.header("forwarded"), Some(r#"for="[2001:db8::1]";host="a";proto=http"#));
}
