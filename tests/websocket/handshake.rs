//! What is no handshake is refused in HTTP, by the filters ahead of the rest too.

use crate::kit::{
    device::edge,
    events::{scene, scene_with},
    push::arrival,
    raw::Raw,
    websocket::{Socket, handshake},
};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::{client::legacy, rt::TokioExecutor};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_handshake_is_told_what_would_be_one() {
    let scene = scene("").await;
    let whole = handshake("/events/ws", "");
    let without = |line: &str| whole.replace(&format!("{line}\r\n"), "");
    let with = |line: &str| handshake("/events/ws", &format!("{line}\r\n"));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (request, status, reason) in [
        (without("Upgrade: websocket"), 426, "REQUEST_MALFORMED"),
        (without("Connection: Upgrade"), 426, "REQUEST_MALFORMED"),
        (whole.replace("Upgrade: websocket", "Upgrade: h2c"), 426, "REQUEST_MALFORMED"),
        (whole.replace("HTTP/1.1", "HTTP/1.0"), 426, "REQUEST_MALFORMED"),
        (whole.replace("Version: 13", "Version: 8"), 426, "REQUEST_MALFORMED"),
        (without("Sec-WebSocket-Version: 13"), 426, "REQUEST_MALFORMED"),
        (with("Sec-WebSocket-Version: 8"), 426, "REQUEST_MALFORMED"),
        (without(key), 400, "REQUEST_MALFORMED"),
        (with(key), 400, "REQUEST_MALFORMED"),
        (whole.replace(key, "Sec-WebSocket-Key: c2hvcnQ="), 400, "REQUEST_MALFORMED"),
        (whole.replace(key, "Sec-WebSocket-Key: *"), 400, "REQUEST_MALFORMED"),
        (with("Content-Length: 1") + "a", 400, "REQUEST_MALFORMED"),
        (with("Transfer-Encoding: chunked") + "0\r\n\r\n", 400, "REQUEST_MALFORMED"),
        (whole.replace("GET ", "POST "), 405, "METHOD_NOT_ALLOWED"),
        (with("Origin: https://evil.example.com"), 403, "ORIGIN_FORBIDDEN"),
    ] {
        let answer = Raw::connect(scene.gateway.address("edge")).send(&request).answer();
        assert_eq!((answer.status, answer.json()["reason"].as_str().unwrap()), (status, reason), "{request}");
        assert_eq!(answer.header("content-type").unwrap(), "application/problem+json");
        let version = (status == 426 || status == 400).then(|| "13".to_owned());
        assert_eq!(answer.header("sec-websocket-version"), version, "{request}");
        assert_eq!(answer.header("upgrade"), (status == 426).then(|| "websocket".to_owned()), "{request}");
    }
    scene.gateway.access_line(|line| line["route"] == "ws" && line["reason"] == "ORIGIN_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_it_is_refused() {
    let scene = scene("").await;
    let mut client = legacy::Client::builder(TokioExecutor::new());
    let client: legacy::Client<_, Empty<Bytes>> = client.http2_only(true).build_http();
    let request = Request::get(format!("{}/events/ws", edge(&scene.gateway))).body(Empty::new()).unwrap();
    let answer = arrival("an answer", client.request(request)).await.unwrap();
    assert_eq!(answer.status(), 505);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("HTTP/1.1"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_origins_that_are_named_may_connect() {
    let scene = scene("").await;
    let address = scene.gateway.address("edge");
    for (path, origin, expected) in [
        ("/events/ws", "http://edge".to_owned(), 101),
        ("/events/ws", "https://edge".to_owned(), 101),
        ("/events/ws", "https://app.example.com".to_owned(), 403),
        ("/events/ws", "null".to_owned(), 403),
        ("/events/ws/page", "https://app.example.com".to_owned(), 101),
        ("/events/ws/page", "https://edge".to_owned(), 403),
    ] {
        let answer = Raw::connect(address).send(handshake(path, &format!("Origin: {origin}\r\n"))).answer();
        assert_eq!(answer.status, expected, "{origin} at {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filters_ahead_of_the_request_answer_in_http() {
    let scene = scene_with("", |yaml| yaml.replace("2000/1s", "1/1h")).await;
    let socket = Socket::connect(&scene, "/events/ws", &[]).await;
    assert_eq!(socket.headers["x-ratelimit-remaining"], "0");
    assert!(socket.headers.contains_key("x-request-id"));
    let answer = Raw::connect(scene.gateway.address("edge")).send(handshake("/events/ws", "")).answer();
    assert_eq!((answer.status, answer.json()["reason"].as_str().unwrap()), (429, "BUDGET_EXHAUSTED"));
    assert!(answer.header("retry-after").is_some());
}
