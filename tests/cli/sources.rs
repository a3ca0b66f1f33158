//! A configuration comes from a file, over standard input or through a pipe, and one variable names it for all commands.

use super::YAML;
use crate::kit::gateway::portcullis;
use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::ffi::OsStringExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The commands that read a configuration and no gateway, with `FILE` in its place.
const COMMANDS: &[&[&str]] = &[
    &["check", "FILE"],
    &["routes", "FILE"],
    &["explain", "FILE", "/api/x"],
    &["explain", "FILE", "--curl", "curl http://h/api/x"],
    &["test", "FILE"],
    &["diff", "FILE", "good.yaml"],
    &["diff", "good.yaml", "FILE"],
];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.yaml"), YAML).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str], file: &str) -> Command {
    let mut command = portcullis();
    command.current_dir(folder).stdin(Stdio::null()).env_remove("PORTCULLIS_CONFIG");
    command.args(arguments.iter().map(|argument| if *argument == "FILE" { file } else { argument }));
    command
}

fn fed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that needs none of it closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_reads_standard_input_and_pipes() {
    let folder = folder();
    for arguments in COMMANDS {
        for file in ["-", "/dev/stdin"] {
            let output = fed(&mut command(folder.path(), arguments, file), YAML.as_bytes());
            assert_eq!(output.status.code(), Some(0), "{arguments:?} {file}: {}", said(&output));
            let broken = fed(&mut command(folder.path(), arguments, file), b"version: 2\n");
            assert_eq!(broken.status.code(), Some(2), "{arguments:?} {file}");
            assert!(said(&broken).contains("<stdin>:1:"), "{arguments:?} {file}: {}", said(&broken));
        }
    }
    let large = "#".repeat(5 << 20);
    let output = fed(&mut command(folder.path(), &["check", "-"], ""), large.as_bytes());
    assert!(said(&output).contains("the file is larger than 4096 KiB"), "{}", said(&output));
    for arguments in [&["diff", "-", "-"][..], &["explain", "-", "--curl", "-"], &["explain", "-", "/x", "-d", "-"]] {
        let output = fed(&mut command(folder.path(), arguments, ""), YAML.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains("standard input is"), "{arguments:?}: {}", said(&output));
    }
    for arguments in [&["run", "-"][..], &["reload", "-"], &["rollback", "-"], &["upgrade", "/dev/stdin"]] {
        let output = fed(&mut command(folder.path(), arguments, ""), YAML.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains("is no regular file"), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn a_pipe_that_nobody_writes_to_is_told_and_waited_for() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child =
        command(folder.path(), &["check", "pipe"], "").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "portcullis: waiting for the end of pipe\n");
    fs::write(&pipe, YAML).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn one_variable_names_the_file_of_every_command() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("bad.yaml"), "version: 2\n").unwrap();
    let named = folder.path().join("good.yaml");
    let without_file: &[&[&str]] = &[
        &["check"],
        &["routes"],
        &["explain", "/api/x"],
        &["explain", "--curl", "curl http://h/api/x"],
        &["test"],
        &["diff", named.to_str().unwrap()],
    ];
    for arguments in without_file {
        let run = |variable: &str, more: &[&str]| {
            let arguments = [*arguments, more].concat();
            command(elsewhere.path(), &arguments, "").env("PORTCULLIS_CONFIG", variable).output().unwrap()
        };
        let output = run(named.to_str().unwrap(), &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        // Set to nothing it names nothing.
        let output = run("", &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            said(&output).contains("gateway.yaml:1:1: the file cannot be read"),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    for arguments in [&["reload"][..], &["upgrade"], &["rollback"], &["run"]] {
        let output = command(elsewhere.path(), arguments, "").env("PORTCULLIS_CONFIG", "bad.yaml").output().unwrap();
        let is_its_own = said(&output).contains("bad.yaml");
        assert!(is_its_own && !output.status.success(), "{arguments:?}: {}", said(&output));
    }
    // What is named on the command line goes ahead of it.
    let output =
        command(folder.path(), &["check", "good.yaml"], "").env("PORTCULLIS_CONFIG", "no.yaml").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn arguments_and_variables_that_are_no_utf8_are_told() {
    let folder = folder();
    let bad = || OsString::from_vec(b"\xff\xfe".to_vec());
    let of = |text: &str| fs::write(folder.path().join("gateway.yaml"), text).unwrap();
    for (yaml, what) in [
        (YAML.replace("\"http://127.0.0.1:1\"", "\"${WORD}\""), "the environment variable `WORD` is not UTF-8"),
        (YAML.replace("\"http://127.0.0.1:1\"", "\"${WORD:-x}\""), "the environment variable `WORD` is not UTF-8"),
        (
            format!("{YAML}signing: {{ keys: {{ main: {{ env: WORD }} }}, active: main }}\n"),
            "the environment variable `WORD` is not UTF-8",
        ),
    ] {
        of(&yaml);
        let output = command(folder.path(), &["check"], "").env("WORD", bad()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{yaml}");
        assert!(said(&output).contains(what), "{}", said(&output));
    }
    of(YAML);
    for arguments in [&["check"][..], &["routes"], &["test"], &["diff", "good.yaml"], &["run"], &["reload"]] {
        let mut command = command(folder.path(), arguments, "");
        let output = command.arg(bad()).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{arguments:?}: {}", said(&output));
    }
    for arguments in [&["explain", "good.yaml"][..], &["explain", "good.yaml", "--curl"], &["explain", "--id"]] {
        let output = command(folder.path(), arguments, "").arg(bad()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains("UTF-8"), "{arguments:?}: {}", said(&output));
    }
    // A variable that nobody asks for disturbs nothing, be its name no text.
    let output = command(folder.path(), &["check"], "").env(bad(), bad()).env("HOME", bad()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let not_utf8 = folder.path().join(bad());
    fs::write(&not_utf8, YAML).unwrap();
    let output = command(folder.path(), &["check"], "").env("PORTCULLIS_CONFIG", &not_utf8).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_line_for_curl_comes_over_standard_input_or_from_a_file() {
    let folder = folder();
    let line =
        "curl 'http://h/api/x' \\\r\n  -H 'a: \"b\"' \\\r\n  --data-raw $'{\"name\":\"it\\'s caf\\xc3\\xa9\"}'\r\n";
    fs::write(folder.path().join("line.txt"), line).unwrap();
    let told = |given: &str, input: &str| {
        let arguments = ["explain", "good.yaml", "--format", "json", "--curl", given];
        let output = fed(&mut command(folder.path(), &arguments, ""), input.as_bytes());
        (output.status.code(), said(&output))
    };
    for (given, input) in [("-", line), ("@line.txt", ""), (line, "")] {
        let (code, said) = told(given, input);
        assert_eq!(code, Some(0), "{given}: {said}");
        let told: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&told["method"], &told["sent"]["body"]), (&"POST".into(), &"{\"name\":\"it's café\"}".into()));
    }
    for (given, input, expected) in [
        ("-", "", "there is no line for curl"),
        ("-", "curl http://h/api -d @-", "so cannot its data"),
        ("@nowhere.txt", "", "nowhere.txt: No such file"),
        ("foo", "", "begins with `foo`, not with `curl`"),
        ("", "", "there is no line for curl"),
    ] {
        let (code, said) = told(given, input);
        assert_eq!(code, Some(2), "{given}: {said}");
        assert!(said.contains(expected), "{given}: {said}");
    }
    let (code, told) = told("curl http://user:pw@h/api/../api/é?x=1 -H Host:", "");
    assert_eq!(code, Some(1), "a request without a host is refused: {told}");
}
