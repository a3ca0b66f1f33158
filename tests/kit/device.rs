//! A signed-in device and a backend that knows its session.

use super::{
    backend::{Backend, Reply, Seen},
    gateway::Gateway,
    scripted::scripted,
};
use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use hyper::body::Bytes;
use portcullis::client::{Answer, CallError, Client, Codec, Command, Device, Dialect, Endpoint, Protocol, Refused};
use std::{io::Write as _, net::SocketAddr, sync::LazyLock};

/// Every way to speak to the edge API.
pub const DIALECTS: [(Protocol, Codec); 7] = [
    (Protocol::Connect, Codec::Proto),
    (Protocol::Connect, Codec::Json),
    (Protocol::Grpc, Codec::Proto),
    (Protocol::GrpcWeb, Codec::Proto),
    (Protocol::GrpcWeb, Codec::Json),
    (Protocol::GrpcWebText, Codec::Proto),
    (Protocol::GrpcWebText, Codec::Json),
];

/// The configuration of most tests: a public and an edge listener in front of `backend`.
pub fn edge_yaml(backend: &Backend) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  edge:   {{ bind: "127.0.0.1:0", limits: {{ body: 64KiB }} }}
  admin:  {{ bind: "127.0.0.1:0", admin: true }}
stores: {{ main: {{ memory: {{}} }} }}
upstreams:
  backend: {{ endpoints: ["http://{}"], timeouts: {{ connect: 500ms, read: 1s, request: 2s }} }}
sessions: {{ devices: {{ upstream: backend, path: "/api/v1/internal/sessions/{{id}}" }} }}
signing: {{ keys: {{ main: {{ env: TEST_SIGNER }} }}, active: main }}
budgets:
  edge_ip: {{ key: [client.ip], instance: ["2000/1s"] }}
  edge_session: {{ key: [session.id], instance: ["20/10s"] }}
  edge_type: {{ key: [session.user_id, message.type], shared: ["1000/1m"] }}
chains:
  signed_edge: [ request_id, {{ budget: [edge_ip] }}, envelope, {{ session: devices }}, payload_hash, signature,
                 {{ freshness: {{ past: 60s, future: 30s }} }}, {{ replay: {{ store: main }} }}, {{ budget: [edge_session, edge_type] }} ]
routes:
  - {{ name: public, match: {{ listener: public, path: "/api/v1/public/*" }}, chain: request_id, forward: backend }}
  - {{ name: edge, match: {{ listener: edge, rpc: edge.v1.Gateway }}, chain: signed_edge, commands: game }}
commands:
  game:
    upstream: backend
    routes:
      user.account.get: {{ get: /api/v1/user/account }}
      user.account.rename: {{ patch: /api/v1/user/account }}
      user.games.report: {{ get: "/api/v1/user/games/{{payload.game_id}}/report" }}
      test.slow: {{ post: /api/v1/test/slow }}
      test.broken: {{ post: /api/v1/test/broken }}
      test.moved: {{ post: /api/v1/test/moved }}
drain: {{ delay: 1s, deadline: 10s }}
"#,
        backend.address
    )
}

/// A device's key: every test device has the same, each its own session.
pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));

/// A backend that has every session that begins with `session`, and answers some user routes.
pub fn backend() -> Backend {
    Backend::start(answer)
}

/// What the test backend answers.
pub fn answer(seen: &Seen) -> Reply {
    let path = seen.target.split('?').next().unwrap_or_default();
    if let Some(id) = path.strip_prefix("/api/v1/internal/sessions/") {
        return session(id);
    }
    match path {
        "/api/v1/user/account" if seen.method == "GET" => Reply::json(200, r#"{"name":"Ada"}"#),
        "/api/v1/user/account" => Reply::json(422, r#"{"error":{"code":"name.invalid"}}"#),
        "/api/v1/test/slow" => Reply::json(200, "{}").after(std::time::Duration::from_secs(5)),
        "/api/v1/test/broken" => Reply::json(500, "{}"),
        "/api/v1/test/moved" => Reply::json(302, "{}"),
        _ => Reply::json(200, serde_json::json!({ "target": seen.target })),
    }
}

fn session(id: &str) -> Reply {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let key = STANDARD.encode(KEY.verifying_key().as_bytes());
    let status = if id.starts_with("session-revoked") { "revoked" } else { "active" };
    match id {
        "session-lost" => Reply::json(500, "{}"),
        _ if id.starts_with("session") => Reply::json(
            200,
            serde_json::json!({ "device_session_id": id, "user_id": "user-1", "status": status, "client_public_key": key }),
        ),
        _ => Reply::json(404, "{}"),
    }
}

/// Starts a backend that has every session too, and says exactly these bytes to everything else.
pub fn session_beside(answer: &'static str) -> SocketAddr {
    scripted(move |stream, head| {
        let id = head.split_once("/sessions/").and_then(|(_, rest)| rest.split(' ').next());
        let said = match id.map(session) {
            Some(Reply { body, .. }) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                [head.as_bytes(), &body].concat()
            }
            None => answer.as_bytes().to_vec(),
        };
        drop(stream.write_all(&said));
    })
}

/// A device of this session, which trusts the test gateways' signer.
pub fn device(session: &str) -> Device {
    let mut device = Device::new(session, KEY.clone());
    let signer = SigningKey::from_bytes(&std::array::from_fn(|i| i as u8));
    device.gateway_keys.by_id.insert("main".to_owned(), signer.verifying_key());
    device
}

/// The edge listener of a gateway.
pub fn edge(gateway: &Gateway) -> Endpoint {
    format!("http://{}", gateway.address("edge")).parse().expect("an endpoint")
}

/// A command of now.
pub fn command(message_type: &str, payload: &str) -> Command {
    Command::new(message_type, payload.to_owned()).expect("randomness")
}

/// Sends a request as it is.
pub async fn send(
    gateway: &Gateway,
    (protocol, codec): (Protocol, Codec),
    request: &proto::edge::v1::ExecuteCommandRequest,
) -> Result<Answer, CallError> {
    Client::default().call(&edge(gateway), Dialect::new(protocol, codec), request).await
}

/// Sends a body of the test's own making to ExecuteCommand, with these headers beside the dialect's. Gives the
/// answer's headers, and what it says.
pub async fn send_body(
    gateway: &Gateway,
    (protocol, codec): (Protocol, Codec),
    headers: &[(&'static str, &'static str)],
    body: impl Into<Bytes>,
) -> (HeaderMap, Result<Answer, CallError>) {
    let dialect = Dialect::new(protocol, codec);
    let mut all = dialect.headers();
    for (name, value) in headers {
        all.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let (path, version) = ("/edge.v1.Gateway/ExecuteCommand", dialect.http_version());
    let reply = Client::default().exchange(&edge(gateway), version, Method::POST, path, all, body.into()).await;
    let reply = reply.expect("an answer comes");
    (reply.headers.clone(), dialect.read(reply))
}

/// The refusal that a call came to.
pub fn refused(outcome: Result<Answer, CallError>) -> Refused {
    match outcome {
        Err(CallError::Refused(refused)) => *refused,
        other => panic!("no refusal: {other:?}"),
    }
}
