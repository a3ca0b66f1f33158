//! Tells the program which revision it is built from: `PORTCULLIS_REVISION` where whoever builds it says so, else the
//! commit of its own repository, else nothing. A build from an archive needs no git.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-env-changed=PORTCULLIS_REVISION");
    let named = env::var("PORTCULLIS_REVISION").ok().filter(|revision| is_revision(revision));
    let revision = named.or_else(of_the_repository).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=PORTCULLIS_REVISION={revision}");
}

fn is_revision(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

/// The commit, where this folder is the top of a repository: an archive may be unpacked within another one.
fn of_the_repository() -> Option<String> {
    let folder = env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(&folder).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(&folder).ok()? {
        return None;
    }
    // Written at each commit and checkout. A path that is not there would have cargo run this at each build.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).map(|path| Path::new(&folder).join(path))
            && path.exists()
        {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).filter(|revision| is_revision(revision))
}
