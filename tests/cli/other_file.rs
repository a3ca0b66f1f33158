//! A command that names a file speaks to the gateway that runs it, and to no other.

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::{Gateway, portcullis},
    raw::Raw,
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

fn yaml(backend: &Backend, path: &str) -> String {
    format!(
        r#"version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }}, admin: {{ bind: "127.0.0.1:0", admin: true }} }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
routes: [{{ name: api, match: {{ path: "{path}" }}, forward: backend }}]
reload: {{ watch: false }}
"#,
        backend.address
    )
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn in_folder(folder: &Path, state: &Path, arguments: &[&str]) -> Command {
    let mut command = portcullis();
    command.current_dir(folder).args(arguments).env("XDG_STATE_HOME", state).env_remove("PORTCULLIS_CONFIG");
    command
}

fn status(gateway: &Gateway, path: &str) -> u16 {
    Raw::connect(gateway.address("public")).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer().status
}

#[test]
fn a_gateway_is_not_told_to_run_another_file() {
    let backend = Backend::start(|_| Reply::json(200, json!({})));
    let gateway = Gateway::start(&yaml(&backend, "/api/*"));
    let folder = gateway.config().parent().unwrap();
    let own = gateway.config().to_str().unwrap();
    let other = folder.join("b.yaml");
    fs::write(&other, yaml(&backend, "/other/*")).unwrap();
    let address = gateway.address("admin");
    let url = format!("http://{address}");
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["--admin", &url]].concat();
        told(&in_folder(folder, &gateway.state(), &arguments).output().unwrap())
    };
    let canonical = fs::canonicalize(own).unwrap().display().to_string();
    let expected = format!("the gateway at {address} runs {canonical}, not b.yaml");

    let commands: &[&[&str]] = &[
        &["reload", "b.yaml"],
        &["reload", "--plan", "b.yaml"],
        &["reload", "--force", "b.yaml"],
        &["reload", "--format", "json", "b.yaml"],
        &["upgrade", "b.yaml"],
    ];
    for arguments in commands {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(&expected) && said.contains("portcullis diff"), "{arguments:?}: {said}");
    }
    assert_eq!((status(&gateway, "/api/x"), status(&gateway, "/other/x")), (200, 404));

    // The same file by other names, and another that holds the same.
    symlink("gateway.yaml", folder.join("link.yaml")).unwrap();
    fs::copy(own, folder.join("copy.yaml")).unwrap();
    for name in ["gateway.yaml", own, "./gateway.yaml", "link.yaml", "copy.yaml"] {
        let (code, said) = run(&["reload", name]);
        assert_eq!((code, said.starts_with("unchanged ")), (Some(0), true), "{name}: {said}");
        assert_eq!(run(&["reload", "--plan", name]), (Some(0), "nothing differs\n".to_owned()), "{name}");
    }
    assert_eq!(run(&["reload"]).0, Some(0), "an address alone names no file");

    // What the gateway itself runs differs by now: that is what a plan is for.
    fs::copy(&other, own).unwrap();
    let (code, said) = run(&["reload", "--plan", "gateway.yaml"]);
    assert!(code == Some(0) && said.contains("1 changed"), "{said}");
    let removed = folder.join("link.yaml");
    fs::remove_file(&removed).unwrap();
    let (code, said) = run(&["reload", "gateway.yaml"]);
    assert!(code == Some(0) && said.starts_with("reloaded "), "{said}");
    assert_eq!((status(&gateway, "/api/x"), status(&gateway, "/other/x")), (404, 200));

    // Where the gateway's file is gone, another is still another.
    let third = yaml(&backend, "/third/*");
    fs::write(&other, &third).unwrap();
    fs::remove_file(own).unwrap();
    let (code, said) = run(&["reload", "b.yaml"]);
    assert!(code == Some(2) && said.contains("not b.yaml"), "{said}");
}

#[test]
fn a_rollback_of_another_file_writes_nothing() {
    let backend = Backend::start(|_| Reply::json(200, json!({})));
    let gateway = Gateway::start(&yaml(&backend, "/api/*"));
    let folder = gateway.config().parent().unwrap();
    let other = folder.join("b.yaml");
    let text = yaml(&backend, "/other/*");
    fs::write(&other, &text).unwrap();
    // The history of the gateway's own file, taken for that of the other.
    let histories = gateway.state().join("portcullis/history");
    let history = eventually("the history", || Some(fs::read_dir(&histories).ok()?.next()?.ok()?.path()));
    let in_force = || fs::read_dir(&history).ok()?.next()?.ok();
    assert!(eventually("what is in force", in_force).path().is_file());
    let url = format!("http://{}", gateway.address("admin"));
    let arguments = ["rollback", "b.yaml", "--history", history.to_str().unwrap(), "--admin", &url];
    let (code, said) = told(&in_folder(folder, &gateway.state(), &arguments).output().unwrap());
    assert!(code == Some(2) && said.contains("not b.yaml"), "{code:?} {said}");
    assert_eq!(fs::read_to_string(&other).unwrap(), text);
    let arguments = ["rollback", "--list", "--format", "json", gateway.config().to_str().unwrap()];
    let (code, said) = told(&in_folder(folder, &gateway.state(), &arguments).output().unwrap());
    let list: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, list[0]["is_held"].as_bool()), (Some(0), Some(true)), "{said}");
}
