//! A request comes from a file, as a line for curl or in flags, and what is none is told.

use super::{Scene, YAML, golden, without_ids};
use crate::kit::gateway::portcullis;
use std::{io::Write as _, process::Stdio};

#[test]
fn a_raw_request_is_held_to_the_strict_rules_of_heads() {
    let scene = Scene::new(YAML);
    let typed = "POST /mail HTTP/1.1\nhost: a\ncontent-type: application/json\ncontent-length: 2\n\n{}";
    for (wire, outcome, status) in [
        (typed.to_owned(), "forwarded", None),
        (typed.replace("host: a\n", ""), "refused", Some(400)),
        (typed.replace("content-length: 2", "content-length: 2\ntransfer-encoding: chunked"), "refused", Some(400)),
        (typed.replace("HTTP/1.1", "HTTP/2.0"), "refused", Some(505)),
    ] {
        let file = scene.file("request", &wire);
        let told = scene.json(&["--request", file.to_str().unwrap(), "--crlf", "--listener", "public"]);
        assert_eq!(told["outcome"], outcome, "{wire}\n{told:#}");
        assert_eq!(told["answer"]["status"].as_u64(), status, "{wire}");
    }
    let mut process = portcullis();
    process.current_dir(scene.folder.path()).args([
        "explain",
        "gateway.yaml",
        "--request",
        "-",
        "--crlf",
        "--listener",
        "public",
    ]);
    let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn what_is_wrong_with_where_a_request_ends_reads_so() {
    let scene = Scene::new(YAML);
    let told = |name: &str, wire: &str| {
        let file = scene.file("request", &wire.replace('\n', "\r\n"));
        let told = scene.explain(&["--request", file.to_str().unwrap(), "--listener", "public"]);
        golden(name, &without_ids(&told.text));
        told.code
    };
    let mail = "POST /mail HTTP/1.1\nHost: a\nContent-Type: application/json\n";
    assert_eq!(told("cut-short.txt", &format!("{mail}Content-Length: 9\n\n{{}}")), Some(1));
    assert_eq!(told("pipelined.txt", &format!("{mail}Content-Length: 2\n\n{{}}{{}}")), Some(1));
    assert_eq!(told("without-end.txt", "GET /pages/a HTTP/1.1\nHost: a\n"), Some(1));
    let file = scene.file("typed", "GET /pages/a HTTP/1.1\nHost: a\n\n");
    let typed = ["--request", file.to_str().unwrap(), "--listener", "public"];
    let told = scene.explain(&typed);
    assert_eq!(told.code, Some(1));
    assert!(told.text.contains("--crlf reads them as CR LF"), "{}", told.text);
    assert_eq!(scene.explain(&[&typed[..], &["--crlf"]].concat()).code, Some(0));
}

#[test]
fn a_line_for_curl_is_a_request() {
    let scene = Scene::new(YAML);
    let line = r#"curl -sS -X POST 'http://127.0.0.1:1/mail' -H 'content-type: application/json' --data-raw '{"a":1}'"#;
    let told = scene.json(&["--curl", line]);
    assert_eq!((told["listener"].as_str(), told["outcome"].as_str()), (Some("public"), Some("forwarded")), "{told:#}");
    let told = scene.explain(&["--curl", "curl --frobnicate http://127.0.0.1:1/mail"]);
    assert_eq!(told.code, Some(2));
    assert!(told.error.contains("`--frobnicate`, which is not understood"), "{}", told.error);
    let line = r#"curl 'http://127.0.0.1:1/mail' -H 'content-type: application/json' --data-raw $'{"a":"it\'s"}'"#;
    let told = scene.json(&["--curl", line]);
    assert_eq!(told["sent"]["body"], r#"{"a":"it's"}"#, "{told:#}");
}

#[test]
fn a_wrong_command_line_is_told() {
    let scene = Scene::new(YAML);
    for (arguments, said) in [
        (&["/mail"][..], "say which listener it comes to, with --listener: edge, public"),
        (&["/mail", "--listener", "publik"], "there is no listener `publik`"),
        (&["/mail", "--listener", "public", "-H", "nonsense"], "`nonsense` is no header"),
        (&["/mail", "--listener", "public", "-H", "a: b\r\nc: d"], "a header has a line break"),
        (&["--listener", "public"], "give a PATH"),
    ] {
        let told = scene.explain(arguments);
        assert_eq!(told.code, Some(2), "{arguments:?}");
        assert!(told.error.contains(said), "{arguments:?}: {}", told.error);
    }
    assert_eq!(Scene::new("version: 2").explain(&["/"]).code, Some(2));
}
