//! Commands that are answered: every protocol, both codecs, both HTTP versions.

use super::{Failed, Story, expect};
use crate::client::{Answer, CallError, Codec, Command, Device, Dialect, HttpVersion, Protocol};
use bytes::Bytes;
use proto::edge::v1::ExecuteCommandRequest;
use serde_json::{Value, json};

/// What the later chapters speak, where the protocol is not the point.
pub(super) const PLAIN: Dialect = Dialect { protocol: Protocol::Connect, codec: Codec::Json, http: HttpVersion::Http1 };

const DIALECTS: [(&str, Dialect); 6] = [
    ("Connect, JSON, HTTP/1.1", PLAIN),
    ("Connect, protobuf, HTTP/2", dialect(Protocol::Connect, Codec::Proto, HttpVersion::Http2)),
    ("gRPC", dialect(Protocol::Grpc, Codec::Proto, HttpVersion::Http2)),
    ("gRPC-Web, protobuf, HTTP/1.1", dialect(Protocol::GrpcWeb, Codec::Proto, HttpVersion::Http1)),
    ("gRPC-Web, JSON, HTTP/2", dialect(Protocol::GrpcWeb, Codec::Json, HttpVersion::Http2)),
    ("gRPC-Web in text, HTTP/1.1", dialect(Protocol::GrpcWebText, Codec::Proto, HttpVersion::Http1)),
];

pub(super) const fn dialect(protocol: Protocol, codec: Codec, http: HttpVersion) -> Dialect {
    Dialect { protocol, codec, http }
}

impl Story<'_> {
    pub(super) async fn commands(&mut self, device: &Device) -> Result<(), Failed> {
        for (name, dialect) in DIALECTS {
            let step = format!("{name}: user.account.get");
            let account = self.answered(&step, device, dialect, ("user.account.get", Value::Null), "ok").await?;
            let email = expect::text(&step, &account, "email")?;
            self.narrator.held(&step, &format!("ok, {email}; hash and signature of the answer hold"));
        }
        let step = "user.games.open: a payload becomes the body of a POST";
        let opened = self.answered(step, device, PLAIN, ("user.games.open", json!({ "title": "Go" })), "ok").await?;
        let game_id = expect::text(step, &opened, "game_id")?;
        self.narrator.held(step, &format!("ok, {game_id}"));

        let step = "user.games.report: its fields become a path and a query";
        let payload = json!({ "game_id": game_id, "depth": 2, "note": "a b&c" });
        let report = self.answered(step, device, PLAIN, ("user.games.report", payload), "ok").await?;
        expect::same(step, &json!({ "depth": "2", "note": "a b&c" }), report.get("asked").unwrap_or(&Value::Null))?;
        self.narrator.held(step, "ok, the backend was asked for depth=2 and note=\"a b&c\"");

        let step = "user.account.rename: the backend says no, and that too is signed";
        let no_name = ("user.account.rename", json!({ "display_name": "" }));
        let said = self.answered(step, device, PLAIN, no_name, "name.invalid").await?;
        let said = said.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        self.narrator.held(step, &format!("name.invalid, {said:?}"));
        Ok(())
    }

    /// The verified payload of the answer to a fresh command.
    pub(super) async fn answered(
        &self,
        step: &str,
        device: &Device,
        dialect: Dialect,
        (message_type, payload): (&str, Value),
        result_code: &str,
    ) -> Result<Value, Failed> {
        let payload = if payload.is_null() { Bytes::new() } else { payload.to_string().into() };
        let request = device.sign(&fresh(step, message_type, payload)?);
        let came = self.call(dialect, &request).await;
        expect::answered(step, result_code, device, &request, came)
    }

    pub(super) async fn call(&self, dialect: Dialect, request: &ExecuteCommandRequest) -> Result<Answer, CallError> {
        self.client.call(&self.gateway.edge, dialect, request).await
    }
}

/// A command of now.
pub(super) fn fresh(step: &str, message_type: &str, payload: impl Into<Bytes>) -> Result<Command, Failed> {
    Command::new(message_type, payload).map_err(|fault| Failed::fault(step, &fault))
}
