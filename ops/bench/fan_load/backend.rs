//! What is asked of a backend over HTTP: sessions by the gateway, and by Pushpin what is to become of a WebSocket.

use crate::{Outcome, device};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::TcpListener;

const SESSIONS: &str = "/api/v1/internal/sessions/";
/// WebSocket-over-HTTP, with which Pushpin keeps the socket and asks by POST.
const WEBSOCKET_EVENTS: &str = "application/websocket-events";

pub(crate) async fn serve(address: SocketAddr) -> Outcome<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Its peer closes the connection when it has no use for it.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    Ok(())
}

async fn answer(request: Request<Incoming>) -> Outcome<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if let Some(id) = head.uri.path().strip_prefix(SESSIONS) {
        return Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(session(id).into())?);
    }
    if head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == WEBSOCKET_EVENTS) {
        let user = head.uri.query().unwrap_or_default();
        return Ok(Response::builder()
            .header(CONTENT_TYPE, WEBSOCKET_EVENTS)
            .header("sec-websocket-extensions", "grip")
            .body(held(&body, user).into())?);
    }
    Ok(Response::builder().status(StatusCode::NOT_FOUND).body(Full::default())?)
}

fn session(id: &str) -> String {
    let user = id.split_once('-').map_or("", |(_, user)| user);
    let key = STANDARD.encode(device::key().verifying_key().as_bytes());
    json!({ "device_session_id": id, "user_id": user, "status": "active", "client_public_key": key }).to_string()
}

/// A new socket hears what is for all and what is for its user; of whatever else happens nothing follows.
fn held(events: &[u8], user: &str) -> String {
    if !events.starts_with(b"OPEN") {
        return String::new();
    }
    let subscribe = |channel: &str| {
        let control = format!("c:{}", json!({ "type": "subscribe", "channel": channel }));
        format!("TEXT {:x}\r\n{control}\r\n", control.len())
    };
    format!("OPEN\r\n{}{}", subscribe("all"), subscribe(user))
}
