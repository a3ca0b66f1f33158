//! An upstream of several endpoints is as good as those of them that can be reached.

use crate::kit::{
    backend::{Backend, Reply},
    device::{answer, command, device, edge_yaml, send},
    eventually,
    gateway::Gateway,
    raw::{Raw, RawAnswer},
    scripted::saying_on,
};
use portcullis::client::{Codec, Protocol};
use std::{
    fmt::Display,
    net::{SocketAddr, TcpListener},
    path::Path,
};

fn gateway(endpoints: &[impl Display]) -> Gateway {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("http://{address}")).collect();
    Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
upstreams: {{ backend: {{ endpoints: {endpoints:?}, timeouts: {{ connect: 500ms }} }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, forward: backend }} ]
"#
    ))
}

/// An address of this test's own, at which nobody listens: the ports that the system gives out are of 127.0.0.1.
fn nobody(host: u8) -> SocketAddr {
    TcpListener::bind(SocketAddr::from(([127, 0, 7, host], 0))).unwrap().local_addr().unwrap()
}

fn ask(gateway: &Gateway, method: &str) -> RawAnswer {
    let head = format!("{method} /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    Raw::connect(gateway.address("public")).send(head).answer()
}

fn backend() -> Backend {
    Backend::start(|_| Reply::json(200, "{}"))
}

#[test]
fn requests_go_to_all_of_them_in_turn() {
    let backends = [backend(), backend(), backend()];
    let gateway = gateway(&backends.each_ref().map(|backend| backend.address));
    for _ in 0..9 {
        assert_eq!(ask(&gateway, "GET").status, 200);
    }
    assert_eq!(backends.map(|backend| backend.seen().len()), [3, 3, 3]);
}

#[test]
fn a_request_that_was_not_sent_goes_to_another_whatever_its_method() {
    for gone in [nobody(1).to_string(), "name.invalid:80".to_owned()] {
        let alive = backend();
        let gateway = gateway(&[gone.clone(), alive.address.to_string()]);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "POST", "GET", "PATCH"] {
            assert_eq!(ask(&gateway, method).status, 200, "{gone} {method}");
        }
        assert_eq!(alive.seen().len(), 8);
    }
}

#[test]
fn its_body_goes_with_it() {
    let alive = backend();
    let gateway = gateway(&[nobody(2), nobody(3), alive.address]);
    let body = "x".repeat(300_000);
    for _ in 0..6 {
        let head = format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = Raw::connect(gateway.address("public")).send(head).send(&body).answer();
        assert_eq!(answer.status, 200);
    }
    let seen = alive.seen();
    assert!(seen.len() == 6 && seen.iter().all(|seen| seen.body == body));
}

#[test]
fn those_that_are_up_share_what_one_leaves_out() {
    let alive = [backend(), backend()];
    let gateway = gateway(&[alive[0].address, nobody(4), alive[1].address]);
    for _ in 0..120 {
        assert_eq!(ask(&gateway, "POST").status, 200);
    }
    let [first, second] = alive.map(|backend| backend.seen().len());
    assert!(first.abs_diff(second) <= 10, "{first} {second}");
}

#[test]
fn one_that_comes_back_is_found() {
    let (alive, gone) = (backend(), nobody(5));
    let gateway = gateway(&[gone, alive.address]);
    assert_eq!(ask(&gateway, "GET").status, 200);
    saying_on(TcpListener::bind(gone).unwrap(), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    eventually("an answer of it", || (ask(&gateway, "GET").status == 201).then_some(()));
    // Not once, but in its turn again.
    let statuses: Vec<_> = (0..4).map(|_| ask(&gateway, "POST").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
}

#[test]
fn where_all_are_down_none_is_left_out() {
    let gone = [nobody(6), nobody(7)];
    let gateway = gateway(&gone);
    for method in ["GET", "POST", "GET", "POST"] {
        assert_eq!(ask(&gateway, method).status, 503, "{method}");
    }
    for address in gone {
        saying_on(TcpListener::bind(address).unwrap(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert_eq!(ask(&gateway, "POST").status, 200);
}

#[tokio::test]
async fn commands_and_lookups_find_those_that_are_up() {
    let alive = Backend::start(answer);
    let one = format!("\"http://{}\"", alive.address);
    let yaml =
        edge_yaml(&alive).replace(&one, &format!("\"http://{}\", {one}", nobody(8))).replace("20/10s", "100/10s");
    let gateway = Gateway::start(&yaml);
    for message_type in ["user.account.get", "user.account.rename"].repeat(10) {
        let request = device("session-1").sign(&command(message_type, ""));
        let sent = send(&gateway, (Protocol::Connect, Codec::Proto), &request).await;
        sent.unwrap_or_else(|error| panic!("{message_type}: {error}"));
    }
}

/// What the gateway says of itself while a backend is away, and once it is back.
#[test]
fn a_backend_that_is_away_leaves_a_trace() {
    for (gone, fault) in [(nobody(9).to_string(), "refused"), ("name.invalid:80".to_owned(), "dns")] {
        let gateway = watched(&gone);
        assert_eq!(ask(&gateway, "POST").status, 503);
        let line = gateway.access_line(|line| line["path"] == "/a");
        let seen = ["upstream", "endpoint", "fault", "tries"].map(|field| line[field].to_string());
        assert_eq!(seen, ["\"backend\"", &format!("{gone:?}"), &format!("{fault:?}"), "1"], "{line}");
        let warned = || gateway.logged(|line| line["level"] == "WARN" && line["fault"] == fault);
        let warning = eventually("a warning", warned);
        assert_eq!((warning["upstream"].as_str(), warning["endpoint"].as_str()), (Some("backend"), Some(&*gone)));
        let metrics = metrics(&gateway);
        for line in [
            format!("portcullis_upstream_faults_total{{endpoint=\"{gone}\",fault=\"{fault}\",upstream=\"backend\"}} 1"),
            format!("portcullis_upstream_endpoint_up{{endpoint=\"{gone}\",upstream=\"backend\"}} 0"),
        ] {
            assert!(metrics.contains(&line), "{line} is not in {metrics}");
        }
    }
}

#[test]
fn a_backend_that_is_back_is_told_and_counted() {
    let gone = nobody(10);
    let gateway = watched(&gone.to_string());
    assert_eq!(ask(&gateway, "GET").status, 503);
    saying_on(TcpListener::bind(gone).unwrap(), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(ask(&gateway, "GET").status, 201);
    gateway.log_line("an endpoint can be reached again");
    let metrics = metrics(&gateway);
    for line in [
        format!("portcullis_upstream_requests_total{{endpoint=\"{gone}\",status=\"2xx\",upstream=\"backend\"}} 1"),
        format!("portcullis_upstream_endpoint_up{{endpoint=\"{gone}\",upstream=\"backend\"}} 1"),
        "portcullis_upstream_connect_seconds_count{upstream=\"backend\"} 1".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

/// A gateway with one endpoint and an admin listener.
fn watched(endpoint: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{endpoint}"] }} }}
routes: [ {{ name: api, match: {{ listener: public, path: "/*" }}, forward: backend }} ]
"#
    ))
}

fn metrics(gateway: &Gateway) -> String {
    let asked = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    String::from_utf8(Raw::connect(gateway.address("admin")).send(asked).answer().body).unwrap()
}

#[test]
fn an_upstream_by_tls_may_stand_beside_those_of_forwards() {
    let backend = backend();
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files/certificate.pem");
    let gateway = Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
upstreams:
  backend: {{ endpoints: ["http://{}"] }}
  secure: {{ endpoints: ["https://127.0.0.1:1", "http://127.0.0.1:1"], tls: {{ ca: {authority:?}, server_name: a }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, forward: backend }} ]
"#,
        backend.address
    ));
    assert_eq!(ask(&gateway, "GET").status, 200);
}
