//! Files that no repository wants to hold, or no operator meant to write.

use super::said;
use portcullis::{
    cli::{
        EXIT_USAGE,
        check::{CheckArgs, Format, run},
    },
    config,
};
use proptest::prelude::*;
use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path};

const WHOLE: &str = "version: 1
listeners:
  public: { bind: \"127.0.0.1:8080\" }
upstreams:
  backend: { endpoints: [\"http://127.0.0.1:8081\"] }
routes:
  - { name: all, match: { path: /* }, forward: backend }
";

/// The exit code and what is printed for a file with these bytes.
fn checked(bytes: &[u8], format: Format) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, bytes).unwrap();
    let (code, printed) = check_file(&file, format);
    (code, printed.replace(&format!("{}/", folder.path().display()), ""))
}

fn check_file(file: &Path, format: Format) -> (u8, String) {
    let args = CheckArgs { file: file.to_owned(), format, without_secrets: false, offline: true };
    let mut printed = Vec::new();
    let code = run(&args, &super::env, &mut printed).unwrap();
    (code, String::from_utf8(printed).unwrap())
}

/// Checks the first line that is printed for a file that cannot be used.
fn refused(bytes: &[u8], first_line: &str) {
    let (code, printed) = checked(bytes, Format::Text);
    assert_eq!((code, printed.lines().next()), (EXIT_USAGE, Some(first_line)));
}

#[test]
fn a_file_that_is_fine_says_what_it_has() {
    let fine = "gateway.yaml is fine: 1 listener, 1 upstream, 1 route, 0 commands\n";
    assert_eq!(checked(WHOLE.as_bytes(), Format::Text), (0, fine.to_owned()));
    assert_eq!(checked(WHOLE.as_bytes(), Format::Json), (0, "[]\n".to_owned()));
    let unused = WHOLE.replace("routes:", "chains: { spare: [request_id] }\nroutes:");
    let (code, printed) = checked(unused.as_bytes(), Format::Text);
    assert_eq!(code, 0);
    assert!(printed.starts_with("gateway.yaml:6:11: warning: nothing uses the chain `spare`\n"), "{printed}");
    assert!(
        printed.ends_with("can be used, with 1 warning: 1 listener, 1 upstream, 1 route, 0 commands\n"),
        "{printed}"
    );
}

#[test]
fn no_error_is_lost_among_warnings() {
    for warnings in [150, 1_500] {
        let endpoints = vec!["\"http://127.0.0.1:8081\""; warnings + 1].join(", ");
        let yaml =
            WHOLE.replace("\"http://127.0.0.1:8081\"", &endpoints).replace("forward: backend", "forward: nobody");
        let (code, printed) = checked(yaml.as_bytes(), Format::Json);
        assert_eq!(code, EXIT_USAGE, "{warnings}");
        assert!(printed.contains("there is no upstream `nobody`"), "{warnings}");
    }
}

#[test]
fn problems_for_programs_are_an_array() {
    let (code, printed) = checked(WHOLE.replace("/*", "x").as_bytes(), Format::Json);
    let expected = serde_json::json!([{
        "file": "gateway.yaml", "line": 7, "column": 33, "severity": "error",
        "what": "`x` is no path", "remedy": "begin it with a slash: `/x`", "path": "/routes/0/match/path",
    }]);
    assert_eq!(code, EXIT_USAGE);
    let mut found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    found[0]["file"] = "gateway.yaml".into();
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_text_is_refused() {
    refused(b"", "gateway.yaml:1:1: the configuration is empty");
    refused(b"\n# nothing\n---\n", "gateway.yaml:1:1: the configuration is empty");
    refused(b"\xef\xbb\xbf", "gateway.yaml:1:1: the configuration is empty");
    // A byte order mark within a file begins nothing.
    refused(b"# nothing\n\xef\xbb\xbf# at all\n", "gateway.yaml:1:1: the configuration is empty");
    refused(b"version: 1\nnode: { id: \"g\xff\" }", "gateway.yaml:2:15: byte 0xff is not UTF-8");
    refused(b"\xff\xfev\0e\0", "gateway.yaml:1:1: byte 0xff is not UTF-8");
    refused(b"version: 1\nlist\0eners: {}", "gateway.yaml:2:5: a control character, which YAML does not allow");
    refused(&vec![b'#'; 10 << 20], "gateway.yaml:1:1: the file is larger than 4096 KiB");
    refused("ä".repeat(4 << 20).as_bytes(), "gateway.yaml:1:1: the file is larger than 4096 KiB");
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let (code, printed) = checked(format!("\u{feff}{WHOLE}").replace('\n', "\r\n").as_bytes(), Format::Text);
    assert_eq!((code, printed.contains("is fine")), (0, true), "{printed}");
    let broken = format!("\u{feff}{WHOLE}").replace("name: all", "nam: all").replace('\n', "\r\n");
    let (_, printed) = checked(broken.as_bytes(), Format::Text);
    assert!(printed.contains("gateway.yaml:7:7: unknown key `nam`\n    "), "{printed}");
    assert!(printed.contains("forward: backend }\n          ^^^\n"), "{printed:?}");
}

#[test]
fn a_file_that_is_not_there_or_not_readable_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (code, printed) = check_file(&folder.path().join("nowhere.yaml"), Format::Text);
    assert_eq!(code, EXIT_USAGE);
    assert!(printed.contains("nowhere.yaml:1:1: the file cannot be read: No such file"), "{printed}");
    let (code, printed) = check_file(folder.path(), Format::Text);
    assert_eq!(code, EXIT_USAGE);
    assert!(printed.contains(":1:1: the file cannot be read: Is a directory"), "{printed}");
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
        let printed = config::load(path, &super::env).unwrap_err().to_string();
        assert!(printed.contains(":1:1: the file cannot be read: it is not a regular file"), "{printed}");
    }
    // Named on a command line they are read to their end, as far as a configuration may go.
    for (path, expected) in [("/dev/zero", "the file is larger than"), ("/dev/null", "the configuration is empty")] {
        let (code, printed) = check_file(Path::new(path), Format::Text);
        assert_eq!(code, EXIT_USAGE);
        assert!(printed.contains(expected), "{printed}");
    }
    let text = format!("{WHOLE}signing: {{ keys: {{ main: {{ file: pipe.yaml }} }}, active: main }}\n");
    let report = config::parse(&text, "gateway.yaml", folder.path(), &super::env).unwrap_err().to_string();
    assert!(report.contains("pipe.yaml` cannot be read: it is not a regular file"), "{report}");
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("signer.pem");
    fs::write(&key, super::env("PORTCULLIS_SIGNING_KEY").unwrap()).unwrap();
    let text = format!("{WHOLE}signing: {{ keys: {{ main: {{ file: signer.pem }} }}, active: main }}\n");
    let warnings = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        config::parse(&text, "gateway.yaml", folder.path(), &super::env).unwrap().warnings.to_string()
    };
    assert_eq!(warnings(0o600), "");
    let warned = warnings(0o644);
    assert!(warned.starts_with("gateway.yaml:8:34: warning: every user of this machine may read"), "{warned}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key.pem"), super::env("PORTCULLIS_SIGNING_KEY").unwrap()).unwrap();
    fs::copy(super::folder().join("files/certificate.pem"), folder.path().join("certificate.pem")).unwrap();
    let text = WHOLE.replace(" }\nup", ", tls: { certificate: certificate.pem, key: key.pem } }\nup");
    let report = config::parse(&text, "gateway.yaml", folder.path(), &super::env).unwrap_err();
    let said: Vec<_> = report.problems().iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is not the one of the certificate in"), "{said:?}");
}

#[test]
fn aliases_cannot_grow_a_small_file() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let again = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{again}]").unwrap();
    }
    let said = said(&bomb, "gateway.yaml");
    assert!(said.contains("grows beyond all measure through its aliases"), "{said}");
    assert_eq!(said.matches("help:").count(), 1, "{said}");
}

#[test]
fn depth_and_numbers_of_problems_are_limited() {
    let cases = ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)];
    for deep in cases {
        let said = said(&deep, "gateway.yaml");
        assert!(said.len() < 10_000, "{}", said.len());
    }
    let many: String = (0..20_000).map(|n| format!("key{n}: 1\n")).collect();
    let said = said(&many, "gateway.yaml");
    assert!(said.ends_with("\nand at least 900 more problems\n"), "{}", &said[said.len() - 200..]);
}

/// A valid file with a few of its characters replaced, removed, doubled or moved.
fn mutated() -> impl Strategy<Value = String> {
    let whole: Vec<char> = include_str!("../../gateway.yaml").chars().collect();
    let edits = prop::collection::vec((0..whole.len(), any::<prop::sample::Index>(), 0..5_u8, any::<char>()), 1..12);
    edits.prop_map(move |edits| {
        let mut text = whole.clone();
        for (at, other, kind, new) in edits {
            let at = at.min(text.len() - 1);
            let other = other.index(text.len());
            match kind {
                0 => text[at] = new,
                1 => drop(text.remove(at)),
                2 => text.insert(at, text[other]),
                3 => text.swap(at, other),
                _ => text.insert(at, ['{', '}', '[', ':', '\n', '"', '$', '*', '&', '\t'][other % 10]),
            }
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\t\r{}\\[\\]:,#&*!|>'\"%@`$\u{85}\u{feff}\u{2028}ä😀-]{0,200}") {
        said(&text, "gateway.yaml");
    }

    #[test]
    fn no_mistake_in_a_valid_file_makes_it_panic(text in mutated()) {
        said(&text, "gateway.yaml");
    }
}
