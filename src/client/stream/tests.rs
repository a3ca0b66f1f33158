use super::*;
use crate::client::{Codec, Trust};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::StreamBody;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use proto::{edge::v1::SubscribeEventsRequest, signing::EventFields};
use sha2::{Digest as _, Sha256};
use std::{convert::Infallible, sync::Arc};
use tokio::net::TcpListener;

const DIALECT: Dialect =
    Dialect { protocol: Protocol::Connect, codec: Codec::Proto, http: crate::client::HttpVersion::Http1 };
const SILENCE: Duration = Duration::from_secs(10);

fn gateway_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn device() -> Device {
    let mut device = Device::new("session-1", SigningKey::from_bytes(&[1; 32]));
    device.gateway_keys.by_id.insert("main".to_owned(), gateway_key().verifying_key());
    device
}

fn sealed(event_type: &str, subject: &str, request_id: &str, position: &str, payload: &str) -> Event {
    let payload_hash = Sha256::digest(payload);
    let fields = EventFields {
        protocol_version: "v1",
        event_id: "event-1",
        event_type,
        timestamp_ms: 5,
        request_id,
        subject,
        position,
        payload_hash: &payload_hash,
    };
    let signature = gateway_key().sign(&fields.input("edge-event-v1"));
    Event {
        protocol_version: "v1".to_owned(),
        event_type: event_type.to_owned(),
        event_id: "event-1".to_owned(),
        timestamp_ms: 5,
        request_id: request_id.to_owned(),
        payload_bytes: payload.to_owned().into(),
        payload_hash: Bytes::copy_from_slice(&payload_hash),
        signature: Bytes::copy_from_slice(&signature.to_bytes()),
        subject: subject.to_owned(),
        position: position.to_owned(),
        key_id: "main".to_owned(),
        ..Event::default()
    }
}

fn server_time(request_id: &str, resumed: bool) -> Event {
    sealed(SERVER_TIME, "user-1", request_id, "newest", &format!(r#"{{"resumed":{resumed}}}"#))
}

fn event(subject: &str, position: &str) -> Event {
    sealed("news", subject, "", position, "{}")
}

fn heartbeat() -> Event {
    Event { event_type: HEARTBEAT.to_owned(), ..Event::default() }
}

fn framed(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[flags][..], &u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
}

fn frames(events: &[Event]) -> Vec<u8> {
    events.iter().flat_map(|event| framed(0, &event.encode_to_vec())).collect()
}

/// A status, a media type and a body.
type Answer = (u16, &'static str, Vec<u8>);

const STREAM: &str = "application/connect+proto";

/// A gateway that answers one request as it is told. Its body may be left
/// without an end.
async fn gateway(is_left_open: bool, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = Arc::clone(&answer);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let request = SubscribeEventsRequest::decode(body.slice(5..)).unwrap();
                let (status, media_type, body) = answer(&request.request_id);
                let response = Response::builder().status(status).header(CONTENT_TYPE, media_type);
                let piece = stream::iter([Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(body)))]);
                let rest = if is_left_open { stream::pending().left_stream() } else { stream::empty().right_stream() };
                Ok::<_, Infallible>(response.body(StreamBody::new(piece.chain(rest))).unwrap())
            }
        });
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    });
    endpoint
}

async fn subscribe(endpoint: &Endpoint, resume_after: &str) -> Result<Subscription, CallError> {
    let options = SubscribeOptions { resume_after: resume_after.to_owned(), ..SubscribeOptions::default() };
    Client::new(SILENCE, &Trust::nobody()).subscribe(endpoint, DIALECT, &device(), &options).await
}

/// A stream that begins as it should, and goes on with this.
async fn opened(resume_after: &str, resumed: bool, rest: Vec<u8>) -> Subscription {
    let endpoint = gateway(false, move |request_id| {
        (200, STREAM, [frames(&[server_time(request_id, resumed)]), rest.clone()].concat())
    });
    subscribe(&endpoint.await, resume_after).await.unwrap()
}

#[tokio::test]
async fn events_come_verified_and_heartbeats_are_not_shown() {
    let rest = [frames(&[heartbeat(), event("user-1", "c1"), heartbeat(), event("", "c2")]), framed(2, b"{}")].concat();
    let mut stream = opened("", true, rest).await;
    assert_eq!((stream.position(), stream.resumed), ("newest", true));
    for position in ["c1", "c2"] {
        assert_eq!(stream.next(SILENCE).await.unwrap().unwrap().position, position);
        assert_eq!(stream.position(), position);
    }
    assert_eq!(stream.next(SILENCE).await.unwrap(), None);
}

/// What was missed comes behind the newest position: a stream cut before it has come must not skip it.
#[tokio::test]
async fn a_resumed_stream_stands_where_it_was_until_it_brings_something() {
    assert_eq!(opened("c7", true, vec![]).await.position(), "c7");
    assert_eq!(opened("c7", false, vec![]).await.position(), "newest");
}

#[tokio::test]
async fn what_is_not_the_gateways_is_not_believed() {
    async fn check(rest: Vec<u8>, expected: &str) {
        let fault = opened("", true, rest).await.next(SILENCE).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    check(frames(&[Event { timestamp_ms: 6, ..event("", "c1") }]), "the signature does not verify").await;
    check(frames(&[event("user-2", "c1")]), "the event is for user \"user-2\"").await;
    check(frames(&[Event { request_id: "a".to_owned(), ..heartbeat() }]), "a heartbeat with something in it").await;
    check(framed(1, b""), "a frame with the flags 0x01").await;
    check(framed(2, b"{}x"), "the end of the stream").await;
    check(vec![], "the stream broke off").await;
    check(vec![0, 0, 0, 0, 9, 9], "the stream broke off").await;
    let refused = br#"{"error":{"code":"failed_precondition","message":"over","details":[
        {"type":"google.rpc.ErrorInfo","value":"Cg9TRVNTSU9OX1JFVk9LRUQ"}]}}"#;
    check(framed(2, refused), "refused: failed_precondition SESSION_REVOKED: over").await;
}

#[tokio::test]
async fn a_stream_must_begin_with_the_answer_to_this_request() {
    async fn check(answer: impl Fn(&str) -> Answer + Send + Sync + 'static, expected: &str) {
        let endpoint = gateway(false, answer).await;
        let fault = subscribe(&endpoint, "").await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    check(|_| (200, STREAM, frames(&[server_time("req-of-long-ago", true)])), "for request \"req-of-long-ago\"").await;
    check(|_| (200, STREAM, frames(&[event("", "c1")])), "does not begin with the server's time").await;
    check(|id| (200, STREAM, frames(&[sealed(SERVER_TIME, "", id, "c1", "{}")])), "missing field").await;
    let changed = |id: &str| Event { subject: "user-2".to_owned(), ..server_time(id, true) };
    check(move |id| (200, STREAM, frames(&[changed(id)])), "the signature does not verify").await;
    check(|_| (200, STREAM, framed(2, b"{}")), "ends before it has begun").await;
    check(|_| (200, "text/html", vec![]), "content type \"text/html\"").await;
    check(|_| (502, "text/html", b"<html>".to_vec()), "status 502").await;
    let refused = br#"{"code":"unimplemented","message":"no"}"#;
    check(|_| (404, "application/json", refused.to_vec()), "refused: unimplemented").await;
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let endpoint = gateway(true, |id| (200, STREAM, frames(&[server_time(id, true)]))).await;
    let mut stream = subscribe(&endpoint, "").await.unwrap();
    let fault = stream.next(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(fault, CallError::Silence(_)), "{fault}");

    let endpoint = gateway(true, |_| (200, STREAM, frames(&[]))).await;
    let client = Client::new(Duration::from_millis(20), &Trust::nobody());
    let fault = client.subscribe(&endpoint, DIALECT, &device(), &SubscribeOptions::default()).await.unwrap_err();
    assert!(matches!(fault, CallError::Deadline(_)), "{fault}");
}
