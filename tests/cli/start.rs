//! A binary alone brings what a beginning needs: a file to start from, the reference, completions, manual pages.

use crate::kit::gateway::portcullis;
use std::{fs, path::Path, process::Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    portcullis().current_dir(folder).args(arguments).env_remove("PORTCULLIS_CONFIG").output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn init_writes_a_file_that_works_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(run(path, &["init"]).status.code(), Some(0));
    let checked = run(path, &["check"]);
    assert_eq!(text(&checked), "gateway.yaml is fine: 2 listeners, 1 upstream, 1 route, 0 commands\n");
    let tested = run(path, &["test"]);
    assert!(tested.status.success() && text(&tested).contains("1 passed"), "{}", text(&tested));
    fs::write(path.join("gateway.yaml"), "mine").unwrap();
    let again = run(path, &["init"]);
    assert!(again.status.code() == Some(1) && text(&again).contains("is there already"), "{}", text(&again));
    assert_eq!(fs::read_to_string(path.join("gateway.yaml")).unwrap(), "mine");
    assert_eq!(run(path, &["init", "other.yaml"]).status.code(), Some(0));
    assert_eq!(run(path, &["init", "-"]).stdout, fs::read(path.join("other.yaml")).unwrap());
    assert_eq!(run(path, &["init", "no/such/folder.yaml"]).status.code(), Some(1));
}

#[test]
fn the_reference_completions_and_pages_are_in_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let reference = run(folder.path(), &["reference"]).stdout;
    assert_eq!(reference, fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.yaml")).unwrap());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(folder.path(), &["completions", shell]));
        assert!(script.contains("rollback") && script.contains("portcullis"), "{shell}");
    }
    let page = text(&run(folder.path(), &["man"]));
    assert!(page.contains(".TH portcullis 1"), "{page}");
    assert!(run(folder.path(), &["man", "--folder", "man1"]).status.success());
    for page in ["portcullis.1", "portcullis-explain.1"] {
        assert!(folder.path().join("man1").join(page).is_file(), "{page}");
    }
    let version = text(&run(folder.path(), &["--version"]));
    let revision = version.strip_prefix(concat!("portcullis ", env!("CARGO_PKG_VERSION"), " (")).unwrap();
    let revision = revision.strip_suffix(")\n").unwrap();
    assert!(revision == "unknown" || revision.len() >= 7, "{version}");
}

#[test]
fn colours_are_for_terminals_or_for_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), "version: 2\n").unwrap();
    let has_colours = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = portcullis();
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PORTCULLIS_CONFIG"] {
            command.env_remove(name);
        }
        command.current_dir(folder.path()).args(arguments).envs(variables.iter().copied());
        text(&command.output().unwrap()).contains('\x1b')
    };
    for (arguments, variables, expected) in [
        (&["check"][..], &[][..], false),
        (&["check", "--color", "always"], &[], true),
        (&["--color", "always", "routes"], &[], true),
        (&["check", "--color", "always", "--format", "json"], &[], false),
        (&["check"], &[("CLICOLOR_FORCE", "1")], true),
        (&["check"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["check", "--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
    ] {
        assert_eq!(has_colours(arguments, variables), expected, "{arguments:?} {variables:?}");
    }
}
