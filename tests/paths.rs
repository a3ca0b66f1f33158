//! What a path means to the backend is what it meant to the gateway: reserved characters stay as they came, and a spelling
//! that two backends read in two ways passes only where the route says so.

use crate::kit::{
    backend::{Backend, Reply},
    gateway::Gateway,
    raw::Raw,
};

fn gateway(backend: &Backend) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes:
  - {{ name: plain, match: {{ path: "/plain/*" }}, forward: backend }}
  - {{ name: admin, match: {{ path: "/admin/*" }}, chain: {{ ip: {{ deny: [127.0.0.0/8] }} }}, forward: backend }}
  - name: any
    match: {{ path: "/*" }}
    path: {{ encoded_slash: keep, double_slash: keep, encoded_percent: keep }}
    forward: backend
"#,
        backend.address
    ))
}

#[test]
fn a_path_reaches_the_backend_as_it_was_meant() {
    let backend = Backend::start(|_| Reply::json(200, serde_json::json!({})));
    let gateway = gateway(&backend);
    for (target, status, sent) in [
        ("/plain/admin%3Bx/y", 200, "/plain/admin%3Bx/y"),
        ("/plain/c%2B%2B.rpm?x=%2f", 200, "/plain/c%2B%2B.rpm?x=%2f"),
        ("/plain/a%40b%3dc%26d%2Ce%24f", 200, "/plain/a%40b%3Dc%26d%2Ce%24f"),
        ("/plain/%61%2db", 200, "/plain/a-b"),
        ("/plain/a%2Fb", 400, ""),
        ("/plain//b", 400, ""),
        ("/plain/a%2520b", 400, ""),
        ("/api/v4/projects/group%2fname", 200, "/api/v4/projects/group%2Fname"),
        ("/bucket//key//", 200, "/bucket//key//"),
        ("//static/x", 200, "//static/x"),
        ("/a%2520b", 200, "/a%2520b"),
        ("/admin/x", 403, ""),
        ("/admin%2Fx", 400, ""),
        ("//admin/x", 400, ""),
        ("/%2561dmin/x", 400, ""),
        ("/x%2f..%2fadmin/x", 400, ""),
        ("/x/%252e%252e/admin", 400, ""),
        ("/api/v1%2Finternal/x", 404, ""),
        ("//api/v1/internal/x", 404, ""),
        ("/api/v1/%2569nternal/x", 404, ""),
    ] {
        let before = backend.seen().len();
        let answer = Raw::connect(gateway.address("public"))
            .send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"))
            .answer();
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        let seen: String = backend.seen().into_iter().skip(before).map(|seen| seen.target).collect();
        assert_eq!(seen, sent, "{target}");
    }
}
