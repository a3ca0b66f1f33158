//! Another process takes the place of a running one, and nobody who calls notices; where it cannot, the old one serves on
//! as if nothing had been.

mod commands;
mod failed;
mod figures;
mod supervised;
mod under_load;

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::{Gateway, has_ended, portcullis, signal},
    raw::{Raw, RawAnswer},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

fn backend() -> Backend {
    Backend::start(|seen| Reply::json(200, "{}").after(Duration::from_secs(if seen.target == "/slow" { 1 } else { 0 })))
}

fn yaml(backend: &Backend) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: backend }} ]
drain: {{ delay: 0s, deadline: 20s }}
reload: {{ watch: false }}
"#,
        backend.address
    )
}

/// A gateway, and the file that it was started from.
struct Installed {
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Installed {
    fn start(yaml: &str) -> Self {
        Self::start_by(yaml, |command| command)
    }

    fn start_by(yaml: &str, set_up: impl Fn(Command) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("portcullis");
        symlink(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
        Self { gateway: Gateway::start_by(set_up(Command::new(program)), yaml), folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("portcullis")
    }

    /// Puts a shell script there instead.
    fn replace(&self, script: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, self.program()).unwrap();
    }

    fn restore(&self) {
        fs::remove_file(self.program()).unwrap();
        symlink(env!("CARGO_BIN_EXE_portcullis"), self.program()).unwrap();
    }
}

fn get(gateway: &Gateway, listener: &str, path: &str) -> RawAnswer {
    Raw::connect(gateway.address(listener)).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
}

fn post(gateway: &Gateway, path: &str) -> RawAnswer {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    Raw::connect(gateway.address("admin")).send(head).answer()
}

/// What `portcullis upgrade` says.
fn upgrade(gateway: &Gateway) -> Output {
    let admin = format!("http://{}", gateway.address("admin"));
    portcullis().args(["upgrade", "--admin", &admin]).output().unwrap()
}

fn is_upgraded(gateway: &Gateway) {
    let before = gateway.pids().len();
    let output = upgrade(gateway);
    assert!(output.status.success(), "{output:?}");
    eventually("another process", || (gateway.pids().len() > before).then_some(()));
}

fn is_not_upgraded(gateway: &Gateway, expected: &str) {
    let output = upgrade(gateway);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains(expected), "{expected} is not in {output:?}");
    assert!(said.contains("the old process serves on"), "{said}");
    gateway.log_line("this process serves on");
    assert_eq!((get(gateway, "public", "/a").status, gateway.pids()), (200, vec![gateway.pid()]));
}

#[test]
fn another_process_serves_and_what_had_begun_is_finished() {
    let backend = backend();
    let mut gateway = Gateway::start(&yaml(&backend));
    let (mut kept, mut slow) = (Raw::connect(gateway.address("public")), Raw::connect(gateway.address("public")));
    let mut silent = Raw::connect(gateway.address("public"));
    assert_eq!(kept.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the slow request", || (!backend.seen_at("/slow").is_empty()).then_some(()));
    is_upgraded(&gateway);
    assert_eq!(get(&gateway, "public", "/a").status, 200);
    assert_eq!(get(&gateway, "admin", "/readyz").status, 200);
    assert_eq!(slow.answer().status, 200, "what was in flight is answered by the old process");
    assert_eq!(silent.rest(), b"", "nobody waits for who says nothing");
    assert_eq!(gateway.ended().code(), Some(0));
    assert_ne!(gateway.pids()[1], gateway.pid());
    assert_eq!(gateway.addresses_now()["public"], gateway.address("public"));
    assert_eq!(get(&gateway, "public", "/a").status, 200);
}

#[test]
fn a_connection_that_is_used_is_closed_with_its_next_answer_only() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend));
    let mut kept = Raw::connect(gateway.address("public"));
    signal(gateway.pid(), "USR2");
    eventually("an answer that says so", || {
        let answer = kept.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
        answer.header("connection").filter(|connection| connection == "close")
    });
    assert_eq!(kept.rest(), b"");
}

#[test]
fn what_a_running_process_cannot_change_is_changed() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend));
    let other = yaml(&backend)
        .replace("  public:", "  more: { bind: \"127.0.0.1:0\" }\n  public:")
        .replace("version: 1", "version: 1\nnode: { threads: 1 }");
    fs::write(gateway.config(), &other).unwrap();
    is_upgraded(&gateway);
    let more = gateway.addresses_now()["more"];
    assert_eq!(Raw::connect(more).send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    assert_eq!(gateway.addresses_now()["public"], gateway.address("public"));
    fs::write(gateway.config(), yaml(&backend)).unwrap();
    is_upgraded(&gateway);
    assert!(!gateway.addresses_now().contains_key("more"));
    eventually("a listener that is gone", || std::net::TcpStream::connect(more).is_err().then_some(()));
    assert_eq!(get(&gateway, "public", "/a").status, 200);
}

#[test]
fn who_asks_where_nobody_listens_yet_is_told_of_the_flag() {
    let gateway = Gateway::start(&yaml(&backend()));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let moved = format!("admin: {{ bind: \"{free}\", admin");
    fs::write(gateway.config(), yaml(&backend()).replace("admin: { bind: \"127.0.0.1:0\", admin", &moved)).unwrap();
    for command in ["upgrade", "reload"] {
        let output = portcullis().arg(command).arg(gateway.config()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("--admin"), "{output:?}");
        let named = portcullis().args([command, "--admin", &format!("http://{free}")]).output().unwrap();
        assert!(!String::from_utf8_lossy(&named.stderr).contains("--admin"), "{named:?}");
    }
}

#[test]
fn the_file_that_is_there_now_is_started() {
    let installed = Installed::start(&yaml(&backend()));
    let mark = installed.folder.path().join("mark");
    let binary = env!("CARGO_BIN_EXE_portcullis");
    installed.replace(&format!("#!/bin/sh\necho \"$@\" > {}\nexec {binary} \"$@\"\n", mark.display()));
    is_upgraded(&installed.gateway);
    let args = fs::read_to_string(mark).unwrap();
    assert_eq!(args.trim(), format!("run {}", installed.gateway.config().display()));
}

/// A gateway that starts a process which is never ready, and that process.
fn under_way(backend: &Backend) -> (Installed, u32) {
    let installed = Installed::start(&yaml(backend));
    let pid = installed.folder.path().join("pid");
    installed.replace(&format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display()));
    installed.gateway.signal("USR2");
    let started = eventually("the new process", || fs::read_to_string(&pid).ok()?.trim().parse().ok());
    (installed, started)
}

#[test]
fn there_is_one_upgrade_at_a_time_and_no_reload_beside_it() {
    let backend = backend();
    let (installed, new) = under_way(&backend);
    let gateway = &installed.gateway;
    for path in ["/upgrade", "/reload"] {
        let answer = post(gateway, path);
        assert_eq!((answer.status, answer.json()["why"].as_str()), (422, Some("an upgrade is under way")));
    }
    for name in ["USR2", "HUP"] {
        gateway.signal(name);
    }
    gateway.log_line("ignored: an upgrade is under way");
    assert_eq!(get(gateway, "public", "/a").status, 200);
    signal(new, "KILL");
    gateway.log_line("signal: 9");
    assert_eq!(post(gateway, "/reload").json()["outcome"], "unchanged");
}

#[test]
fn a_stop_ends_both() {
    let (Installed { mut gateway, folder: _folder }, new) = under_way(&backend());
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    eventually("the end of the new process", || has_ended(new).then_some(()));
}

#[test]
fn who_asks_is_told_that_it_stops() {
    let installed = Installed::start(&yaml(&backend()));
    let started = installed.folder.path().join("started");
    installed.replace(&format!("#!/bin/sh\ntouch {}\nexec sleep 600\n", started.display()));
    thread::scope(|scope| {
        let asked = scope.spawn(|| upgrade(&installed.gateway));
        eventually("the new process", || started.exists().then_some(()));
        installed.gateway.signal("INT");
        let output = asked.join().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("the gateway stops"), "{output:?}");
    });
}
