//! What the documents say is what the program does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use filters::api::{Blame, Reason, RpcCode};
use std::{fs, path::Path};

const BEGIN: &str = "<!-- reasons: written by `UPDATE_GOLDEN=1 cargo test --test main documents` -->\n";
const END: &str = "<!-- end -->";

fn code(code: RpcCode) -> &'static str {
    match code {
        RpcCode::InvalidArgument => "INVALID_ARGUMENT",
        RpcCode::DeadlineExceeded => "DEADLINE_EXCEEDED",
        RpcCode::AlreadyExists => "ALREADY_EXISTS",
        RpcCode::PermissionDenied => "PERMISSION_DENIED",
        RpcCode::ResourceExhausted => "RESOURCE_EXHAUSTED",
        RpcCode::FailedPrecondition => "FAILED_PRECONDITION",
        RpcCode::Unimplemented => "UNIMPLEMENTED",
        RpcCode::Internal => "INTERNAL",
        RpcCode::Unavailable => "UNAVAILABLE",
        RpcCode::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn reasons() -> String {
    let row = |reason: &Reason| {
        let blame = match reason.blame() {
            Blame::Client => "Client",
            Blame::Backend => "Backend",
            Blame::Gateway => "Gateway",
        };
        let [word, code] = [reason.as_str(), code(reason.rpc_code())];
        format!(
            "| `{word}` | {code} | {} | {} | {blame} | {} |\n",
            reason.http_status(),
            reason.title(),
            reason.remedy()
        )
    };
    let head =
        "| reason | gRPC code | HTTP | says | whose fault | what to do |\n| --- | --- | --- | --- | --- | --- |\n";
    [head.to_owned(), Reason::ALL.iter().map(row).collect()].concat()
}

#[test]
fn the_wire_page_lists_every_reason() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/WIRE.md");
    let page = fs::read_to_string(&file).unwrap();
    let (ahead, rest) = page.split_once(BEGIN).unwrap();
    let (listed, behind) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, [ahead, BEGIN, &reasons(), END, behind].concat()).unwrap();
    } else {
        assert_eq!(listed, reasons(), "UPDATE_GOLDEN=1 writes it anew");
    }
}

#[test]
fn the_wire_page_has_the_vector() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("proto/WIRE.md")).unwrap();
    let vectors = fs::read_to_string(root.join("proto/vectors/contract.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let vector = &vectors["vectors"][0];
    let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = page.lines().skip_while(|line| !line.starts_with("0f 65")).take_while(|line| !line.starts_with("```"));
    let input: String = lines.flat_map(|line| line.split("   ").next().unwrap().split(' ').filter(is_hex)).collect();
    assert_eq!(input, vector["input"].as_str().unwrap());
    for key in ["signature", "public_key"] {
        assert!(page.contains(vector[key].as_str().unwrap()), "{key}");
    }
    let request = page.split_once("```json\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let request: serde_json::Value = serde_json::from_str(request).unwrap();
    for (field, key) in [("payloadHash", "/fields/payload_hash"), ("signature", "/signature")] {
        let bytes = STANDARD.decode(request[field].as_str().unwrap()).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(hex.as_str()), vector.pointer(key).and_then(serde_json::Value::as_str), "{field}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> =
        ["README.md", "CHANGELOG.md", "proto/WIRE.md", "proto/vectors/README.md", "tests/README.md"]
            .map(|page| root.join(page))
            .to_vec();
    for folder in ["ops/guide", "ops/bench"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let mut broken = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            let is_elsewhere = file.is_empty() || file.contains("://") || file.contains(char::is_whitespace);
            if !is_elsewhere && !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
