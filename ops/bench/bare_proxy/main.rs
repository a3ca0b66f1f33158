//! Pingora with nothing around it: the base that the gateway's own cost is held against.
//!
//! `bare_proxy forward LISTEN UPSTREAM` passes every request through; `bare_proxy answer LISTEN` reads each
//! body whole and answers it here, as a command handler does, with a message of a usual answer's size;
//! `bare_proxy command LISTEN BACKEND SESSIONS` takes signed commands, with a file of what `signed_load print
//! sessions` prints. All take the allocator and the runtime that the gateway has, so that a difference is the
//! gateway's work.

mod command;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use command::Commands;
use pingora::{
    ErrorType::InternalError,
    OrErr as _, Result,
    http::ResponseHeader,
    modules::http::HttpModules,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use prost::Message as _;
use proto::edge::v1::ExecuteCommandResponse;
use std::{env, error::Error, fs, net::SocketAddr};

const USAGE: &str = "usage: bare_proxy forward LISTEN UPSTREAM | answer LISTEN | command LISTEN BACKEND SESSIONS";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where requests end: at an upstream, or here with a fixed body.
enum Target {
    Upstream(SocketAddr),
    Here(Bytes),
    /// Here, as a signed command.
    Commands(Box<Commands>),
}

#[async_trait]
impl ProxyHttp for Target {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    // The default adds a compression module, which the gateway does without.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> Result<bool> {
        if matches!(self, Self::Upstream(_)) {
            return Ok(false);
        }
        let mut body = BytesMut::new();
        while let Some(part) = session.read_request_body().await? {
            body.extend_from_slice(&part);
        }
        let answer = match self {
            Self::Here(answer) => answer.clone(),
            Self::Commands(commands) => commands.execute(body.freeze()).await.or_err(InternalError, "a command")?,
            Self::Upstream(_) => return Ok(false),
        };
        let mut head = ResponseHeader::build(200, Some(2))?;
        head.insert_header("content-type", "application/proto")?;
        head.insert_header("content-length", answer.len())?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(answer), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        match self {
            Self::Upstream(address) => Ok(Box::new(HttpPeer::new(*address, false, String::new()))),
            Self::Here(_) | Self::Commands(_) => {
                Err(pingora::Error::new_str("every request was answered ahead of this"))
            }
        }
    }
}

/// As large as the answer to a command of the bench: 200 bytes of payload, its hash and a signature.
fn answer() -> Bytes {
    ExecuteCommandResponse {
        protocol_version: "v1".to_owned(),
        request_id: "0123456789abcdef".to_owned(),
        timestamp_ms: 1_700_000_000_000,
        result_code: "ok".to_owned(),
        payload_bytes: vec![b' '; 200].into(),
        payload_hash: vec![0; 32].into(),
        signature: vec![0; 64].into(),
        key_id: "main".to_owned(),
    }
    .encode_to_vec()
    .into()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (listen, target) = match arguments.as_slice() {
        ["forward", listen, upstream] => (*listen, Target::Upstream(upstream.parse()?)),
        ["answer", listen] => (*listen, Target::Here(answer())),
        ["command", listen, backend, sessions] => {
            let commands = Commands::new(backend.parse()?, &fs::read_to_string(sessions)?);
            (*listen, Target::Commands(Box::new(commands.map_err(|error| error.to_string())?)))
        }
        _ => return Err(USAGE.into()),
    };
    let settings = ServerConf { grace_period_seconds: Some(0), ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, target);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
