//! What was in force can be had back.

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::{Gateway, portcullis},
    raw::Raw,
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Output,
};

fn yaml(backend: &Backend, route: &str, history: usize) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [{{ name: {route}, match: {{ path: "/{route}/*" }}, forward: backend }}]
reload: {{ history: {history} }}
"#,
        backend.address
    )
}

fn backend() -> Backend {
    Backend::start(|seen| Reply::json(200, &seen.target))
}

fn rollback(gateway: &Gateway, args: &[&str]) -> Output {
    let admin = format!("http://{}", gateway.address("admin"));
    let mut command = portcullis();
    command.arg("rollback").arg(gateway.config()).args(["--admin", &admin]).args(args);
    command.env("XDG_STATE_HOME", gateway.state()).env_remove("STATE_DIRECTORY").output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn serves(gateway: &Gateway, route: &str) -> bool {
    let request = format!("GET /{route}/a HTTP/1.1\r\nHost: a\r\n\r\n");
    Raw::connect(gateway.address("public")).send(request).answer().status == 200
}

/// Waits until the watch has taken it up.
fn write(gateway: &Gateway, backend: &Backend, route: &str) {
    fs::write(gateway.config(), yaml(backend, route, 10)).unwrap();
    eventually(route, || serves(gateway, route).then_some(()));
}

#[test]
fn what_was_in_force_is_again_and_nothing_that_was_written_is_lost() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one", 10));
    write(&gateway, &backend, "two");
    fs::set_permissions(gateway.config(), fs::Permissions::from_mode(0o640)).unwrap();

    fs::write(gateway.config(), "routes: [").unwrap();
    let (code, text) = told(&rollback(&gateway, &[]));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(fs::read_to_string(gateway.config()).unwrap(), yaml(&backend, "two", 10), "what is in force");
    let (_, aside) = text.split_once("is set aside as ").unwrap();
    assert_eq!(fs::read_to_string(aside.lines().next().unwrap()).unwrap(), "routes: [");

    let (code, text) = told(&rollback(&gateway, &[]));
    assert_eq!(code, Some(0), "{text}");
    assert!(serves(&gateway, "one") && !serves(&gateway, "two"), "the one before");
    assert_eq!(fs::metadata(gateway.config()).unwrap().permissions().mode() & 0o777, 0o640);

    let (_, list) = told(&rollback(&gateway, &["--list"]));
    let revisions: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(revisions.len(), 2, "one, and two: {list}");
    let (code, text) = told(&rollback(&gateway, &["--to", revisions[1]]));
    assert_eq!(code, Some(0), "{text}");
    assert!(serves(&gateway, "two"));
}

#[test]
fn what_cannot_be_put_back_leaves_the_file_alone() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one", 10));
    // It is kept once it is in force, and the gateway is ready a moment before.
    let (code, text) = eventually("the history", || {
        Some(told(&rollback(&gateway, &[]))).filter(|(_, text)| !text.contains("no configuration"))
    });
    assert!(code == Some(1) && text.contains("holds already"), "{text}");
    write(&gateway, &backend, "two");
    let held = fs::read_to_string(gateway.config()).unwrap();
    let (code, text) = told(&rollback(&gateway, &["--to", "0000000000"]));
    assert!(code == Some(1) && text.contains("see --list"), "{text}");

    let elsewhere = gateway.config().with_file_name("elsewhere.yaml");
    fs::rename(gateway.config(), &elsewhere).unwrap();
    symlink(&elsewhere, gateway.config()).unwrap();
    let (code, text) = told(&rollback(&gateway, &[]));
    assert!(code == Some(1) && text.contains("is a symbolic link"), "{text}");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), held);
    assert!(serves(&gateway, "two"));
}

#[test]
fn a_gateway_that_is_to_keep_nothing_or_cannot_serves_all_the_same() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one", 0));
    let (code, text) = told(&rollback(&gateway, &["--list"]));
    assert!(code == Some(1) && text.contains("is kept in"), "{text}");
    assert!(!gateway.state().exists());
    // A file where the folder should be.
    fs::write(gateway.state(), "").unwrap();
    write(&gateway, &backend, "two");
    gateway.log_line("this configuration is not kept for a rollback");
}
