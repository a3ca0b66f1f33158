//! A new process that does not come to serve changes nothing.

use super::{Installed, backend, get, is_not_upgraded, is_upgraded, yaml};
use crate::kit::{
    eventually,
    gateway::{Gateway, has_ended, portcullis},
};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Stdio};

#[test]
fn a_binary_that_fails_leaves_the_old_process_serving() {
    let backend = backend();
    let installed = Installed::start(&yaml(&backend).replace("reload:", "upgrade: { deadline: 2s }\nreload:"));
    let gateway = &installed.gateway;
    let mut failed = 0;
    for (script, expected) in [
        ("#!/bin/sh\nexit 3\n", "exit status: 3"),
        ("#!/bin/sh\nkill -SEGV $$\n", "signal: 11"),
        ("#!/bin/sh\nexec sleep 600\n", "was not ready within 2 s"),
        ("#!/bin/sh\necho ready >&0\nexec sleep 600\n", "none that takes over"),
        ("#!/bin/nowhere\n", "No such file"),
        ("\u{7f}ELF but not really", "cannot be started"),
    ] {
        installed.replace(script);
        is_not_upgraded(gateway, expected);
        failed += 1;
    }
    fs::set_permissions(installed.program(), fs::Permissions::from_mode(0o644)).unwrap();
    is_not_upgraded(gateway, "Permission denied");
    fs::remove_file(installed.program()).unwrap();
    is_not_upgraded(gateway, "cannot be started");
    let metrics = String::from_utf8(get(gateway, "admin", "/metrics").body).unwrap();
    let expected = format!("portcullis_upgrades_failed_total {}", failed + 2);
    assert!(metrics.contains(&expected), "{expected} is not in {metrics}");
    fs::write(installed.program(), "").unwrap();
    installed.restore();
    is_upgraded(gateway);
}

#[test]
fn a_gateway_behind_a_script_ends_with_an_upgrade_that_failed() {
    let backend = backend();
    let yaml = yaml(&backend).replace("reload:", "upgrade: { deadline: 1s }\nreload:");
    let installed = Installed::start(&yaml);
    let (gateway, pid) = (&installed.gateway, installed.folder.path().join("pid"));
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let script = format!("exec 3<&0\n{binary} \"$@\" <&3 3<&- &\necho $! > {}\nwait\n", pid.display());
    installed.replace(&format!("#!/bin/sh\n{script}"));
    // A store that takes connections and never says a word: longer than the deadline, the start waits for it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let stores = format!("stores: {{ slow: {{ redis: {{ url: \"{url}\", connect_timeout: 4s }} }} }}\nroutes:");
    fs::write(gateway.config(), yaml.replace("routes:", &stores)).unwrap();
    is_not_upgraded(gateway, "was not ready within 1 s");
    let started = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    eventually("the end of the gateway behind it", || has_ended(started).then_some(()));
    assert_eq!(get(gateway, "public", "/a").status, 200);
}

#[test]
fn a_configuration_that_fails_leaves_the_old_process_serving() {
    let (backend, taken) = (backend(), TcpListener::bind("127.0.0.1:0").unwrap());
    let gateway = Gateway::start(&yaml(&backend));
    let more = format!("  more: {{ bind: \"{}\" }}\n  public:", taken.local_addr().unwrap());
    for (broken, expected) in [
        (String::new(), "gateway.yaml:1:1"),
        (yaml(&backend).replace("forward: backend", "forward: backnd"), "did you mean `backend`"),
        (yaml(&backend).replace("  public:", &more), "another listener or process has this port"),
        (
            yaml(&backend).replace("version: 1", "version: 1\nobserve: { access_log: { to: { file: /nowhere/log } } }"),
            "access log",
        ),
    ] {
        fs::write(gateway.config(), broken).unwrap();
        is_not_upgraded(&gateway, expected);
    }
    fs::remove_file(gateway.config()).unwrap();
    is_not_upgraded(&gateway, "gateway.yaml");
    fs::write(gateway.config(), yaml(&backend)).unwrap();
    is_upgraded(&gateway);
}

#[test]
fn a_process_that_was_started_for_an_upgrade_that_is_none_does_not_start() {
    let mut command = portcullis();
    command.env("PORTCULLIS_UPGRADE", "1").arg("run").stdin(Stdio::null());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), yaml(&backend())).unwrap();
    let output = command.current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
}
