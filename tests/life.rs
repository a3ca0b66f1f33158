//! A gateway says that it is ready when it is, says no as soon as it is to stop, finishes what it has begun, and
//! leaves with 0.

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

fn yaml(backend: &Backend, bind: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "{bind}" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: backend }} ]
drain: {{ delay: 500ms, deadline: 10s }}
"#,
        backend.address
    )
}

fn get(gateway: &Gateway, listener: &str, path: &str) -> crate::kit::raw::RawAnswer {
    Raw::connect(gateway.address(listener)).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
}

#[test]
fn life_signs_are_on_the_admin_listener_alone() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&yaml(&backend, "127.0.0.1:0"));
    assert_eq!(get(&gateway, "admin", "/livez").status, 200);
    let ready = get(&gateway, "admin", "/readyz");
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (200, Some(true)));
    get(&gateway, "public", "/some/path?secret=1");
    let line = gateway.access_line(|line| line["route"] == "api");
    assert_eq!((line["path"].as_str(), line["status"].as_u64()), (Some("/some/path"), Some(200)));
    let metrics = String::from_utf8(get(&gateway, "admin", "/metrics").body).unwrap();
    assert!(metrics.contains(r#"portcullis_requests_total{route="api",status="2xx"} 1"#), "{metrics}");
    let config = String::from_utf8(get(&gateway, "admin", "/config").body).unwrap();
    assert!(config.contains("name: api"), "{config}");
    assert_eq!(get(&gateway, "admin", "/else").status, 404);
    assert_eq!(backend.seen().len(), 1);
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let mut gateway = Gateway::start(&yaml(&backend, "127.0.0.1:0").replace("500ms", "30s"));
    let asked = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(15), "it waited for nobody");
}

#[test]
fn draining_says_no_serves_on_and_finishes() {
    let backend = Backend::start(|seen| {
        Reply::json(200, "{}").after(Duration::from_millis(if seen.target == "/slow" { 1500 } else { 0 }))
    });
    let mut gateway = Gateway::start(&yaml(&backend, "127.0.0.1:0"));
    let mut slow = Raw::connect(gateway.address("public"));
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the slow request", || (backend.seen().len() == 1).then_some(()));
    gateway.signal("TERM");
    let answer =
        eventually("not ready", || Some(get(&gateway, "admin", "/readyz")).filter(|answer| answer.status == 503));
    assert_eq!(answer.json()["reasons"][0], "draining");
    assert_eq!(get(&gateway, "public", "/quick").status, 200);
    assert_eq!(slow.answer().status, 200);
    assert_eq!(gateway.ended().code(), Some(0));
}

#[test]
fn who_is_told_twice_to_stop_cuts_what_is_left_and_says_so() {
    let backend = Backend::start(|_| Reply::json(200, "{}").after(Duration::from_secs(60)));
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT"), ("INT", "INT")] {
        let mut gateway = Gateway::start(&yaml(&backend, "127.0.0.1:0").replace("deadline: 10s", "deadline: 60s"));
        let mut slow = Raw::connect(gateway.address("public"));
        let before = backend.seen().len();
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the slow request", || (backend.seen().len() > before).then_some(()));
        gateway.signal(first);
        gateway.log_line("draining");
        gateway.signal(second);
        assert_eq!(gateway.ended().code(), Some(1), "{first} {second}");
        gateway.log_line("told to stop twice");
        assert_eq!(slow.rest(), b"");
    }
}

#[test]
fn a_stop_waits_for_no_reload_that_is_under_way() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    // A store that takes connections and never says a word, for which a reload waits longer than this test.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let before = yaml(&backend, "127.0.0.1:0").replace("drain:", "reload: { watch: false }\ndrain:");
    let stores = format!("stores: {{ slow: {{ redis: {{ url: \"{url}\", connect_timeout: 60s }} }} }}\nroutes:");
    let mut gateway = Gateway::start(&before);
    fs::write(gateway.config(), before.replace("routes:", &stores).replace("path: \"/*\"", "path: /other")).unwrap();
    let mut asks = Raw::connect(gateway.address("admin"));
    asks.send("POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    silent.set_nonblocking(true).unwrap();
    let _kept = eventually("the reload at its store", || silent.accept().ok());
    assert_eq!(get(&gateway, "public", "/a").status, 200, "what was in force is");
    gateway.signal("TERM");
    let told = asks.answer();
    assert_eq!((told.status, told.json()["why"].as_str()), (422, Some("the gateway stops")));
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(!gateway.has_panicked());
}

#[test]
fn as_many_files_may_be_open_as_connections_need_or_it_is_said() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let yaml = yaml(&backend, "127.0.0.1:0").replace("drain:", "connections: { max: 200 }\ndrain:");
    let limited = |limits: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limits} && exec {} \"$@\"", env!("CARGO_BIN_EXE_portcullis"))).arg("sh");
        Gateway::start_by(command, &yaml)
    };
    let files = |gateway: &Gateway| {
        let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let raised = limited("ulimit -Sn 300 && ulimit -Hn 2000");
    assert_eq!(files(&raised), 1424);
    assert!(!raised.has_logged("too few files"));
    let refused = limited("ulimit -Sn 300 && ulimit -Hn 400");
    refused.log_line("too few files may be open");
    assert!(refused.has_logged("\"limit\":400,\"needed\":1424"), "both numbers are told");
    assert_eq!((files(&refused), get(&refused, "public", "/a").status), (400, 200));
}

#[test]
fn a_port_in_use_is_said_and_nothing_is_announced() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let not = Gateway::try_start(&yaml(&backend, &taken.local_addr().unwrap().to_string())).err().unwrap();
    assert_eq!(not.status.code(), Some(1));
    assert!(not.stderr.contains("`public`") && not.stderr.contains("another listener or process"), "{not:?}");
    assert_eq!(not.stdout, "");
}

#[test]
fn a_configuration_with_problems_is_refused_with_2() {
    let not = Gateway::try_start("version: 1\nlistenrs: {}\n").err().unwrap();
    assert_eq!(not.status.code(), Some(2));
    assert!(not.stderr.contains("gateway.yaml:2:1") && not.stderr.contains("did you mean `listeners`"), "{not:?}");
}
