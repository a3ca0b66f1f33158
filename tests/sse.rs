//! As server-sent events a device gets the same events for the same signed request, over HTTP/1.1 and HTTP/2, and is told
//! why its stream ends.

use crate::kit::{
    device::{device, edge},
    events::{Scene, after, decode, encode, resumed, scene, scene_with, subscription},
    eventually,
    push::arrival,
};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy, rt::TokioExecutor};
use portcullis::client::{Codec, Command};
use proto::edge::v1::{Event, ExecuteCommandRequest, SubscribeOptions};
use serde_json::{Value, json};

/// An open stream, read event by event.
struct Source {
    body: Incoming,
    ahead: String,
}

/// What is between two empty lines.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
    is_comment: bool,
}

async fn send(scene: &Scene, is_http2: bool, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let mut client = legacy::Client::builder(TokioExecutor::new());
    let client: legacy::Client<_, Full<Bytes>> = client.http2_only(is_http2).build_http();
    let (mut head, body) = request.into_parts();
    head.uri = format!("{}{}", edge(&scene.gateway).to_string().trim_end_matches('/'), head.uri).parse().unwrap();
    arrival("an answer", client.request(Request::from_parts(head, body))).await.unwrap()
}

fn post(media_type: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post("/events/sse").header("content-type", media_type).body(Full::from(body)).unwrap()
}

async fn open(scene: &Scene, is_http2: bool, codec: Codec, session: &str, options: SubscribeOptions) -> Source {
    let media_type = if codec == Codec::Json { "application/json; charset=utf-8" } else { "application/x-protobuf" };
    let request = post(media_type, encode(&subscription(session, &options), codec));
    let answer = send(scene, is_http2, request).await;
    assert_eq!(answer.status(), 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    assert!(answer.headers().contains_key("x-request-id"));
    Source { body: answer.into_body(), ahead: String::new() }
}

impl Source {
    /// The next block; none where the stream has ended properly.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.ahead.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let (id, event, data) = (field("id: "), field("event: "), field("data: "));
                let block = Block { id, event, data, is_comment: block.starts_with(':') };
                self.ahead = rest.to_owned();
                return Some(block);
            }
            let Some(frame) = arrival("something on the stream", self.body.frame()).await else {
                assert_eq!(self.ahead, "", "a block is whole");
                return None;
            };
            let data = frame.expect("the body ends as it should").into_data().expect("there are no trailers");
            self.ahead.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event, and its id.
    async fn event(&mut self) -> (Event, Option<String>) {
        loop {
            let block = self.next().await.expect("an event");
            assert_eq!(block.event, None, "{block:?}");
            if !block.is_comment {
                let event = decode(block.data.unwrap().as_bytes(), Codec::Json).expect("heartbeats are comments");
                return (event, block.id);
            }
        }
    }

    /// What the last event says; then the body ends.
    async fn end(&mut self) -> Value {
        loop {
            let block = self.next().await.expect("a last event");
            if block.event.as_deref() == Some("end") {
                assert_eq!(self.next().await, None);
                return serde_json::from_str(&block.data.unwrap()).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_with_their_positions_and_resume() {
    let scene = scene("").await;
    for (is_http2, codec) in [(false, Codec::Json), (true, Codec::Json), (false, Codec::Proto), (true, Codec::Proto)] {
        let name = format!("{is_http2}-{codec:?}");
        let positions: Vec<String> = (0..3).map(|count| format!("{name}-{count}")).collect();
        let mut source = open(&scene, is_http2, codec, "session-1", SubscribeOptions::default()).await;
        let (first, id) = source.event().await;
        assert!(resumed(&first) && id.as_ref() == Some(&first.position), "{name}");
        for position in &positions {
            scene.push.event("user-1", "count", "a\nb\r\n", position);
            let (event, id) = source.event().await;
            assert_eq!((&event.position, id.as_ref()), (position, Some(position)), "{name}");
            assert_eq!(&event.payload_bytes[..], b"a\nb\r\n");
        }
        drop(source);
        scene.streams(0);
        let mut source = open(&scene, is_http2, codec, "session-1", after(&positions[0])).await;
        let (first, id) = source.event().await;
        assert!(resumed(&first) && first.position == positions[2], "{name}");
        assert_eq!(id, None, "a client that is cut off here would begin after what it has missed: {name}");
        assert_eq!(source.event().await.0.position, positions[1], "{name}");
        assert_eq!(source.event().await.0.position, positions[2], "{name}");
        drop(source);
        scene.streams(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_no_id_can_hold_is_left_out() {
    let scene = scene("").await;
    let mut source = open(&scene, false, Codec::Json, "session-1", SubscribeOptions::default()).await;
    source.event().await;
    for position in ["a\nevent: end", "b\rdata: x", "c\0"] {
        scene.push.event("user-1", "count", "{}", position);
        let (event, id) = source.event().await;
        assert_eq!((event.position.as_str(), id), (position, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_end_is_the_last_event() {
    let mut scene = scene(", heartbeat: 1s, queue: { events: 4 }").await;
    for is_http2 in [false, true] {
        let session = format!("session-{is_http2}");
        let mut source = open(&scene, is_http2, Codec::Json, &session, SubscribeOptions::default()).await;
        source.event().await;
        let heartbeat = source.next().await.unwrap();
        assert!(heartbeat.is_comment && heartbeat.data.is_none(), "{heartbeat:?}");
        scene.push.revoke(&session, &format!("r-{is_http2}"));
        assert_eq!(source.end().await, json!({ "code": "failed_precondition", "reason": "SESSION_REVOKED" }));
    }
    let mut slow = open(&scene, false, Codec::Json, "session-slow", SubscribeOptions::default()).await;
    slow.event().await;
    let payload = "*".repeat(512 << 10);
    let mut sent = 0;
    eventually("the end of the slow one", || {
        sent += 1;
        scene.push.event("user-1", "large", &payload, &format!("c{sent}"));
        (scene.metric(r#"portcullis_event_hub_total{events="player",what="too_slow"}"#) == 1.0).then_some(())
    });
    assert_eq!(slow.end().await, json!({ "code": "resource_exhausted", "reason": "CONSUMER_TOO_SLOW" }));
    let line = scene.gateway.access_line(|line| line["reason"] == "CONSUMER_TOO_SLOW");
    assert_eq!((&line["route"], &line["status"]), (&"sse".into(), &200.into()));
    let mut last = open(&scene, true, Codec::Json, "session-2", SubscribeOptions::default()).await;
    last.event().await;
    scene.gateway.signal("TERM");
    assert_eq!(last.end().await, json!({ "code": "unavailable", "reason": "GATEWAY_SHUTTING_DOWN" }));
    drop(last);
    assert!(scene.gateway.ended().success());
}

/// The status, the headers and the problem of an answer.
async fn problem(scene: &Scene, is_http2: bool, request: Request<Full<Bytes>>) -> (u16, HeaderMap, Value) {
    let answer = send(scene, is_http2, request).await;
    let (head, body) = answer.into_parts();
    assert_eq!(head.headers["content-type"], "application/problem+json");
    let body = arrival("the whole body", body.collect()).await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_problem_document() {
    let scene = scene("").await;
    let good = || subscription("session-1", &SubscribeOptions::default());
    let json = |request: &ExecuteCommandRequest| post("application/json", encode(request, Codec::Json));
    let sign = |session: &str, command: &Command| json(&device(session).sign(command));
    let used = good();
    assert_eq!(send(&scene, false, json(&used)).await.status(), 200);
    let subscribe = || Command::new("gateway.subscribe", "").unwrap();
    let stale = Command { timestamp_ms: 1_700_000_000_000, ..subscribe() };
    let mut compressed = json(&good());
    compressed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let refused = [
        (json(&ExecuteCommandRequest { signature: vec![7; 64].into(), ..good() }), 401, "SIGNATURE_INVALID"),
        (json(&used), 409, "REQUEST_REPLAYED"),
        (sign("session-1", &stale), 400, "REQUEST_STALE"),
        (sign("session-1", &Command::new("user.account.get", "{}").unwrap()), 404, "MESSAGE_TYPE_UNKNOWN"),
        (sign("session-1", &Command::new("gateway.subscribe", vec![0xff]).unwrap()), 400, "PAYLOAD_INVALID"),
        (sign("nobody", &subscribe()), 401, "SESSION_UNKNOWN"),
        (sign("session-revoked", &subscribe()), 403, "SESSION_REVOKED"),
        (sign("session-lost", &subscribe()), 503, "SESSION_LOOKUP_UNAVAILABLE"),
        (post("application/json", b"{".to_vec()), 400, "ENVELOPE_INVALID"),
        (post("application/proto", vec![0xff; 9]), 400, "ENVELOPE_INVALID"),
        (post("application/json", vec![b' '; 65_537]), 413, "BODY_TOO_LARGE"),
        (post("text/plain", encode(&good(), Codec::Json)), 415, "MEDIA_TYPE_UNSUPPORTED"),
        (compressed, 415, "MEDIA_TYPE_UNSUPPORTED"),
    ];
    for ((request, status, reason), is_http2) in refused.into_iter().zip([false, true].into_iter().cycle()) {
        let (said, headers, problem) = problem(&scene, is_http2, request).await;
        assert_eq!((said, problem["reason"].as_str().unwrap()), (status, reason), "{problem}");
        assert_eq!(headers.contains_key("accept-post"), status == 415, "{reason}");
    }
    for method in [Method::GET, Method::PUT] {
        let request = Request::builder().method(method).uri("/events/sse").body(Full::default()).unwrap();
        let (status, headers, _) = problem(&scene, false, request).await;
        assert_eq!((status, &headers["allow"]), (405, &"POST".parse().unwrap()));
    }
    scene.gateway.access_line(|line| line["route"] == "sse" && line["reason"] == "REQUEST_REPLAYED");
}

/// It is not signed: what a device is sent hangs on nothing that others could write.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_event_id_changes_nothing() {
    let scene = scene("").await;
    let request = subscription("session-1", &SubscribeOptions::default());
    let mut request = post("application/json", encode(&request, Codec::Json));
    request.headers_mut().insert("last-event-id", "nobody-has-this".parse().unwrap());
    let answer = send(&scene, false, request).await;
    assert_eq!(answer.status(), 200);
    let first = Source { body: answer.into_body(), ahead: String::new() }.next().await.unwrap();
    let event = decode(first.data.unwrap().as_bytes(), Codec::Json).unwrap();
    assert!(resumed(&event), "nothing was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_told_in_headers() {
    let scene = scene_with("", |yaml| yaml.replace("100000/10s", "1/1h")).await;
    let request =
        || post("application/json", encode(&subscription("session-1", &SubscribeOptions::default()), Codec::Json));
    let first = send(&scene, false, request()).await;
    assert_eq!((first.status().as_u16(), &first.headers()["x-ratelimit-remaining"]), (200, &"0".parse().unwrap()));
    let (status, headers, problem) = problem(&scene, false, request()).await;
    assert_eq!((status, &problem["reason"]), (429, &"BUDGET_EXHAUSTED".into()));
    assert!(headers.contains_key("retry-after") && headers.contains_key("x-ratelimit-reset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_ask_first() {
    let scene = scene("").await;
    let origin = "https://app.example.com";
    let preflight = Request::options("/events/sse/page")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = send(&scene, false, preflight.body(Full::default()).unwrap()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (204, &origin.parse().unwrap())
    );
    let request = subscription("session-1", &SubscribeOptions::default());
    let call = Request::post("/events/sse/page").header("origin", origin).header("content-type", "application/json");
    let answer = send(&scene, false, call.body(Full::from(encode(&request, Codec::Json))).unwrap()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (200, &origin.parse().unwrap())
    );
}
