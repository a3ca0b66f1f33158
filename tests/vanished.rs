//! Clients that vanish without a word are noticed: the kernel watches every accepted socket.

use crate::kit::{
    authority::Vouched,
    eventually,
    gateway::{Gateway, portcullis},
};
use rustix::{
    fd::OwnedFd,
    net::{getpeername, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const LISTENERS: [&str; 3] = ["public", "secure", "admin"];

fn yaml(server: &Vouched, connections: &str) -> String {
    format!(
        r#"
version: 1
connections: {connections}
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  secure: {{ bind: "127.0.0.1:0", tls: {{ certificate: "{}", key: "{}" }} }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://127.0.0.1:9"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: backend }} ]
drain: {{ delay: 0s, deadline: 2s }}
reload: {{ watch: false }}
"#,
        server.certificate.display(),
        server.key.display(),
    )
}

/// The socket by which a process has accepted this client's connection.
fn accepted(pid: u32, client: &TcpStream) -> OwnedFd {
    let (pid, client) = (i32::try_from(pid).unwrap(), client.local_addr().unwrap());
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    let is_its =
        |fd: &OwnedFd| getpeername(fd).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok()) == Some(client);
    eventually("the connection to be accepted", || {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let numbers = files.filter_map(|file| file.file_name().to_str()?.parse().ok());
        let mut fds = numbers.filter_map(|fd| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok());
        fds.find(is_its)
    })
}

/// How long a peer may be silent, and how long it may leave unacknowledged what was sent to it.
fn watched(pid: u32, address: SocketAddr) -> (Duration, Duration) {
    let client = TcpStream::connect(address).unwrap();
    let fd = accepted(pid, &client);
    // The options are set once the connection is accepted.
    eventually("the socket to be watched", || sockopt::socket_keepalive(&fd).unwrap().then_some(()));
    let user_timeout =
        eventually("the last option", || Some(sockopt::tcp_user_timeout(&fd).unwrap()).filter(|t| *t > 0));
    let asked = sockopt::tcp_keepintvl(&fd).unwrap() * sockopt::tcp_keepcnt(&fd).unwrap();
    (sockopt::tcp_keepidle(&fd).unwrap() + asked, Duration::from_millis(user_timeout.into()))
}

#[test]
fn the_kernel_watches_every_accepted_socket() {
    let server = Vouched::new("127.0.0.1");
    let seconds = Duration::from_secs;
    for (connections, unacknowledged) in [
        ("{}", seconds(45)),
        // A client that may take its time to read is not taken for one that vanished.
        ("{ write: 5m }", seconds(300)),
    ] {
        let gateway = Gateway::start(&yaml(&server, connections));
        for listener in LISTENERS {
            let watched = watched(gateway.pid(), gateway.address(listener));
            assert_eq!(watched, (seconds(90), unacknowledged), "{listener} {connections}");
        }
    }
}

#[test]
fn a_process_that_takes_over_watches_as_well() {
    let server = Vouched::new("127.0.0.1");
    let gateway = Gateway::start(&yaml(&server, "{}"));
    let admin = format!("http://{}", gateway.address("admin"));
    let output = portcullis().args(["upgrade", "--admin", &admin]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let heir = eventually("another process", || gateway.pids().get(1).copied());
    for listener in LISTENERS {
        let address = gateway.addresses_now()[listener];
        assert_eq!(watched(heir, address), (Duration::from_secs(90), Duration::from_secs(45)), "{listener}");
    }
}
