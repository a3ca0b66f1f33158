//! Every mistake in a configuration is named, with its place and the remedy.
//!
//! `golden/problems/NAME.yaml` is a mistake, `NAME.txt` exactly what is said about it. After a change that is
//! meant, `UPDATE_GOLDEN=1 cargo test --test main golden` writes them anew: read the difference.

mod environment;
mod hostile;
mod reference;
mod secrets;

use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use portcullis::config;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// The environment of every case.
fn env(name: &str) -> Option<String> {
    match name {
        "PORTCULLIS_SIGNING_KEY" => {
            let pem = SigningKey::from_bytes(&[7; 32]).to_pkcs8_pem(Default::default()).unwrap();
            Some(pem.to_string())
        }
        "PORT" => Some("8080".to_owned()),
        "PASSWORD" => Some("correct-horse".to_owned()),
        "STRUCTURE" => Some("{ admin: true }".to_owned()),
        _ => None,
    }
}

/// What is said of a configuration that stands among the mistakes.
fn said(text: &str, file: &str) -> String {
    said_in("tests/golden/problems", text, file)
}

/// What is said of a configuration whose relative paths begin at `folder`.
fn said_in(folder: &str, text: &str, file: &str) -> String {
    match config::parse(text, file, Path::new(folder), &env) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(report) => report.to_string(),
    }
}

/// The services that the mistakes speak of are those that the other tests call.
#[test]
fn the_descriptors_are_up_to_date() {
    let file = folder().join("files/services.bin");
    if is_update() {
        fs::write(&file, crate::kit::grpc::descriptors()).unwrap();
    }
    assert!(fs::read(file).unwrap() == crate::kit::grpc::descriptors(), "UPDATE_GOLDEN=1 writes them anew");
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(folder().join("problems")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let said = said(&fs::read_to_string(&path).unwrap(), &name);
        let expected = path.with_extension("txt");
        if is_update() {
            fs::write(&expected, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{name}: said\n{said}\nexpected\n{expected}"));
        }
        assert!(!said.is_empty(), "{name} is a mistake, and nothing is said about it");
    }
    assert!(cases >= 45, "only {cases} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
