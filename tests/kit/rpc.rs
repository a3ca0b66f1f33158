//! A client of any RPC protocol, by the specifications alone: it shares nothing with what it tests.

mod answer;

pub use answer::{Answer, Failed, Status};

use super::PATIENCE;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use h2::{SendStream, client::ResponseFuture};
use http::{HeaderMap, HeaderName, Request};
use hyper::body::Bytes;
use std::net::SocketAddr;
use tokio::time::timeout;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Connect,
    ConnectStream,
    Grpc,
    GrpcWeb,
    GrpcWebText,
}
use Protocol::{Connect, ConnectStream, Grpc, GrpcWeb, GrpcWebText};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Proto,
    Json,
}
use Codec::{Json, Proto};

/// A protocol in a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect(pub Protocol, pub Codec);

/// In which a unary method can be called.
pub const UNARY: [Dialect; 8] = [
    Dialect(Connect, Proto),
    Dialect(Connect, Json),
    Dialect(Grpc, Proto),
    Dialect(Grpc, Json),
    Dialect(GrpcWeb, Proto),
    Dialect(GrpcWeb, Json),
    Dialect(GrpcWebText, Proto),
    Dialect(GrpcWebText, Json),
];

/// In which a streaming method can be called.
pub const STREAM: [Dialect; 8] = [
    Dialect(ConnectStream, Proto),
    Dialect(ConnectStream, Json),
    Dialect(Grpc, Proto),
    Dialect(Grpc, Json),
    Dialect(GrpcWeb, Proto),
    Dialect(GrpcWeb, Json),
    Dialect(GrpcWebText, Proto),
    Dialect(GrpcWebText, Json),
];

impl Dialect {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match (self.0, self.1) {
            (Connect, Proto) => "application/proto",
            (Connect, Json) => "application/json",
            (ConnectStream, Proto) => "application/connect+proto",
            (ConnectStream, Json) => "application/connect+json",
            (Grpc, Proto) => "application/grpc",
            (Grpc, Json) => "application/grpc+json",
            (GrpcWeb, Proto) => "application/grpc-web+proto",
            (GrpcWeb, Json) => "application/grpc-web+json",
            (GrpcWebText, Proto) => "application/grpc-web-text",
            (GrpcWebText, Json) => "application/grpc-web-text+json",
        }
    }

    /// The header that says how long it waits, and the value for so many milliseconds.
    pub fn timeout(self, milliseconds: u64) -> (&'static str, String) {
        match self.0 {
            Connect | ConnectStream => ("connect-timeout-ms", milliseconds.to_string()),
            _ => ("grpc-timeout", format!("{milliseconds}m")),
        }
    }

    /// The header that names how its messages are compressed.
    pub fn encoding(self) -> &'static str {
        match self.0 {
            Connect => "content-encoding",
            ConnectStream => "connect-content-encoding",
            _ => "grpc-encoding",
        }
    }

    /// An `Item` of this name.
    pub fn item(self, name: &str) -> Vec<u8> {
        match self.1 {
            Proto => {
                let mut message = vec![0x0a];
                prost::encoding::encode_varint(name.len() as u64, &mut message);
                [message.as_slice(), name.as_bytes()].concat()
            }
            Json => serde_json::json!({ "name": name }).to_string().into_bytes(),
        }
    }

    /// The body that holds these messages, each behind its flag where there are flags.
    pub fn body(self, flag: u8, messages: &[&[u8]]) -> Bytes {
        if self.0 == Connect {
            return messages.concat().into();
        }
        self.wrapped(messages.iter().flat_map(|message| super::grpc::frame(flag, message)).collect())
    }

    /// Framed bytes as they are sent.
    pub fn wrapped(self, framed: Vec<u8>) -> Bytes {
        if self.0 == GrpcWebText { STANDARD.encode(framed).into() } else { framed.into() }
    }
}

/// A connection in HTTP/2, and whatever is called on it.
#[derive(Clone)]
pub struct Caller(h2::client::SendRequest<Bytes>);

/// A call whose answer is awaited.
pub struct Pending {
    pub dialect: Dialect,
    pub response: ResponseFuture,
    pub request: SendStream<Bytes>,
}

impl Caller {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.expect("the listener accepts");
        // As every HTTP/2 client does: a window update that waits for an acknowledgement stalls both sides.
        stream.set_nodelay(true).expect("a socket");
        let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
        tokio::spawn(connection);
        Self(client)
    }

    /// Begins a call whose messages come later.
    pub async fn begin(&self, dialect: Dialect, method: &str, headers: &[(&'static str, String)]) -> Pending {
        let mut request = Request::post(format!("http://edge/test.v1.Test/{method}"));
        let all = request.headers_mut().unwrap();
        all.insert("content-type", dialect.media_type().parse().unwrap());
        all.insert("te", "trailers".parse().unwrap());
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            given.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        all.extend(given);
        self.send(dialect, request.body(()).unwrap(), false).await
    }

    /// Sends a head of the test's own.
    pub async fn send(&self, dialect: Dialect, request: Request<()>, is_whole: bool) -> Pending {
        let mut client = self.0.clone().ready().await.expect("the connection is open");
        let (response, request) = client.send_request(request, is_whole).expect("the head is sent");
        Pending { dialect, response, request }
    }

    /// Calls a method with this body.
    pub async fn call(
        &self,
        dialect: Dialect,
        method: &str,
        headers: &[(&'static str, String)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut pending = self.begin(dialect, method, headers).await;
        // One that is answered ahead of its body may be reset.
        drop(pending.request.send_data(body.into(), true));
        pending.answer().await
    }

    /// Calls a method with one item of this name, and gives what came back.
    pub async fn ask(&self, dialect: Dialect, method: &str, name: &str) -> Answer {
        self.call(dialect, method, &[], dialect.body(0, &[&dialect.item(name)])).await
    }
}

impl Pending {
    /// Sends a message.
    pub fn message(&mut self, message: &[u8]) {
        let body = self.dialect.body(0, &[message]);
        self.request.send_data(body, false).expect("the stream is open");
    }

    /// Says that these were all.
    pub fn finish(&mut self) {
        self.request.send_data(Bytes::new(), true).expect("the stream is open");
    }

    /// The whole answer.
    pub async fn answer(self) -> Answer {
        timeout(PATIENCE, self.read()).await.expect("an answer comes")
    }

    async fn read(self) -> Answer {
        let response = match self.response.await {
            Ok(response) => response,
            Err(error) => return Answer { reset: error.reason(), ..Answer::default() },
        };
        let (head, mut body) = response.into_parts();
        let mut answer = Answer { status: head.status.as_u16(), headers: head.headers, ..Answer::default() };
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => {
                    drop(body.flow_control().release_capacity(data.len()));
                    bytes.extend_from_slice(&data);
                }
                Err(error) => {
                    answer.reset = error.reason();
                    break;
                }
            }
        }
        if let Ok(Some(trailers)) = body.trailers().await {
            answer.trailers = trailers;
        }
        answer.understood(self.dialect, bytes)
    }
}
