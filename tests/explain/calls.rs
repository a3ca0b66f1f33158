//! Calls and subscriptions are told as they are answered: their messages are read offline too.

use super::served::{Case, hold};
use crate::kit::{
    backend::{Backend, Reply},
    gateway::Gateway,
    grpc::{GrpcUpstream, echo, frame},
    websocket::{self, close, handshake, upgraded},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis::{
    config,
    explain::{Answers, Explanation, Lookups, Parts, Rehearsal, Request, Signer, Upshot},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn yaml(backend: &Backend, upstream: &GrpcUpstream) -> String {
    format!(
        r#"version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0", limits: {{ body: 64B }} }} }}
connections: {{ body_idle: 1s }}
stores: {{ main: {{ memory: {{}} }} }}
upstreams:
  backend: {{ endpoints: ["http://{}"] }}
  test: {{ endpoints: ["http://{}"] }}
sessions: {{ devices: {{ upstream: backend, path: "/sessions/{{id}}" }} }}
signing: {{ keys: {{ main: {{ env: TEST_SIGNER }} }}, active: main }}
events: {{ player: {{ feed: {{ grpc: "http://127.0.0.1:9" }} }} }}
chains:
  signed: [request_id, envelope, session: devices, payload_hash, signature, freshness, replay: {{ store: main }}]
routes:
  - {{ name: test, match: {{ rpc: test.v1.Test }}, chain: request_id, rpc: {{ upstream: test, descriptors: {} }} }}
  - {{ name: edge, match: {{ rpc: edge.v1.Gateway }}, chain: signed, commands: game }}
  - {{ name: sse, match: {{ path: /sse }}, chain: signed, sse: player }}
  - {{ name: ws, match: {{ path: /ws }}, chain: signed, websocket: {{ events: player, origins: ["https://a.example"] }} }}
commands: {{ game: {{ upstream: backend, routes: {{ game.get: {{ get: /games }} }} }} }}
"#,
        backend.address,
        upstream.address,
        upstream.descriptors().display()
    )
}

fn post(path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The same with the last byte of its body left out.
fn cut(mut wire: Vec<u8>) -> Vec<u8> {
    wire.pop();
    wire
}

const JSON: &str = "application/json";
const ASK: &str = "/test.v1.Test/Ask";
const INVALID: &str = "400 BODY_INVALID over routes.test.rpc.descriptors";

fn forwarded() -> Vec<Case> {
    let (stream, web) = ("application/connect+json", "application/grpc-web-text+json");
    let (list, gather) = ("/test.v1.Test/List", "/test.v1.Test/Gather");
    let framed = |message: &str| frame(0, message.as_bytes()).to_vec();
    let text = |message: &str| STANDARD.encode(framed(message)).into_bytes();
    let in_stream = "200 BODY_INVALID over routes.test.rpc.descriptors";
    vec![
        (post(ASK, JSON, b"{\"name\":\"a\"}"), vec!["200"]),
        (post(ASK, JSON, b"{\"of a newer client\":1}"), vec!["200"]),
        (post(ASK, JSON, b"{\"number\":\"a\"}"), vec![INVALID]),
        (post(ASK, JSON, b"{"), vec![INVALID]),
        (post(ASK, JSON, b""), vec![INVALID]),
        (post(ASK, JSON, &[b' '; 70]), vec!["429 MESSAGE_TOO_LARGE over listeners.public.limits.body"]),
        (cut(post(ASK, JSON, b"{}")), vec!["504 REQUEST_TIMEOUT over connections.body_idle"]),
        (post(ASK, "text/plain", b"{}"), vec!["415 MEDIA_TYPE_UNSUPPORTED"]),
        (post(ASK, "application/grpc", b""), vec!["200 MEDIA_TYPE_UNSUPPORTED"]),
        (post("/test.v1.Test/None", JSON, b"{}"), vec!["404 ROUTE_UNKNOWN"]),
        (get("/test.v1.Test/Ask?encoding=json&message=%7B%7D"), vec!["405 METHOD_NOT_ALLOWED"]),
        (get("/test.v1.Test/Look?encoding=json&message=%7B%7D"), vec!["200"]),
        (get("/test.v1.Test/Look?encoding=json&message=%7B"), vec![INVALID]),
        (get("/test.v1.Test/Look?encoding=json"), vec![INVALID]),
        (post(list, stream, &framed("{}")), vec!["200"]),
        (post(list, stream, &framed("{")), vec![in_stream]),
        (post(list, stream, &cut(framed("{}"))), vec![in_stream]),
        (post(list, stream, &framed("{}").repeat(2)), vec![in_stream]),
        (post(list, stream, &framed(&" ".repeat(65))), vec!["200 MESSAGE_TOO_LARGE over listeners.public.limits.body"]),
        (post(list, JSON, b"{}"), vec!["415 MEDIA_TYPE_UNSUPPORTED"]),
        (post(gather, stream, &framed("{}")), vec!["200"]),
        (post(gather, stream, &[framed("{}"), framed("{")].concat()), vec![in_stream]),
        (post(gather, stream, &cut(framed("{}"))), vec![in_stream]),
        (post(ASK, web, &text("{}")), vec!["200"]),
        (post(ASK, web, &text("{")), vec![in_stream]),
        (post(ASK, web, b"*"), vec![in_stream]),
    ]
}

fn signed() -> Vec<Case> {
    let execute = "/edge.v1.Gateway/ExecuteCommand";
    let origin = |origin: &str| handshake("/ws", &format!("Origin: {origin}\r\n")).into_bytes();
    vec![
        (post(execute, JSON, b"{}"), vec!["400 ENVELOPE_INVALID by envelope"]),
        (post(execute, JSON, b"{"), vec!["400 ENVELOPE_INVALID by envelope"]),
        (post(execute, JSON, &[b' '; 70]), vec!["429 MESSAGE_TOO_LARGE over listeners.public.limits.body"]),
        (cut(post(execute, JSON, b"{}")), vec!["504 REQUEST_TIMEOUT over connections.body_idle"]),
        (post(execute, "text/plain", b"{}"), vec!["415 MEDIA_TYPE_UNSUPPORTED"]),
        (get(execute), vec!["405 METHOD_NOT_ALLOWED"]),
        (post("/edge.v1.Gateway/Other", JSON, b"{}"), vec!["404 ROUTE_UNKNOWN"]),
        (
            post("/edge.v1.Gateway/SubscribeEvents", "application/connect+json", &frame(0, b"{}")),
            vec!["200 NOT_SERVED over routes.edge.events"],
        ),
        (post("/sse", JSON, b"{}"), vec!["400 ENVELOPE_INVALID by envelope"]),
        (post("/sse", JSON, &[b' '; 70]), vec!["413 BODY_TOO_LARGE over listeners.public.limits.body"]),
        (cut(post("/sse", JSON, b"{}")), vec!["408 REQUEST_TIMEOUT over connections.body_idle"]),
        (post("/sse", "text/plain", b"{}"), vec!["415 MEDIA_TYPE_UNSUPPORTED"]),
        (get("/sse"), vec!["405 METHOD_NOT_ALLOWED"]),
        (get("/ws"), vec!["426 REQUEST_MALFORMED"]),
        (origin("https://b.example"), vec!["403 ORIGIN_FORBIDDEN over routes.ws.websocket.origins"]),
        (handshake("/ws", "Content-Length: 1\r\n").into_bytes(), vec!["400 REQUEST_MALFORMED"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_told_as_they_are_answered() {
    let upstream = GrpcUpstream::start();
    upstream.does(echo());
    let backend = Backend::start(|_| Reply::json(404, "{}"));
    let gateway = Gateway::start(&yaml(&backend, &upstream));
    hold(&gateway, &[forwarded(), signed()].concat()).await;
}

fn rehearsal(upstream: &GrpcUpstream, signer: &Signer) -> Rehearsal {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let backend = Backend::start(|_| Reply::json(404, "{}"));
    std::fs::write(&file, yaml(&backend, upstream).replace("64B", "64KiB")).unwrap();
    let loaded = config::load_without_secrets(&file, &|_| None).unwrap();
    let answers = Answers { lookups: Lookups::Always(signer.session("s", "u", "active")), upstreams: BTreeMap::new() };
    Rehearsal::new(loaded, 1_700_000_000_000, answers).unwrap()
}

async fn told(rehearsal: &Rehearsal, target: &str, media_type: &str, body: Vec<u8>) -> Explanation {
    let parts = Parts {
        method: "POST".to_owned(),
        target: target.to_owned(),
        headers: vec![("content-type".to_owned(), media_type.to_owned())],
        body: body.into(),
        ..Parts::default()
    };
    rehearsal.explain(&Request::new("public", PEER, parts).unwrap()).await
}

#[tokio::test]
async fn the_messages_of_a_call_are_shown_as_the_upstream_gets_them() {
    let (upstream, signer) = (GrpcUpstream::start(), Signer::new(None));
    let rehearsal = rehearsal(&upstream, &signer);
    let framed = |message: &str| frame(0, message.as_bytes()).to_vec();
    for (target, media_type, body, expected) in [
        (ASK, JSON, br#"{ "name":"a", "number": 7, "new": 1 }"#.to_vec(), Some(r#"{"name":"a","number":"7"}"#)),
        (ASK, "application/proto", b"\x0a\x01a\x10\x07".to_vec(), Some(r#"{"name":"a","number":"7"}"#)),
        (ASK, "application/proto", b"\xff".to_vec(), Some("(1 bytes that are no test.v1.Item)")),
        (
            "/test.v1.Test/Gather",
            "application/connect+json",
            [framed(r#"{"name":"a"}"#), framed("{}")].concat(),
            Some("{\"name\":\"a\"}\n{}"),
        ),
    ] {
        let told = told(&rehearsal, target, media_type, body).await;
        let Upshot::Forwarded { sent, .. } = &told.upshot else { panic!("{told:?}") };
        assert_eq!((sent.target.as_str(), sent.body.as_deref()), (target, expected));
        assert_eq!(sent.message.as_deref(), Some("test.v1.Item over gRPC"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_told_to_be_closed_as_it_is() {
    let upstream = GrpcUpstream::start();
    let backend = Backend::start(|_| Reply::json(404, "{}"));
    let gateway = Gateway::start(&yaml(&backend, &upstream));
    let loaded = config::load_without_secrets(gateway.config(), &|_| None).unwrap();
    let answers = Answers { lookups: Lookups::Unknown, upstreams: BTreeMap::new() };
    let rehearsal = Rehearsal::new(loaded, 1_700_000_000_000, answers).unwrap();
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (message, expected) in [("{}".to_owned(), "ENVELOPE_INVALID"), (" ".repeat(65), "MESSAGE_TOO_LARGE")] {
        let mut raw = upgraded(gateway.address("public"), "/ws");
        raw.send(websocket::frame(0x81, message.as_bytes()));
        let parts = Parts {
            method: "GET".to_owned(),
            target: "/ws".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: message.into(),
            ..Parts::default()
        };
        let told = rehearsal.explain(&Request::new("public", PEER, parts).unwrap()).await;
        let Upshot::Refused { reason, answer, .. } = &told.upshot else { panic!("{told:?}") };
        assert_eq!((*reason, answer.status), (expected, 101));
        assert_eq!(close(&mut raw), (answer.closed_with.unwrap(), (*reason).to_owned()));
    }
}
