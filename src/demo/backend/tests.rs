use super::*;
use crate::client::{self, Client, HttpVersion};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proto::push::v1::{PushEvent, SubscribePushRequest, push_client::PushClient, push_event::Kind};
use serde_json::{Value, json};
use tonic::{Code, Streaming, transport::Endpoint};

/// A backend, and a client that speaks to it as a gateway would.
struct Scene {
    backend: Backend,
    mailbox: Mailbox,
    client: Client,
    endpoint: client::Endpoint,
}

impl Scene {
    async fn set() -> Self {
        let (backend, mailbox) = Backend::start().await.unwrap();
        let endpoint = format!("http://{}", backend.address()).parse().unwrap();
        Self { backend, mailbox, client: Client::default(), endpoint }
    }

    async fn call(&self, method: Method, path: &str, identity: &[(&'static str, &str)], body: Value) -> (u16, Value) {
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let headers: HeaderMap =
            identity.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let reply =
            self.client.exchange(&self.endpoint, HttpVersion::Http1, method, path, headers, body).await.unwrap();
        (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, &[], body).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, &[], Value::Null).await
    }

    async fn subscribe(&self, gateway_client_id: &str, cursor: &str) -> Result<Streaming<PushEvent>, tonic::Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.backend.push_address())).unwrap();
        let (gateway_client_id, cursor) = (gateway_client_id.to_owned(), cursor.to_owned());
        let request = SubscribePushRequest { gateway_client_id, cursor };
        Ok(PushClient::new(endpoint.connect().await.unwrap()).subscribe_push(request).await?.into_inner())
    }

    /// A challenge and the code that was mailed for it.
    async fn challenge(&mut self) -> (String, String) {
        let (status, answer) = self.post(SEND, json!({ "email": " Ada@Example.org " })).await;
        let mail = self.mailbox.recv().await.unwrap();
        assert_eq!((status, mail.to.as_str()), (200, "ada@example.org"));
        assert_eq!(answer["challenge_id"], mail.challenge_id);
        (mail.challenge_id, mail.code)
    }

    async fn sign_in(&mut self) -> (String, String) {
        let (challenge_id, code) = self.challenge().await;
        let (status, answer) = self.post(CONFIRM, confirmation(&challenge_id, &code, &public_key())).await;
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("device_session_id"), text("user_id"))
    }
}

const SEND: &str = "/api/v1/public/auth/send-email-code";
const CONFIRM: &str = "/api/v1/public/auth/confirm-email-code";

fn public_key() -> String {
    STANDARD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes())
}

fn confirmation(challenge_id: &str, code: &str, key: &str) -> Value {
    json!({ "challenge_id": challenge_id, "code": code, "client_public_key": key })
}

fn code_of((status, answer): (u16, Value)) -> (u16, String) {
    (status, answer["error"]["code"].as_str().unwrap_or("none").to_owned())
}

fn failure(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_device_signs_in_and_its_session_can_be_looked_up_and_revoked() {
    let mut scene = Scene::set().await;
    let (session_id, user_id) = scene.sign_in().await;
    let path = format!("/api/v1/internal/sessions/{session_id}");
    let record = |status: &str| {
        let key = public_key();
        json!({ "device_session_id": session_id, "user_id": user_id, "status": status, "client_public_key": key })
    };
    assert_eq!(scene.get(&path).await, (200, record("active")));
    assert!(scene.backend.revoke(&session_id));
    assert_eq!(scene.get(&path).await, (200, record("revoked")));
    assert!(!scene.backend.revoke("another"));
    let unknown = scene.get("/api/v1/internal/sessions/another").await;
    assert_eq!(code_of(unknown), failure(404, "session.unknown"));
}

#[tokio::test]
async fn the_same_address_is_the_same_user_in_another_session() {
    let mut scene = Scene::set().await;
    let (one, other) = (scene.sign_in().await, scene.sign_in().await);
    assert_ne!(one.0, other.0);
    assert_eq!(one.1, other.1);
}

#[tokio::test]
async fn a_code_is_good_once_and_for_five_guesses() {
    let mut scene = Scene::set().await;
    let (challenge_id, code) = scene.challenge().await;
    for _ in 0..5 {
        let wrong = scene.post(CONFIRM, confirmation(&challenge_id, "wrong", &public_key())).await;
        assert_eq!(code_of(wrong), failure(422, "code.wrong"));
    }
    let right = scene.post(CONFIRM, confirmation(&challenge_id, &code, &public_key())).await;
    assert_eq!(code_of(right), failure(410, "challenge.over"));

    let (challenge_id, code) = scene.challenge().await;
    let right = || scene.post(CONFIRM, confirmation(&challenge_id, &code, &public_key()));
    assert_eq!(right().await.0, 200);
    assert_eq!(code_of(right().await), failure(410, "challenge.over"));
}

#[tokio::test]
async fn what_cannot_be_signed_in_is_told_why() {
    let mut scene = Scene::set().await;
    let (challenge_id, code) = scene.challenge().await;
    let key = public_key();
    let confirm = |id: &str, key: &str| (CONFIRM, confirmation(id, &code, key));
    let cases = [
        (SEND, json!({ "email": "ada" }), failure(422, "email.invalid")),
        (SEND, json!({ "email": "a b@c" }), failure(422, "email.invalid")),
        (SEND, json!({ "email": 1 }), failure(400, "body.invalid")),
        (SEND, json!({ "email": "a".repeat(BODY_BYTES_MAX) }), failure(413, "body.too_large")),
        (confirm("another", &key).0, confirm("another", &key).1, failure(404, "challenge.unknown")),
        (CONFIRM, confirm(&challenge_id, "AAAA").1, failure(422, "key.invalid")),
        ("/api/v1/public/auth/other", json!({}), failure(404, "route.unknown")),
    ];
    for (path, body, expected) in cases {
        assert_eq!(code_of(scene.post(path, body).await), expected);
    }
}

#[tokio::test]
async fn a_user_reads_renames_plays_and_signs_out() {
    let mut scene = Scene::set().await;
    let (session_id, user_id) = scene.sign_in().await;
    let identity = [("x-user-id", user_id.as_str()), ("x-device-session-id", session_id.as_str())];
    let call = |method, path: String, body| {
        let (scene, identity) = (&scene, &identity);
        async move { scene.call(method, &path, identity, body).await }
    };
    let account = |name: &str| json!({ "user_id": user_id, "email": "ada@example.org", "display_name": name });
    let path = || "/api/v1/user/account".to_owned();
    assert_eq!(call(Method::GET, path(), Value::Null).await, (200, account("ada")));
    let renamed = call(Method::PATCH, path(), json!({ "display_name": "Ada" })).await;
    assert_eq!(renamed, (200, account("Ada")));
    let renamed = call(Method::PATCH, path(), json!({ "display_name": " " })).await;
    assert_eq!(code_of(renamed), failure(422, "name.invalid"));

    let (status, game) = call(Method::POST, "/api/v1/user/games".to_owned(), json!({ "title": "Go" })).await;
    assert_eq!(status, 201);
    let path = format!("/api/v1/user/games/{}/report?depth=2&who=a%20b+c", game["game_id"].as_str().unwrap());
    let (status, report) = call(Method::GET, path.clone(), Value::Null).await;
    assert_eq!((status, &report["asked"]), (200, &json!({ "depth": "2", "who": "a b c" })));
    let others = scene.call(Method::GET, &path, &[("x-user-id", "user-other")], Value::Null).await;
    assert_eq!(code_of(others), failure(404, "game.unknown"));

    let (status, _) = call(Method::POST, "/api/v1/user/session/revoke".to_owned(), Value::Null).await;
    assert_eq!(status, 200);
    let (_, session) = scene.get(&format!("/api/v1/internal/sessions/{session_id}")).await;
    assert_eq!(session["status"], "revoked");
}

#[tokio::test]
async fn a_gateway_is_told_of_what_changes_and_goes_on_from_its_cursor() {
    let mut scene = Scene::set().await;
    let (session_id, user_id) = scene.sign_in().await;
    let mut stream = scene.subscribe("gw-1", "").await.unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let identity = [("x-user-id", user_id.as_str()), ("x-request-id", "req-1"), ("traceparent", trace)];
    let path = "/api/v1/user/account";
    scene.call(Method::PATCH, path, &identity, json!({ "display_name": "Ada L." })).await;
    scene.call(Method::PATCH, path, &identity, json!({ "display_name": "" })).await;
    scene.call(Method::POST, "/api/v1/user/games", &identity, json!({ "title": "Go" })).await;
    assert!(scene.backend.revoke(&session_id));

    let renamed = stream.message().await.unwrap().unwrap();
    let Some(Kind::ClientEvent(event)) = &renamed.kind else { panic!("{renamed:?}") };
    let payload: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!((event.kind.as_str(), &payload["display_name"]), ("user.account.renamed", &json!("Ada L.")));
    let cause = (event.user_id.as_str(), event.request_id.as_str(), event.trace_id.as_str());
    assert_eq!(cause, (user_id.as_str(), "req-1", "4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!((event.device_session_id.as_str(), event.event_id.is_empty()), ("", false));

    let mut again = scene.subscribe("gw-1", &renamed.cursor).await.unwrap();
    let opened = again.message().await.unwrap().unwrap();
    assert!(matches!(opened.kind, Some(Kind::ClientEvent(event)) if event.kind == "user.games.opened"));
    let ended = again.message().await.unwrap().unwrap();
    assert!(matches!(ended.kind, Some(Kind::SessionInvalidation(ended)) if ended.device_session_id == session_id));
    let replaced = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            came => break came.unwrap_err().code(),
        }
    };
    assert_eq!(replaced, Code::Aborted, "one stream for each gateway_client_id");
    let gap = scene.subscribe("gw-2", "of another life").await.unwrap().message().await.unwrap().unwrap();
    assert_eq!((gap.kind, gap.cursor), (None, ended.cursor));
    assert_eq!(scene.subscribe("", "").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn user_routes_want_to_know_the_caller() {
    let scene = Scene::set().await;
    let answer = scene.get("/api/v1/user/account").await;
    assert_eq!(code_of(answer), failure(401, "identity.missing"));
    let spelled = scene.call(Method::GET, "/api/v1/user/account", &[("x_user_id", "user-1")], Value::Null).await;
    assert_eq!(code_of(spelled), failure(404, "user.unknown"));
    assert_eq!(scene.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn it_stops_though_a_client_keeps_its_connection_and_a_gateway_its_stream() {
    let scene = Scene::set().await;
    assert_eq!(scene.get("/healthz").await.0, 200);
    let mut stream = scene.subscribe("gw-1", "").await.unwrap();
    let addresses = [scene.backend.address(), scene.backend.push_address()];
    tokio::time::timeout(STOP_DEADLINE / 2, scene.backend.stop()).await.unwrap();
    assert!(stream.message().await.is_err());
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err());
    }
}
