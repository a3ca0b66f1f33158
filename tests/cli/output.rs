//! What cannot be printed is told by the exit code, and what is printed is what was asked for.

use super::{PROBLEM, YAML, broken};
use crate::kit::gateway::portcullis;
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::Read as _,
    process::{Command, Stdio},
};

fn in_folder(folder: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = portcullis();
    command.current_dir(folder.path()).args(arguments).stdin(Stdio::null());
    command
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let changed = YAML.replace("/api/*", "/other/*");
    for (name, text) in [("good.yaml", YAML), ("bad.yaml", &broken()), ("changed.yaml", &changed)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Each with its exit code where all is printed, and where the disk is full.
const COMMANDS: &[(&[&str], i32, i32)] = &[
    (&["check", "good.yaml"], 0, 1),
    (&["check", "bad.yaml"], 2, 2),
    (&["check", "bad.yaml", "--format", "json"], 2, 2),
    (&["routes", "good.yaml"], 0, 1),
    (&["explain", "good.yaml", "/api/x"], 0, 1),
    (&["explain", "good.yaml", "/x"], 1, 1),
    (&["test", "good.yaml"], 0, 1),
    (&["diff", "good.yaml", "good.yaml"], 0, 2),
    (&["diff", "good.yaml", "changed.yaml"], 1, 2),
    (&["diff", "good.yaml", "bad.yaml"], 2, 2),
    (&["schema"], 0, 1),
    (&["--help"], 0, 1),
    (&["--version"], 0, 1),
    (&["explain", "--help"], 0, 1),
];

#[test]
fn what_cannot_be_written_is_told_by_code_and_word() {
    let folder = folder();
    for (arguments, code, on_full) in COMMANDS {
        let whole = in_folder(&folder, arguments).output().unwrap();
        assert_eq!(whole.status.code(), Some(*code), "{arguments:?}: {}", String::from_utf8_lossy(&whole.stderr));
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = in_folder(&folder, arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(*on_full), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("stdout: No space left on device"), "{arguments:?}: {said}");
        let nobody = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = in_folder(&folder, arguments).stdout(full).stderr(nobody).status().unwrap();
        assert_eq!(status.code(), Some(*on_full), "{arguments:?} without stderr");
    }
}

#[test]
fn a_reader_that_has_gone_changes_no_exit_code() {
    let folder = folder();
    for (arguments, code, _) in COMMANDS {
        let mut child = in_folder(&folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let status = child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(*code), "{arguments:?}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
fn problems_are_json_on_stdout_where_that_is_asked_for() {
    let folder = folder();
    let commands: &[&[&str]] = &[
        &["check", "bad.yaml"],
        &["diff", "bad.yaml", "good.yaml"],
        &["diff", "bad.yaml", "bad.yaml"],
        &["explain", "bad.yaml", "/api/x"],
        &["explain", "/api/x", "bad.yaml"],
        &["explain", "bad.yaml", "--id", "x"],
        &["test", "bad.yaml"],
        &["routes", "bad.yaml"],
        &["reload", "bad.yaml"],
        &["reload", "--plan", "bad.yaml"],
        &["upgrade", "bad.yaml"],
    ];
    for arguments in commands {
        let output = in_folder(&folder, &[*arguments, &["--format", "json"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let problems: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}"));
        let problems = problems.as_array().unwrap();
        assert!(problems.iter().any(|problem| problem["what"].as_str().unwrap().contains(PROBLEM)), "{arguments:?}");
        assert!(problems.iter().all(|problem| problem["file"] == "bad.yaml" && problem["line"] == 4), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn nothing_of_a_request_steers_the_terminal() {
    let folder = folder();
    let target = "/api/x?a=\u{9b}31m\u{202e}\u{7f}";
    for format in ["text", "json"] {
        let output = in_folder(&folder, &["explain", "good.yaml", target, "--format", format]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty() && !text.chars().any(|c| c != '\n' && portcullis::printable::is_hostile(c)), "{text}");
    }
}
