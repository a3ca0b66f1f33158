//! `portcullis events tail` prints what a device is pushed, verified; goes on after a cut; and says when it cannot.

use crate::kit::{
    PATIENCE,
    device::device,
    events, eventually,
    fault_proxy::{Fault, FaultProxy},
    gateway::portcullis,
};
use portcullis::client::DeviceFile;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
};

/// A gateway with a feed, and a device file.
struct Scene {
    fed: events::Scene,
    folder: tempfile::TempDir,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    DeviceFile::of(&device("session-1")).save(&folder.path().join("device.json")).unwrap();
    Scene { fed: events::scene("").await, folder }
}

/// A running tail: its lines of stdout and of stderr.
struct Tail {
    child: Child,
    out: mpsc::Receiver<Value>,
    err: mpsc::Receiver<Value>,
}

impl Scene {
    fn tail(&self, to: std::net::SocketAddr, arguments: &[&str]) -> Tail {
        let mut child = portcullis()
            .args(["events", "tail", "--to", &format!("http://{to}"), "--device"])
            .arg(self.folder.path().join("device.json"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Tail { child, out, err }
    }

    fn tail_here(&self, arguments: &[&str]) -> Tail {
        self.tail(self.fed.gateway.address("edge"), arguments)
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<Value> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))).is_err() {
                return;
            }
        }
    });
    receive
}

impl Tail {
    /// The next line of stdout: its type and its position.
    fn event(&self) -> (String, String) {
        let line = self.out.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no event: {:?}", self.err.try_recv()));
        assert_eq!(line["verified"], true, "{line}");
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("event_type"), text("position"))
    }

    fn expect(&self, event_type: &str, position: &str) {
        assert_eq!(self.event(), (event_type.to_owned(), position.to_owned()));
    }

    /// Whether the stream that opens now has missed nothing.
    fn resumed(&self) -> bool {
        let line = self.out.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line["event_type"], "gateway.server_time", "{line}");
        line["payload"]["resumed"].as_bool().unwrap()
    }

    /// The exit code, and the next line of stderr.
    fn ended(mut self) -> (i32, Value) {
        let status = eventually("the end of the process", || self.child.try_wait().unwrap());
        (status.code().unwrap(), self.err.recv_timeout(PATIENCE).unwrap_or_default())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_what_comes_in_every_protocol_and_counts() {
    let scene = scene().await;
    for (number, spoken) in [
        ["--protocol", "connect", "--codec", "json"],
        ["--protocol", "grpc", "--codec", "proto"],
        ["--protocol", "grpc-web", "--codec", "json"],
        ["--protocol", "grpc-web-text", "--codec", "proto"],
    ]
    .into_iter()
    .enumerate()
    {
        let tail = scene.tail_here(&[&spoken[..], &["--count", "2"]].concat());
        assert!(tail.resumed(), "{spoken:?}");
        let [first, second] = [0, 1].map(|event| format!("c{number}-{event}"));
        scene.fed.push.event("user-2", "account.changed", "{}", &format!("of another {number}"));
        scene.fed.push.event("user-1", "account.changed", r#"{"balance":1}"#, &first);
        let line = tail.out.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line["payload"], serde_json::json!({ "balance": 1 }), "{spoken:?}");
        assert_eq!((&line["subject"], &line["event_id"]), (&"user-1".into(), &format!("event-{first}").into()));
        scene.fed.push.event("", "news", "plain", &second);
        let line = tail.out.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&line["position"], &line["payload_base64"]), (&second.into(), &"cGxhaW4=".into()), "{spoken:?}");
        assert_eq!(tail.ended(), (0, Value::Null), "{spoken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_where_it_is_told_and_takes_what_it_wants() {
    let scene = scene().await;
    let tail = scene.tail_here(&["--count", "3"]);
    assert!(tail.resumed());
    for (kind, cursor) in [("a", "c1"), ("b", "c2"), ("a", "c3")] {
        scene.fed.push.event("user-1", kind, "{}", cursor);
        tail.expect(kind, cursor);
    }
    let tail = scene.tail_here(&["--resume-after", "c1", "--type", "a", "--type", "c", "--count", "1"]);
    assert!(tail.resumed());
    tail.expect("a", "c3");
    let tail = scene.tail_here(&["--resume-after", "of-long-ago", "--count", "1"]);
    assert!(!tail.resumed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_goes_on_without_a_hole_or_a_duplicate() {
    let scene = scene().await;
    let proxy = FaultProxy::start(scene.fed.gateway.address("edge")).await;
    let tail = scene.tail(proxy.address(), &["--count", "3"]);
    assert!(tail.resumed());
    scene.fed.push.event("user-1", "count", "1", "c1");
    tail.expect("count", "c1");
    proxy.set(Fault::Reset);
    scene.fed.push.event("user-1", "count", "2", "c2");
    let told = tail.err.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told["reconnecting"]["resume_after"], "c1", "{told}");
    scene.fed.push.event("user-1", "count", "3", "c3");
    proxy.set(Fault::None);
    assert!(tail.resumed());
    tail.expect("count", "c2");
    tail.expect("count", "c3");
    assert_eq!(tail.ended().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_no_retry_changes_is_told_with_its_remedy() {
    let scene = scene().await;
    let tail = scene.tail_here(&[]);
    assert!(tail.resumed());
    scene.fed.push.revoke("session-1", "r1");
    for tail in [tail, scene.tail_here(&[])] {
        let (code, told) = tail.ended();
        assert_eq!(code, 1, "{told}");
        let refused = (&told["refused"]["code"], &told["refused"]["reason"]);
        assert_eq!(refused, (&"failed_precondition".into(), &"SESSION_REVOKED".into()));
        assert!(told["remedy"].as_str().unwrap().starts_with("sign the device in again"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_not_printed() {
    let scene = scene().await;
    let mut tail = scene.tail_here(&["--gateway-key", "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="]);
    let printed = std::mem::replace(&mut tail.out, mpsc::channel().1);
    let (code, told) = tail.ended();
    assert_eq!((code, &told["unverified"]), (3, &"the signature does not verify".into()));
    assert_eq!(printed.try_iter().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_stopped_and_told_to_try_once() {
    let scene = scene().await;
    let tail = scene.tail_here(&[]);
    assert!(tail.resumed());
    let stopped = std::process::Command::new("kill").args(["-INT", &tail.child.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    assert_eq!(tail.ended(), (0, Value::Null));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, told) = scene.tail(nobody, &["--once"]).ended();
    assert_eq!(code, 1);
    assert!(told["failed"].as_str().unwrap().contains("no connection to the gateway"), "{told}");
}
