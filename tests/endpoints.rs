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
    time::{Duration, Instant},
};

/// How long an endpoint is left out.
const REST: Duration = Duration::from_secs(5);

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

/// The requests that may meet a dead endpoint: the first, and one after each rest.
fn unlucky_max(since: Instant) -> usize {
    1 + usize::try_from(since.elapsed().as_secs() / REST.as_secs()).unwrap()
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
fn what_may_be_repeated_is_sent_to_another_where_one_is_out_of_reach() {
    for gone in [nobody(1).to_string(), "name.invalid:80".to_owned()] {
        let alive = backend();
        let gateway = gateway(&[gone.clone(), alive.address.to_string()]);
        for method in ["GET", "PUT", "DELETE", "GET", "PUT", "DELETE"] {
            assert_eq!(ask(&gateway, method).status, 200, "{gone} {method}");
        }
        assert_eq!(alive.seen().len(), 6);
    }
}

#[test]
fn of_what_may_not_be_repeated_one_request_finds_out_and_the_rest_is_served() {
    let alive = [backend(), backend()];
    let gateway = gateway(&[alive[0].address, nobody(2), alive[1].address]);
    let began = Instant::now();
    let answers: Vec<_> = (0..30).map(|_| ask(&gateway, "POST")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!((1..=unlucky_max(began)).contains(&refused.len()), "{}", refused.len());
    assert_eq!((refused[0].status, refused[0].json()["reason"].as_str()), (503, Some("BACKEND_UNAVAILABLE")));
    // What one leaves out is shared by the others.
    let [first, second] = alive.map(|backend| backend.seen().len());
    assert!(first.abs_diff(second) <= 2, "{first} {second}");
}

#[test]
fn one_that_comes_back_is_found() {
    let (alive, gone) = (backend(), nobody(3));
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
    let gone = [nobody(4), nobody(5)];
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
        edge_yaml(&alive).replace(&one, &format!("\"http://{}\", {one}", nobody(6))).replace("20/10s", "100/10s");
    let gateway = Gateway::start(&yaml);
    let began = Instant::now();
    let mut refused = 0;
    for message_type in ["user.account.get", "user.account.rename"].repeat(10) {
        let request = device("session-1").sign(&command(message_type, ""));
        match send(&gateway, (Protocol::Connect, Codec::Proto), &request).await {
            Ok(_) => {}
            Err(error) if message_type == "user.account.rename" => {
                refused += 1;
                assert!(error.to_string().contains("BACKEND_UNAVAILABLE"), "{error}");
            }
            Err(error) => panic!("{message_type}: {error}"),
        }
    }
    assert!(refused <= unlucky_max(began), "{refused}");
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
