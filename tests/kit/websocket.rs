//! Subscribers over WebSocket: one that keeps to the protocol, and one that sends whatever a test says.

use super::{
    events::{Scene, decode, encode, subscription},
    push::arrival,
    raw::Raw,
};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName};
use portcullis::client::Codec;
use proto::edge::v1::{Event, ExecuteCommandRequest, SubscribeOptions};
use std::net::SocketAddr;
use tokio::net::TcpSocket;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// A client that keeps to the protocol.
pub struct Socket {
    pub client: WebSocketStream<tokio::net::TcpStream>,
    /// Of the answer to its handshake.
    pub headers: HeaderMap,
    codec: Codec,
}

impl Socket {
    /// Connects, with these headers beside the handshake's.
    pub async fn connect(scene: &Scene, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let address = scene.gateway.address("edge");
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        // What the kernel would hold, a slow reader would not have to.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let (client, answer) = arrival("101", client_async(request, stream)).await.unwrap();
        Self { client, headers: answer.headers().clone(), codec: Codec::Proto }
    }

    /// A connected one that has sent its subscription.
    pub async fn subscribe(scene: &Scene, codec: Codec, session: &str, options: SubscribeOptions) -> Self {
        let mut socket = Self::connect(scene, "/events/ws", &[]).await;
        socket.send(&subscription(session, &options), codec).await;
        socket
    }

    /// Sends a request in a codec.
    pub async fn send(&mut self, request: &ExecuteCommandRequest, codec: Codec) {
        self.codec = codec;
        let bytes = encode(request, codec);
        let message = match codec {
            Codec::Json => Message::text(String::from_utf8(bytes).unwrap()),
            Codec::Proto => Message::binary(bytes),
        };
        self.client.send(message).await.unwrap();
    }

    /// What comes next.
    pub async fn next(&mut self) -> Message {
        arrival("a message", self.client.next()).await.expect("it is open").expect("it keeps to the protocol")
    }

    /// The next event that is no heartbeat.
    pub async fn event(&mut self) -> Event {
        loop {
            let event = match (self.next().await, self.codec) {
                (Message::Text(text), Codec::Json) => decode(text.as_bytes(), Codec::Json),
                (Message::Binary(bytes), Codec::Proto) => decode(&bytes, Codec::Proto),
                (Message::Ping(_), _) => None,
                (other, codec) => panic!("{other:?} to one that speaks {codec:?}"),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// The close, whatever comes ahead of it.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(close) = self.next().await {
                let close = close.expect("it says why");
                return (close.code.into(), close.reason.to_string());
            }
        }
    }
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame: its first byte, and the payload, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()).expect("a test sends no more") {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a handshake, with these lines beside.
pub fn handshake(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// A connected client that keeps to nothing.
pub fn upgraded(address: SocketAddr, path: &str) -> Raw {
    let mut raw = Raw::connect(address);
    let answer = raw.send(handshake(path, "")).answer();
    assert_eq!(answer.status, 101, "{}", answer.head);
    // RFC 6455 section 1.3.
    assert_eq!(answer.header("sec-websocket-accept").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    raw
}

/// The next frame of the gateway: its first byte and its payload.
pub fn next_frame(raw: &mut Raw) -> (u8, Vec<u8>) {
    let head = raw.exactly(2);
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(raw.exactly(2).try_into().unwrap())),
        127 => u64::from_be_bytes(raw.exactly(8).try_into().unwrap()) as usize,
        short => usize::from(short),
    };
    (head[0], raw.exactly(length))
}

/// The gateway's close, whatever comes ahead of it.
pub fn close(raw: &mut Raw) -> (u16, String) {
    loop {
        if let (0x88, payload) = next_frame(raw) {
            let (code, reason) = payload.split_first_chunk::<2>().expect("it says why");
            return (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap());
        }
    }
}
