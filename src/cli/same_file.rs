//! Whether a running gateway runs the file that a command names.

use crate::{
    client::{Client, Endpoint, HttpVersion, Reply},
    config,
    vitals::SourceFile,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Told {
    file: SourceFile,
}

/// Asks a gateway for the file that it runs, and says what is wrong where that is another than `named`. Nothing is wrong
/// where nobody answers or what answers does not tell: what is asked of it next says what is to be said then.
pub(super) async fn refuse_another(client: &Client, admin: &Endpoint, named: &Path) -> Result<(), String> {
    let asked =
        client.exchange(admin, HttpVersion::Http1, Method::GET, "/reload", HeaderMap::new(), Bytes::new()).await;
    asked.map_or(Ok(()), |reply| compare(&reply, admin, named))
}

/// The same with the answer to `GET /reload`.
pub(super) fn compare(reply: &Reply, admin: &Endpoint, named: &Path) -> Result<(), String> {
    match serde_json::from_slice::<Told>(&reply.body) {
        Ok(told) => difference(&told.file, named).map_or(Ok(()), |how| Err(said(&how, admin, named))),
        Err(_) => Ok(()),
    }
}

/// How the file of a gateway is another than the one that is named.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    /// It is elsewhere, and holds something else.
    Path(String),
    /// The gateway finds something else under this path: it runs in another file system.
    Content(String),
}

/// Files are the same where their paths are, and where they hold the same: a gateway in a container knows its file by
/// another path.
fn difference(theirs: &SourceFile, named: &Path) -> Option<Difference> {
    let ours = SourceFile::look(named, config::read_file);
    let is_same_content = match (&ours.sha256, &theirs.sha256) {
        (Some(ours), Some(theirs)) => Some(ours == theirs),
        _ => None,
    };
    match (ours.path == theirs.path, is_same_content) {
        (_, Some(true)) | (true, None) => None,
        (true, Some(false)) => Some(Difference::Content(ours.path)),
        (false, _) => Some(Difference::Path(theirs.path.clone())),
    }
}

fn said(difference: &Difference, admin: &Endpoint, named: &Path) -> String {
    let (admin, named) = (admin.to_string(), named.display());
    let address = admin.split_once("://").map_or(admin.as_str(), |(_, address)| address);
    match difference {
        Difference::Path(theirs) => format!(
            "the gateway at {address} runs {theirs}, not {named}\n  help: `portcullis diff {theirs} {named}` says what \
             differs; a gateway takes up its own file, so put there what it is to run"
        ),
        Difference::Content(path) => format!(
            "the gateway at {address} runs {path}, and finds another content there than this command\n  help: where it \
             runs in a container, ask it from within; where the file was just written, ask again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_file_is_known_by_its_place_or_by_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("a.yaml", "a"), ("same.yaml", "a"), ("b.yaml", "b")] {
            fs::write(at(name), text).unwrap();
        }
        symlink(at("a.yaml"), at("link.yaml")).unwrap();
        symlink(at("gone.yaml"), at("dangling.yaml")).unwrap();
        let gateway = |name: &str| SourceFile::look(&at(name), config::read_file);
        let path = |name: &str| fs::canonicalize(folder.path()).unwrap().join(name).display().to_string();
        for (theirs, named, expected) in [
            ("a.yaml", "a.yaml", None),
            ("a.yaml", "../{}/a.yaml", None),
            ("a.yaml", "link.yaml", None),
            ("link.yaml", "a.yaml", None),
            ("a.yaml", "same.yaml", None),
            ("a.yaml", "b.yaml", Some(Difference::Path(path("a.yaml")))),
            ("gone.yaml", "b.yaml", Some(Difference::Path(at("gone.yaml").display().to_string()))),
            ("a.yaml", "gone.yaml", Some(Difference::Path(path("a.yaml")))),
            ("a.yaml", "dangling.yaml", Some(Difference::Path(path("a.yaml")))),
        ] {
            let own = folder.path().file_name().unwrap().to_str().unwrap();
            assert_eq!(difference(&gateway(theirs), &at(&named.replace("{}", own))), expected, "{theirs} {named}");
        }
        let elsewhere = SourceFile { sha256: gateway("b.yaml").sha256, ..gateway("a.yaml") };
        assert_eq!(difference(&elsewhere, &at("a.yaml")), Some(Difference::Content(path("a.yaml"))));
        let unreadable = SourceFile { sha256: None, ..gateway("a.yaml") };
        assert_eq!(difference(&unreadable, &at("a.yaml")), None);
    }
}
