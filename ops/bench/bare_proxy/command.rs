//! What no gateway of signed commands can do without, and nothing else: the session call, the hash and the strict
//! verification, the backend call, the hash and the signature of the answer. No check has a consequence here.

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use proto::{
    edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse},
    signing::{Markers, RequestFields, ResponseFields},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    error::Error,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Sender = SendRequest<Empty<Bytes>>;

pub(crate) struct Commands {
    backend: SocketAddr,
    /// The key of each device session, as in the gateway parsed once.
    keys: HashMap<String, VerifyingKey>,
    signer: SigningKey,
    markers: Markers,
    idle: Mutex<Vec<Sender>>,
}

impl Commands {
    /// Device sessions and their keys are those that `signed_load` has.
    pub(crate) fn new(backend: SocketAddr, sessions: &str) -> Outcome<Self> {
        let keys = sessions.lines().filter_map(|line| line.split_once(' ')).map(|(session, key)| {
            let key = filters::signature::parse_key(key).ok().flatten().ok_or("a key that cannot be used")?;
            Ok((session.to_owned(), key))
        });
        Ok(Self {
            backend,
            keys: keys.collect::<Outcome<_>>()?,
            signer: SigningKey::from_bytes(&[7; 32]),
            markers: Markers::default(),
            idle: Mutex::default(),
        })
    }

    /// The encoded answer to an encoded command.
    pub(crate) async fn execute(&self, body: Bytes) -> Outcome<Bytes> {
        let command = ExecuteCommandRequest::decode(body)?;
        let session = &command.device_session_id;
        self.get(&format!("/api/v1/internal/sessions/{session}")).await?;
        self.verify(&command)?;
        let payload = self.get("/api/v1/user/account").await?;
        Ok(self.signed(&command, payload).encode_to_vec().into())
    }

    fn verify(&self, command: &ExecuteCommandRequest) -> Outcome<()> {
        let key = self.keys.get(&command.device_session_id).ok_or("an unknown session")?;
        let payload_hash = Sha256::digest(&command.payload_bytes);
        let fields = RequestFields {
            protocol_version: &command.protocol_version,
            device_session_id: &command.device_session_id,
            message_type: &command.message_type,
            timestamp_ms: command.timestamp_ms,
            request_id: &command.request_id,
            payload_hash: &payload_hash,
        };
        let signature = Signature::from_slice(&command.signature)?;
        Ok(key.verify_strict(&fields.input(&self.markers.request), &signature)?)
    }

    fn signed(&self, command: &ExecuteCommandRequest, payload: Bytes) -> ExecuteCommandResponse {
        let payload_hash = Sha256::digest(&payload);
        let fields = ResponseFields {
            protocol_version: &command.protocol_version,
            device_session_id: &command.device_session_id,
            request_id: &command.request_id,
            timestamp_ms: command.timestamp_ms,
            result_code: "ok",
            payload_hash: &payload_hash,
        };
        let signature = self.signer.sign(&fields.input(&self.markers.response));
        ExecuteCommandResponse {
            protocol_version: command.protocol_version.clone(),
            request_id: command.request_id.clone(),
            timestamp_ms: command.timestamp_ms,
            result_code: "ok".to_owned(),
            payload_bytes: payload,
            payload_hash: payload_hash.to_vec().into(),
            signature: signature.to_vec().into(),
            key_id: "main".to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Outcome<Bytes> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut sender = match idle {
            Some(sender) => sender,
            None => connect(self.backend).await?,
        };
        sender.ready().await?;
        let request = Request::get(path).header("host", "backend").body(Empty::new())?;
        let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(answer)
    }
}

async fn connect(backend: SocketAddr) -> Outcome<Sender> {
    let stream = TcpStream::connect(backend).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
