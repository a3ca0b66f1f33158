//! A gRPC client that shares nothing with the gateway's framing is served as it expects: tonic, over its own channel.

use crate::kit::{
    backend::{Backend, Reply},
    device::{answer, backend, command, device, edge_yaml},
    events::scene,
    gateway::Gateway,
    push::arrival,
};
use hyper_util::{client::legacy, rt::TokioExecutor};
use proto::edge::v1::{ExecuteCommandRequest, SubscribeOptions, gateway_client::GatewayClient};
use std::time::{Duration, Instant};
use tonic::{
    Code, Request, Status,
    body::Body,
    codec::CompressionEncoding::Gzip,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

fn origin(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address("edge"))
}

async fn client(gateway: &Gateway) -> GatewayClient<Channel> {
    GatewayClient::new(Endpoint::from_shared(origin(gateway)).unwrap().connect().await.unwrap())
}

fn signed(session: &str, message_type: &str) -> ExecuteCommandRequest {
    device(session).sign(&command(message_type, ""))
}

/// The code of a refusal and the reason among its details, of the gateway's domain.
fn refused(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "edge.v1");
    (status.code(), info.reason)
}

#[tokio::test]
async fn an_accepted_command_is_answered_signed_and_with_its_metadata() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    let request = signed("session-1", "user.account.get");
    let answer = client(&gateway).await.execute_command(request.clone()).await.unwrap();
    for name in ["x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(answer.metadata().contains_key(name), "{name}: {:?}", answer.metadata());
    }
    let answer = answer.into_inner();
    device("session-1").verify(&request, &answer).unwrap();
    assert_eq!((answer.result_code.as_str(), &answer.payload_bytes[..]), ("ok", &br#"{"name":"Ada"}"#[..]));
}

#[tokio::test]
async fn a_refusal_is_a_status_with_its_reason_and_the_connection_lives_on() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    let mut client = client(&gateway).await;
    let replayed = signed("session-1", "user.account.get");
    client.execute_command(replayed.clone()).await.unwrap();
    let forged = ExecuteCommandRequest { signature: vec![0; 64].into(), ..signed("session-1", "user.account.get") };
    // The listener takes 64 KiB.
    let large = device("session-1").sign(&command("user.account.rename", &"x".repeat(100_000)));
    for (request, expected) in [
        (replayed, (Code::AlreadyExists, "REQUEST_REPLAYED")),
        (forged, (Code::Unauthenticated, "SIGNATURE_INVALID")),
        (signed("nobody", "user.account.get"), (Code::Unauthenticated, "SESSION_UNKNOWN")),
        (signed("session-1", "user.nothing"), (Code::Unimplemented, "MESSAGE_TYPE_UNKNOWN")),
        (large, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")),
        (signed("session-1", "test.broken"), (Code::Unavailable, "BACKEND_UNAVAILABLE")),
    ] {
        let status = client.execute_command(request).await.unwrap_err();
        assert_eq!(refused(&status), (expected.0, expected.1.to_owned()));
        assert!(status.get_details_retry_info().is_none(), "{status:?}");
        client.execute_command(signed("session-1", "user.account.get")).await.unwrap();
    }
}

#[tokio::test]
async fn a_spent_budget_says_when_to_come_again() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend).replace("20/10s", "1/1h"));
    let mut client = client(&gateway).await;
    client.execute_command(signed("session-1", "user.account.get")).await.unwrap();
    let status = client.execute_command(signed("session-1", "user.account.get")).await.unwrap_err();
    assert_eq!(refused(&status), (Code::ResourceExhausted, "BUDGET_EXHAUSTED".to_owned()));
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap();
    assert!((1..=3600).contains(&delay.as_secs()), "{delay:?}");
    let told = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(told("retry-after"), Some(delay.as_secs().to_string().as_str()));
    assert_eq!((told("x-ratelimit-limit"), told("x-ratelimit-remaining")), (Some("1"), Some("0")));
}

#[tokio::test]
async fn gzip_is_spoken_in_both_directions() {
    // Answers of less than 1 KiB are not worth it to the gateway.
    let name = "Ada".repeat(1000);
    let account = serde_json::json!({ "name": name }).to_string();
    let backend = Backend::start(move |seen| match seen.target.as_str() {
        "/api/v1/user/account" => Reply::json(200, &account),
        _ => answer(seen),
    });
    let gateway = Gateway::start(&edge_yaml(&backend));
    let mut client = client(&gateway).await.send_compressed(Gzip).accept_compressed(Gzip);
    let sent = serde_json::json!({ "name": name }).to_string();
    let request = device("session-1").sign(&command("user.account.rename", &sent));
    let answer = client.execute_command(request.clone()).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
    device("session-1").verify(&request, answer.get_ref()).unwrap();
    assert_eq!(answer.get_ref().payload_bytes, sent);
    assert_eq!(backend.seen_at("/api/v1/user/account").pop().unwrap().body, sent);
    let status = client.execute_command(request).await.unwrap_err();
    assert_eq!(refused(&status), (Code::AlreadyExists, "REQUEST_REPLAYED".to_owned()));
}

#[tokio::test]
async fn a_deadline_is_kept_by_the_gateway() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    // A channel would watch the deadline itself and answer first.
    let http = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let mut client = GatewayClient::with_origin(http, origin(&gateway).parse().unwrap());
    let mut request = Request::new(signed("session-1", "test.slow"));
    request.set_timeout(Duration::from_millis(150));
    let asked = Instant::now();
    let status = client.execute_command(request).await.unwrap_err();
    assert_eq!(refused(&status), (Code::DeadlineExceeded, "BACKEND_TIMEOUT".to_owned()));
    // The upstream's own limits are 1 s and 2 s.
    assert!(asked.elapsed() < Duration::from_millis(950), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_is_read_as_it_comes_and_ends_with_its_reason() {
    let scene = scene("").await;
    let device = device("session-1");
    let mut client = client(&scene.gateway).await.accept_compressed(Gzip);
    let request = device.sign_subscription(&SubscribeOptions::default()).unwrap();
    let mut stream = client.subscribe_events(request.clone()).await.unwrap().into_inner();
    let opened = arrival("the server's time", stream.message()).await.unwrap().unwrap();
    assert_eq!((opened.event_type.as_str(), &opened.request_id), ("gateway.server_time", &request.request_id));
    // The gateway compresses no event under 1 KiB.
    for (cursor, payload) in [("c1", "{}".to_owned()), ("c2", "Ada".repeat(1000))] {
        scene.push.event("user-1", "account.changed", &payload, cursor);
        let event = arrival("an event", stream.message()).await.unwrap().unwrap();
        device.verify_event(&event).unwrap();
        assert_eq!((event.position.as_str(), event.payload_bytes), (cursor, payload.into()));
    }
    scene.push.revoke("session-1", "r1");
    let status = arrival("the end", stream.message()).await.unwrap_err();
    assert_eq!(refused(&status), (Code::FailedPrecondition, "SESSION_REVOKED".to_owned()));
}
