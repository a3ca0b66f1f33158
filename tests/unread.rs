//! A log that nobody reads costs its lines, nothing else: neither an answer nor the end of the process.

use crate::kit::{
    backend::{Backend, Reply},
    device::{backend, command, device, edge_yaml, refused, send},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use portcullis::client::{Codec, Protocol};

/// More requests than a pipe has room for their lines: 64 KiB.
const REQUESTS: usize = 600;

fn yaml(backend: &Backend, observe: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: backend }} ]
observe: {{ {observe} }}
drain: {{ delay: 0s, deadline: 10s }}
"#,
        backend.address
    )
}

#[test]
fn nobody_waits_for_a_reader() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    for observe in [
        "access_log: { to: off }, log: { level: trace }",
        "access_log: { to: stderr }, log: { level: info }",
        "access_log: { to: stdout }, log: { level: trace }",
    ] {
        let mut gateway = Gateway::start_unread(&yaml(&backend, observe));
        let mut client = Raw::connect(gateway.address("public"));
        for _ in 0..REQUESTS {
            assert_eq!(client.send("GET /some/path HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200, "{observe}");
        }
        let livez = Raw::connect(gateway.address("admin")).send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        assert_eq!(livez.status, 200, "{observe}");
        drop(client);
        gateway.signal("TERM");
        assert_eq!(gateway.ended().code(), Some(0), "{observe}");
    }
}

#[tokio::test]
async fn a_failing_backend_does_not_flood_the_log() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend).replace("20/10s", "1000/10s"));
    let device = device("session-1");
    for _ in 0..50 {
        let request = device.sign(&command("test.broken", ""));
        refused(send(&gateway, (Protocol::Connect, Codec::Proto), &request).await);
    }
    let dropped = eventually("the count of lines", || {
        let mut admin = Raw::connect(gateway.address("admin"));
        let metrics = admin.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer().body;
        let metrics = String::from_utf8(metrics).unwrap();
        metrics.lines().find_map(|line| line.strip_prefix("portcullis_log_lines_dropped_total ")?.parse::<u64>().ok())
    });
    assert!((1..50).contains(&dropped), "{dropped}");
}
