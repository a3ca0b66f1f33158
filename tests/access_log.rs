//! An access log that is a file holds one JSON line for each request, wherever the file has gone meanwhile; and where
//! it cannot be written, requests are served all the same and the lines are counted.

use crate::kit::{
    backend::{Backend, Reply},
    device::{command, device, edge_yaml, send},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use portcullis::client::{Codec, Protocol};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn yaml(backend: &Backend, file: &Path) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: {{ request_id: {{ trust: true }} }}, forward: backend }} ]
observe: {{ access_log: {{ to: {{ file: {file:?} }} }} }}
drain: {{ delay: 0s, deadline: 10s }}
"#,
        backend.address
    )
}

fn backend() -> Backend {
    Backend::start(|_| Reply::json(200, "{}"))
}

fn get(gateway: &Gateway, path: &str, headers: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    assert_eq!(Raw::connect(gateway.address("public")).send(head).answer().status, 200, "{path}");
}

/// The lines of a file, each of which must be JSON.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))).collect()
}

fn wait_for(file: &Path, path: &str) -> Value {
    eventually(path, || lines(file).into_iter().find(|line| line["path"] == path))
}

fn lines_dropped(gateway: &Gateway) -> u64 {
    let metrics = Raw::connect(gateway.address("admin")).send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("portcullis_access_lines_dropped_total "));
    dropped.unwrap().parse().unwrap()
}

/// A folder and a file in it that is still to come.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    (folder, file)
}

#[test]
fn every_request_is_one_line_and_the_last_ones_are_written_at_the_end() {
    let (backend, (_folder, file)) = (backend(), place());
    fs::write(&file, "{\"event\":\"before\"}\n").unwrap();
    let mut gateway = Gateway::start(&yaml(&backend, &file));
    for number in 0..50 {
        get(&gateway, &format!("/{number}?secret=1"), "");
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    let lines = lines(&file);
    assert_eq!((lines.len(), lines[0]["event"].as_str()), (51, Some("before")));
    for (number, line) in lines[1..].iter().enumerate() {
        assert_eq!((line["event"].as_str(), line["path"].as_str()), (Some("access"), Some(&*format!("/{number}"))));
    }
}

#[tokio::test]
async fn what_comes_from_outside_stays_inside_its_string() {
    let (backend, (_folder, file)) = (backend(), place());
    let gateway = Gateway::start(&yaml(&backend, &file));
    let id = r#"a","status":500,"b":"\"#;
    get(&gateway, "/%22'", &format!("X-Request-Id: {id}\r\n"));
    let line = wait_for(&file, "/%22'");
    assert_eq!((line["request_id"].as_str(), line["status"].as_u64()), (Some(id), Some(200)));
    // What is refused is written all the same.
    let refused = Raw::connect(gateway.address("public")).send("GET /\"\\%0A HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    let line = eventually("a second line", || lines(&file).into_iter().nth(1));
    assert_eq!((line["status"].as_u64(), line["reason"].as_str()), (Some(400), Some("REQUEST_MALFORMED")), "{line}");
    assert_eq!(line["request_id"].as_str(), refused.header("x-request-id").as_deref());

    let (backend, (_folder, file)) = (crate::kit::device::backend(), place());
    let observe = format!("observe: {{ access_log: {{ to: {{ file: {file:?} }} }} }}\ndrain:");
    let gateway = Gateway::start(&edge_yaml(&backend).replace("drain:", &observe));
    let mut request = device("session-1").sign(&command("user.account.get", ""));
    request.trace_id = "\"}\n{\"event\":\"access\",\"status\":1}\r\n\0\u{1b}[2J\u{2028}".to_owned();
    send(&gateway, (Protocol::Connect, Codec::Proto), &request).await.unwrap();
    let line = eventually("the line", || lines(&file).pop());
    assert_eq!(
        (line["client_trace_id"].as_str(), line["status"].as_u64()),
        (Some(request.trace_id.as_str()), Some(200))
    );
    assert_eq!(lines(&file).len(), 1);
}

#[test]
fn a_file_that_was_moved_or_emptied_is_begun_anew() {
    let (backend, (folder, file)) = (backend(), place());
    let gateway = Gateway::start(&yaml(&backend, &file));
    get(&gateway, "/first", "");
    wait_for(&file, "/first");
    let moved = folder.path().join("access.log.1");
    fs::rename(&file, &moved).unwrap();
    get(&gateway, "/second", "");
    wait_for(&file, "/second");
    assert_eq!((lines(&moved).len(), lines(&file).len()), (1, 1));
    // By `copytruncate`: what follows stands at the beginning, with no hole ahead of it.
    fs::write(&file, "").unwrap();
    get(&gateway, "/third", "");
    wait_for(&file, "/third");
    assert_eq!(lines(&file).len(), 1);
    // By `create`: somebody else has made the new file.
    fs::rename(&file, &moved).unwrap();
    fs::write(&file, "").unwrap();
    get(&gateway, "/fourth", "");
    wait_for(&file, "/fourth");
    assert_eq!(lines_dropped(&gateway), 0);
}

#[test]
fn a_folder_that_is_gone_costs_lines_until_it_is_back() {
    let (backend, (folder, file)) = (backend(), place());
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let file = inner.join(file.file_name().unwrap());
    let gateway = Gateway::start(&yaml(&backend, &file));
    get(&gateway, "/first", "");
    wait_for(&file, "/first");
    fs::remove_dir_all(&inner).unwrap();
    get(&gateway, "/lost", "");
    eventually("a lost line", || (lines_dropped(&gateway) == 1).then_some(()));
    gateway.log_line("the access log cannot be written");
    fs::create_dir(&inner).unwrap();
    get(&gateway, "/found", "");
    wait_for(&file, "/found");
    assert_eq!((lines(&file).len(), lines_dropped(&gateway)), (1, 1));
    gateway.log_line("the access log is written again");
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend, Path::new("/dev/full")));
    for number in 1..=3 {
        get(&gateway, "/", "");
        eventually("a lost line", || (lines_dropped(&gateway) == number).then_some(()));
    }
    gateway.log_line("the access log cannot be written");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
}

#[test]
fn a_file_that_cannot_be_opened_is_said_by_name() {
    let (backend, (folder, _)) = (backend(), place());
    // A folder that is not there is a problem of the configuration; what else stands in the way is seen at the start.
    for (file, code) in [(folder.path().join("nowhere/access.log"), 2), (folder.path().to_owned(), 1)] {
        let not = Gateway::try_start(&yaml(&backend, &file)).err().unwrap();
        assert_eq!((not.status.code(), not.stdout.as_str()), (Some(code), ""), "{not:?}");
        assert!(not.stderr.contains("access log") && not.stderr.contains(&*file.to_string_lossy()), "{not:?}");
    }
}
