//! The backend's REST routes.

use super::{
    reply::{Failure, Reply},
    state::{CODE_LIFE, Cause, State},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct SendCode {
    email: String,
}

#[derive(Deserialize)]
struct ConfirmCode {
    challenge_id: String,
    code: String,
    client_public_key: String,
}

#[derive(Deserialize)]
struct Rename {
    display_name: String,
}

#[derive(Deserialize)]
struct OpenGame {
    title: String,
}

/// Answers one request.
pub(super) fn reply(state: &State, request: &Request<Bytes>) -> Result<Reply, Failure> {
    let path = request.uri().path();
    let method = request.method().as_str();
    if let Some(action) = path.strip_prefix("/api/v1/public/auth/") {
        return public(state, method, action, request.body());
    }
    if let Some(id) = path.strip_prefix("/api/v1/internal/sessions/") {
        return if request.method() == Method::GET { session(state, &decoded(id)) } else { unknown() };
    }
    if let Some(rest) = path.strip_prefix("/api/v1/user/") {
        return user(state, method, rest, request);
    }
    if path == "/healthz" { Ok(Reply::ok(json!({ "status": "ok" }))) } else { unknown() }
}

fn unknown() -> Result<Reply, Failure> {
    Err(Failure::new(404, "route.unknown", "No such route"))
}

fn public(state: &State, method: &str, action: &str, body: &Bytes) -> Result<Reply, Failure> {
    match (method, action) {
        ("POST", "send-email-code") => {
            let challenge_id = state.challenge(&parsed::<SendCode>(body)?.email)?;
            Ok(Reply::ok(json!({ "challenge_id": challenge_id, "expires_in_seconds": CODE_LIFE.as_secs() })))
        }
        ("POST", "confirm-email-code") => {
            let ConfirmCode { challenge_id, code, client_public_key } = parsed(body)?;
            let (session_id, user_id) = state.confirm(&challenge_id, &code, &client_public_key)?;
            Ok(Reply::ok(json!({ "device_session_id": session_id, "user_id": user_id })))
        }
        _ => unknown(),
    }
}

fn session(state: &State, id: &str) -> Result<Reply, Failure> {
    let session = state.session(id)?;
    Ok(Reply::ok(json!({
        "device_session_id": id,
        "user_id": session.user_id,
        "status": if session.revoked { "revoked" } else { "active" },
        "client_public_key": session.client_public_key,
    })))
}

fn user(state: &State, method: &str, rest: &str, request: &Request<Bytes>) -> Result<Reply, Failure> {
    let user_id = header(request.headers(), "x-user-id")?;
    let body = request.body();
    match (method, rest) {
        ("GET", "account") => Ok(Reply::ok(state.account(user_id)?.shown(user_id))),
        ("PATCH", "account") => {
            let Rename { display_name } = parsed(body)?;
            Ok(Reply::ok(state.rename(user_id, &display_name, cause(request.headers()))?.shown(user_id)))
        }
        ("POST", "games") => {
            let OpenGame { title } = parsed(body)?;
            Ok(Reply::created(state.open_game(user_id, &title, cause(request.headers()))?))
        }
        ("POST", "session/revoke") => {
            state.revoke(header(request.headers(), "x-device-session-id")?, "signed out")?;
            Ok(Reply::ok(json!({ "status": "revoked" })))
        }
        ("GET", _) => {
            let id = rest.strip_prefix("games/").and_then(|rest| rest.strip_suffix("/report"));
            id.map_or_else(unknown, |id| report(state, &decoded(id), user_id, request.uri().query()))
        }
        _ => unknown(),
    }
}

/// What the gateway says of the request that it passes on; of a `traceparent` (W3C Trace Context) its trace id.
fn cause(headers: &HeaderMap) -> Cause<'_> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let trace_id = text("traceparent").split('-').nth(1).unwrap_or_default();
    Cause { request_id: text("x-request-id"), trace_id }
}

fn report(state: &State, id: &str, owner: &str, query: Option<&str>) -> Result<Reply, Failure> {
    let game = state.game(id, owner)?;
    let asked: Map<String, Value> = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")).into()))
        .collect();
    Ok(Reply::ok(json!({ "game_id": id, "title": game.title, "asked": asked })))
}

/// A header in either spelling: behind CGI `_` and `-` are one, so a gateway that drops only one of them gives
/// strangers an identity, and with this backend that shows.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Failure> {
    let value = headers.get(name).or_else(|| headers.get(name.replace('-', "_")));
    let value = value.and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    value.ok_or(Failure::new(401, "identity.missing", "Only the gateway may call this, and it names the caller"))
}

fn parsed<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::new(400, "body.invalid", "The body is not the JSON asked for"))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
