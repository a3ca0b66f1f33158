//! A supervisor hears what happens in the words of systemd, and always of the process that is to be supervised.

use super::{Installed, backend, is_not_upgraded, is_upgraded, yaml};
use crate::kit::{
    PATIENCE, eventually,
    gateway::{Gateway, has_ended, portcullis, signal},
};
use std::{fs, os::unix::net::UnixDatagram, process::Command};

/// Plays systemd's part of `sd_notify(3)`.
struct Supervisor {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Supervisor {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    /// Sets a command up to tell it.
    fn watch(&self, command: Command) -> Command {
        let mut command = command;
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command
    }

    /// The next that it is told. Times are `#`.
    fn told(&self) -> String {
        let mut bytes = [0; 1024];
        let length = self.socket.recv(&mut bytes).expect("it is told something");
        let told = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let mask = |line: &str| match line.split_once('=') {
            Some(("MONOTONIC_USEC", since)) => {
                assert!(since.parse::<u64>().unwrap() > 0);
                "MONOTONIC_USEC=#".to_owned()
            }
            _ => line.to_owned(),
        };
        told.lines().map(mask).collect::<Vec<_>>().join(" ")
    }

    fn is_told(&self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.told(), *expected);
        }
    }

    fn is_told_nothing_more(&self) {
        self.socket.set_nonblocking(true).unwrap();
        assert!(self.socket.recv(&mut [0]).is_err());
    }
}

const READY: &str = "READY=1 STATUS=serving";
const STARTING: &str = "RELOADING=1 MONOTONIC_USEC=# STATUS=starting the new process";

#[test]
fn start_reload_upgrade_and_stop_are_told_in_order() {
    let (supervisor, backend) = (Supervisor::start(), backend());
    let mut gateway = Gateway::start_by(supervisor.watch(portcullis()), &yaml(&backend));
    supervisor.is_told(&[READY]);
    fs::write(gateway.config(), yaml(&backend).replace("name: api", "name: other")).unwrap();
    gateway.signal("HUP");
    supervisor.is_told(&["RELOADING=1 MONOTONIC_USEC=#", "READY=1"]);
    fs::write(gateway.config(), "").unwrap();
    gateway.signal("HUP");
    supervisor.is_told(&["RELOADING=1 MONOTONIC_USEC=#", "READY=1"]);
    fs::write(gateway.config(), yaml(&backend)).unwrap();
    is_upgraded(&gateway);
    let new = gateway.pids()[1];
    supervisor.is_told(&[STARTING, &format!("MAINPID={new} READY=1 STATUS=serving"), READY]);
    // The end of the old process is not that of the service.
    assert_eq!(gateway.ended().code(), Some(0));
    signal(new, "TERM");
    supervisor.is_told(&["STOPPING=1 STATUS=draining"]);
    eventually("the end of the new process", || has_ended(new).then_some(()));
    supervisor.is_told_nothing_more();
}

#[test]
fn an_upgrade_that_fails_is_told_and_the_old_process_stays_the_main_one() {
    let (supervisor, backend) = (Supervisor::start(), backend());
    let installed = Installed::start_by(&yaml(&backend), |command| supervisor.watch(command));
    supervisor.is_told(&[READY]);
    installed.replace("#!/bin/sh\nexit 1\n");
    is_not_upgraded(&installed.gateway, "exit status: 1");
    supervisor.is_told(&[STARTING, "READY=1 STATUS=the upgrade failed: the old process serves on"]);
    installed.gateway.signal("TERM");
    supervisor.is_told(&["STOPPING=1 STATUS=draining"]);
}
