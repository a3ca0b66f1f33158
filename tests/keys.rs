//! Clients can learn the keys that answers verify with, and one key follows another without a gap.

use crate::kit::{
    backend::Backend,
    device::{backend, command, device, edge, edge_yaml},
    gateway::{Gateway, portcullis},
    raw::{Raw, RawAnswer},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use http::{HeaderMap, Method};
use portcullis::client::{
    Client, Codec, Device, DeviceFile, Dialect, Endpoint, GatewayKeys, HttpVersion, Protocol, Unverified,
};
use proto::edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse};
use serde_json::json;
use std::{fs, path::Path, process::Output, sync::LazyLock};

const ONE_KEY: &str = "signing: { keys: { main: { env: TEST_SIGNER } }, active: main }";
const PATH: &str = "/.well-known/jwks.json";
const FOR_PAGES: &str = r#"[ request_id, { cors: { origins: ["https://app.example.com"] } } ]"#;

/// The public half of TEST_SIGNER.
static MAIN: LazyLock<[u8; 32]> =
    LazyLock::new(|| SigningKey::from_bytes(&std::array::from_fn(|i| i as u8)).verifying_key().to_bytes());
/// The key that is to follow it.
static NEXT: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[9; 32]));

/// The configuration of most tests with this `signing`, and its keys published behind this chain.
fn yaml(backend: &Backend, signing: &str, chain: &str) -> String {
    let route = format!(
        "routes:\n  - {{ name: keys, match: {{ listener: public, path: {PATH} }}, chain: {chain}, publish: signing_keys }}"
    );
    let yaml = edge_yaml(backend);
    assert!(yaml.contains(ONE_KEY) && yaml.contains("\nroutes:\n"));
    yaml.replace(ONE_KEY, signing).replace("\nroutes:\n", &format!("\n{route}\n"))
}

fn gateway(backend: &Backend, signing: &str, chain: &str) -> Gateway {
    Gateway::start(&yaml(backend, signing, chain))
}

fn ask(raw: &mut Raw, method: &str, headers: &str) -> RawAnswer {
    raw.send(format!("{method} {PATH} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).answer()
}

fn jwk(key_id: &str, key: &[u8]) -> serde_json::Value {
    let x = URL_SAFE_NO_PAD.encode(key);
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id, "x": x })
}

#[test]
fn the_keys_are_a_document_that_caches_can_keep() {
    let backend = backend();
    let next = STANDARD.encode(NEXT.verifying_key());
    let signing =
        format!("signing: {{ keys: {{ main: {{ env: TEST_SIGNER }}, earlier: {{ public: {next} }} }}, active: main }}");
    let gateway = gateway(&backend, &signing, FOR_PAGES);
    let mut raw = Raw::connect(gateway.address("public"));
    let whole = ask(&mut raw, "GET", "");
    assert_eq!((whole.status, whole.header("content-type").as_deref()), (200, Some("application/jwk-set+json")));
    assert_eq!(whole.header("cache-control").as_deref(), Some("public, max-age=300"));
    assert_eq!(whole.json(), json!({ "keys": [jwk("main", &*MAIN), jwk("earlier", NEXT.verifying_key().as_bytes())] }));
    let tag = whole.header("etag").unwrap();
    // All on one connection, so each answer ends where it says.
    for (condition, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let answer = ask(&mut raw, "GET", &format!("If-None-Match: {condition}\r\n"));
        assert_eq!((answer.status, answer.header("etag").as_ref()), (status, Some(&tag)), "{condition}");
        assert_eq!(answer.header("cache-control"), whole.header("cache-control"), "{condition}");
        assert_eq!(answer.header("content-length").is_some(), status == 200, "{condition}");
    }
    raw.send(format!("HEAD {PATH} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let head = String::from_utf8(raw.until(b"\r\n\r\n").unwrap()).unwrap();
    let length = format!("Content-Length: {}\r\n", whole.body.len());
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&length) && head.contains(&tag), "{head}");
    assert_eq!(ask(&mut raw, "GET", "").body, whole.body);
    assert!(backend.seen().is_empty());
}

#[test]
fn only_get_and_head_are_taken() {
    let backend = backend();
    let gateway = gateway(&backend, ONE_KEY, FOR_PAGES);
    for (method, headers) in [
        ("POST", "Content-Length: 0\r\n"),
        ("PUT", "Content-Length: 0\r\n"),
        ("DELETE", ""),
        ("OPTIONS", ""),
        // Plain HTTP too, as far as this path goes.
        ("POST", "Content-Type: application/json\r\nConnect-Protocol-Version: 1\r\nContent-Length: 0\r\n"),
    ] {
        let refused = ask(&mut Raw::connect(gateway.address("public")), method, headers);
        assert_eq!((refused.status, refused.header("allow").as_deref()), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn the_routes_chain_goes_for_it_as_for_any_other() {
    let backend = backend();
    let pages = gateway(&backend, ONE_KEY, FOR_PAGES);
    let mut raw = Raw::connect(pages.address("public"));
    let origin = "Origin: https://app.example.com\r\n";
    let preflight = ask(&mut raw, "OPTIONS", &format!("{origin}Access-Control-Request-Method: GET\r\n"));
    assert_eq!((preflight.status, preflight.header("content-length")), (204, None));
    for answer in [preflight, ask(&mut raw, "GET", origin)] {
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://app.example.com"));
        assert!(answer.header("x-request-id").is_some() || answer.status == 204, "{answer:?}");
    }
    let line = pages.access_line(|line| line["method"] == "GET");
    assert_eq!((&line["route"], &line["status"], &line["path"]), (&json!("keys"), &json!(200), &json!(PATH)));

    let scarce = Gateway::start(&yaml(&backend, ONE_KEY, "{ budget: edge_ip }").replace("2000/1s", "2/1h"));
    let mut raw = Raw::connect(scarce.address("public"));
    let statuses = [(); 3].map(|()| ask(&mut raw, "GET", "").status);
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn http2_gets_the_same() {
    let backend = backend();
    let gateway = gateway(&backend, ONE_KEY, FOR_PAGES);
    let endpoint: Endpoint = format!("http://{}", gateway.address("public")).parse().unwrap();
    let client = Client::default();
    let get =
        |version, headers: HeaderMap| client.exchange(&endpoint, version, Method::GET, PATH, headers, Bytes::new());
    let [one, two] = [
        get(HttpVersion::Http1, HeaderMap::new()).await.unwrap(),
        get(HttpVersion::Http2, HeaderMap::new()).await.unwrap(),
    ];
    assert_eq!((one.status, &one.body), (two.status, &two.body));
    let headers = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, two.headers["etag"].clone())]);
    let known = get(HttpVersion::Http2, headers).await.unwrap();
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
}

/// What a client has of one gateway: its keys, and an answer of it.
struct Met {
    keys: GatewayKeys,
    request: ExecuteCommandRequest,
    response: ExecuteCommandResponse,
}

async fn meet(backend: &Backend, signing: &str) -> Met {
    let gateway = gateway(backend, signing, FOR_PAGES);
    let client = Client::default();
    let url = format!("http://{}{PATH}", gateway.address("public"));
    let keys = client.gateway_keys(&url.parse().unwrap()).await.unwrap();
    let request = device("session-1").sign(&command("user.account.get", ""));
    let dialect = Dialect::new(Protocol::Connect, Codec::Proto);
    let response = client.call(&edge(&gateway), dialect, &request).await.unwrap().response;
    Met { keys, request, response }
}

/// The steps of ops/guide/signing-key.md. While instances are brought from one to the next, clients of either meet both.
#[tokio::test]
async fn a_key_follows_another_without_an_answer_that_does_not_verify() {
    let backend = backend();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("next.pem");
    fs::write(&file, NEXT.to_pkcs8_pem(Default::default()).unwrap()).unwrap();
    let (file, next, main) = (file.display(), STANDARD.encode(NEXT.verifying_key()), STANDARD.encode(*MAIN));
    let steps = [
        ONE_KEY.to_owned(),
        format!("signing: {{ keys: {{ main: {{ env: TEST_SIGNER }}, next: {{ public: {next} }} }}, active: main }}"),
        format!("signing: {{ keys: {{ main: {{ public: {main} }}, next: {{ file: {file} }} }}, active: next }}"),
        format!("signing: {{ keys: {{ next: {{ file: {file} }} }}, active: next }}"),
    ];
    let mut met = Vec::new();
    for signing in &steps {
        met.push(meet(&backend, signing).await);
    }
    let key_ids: Vec<&str> = met.iter().map(|met| met.response.key_id.as_str()).collect();
    assert_eq!(key_ids, ["main", "main", "next", "next"]);
    for (learned, client) in met.iter().enumerate() {
        for (answering, gateway) in met.iter().enumerate() {
            let mut device = Device::new("session-1", SigningKey::from_bytes(&[1; 32]));
            device.gateway_keys = client.keys.clone();
            let verified = device.verify(&gateway.request, &gateway.response);
            let is_overlap = learned.abs_diff(answering) <= 1 || matches!(learned, 1 | 2);
            let unknown = Unverified::KeyUnknown(gateway.response.key_id.clone());
            assert_eq!(
                verified,
                if is_overlap { Ok(()) } else { Err(unknown) },
                "keys of {learned}, answer of {answering}"
            );
        }
    }
}

fn call(gateway: &Gateway, device: &Path, keys: &str) -> Output {
    let (to, keys) =
        (format!("http://{}", gateway.address("edge")), format!("http://{}{keys}", gateway.address("public")));
    let mut call = portcullis();
    call.args(["call", "user.account.get", "--to", &to, "--gateway-keys", &keys, "--device"]).arg(device);
    call.output().unwrap()
}

#[test]
fn the_shells_client_verifies_with_what_is_published() {
    let backend = backend();
    let gateway = gateway(&backend, ONE_KEY, FOR_PAGES);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.json");
    let mut device = device("session-1");
    device.gateway_keys = GatewayKeys::default();
    DeviceFile::of(&device).save(&file).unwrap();
    let verified = call(&gateway, &file, PATH);
    let said: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((verified.status.code(), &said["verified"], &said["key_id"]), (Some(0), &json!(true), &json!("main")));
    let elsewhere = call(&gateway, &file, "/elsewhere");
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert_eq!(elsewhere.status.code(), Some(1), "{said}");
    assert!(said.contains("/elsewhere has no keys: 404"), "{said}");
}
