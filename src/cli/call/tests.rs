use super::*;
use crate::client::DeviceFile;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Parser;
use ed25519_dalek::{Signer as _, SigningKey};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use proto::{edge::v1::ExecuteCommandResponse, signing::ResponseFields};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, convert::Infallible, sync::Mutex};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    call: CallArgs,
}

fn gateway_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// As much of a gateway as the shell can tell: it refuses replays and broken hashes, and signs.
fn answer(seen: &Mutex<HashSet<String>>, request: &ExecuteCommandRequest) -> Response<Full<Bytes>> {
    let refuse = |code: &str| {
        let body = json!({ "code": code, "message": "no" }).to_string();
        Response::builder()
            .status(StatusCode::CONFLICT)
            .header("retry-after", "2")
            .body(Full::new(body.into()))
            .unwrap()
    };
    if !seen.lock().unwrap().insert(request.request_id.clone()) {
        return refuse("already_exists");
    }
    if Sha256::digest(&request.payload_bytes).as_slice() != request.payload_hash {
        return refuse("invalid_argument");
    }
    let payload_hash = Sha256::digest(&request.payload_bytes);
    let fields = ResponseFields {
        protocol_version: "v1",
        device_session_id: &request.device_session_id,
        request_id: &request.request_id,
        timestamp_ms: request.timestamp_ms,
        result_code: "ok",
        payload_hash: &payload_hash,
    };
    let response = ExecuteCommandResponse {
        protocol_version: "v1".to_owned(),
        request_id: request.request_id.clone(),
        timestamp_ms: request.timestamp_ms,
        result_code: "ok".to_owned(),
        payload_bytes: request.payload_bytes.clone(),
        payload_hash: Bytes::copy_from_slice(&payload_hash),
        signature: Bytes::copy_from_slice(&gateway_key().sign(&fields.input("edge-response-v1")).to_bytes()),
        key_id: "main".to_owned(),
    };
    let body = Full::new(response.encode_to_vec().into());
    Response::builder().header(CONTENT_TYPE, "application/proto").body(body).unwrap()
}

async fn gateway() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let seen = &Mutex::new(HashSet::new());
        let service = service_fn(|request: Request<Incoming>| async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(answer(seen, &ExecuteCommandRequest::decode(body).unwrap()))
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    url
}

struct Told {
    outcome: ExitKind,
    out: Vec<Value>,
    err: Vec<Value>,
}

/// Runs the subcommand against a gateway of its own, with a device file that trusts it.
async fn told(arguments: &[&str]) -> Told {
    let mut device = Device::new("session-1", SigningKey::from_bytes(&[1; 32]));
    device.gateway_keys.by_id.insert("main".to_owned(), gateway_key().verifying_key());
    let name = format!("portcullis-call-{}-{:016x}.json", std::process::id(), getrandom::u64().unwrap());
    let path = std::env::temp_dir().join(name);
    DeviceFile::of(&device).save(&path).unwrap();
    let url = gateway().await;
    let fixed = ["call", "--to", &url, "--device", path.to_str().unwrap()];
    let told = run_with(fixed.iter().chain(arguments).copied()).await;
    fs::remove_file(path).unwrap();
    told
}

async fn run_with(arguments: impl Iterator<Item = &str>) -> Told {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = Cli::try_parse_from(arguments).unwrap_or_else(|fault| panic!("{fault}")).call;
    let outcome = call(&args, &mut out, &mut err).await;
    let lines = |text: Vec<u8>| String::from_utf8(text).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    Told { outcome, out: lines(out), err: lines(err) }
}

#[tokio::test]
async fn a_verified_answer_is_one_line() {
    let told = told(&["user.account.get", r#"{"a":1}"#, "--timestamp", "5"]).await;
    assert_eq!((told.outcome, told.err), (ExitKind::Verified, vec![]));
    let request_id = &told.out[0]["request_id"];
    let expected = json!({
        "verified": true, "result_code": "ok", "request_id": request_id,
        "timestamp_ms": 5, "key_id": "main", "payload": { "a": 1 },
    });
    assert_eq!(told.out, [expected]);
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_shown_in_base64() {
    assert_eq!(told(&["a", "plain"]).await.out[0]["payload_base64"], "cGxhaW4=");
}

#[tokio::test]
async fn the_same_request_again_is_refused() {
    let told = told(&["a", "--repeat-id"]).await;
    assert_eq!((told.outcome, told.out.len()), (ExitKind::Failed, 1));
    let refused = json!({
        "code": "already_exists", "reason": null, "message": "no", "retry_after_seconds": 2,
        "rate_limit": null, "http_status": 409,
    });
    assert_eq!(told.err, [json!({ "refused": refused, "request_id": told.out[0]["request_id"] })]);
}

#[tokio::test]
async fn several_commands_are_several_requests() {
    let told = told(&["a", "--times", "3"]).await;
    assert_eq!((told.outcome, told.out.len()), (ExitKind::Verified, 3));
}

#[tokio::test]
async fn a_payload_changed_after_signing_is_refused() {
    let told = told(&["a", "{}", "--tamper", "payload"]).await;
    assert_eq!(told.err[0]["refused"]["code"], "invalid_argument");
}

#[tokio::test]
async fn an_answer_of_another_key_does_not_count() {
    let other = STANDARD.encode(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    let told = told(&["a", "--gateway-key", &other]).await;
    assert_eq!((told.outcome, told.out), (ExitKind::Unverified, vec![]));
    assert_eq!(told.err[0]["unverified"], "the signature does not verify");
}

#[tokio::test]
async fn wrong_usage_says_what_is_wrong() {
    for (arguments, expected) in [
        (["call", "a", "--device", "/nowhere/device.json"].as_slice(), "/nowhere/device.json: No such file"),
        (&["call", "a", "--device", "/dev/null"], "/dev/null: not a device file"),
    ] {
        let told = run_with(arguments.iter().copied()).await;
        assert_eq!(told.outcome, ExitKind::Usage);
        let usage = told.err[0]["usage"].as_str().unwrap();
        assert!(usage.starts_with(expected), "{usage}");
    }
    let told = told(&["a", "@/nowhere/payload"]).await;
    assert_eq!(told.outcome, ExitKind::Usage);
}

#[test]
fn timestamps_are_absolute_or_offsets() {
    fn check(text: &str, expected: Option<Timestamp>) {
        assert_eq!(text.parse().ok(), expected, "{text}");
    }
    check("1700000000000", Some(Timestamp::At(1_700_000_000_000)));
    check("0", Some(Timestamp::At(0)));
    check("-1", Some(Timestamp::At(-1)));
    check("-120s", Some(Timestamp::FromNow(-120_000)));
    check("+2m", Some(Timestamp::FromNow(120_000)));
    check("120s", None);
    check("-", None);
    check("-é", None);
}
