//! Whatever refuses a request offline is named: the filter, or what else of the configuration decides it.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use filters::api::Reason;
use http::{HeaderMap, StatusCode};
use portcullis::{
    client::{self, Codec, Device, Dialect, Protocol},
    config,
    explain::{Answers, Command, Explanation, Given, Lookups, Parts, Rehearsal, Request, Signer, Upshot},
};
use prost::Message as _;
use proto::edge::v1::SubscribeOptions;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

const YAML: &str = r#"version: 1
listeners: { public: { bind: "127.0.0.1:1", limits: { body: 1KiB } } }
stores: { main: { memory: {} } }
upstreams: { backend: { endpoints: ["http://127.0.0.1:4"] } }
sessions: { devices: { upstream: backend, path: "/sessions/{id}" } }
signing: { keys: { main: { file: none.pem } }, active: main }
budgets: { once: { key: [client.ip], instance: ["1/1m"] } }
events: { player: { feed: { grpc: "http://127.0.0.1:9" } } }
chains:
  signed: [request_id, envelope, session: devices, payload_hash, signature, freshness, replay: { store: main }]
routes:
  - name: mail
    match: { method: POST, path: /mail }
    chain: [cors: { origins: ["https://a.example"] }, body: { max: 64B }, ip: { deny: [203.0.113.0/24] }, body: { max: 32B, json: true }, budget: once]
    forward: backend
  - { name: open, match: { path: /open }, forward: backend }
  - { name: edge, match: { rpc: edge.v1.Gateway }, chain: signed, commands: game }
  - { name: sse, match: { path: /sse }, chain: signed, sse: player }
commands:
  game: { upstream: backend, routes: { game.get: { get: "/games/{payload.id}" } } }
"#;

/// Reasons that nothing can have that is tried: what a connection, a stream, a store out of reach or a fault brings.
const ONLINE: &[Reason] = &[
    Reason::LoopDetected,
    Reason::BackendTimeout,
    Reason::ReplayStoreUnavailable,
    Reason::BudgetStoreUnavailable,
    Reason::GatewayShuttingDown,
    Reason::RouteChanged,
    Reason::ConsumerTooSlow,
    Reason::StreamsExhausted,
    Reason::Internal,
];

const NOW_MS: i64 = 1_700_000_000_000;

struct Scene {
    rehearsal: Rehearsal,
    signer: Signer,
}

impl Scene {
    fn new() -> Self {
        let signer = Signer::new(None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, YAML).unwrap();
        let loaded = config::load_without_secrets(&file, &|_| None).unwrap();
        let failed = Given { status: StatusCode::SERVICE_UNAVAILABLE, headers: HeaderMap::new(), body: Bytes::new() };
        let sessions = [
            ("s".to_owned(), signer.session("s", "u", "active")),
            ("revoked".to_owned(), signer.session("revoked", "u", "revoked")),
            ("down".to_owned(), failed.clone()),
        ];
        let upstreams = BTreeMap::from([("backend".to_owned(), failed)]);
        let answers = Answers { lookups: Lookups::ById(sessions.into()), upstreams };
        Self { rehearsal: Rehearsal::new(loaded, NOW_MS, answers).unwrap(), signer }
    }

    fn plain(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let parts = Parts {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..Parts::default()
        };
        Request::new("public", Ipv4Addr::new(192, 0, 2, 1).into(), parts).unwrap()
    }

    fn mail(&self, headers: &[(&str, &str)], body: &str) -> Request {
        self.plain("POST", "/mail", &[&[("content-type", "application/json")], headers].concat(), body)
    }

    fn command(&self, change: impl Fn(&mut Command)) -> Request {
        let mut command = Command {
            session: "s".to_owned(),
            message_type: "game.get".to_owned(),
            payload: r#"{"id":"1"}"#.into(),
            request_id: "r".to_owned(),
            timestamp_ms: NOW_MS,
            headers: Vec::new(),
            is_forged: false,
        };
        change(&mut command);
        self.signer.request("public", Ipv4Addr::new(192, 0, 2, 1).into(), &command).unwrap()
    }

    /// An envelope in JSON, to the RPC of commands.
    fn envelope(&self, version: &str, hash: &str) -> Request {
        let signature = "A".repeat(86) + "==";
        let body = format!(
            r#"{{"protocolVersion":"{version}","deviceSessionId":"s","messageType":"game.get","timestampMs":"1",
                "requestId":"r","payloadHash":"{hash}","signature":"{signature}"}}"#
        );
        let headers = [("content-type", "application/json")];
        self.plain("POST", "/edge.v1.Gateway/ExecuteCommand", &headers, &body)
    }

    async fn told(&self, requests: &[Request]) -> Explanation {
        let mut told = None;
        for request in requests {
            told = Some(self.rehearsal.explain(request).await);
        }
        told.unwrap()
    }
}

fn from(mut request: Request, ip: [u8; 4]) -> Request {
    request.peer = IpAddr::from(ip);
    request
}

fn raw(wire: &'static str) -> Request {
    Request::raw("public", Ipv4Addr::LOCALHOST.into(), Bytes::from_static(wire.as_bytes())).unwrap()
}

/// What is said of who refused it.
fn named(told: &Explanation) -> String {
    let Upshot::Refused { decided_by, sent, .. } = &told.upshot else { panic!("{told:?}") };
    let by = told.stopped_by().map(|filter| format!("by {filter}"));
    let setting = || decided_by.as_ref().map(|setting| setting.key.clone());
    let sent = || sent.as_ref().map(|sent| format!("answered {}", sent.answered.as_deref().unwrap_or_default()));
    let shut = || told.shut_at.as_ref().map(|at| format!("shut at {}", at.line));
    let routes = || Some("routes".to_owned()).filter(|_| told.route.is_none() && !told.considered.is_empty());
    by.or_else(setting).or_else(sent).or_else(shut).or_else(routes).unwrap_or_default()
}

fn cases(scene: &Scene) -> Vec<(Reason, Vec<Request>, &'static str)> {
    let command = |change: &dyn Fn(&mut Command)| vec![scene.command(change)];
    let empty_hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let other_hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let long = r#"{"a":"this is longer than 32 bytes are"}"#;
    let preflight = [("origin", "https://b.example"), ("access-control-request-method", "POST")];
    let kibibyte = "x".repeat(1025);
    vec![
        (Reason::EnvelopeInvalid, command(&|command| command.request_id = String::new()), "by envelope"),
        (Reason::ProtocolVersionUnsupported, vec![scene.envelope("v9", empty_hash)], "by envelope"),
        (Reason::MessageTypeUnknown, command(&|command| command.message_type = "no".to_owned()), "by envelope"),
        (Reason::SessionUnknown, command(&|command| command.session = "other".to_owned()), "by session"),
        (Reason::SessionRevoked, command(&|command| command.session = "revoked".to_owned()), "by session"),
        (Reason::SessionLookupUnavailable, command(&|command| command.session = "down".to_owned()), "by session"),
        (Reason::PayloadHashMismatch, vec![scene.envelope("v1", other_hash)], "by payload_hash"),
        (Reason::SignatureInvalid, command(&|command| command.is_forged = true), "by signature"),
        (Reason::RequestStale, command(&|command| command.timestamp_ms -= 3_600_000), "by freshness"),
        (Reason::RequestReplayed, vec![scene.command(|_| {}), scene.command(|_| {})], "by replay"),
        (
            Reason::PayloadInvalid,
            command(&|command| (command.payload, command.request_id) = ("{}".into(), "r-2".to_owned())),
            "commands.game.routes.game.get",
        ),
        (Reason::BackendUnavailable, command(&|command| command.request_id = "r-3".to_owned()), "answered 503"),
        (
            Reason::MessageTooLarge,
            command(&|command| command.payload = kibibyte.clone().into()),
            "listeners.public.limits.body",
        ),
        (Reason::BudgetExhausted, vec![scene.mail(&[], "{}"), scene.mail(&[], "{}")], "by budget"),
        (Reason::AddressForbidden, vec![from(scene.mail(&[], "{}"), [203, 0, 113, 7])], "by ip"),
        (Reason::OriginForbidden, vec![scene.plain("OPTIONS", "/mail", &preflight, "")], "by cors"),
        (Reason::BodyInvalid, vec![scene.mail(&[], "{")], "by body"),
        (Reason::BodyTooLarge, vec![scene.mail(&[], long)], "by body"),
        (Reason::BodyTooLarge, vec![scene.plain("POST", "/open", &[], &kibibyte)], "listeners.public.limits.body"),
        (Reason::BodyTooLarge, vec![scene.mail(&[], &kibibyte)], "by body"),
        (Reason::MediaTypeUnsupported, vec![scene.plain("POST", "/mail", &[], "{}")], "by body"),
        (Reason::RouteUnknown, vec![scene.plain("GET", "/none", &[], "")], "routes"),
        (Reason::MethodNotAllowed, vec![scene.plain("GET", "/mail", &[], "")], "routes"),
        (Reason::RequestMalformed, vec![raw("GET / HTTP/1.1\r\n\r\n")], ""),
        (Reason::RequestMalformed, vec![raw("PRI * HTTP/2.0\r\n\r\n")], ""),
        (Reason::RequestTimeout, vec![raw("GET / HTTP/1.1\r\n")], "connections.head_deadline"),
        (
            Reason::NotServed,
            vec![scene.plain(
                "POST",
                "/edge.v1.Gateway/SubscribeEvents",
                &[("content-type", "application/connect+json")],
                "\0\0\0\0\x02{}",
            )],
            "routes.edge.events",
        ),
    ]
}

#[tokio::test]
async fn whatever_refuses_a_request_is_named() {
    let scene = Scene::new();
    let cases = cases(&scene);
    for (reason, requests, expected) in &cases {
        let told = scene.told(requests).await;
        let Upshot::Refused { reason: said, .. } = &told.upshot else { panic!("{reason:?}: {told:?}") };
        assert_eq!((*said, named(&told).as_str()), (reason.as_str(), *expected), "{told}");
    }
    for reason in Reason::ALL {
        let is_tried = cases.iter().any(|(tried, ..)| tried == reason);
        assert!(is_tried != ONLINE.contains(reason), "{reason:?}");
    }
}

/// A subscription over server-sent events: the payload says what of.
fn subscription(scene: &Scene, request_id: &str, payload: Vec<u8>) -> Request {
    // The key of those whose sessions the signer makes up.
    let device = Device::new("s".to_owned(), SigningKey::from_bytes(&[2; 32]));
    let signed = device.sign(&client::Command {
        message_type: "gateway.subscribe".to_owned(),
        payload: payload.into(),
        timestamp_ms: NOW_MS,
        request_id: request_id.to_owned(),
    });
    let body = Dialect::new(Protocol::Connect, Codec::Json).body(&signed).unwrap();
    let headers = [("content-type", "application/json")];
    scene.plain("POST", "/sse", &headers, str::from_utf8(&body).unwrap())
}

#[tokio::test]
async fn a_subscription_says_what_it_is_of() {
    let scene = Scene::new();
    let options = |resume_after: &str, event_types: &[&str]| {
        let event_types = event_types.iter().map(|name| (*name).to_owned()).collect();
        SubscribeOptions { resume_after: resume_after.to_owned(), event_types }.encode_to_vec()
    };
    for (request_id, payload, expected) in [
        ("1", Vec::new(), "opens a stream of the events player\n    all types\n    from now on\n"),
        (
            "2",
            options("p-1", &["a", "b"]),
            "opens a stream of the events player\n    only a, b\n    those behind p-1\n",
        ),
        ("3", options("", &[""]), "refused   PAYLOAD_INVALID: event_types: at most 64 of 1 to 128 bytes\n"),
        ("4", vec![0xff], "refused   PAYLOAD_INVALID: "),
    ] {
        let told = scene.told(&[subscription(&scene, request_id, payload)]).await;
        assert!(told.to_string().contains(expected), "{told}");
    }
}
