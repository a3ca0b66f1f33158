//! `portcullis diff`: `golden/changes/NAME.old.yaml` and `NAME.new.yaml` are two configurations, `NAME.txt` exactly what is
//! said of them. `UPDATE_GOLDEN=1` writes them anew, as in `golden.rs`.

use crate::kit::gateway::portcullis;
use std::{fs, path::Path};

#[test]
fn what_differs_is_said_with_what_it_means() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changes");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut cases, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".old.yaml") else { continue };
        cases += 1;
        let output = portcullis()
            .current_dir(&folder)
            .args(["diff", "--without-secrets", &format!("{name}.old.yaml"), &format!("{name}.new.yaml")])
            .env("BACKEND", "http://10.0.0.1:80")
            .env("OTHER_BACKEND", "http://10.0.0.2:80")
            .output()
            .unwrap();
        let said =
            format!("{}exit code {}\n", String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap());
        let expected = folder.join(format!("{name}.txt"));
        if is_update {
            fs::write(&expected, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{name}: said\n{said}\nexpected\n{expected}"));
        }
    }
    assert!(cases >= 4, "only {cases} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_get_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changes");
    let diff = |old: &str, new: &str| {
        let output = portcullis()
            .current_dir(&folder)
            .args(["diff", "--without-secrets", "--format", "json", old, new])
            .output()
            .unwrap();
        (output.status.code(), serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap())
    };
    let (code, changes) = diff("parts.old.yaml", "parts.new.yaml");
    assert_eq!(code, Some(1));
    let backend = changes.as_array().unwrap().iter().find(|change| change["part"] == "upstreams.backend").unwrap();
    let expected = serde_json::json!({
        "part": "upstreams.backend", "what": "changed", "takes": "begins_anew",
        "keys": [{ "key": "timeouts.read", "old": "1s", "new": "2s" }]
    });
    assert_eq!(*backend, expected);
    assert_eq!(diff("parts.old.yaml", "parts.old.yaml"), (Some(0), serde_json::json!([])));
}
