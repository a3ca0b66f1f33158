//! Streams on a connection each: WebSocket, and server-sent events over HTTP/1.1.

use crate::{
    Outcome,
    devices::{Channel, How, Open},
    frames::{BINARY, CLOSE, Frames, PING, PONG, Scanner, TEXT, masked, numbers},
    meter::Meter,
};
use serde_json::json;
use std::{cell::RefCell, future::pending, io::ErrorKind, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

/// What the first event of every stream holds.
pub(crate) const BEGUN: &[u8] = b"gateway.server_time";

const HEAD_BYTES_MAX: usize = 8 << 10;

thread_local! {
    /// What is read is looked at at once, so thousands of sockets share it.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

pub(crate) async fn connect(
    open: &Open,
    stream: usize,
    meter: &Arc<Meter>,
    place: OwnedSemaphorePermit,
) -> Outcome<()> {
    let mut socket = open.connect().await?;
    socket.write_all(&greeting(open, stream)?).await?;
    let mut device = Device::new(open, meter);
    if open.how != How::Sse {
        switched(&mut socket).await?;
        let first = device.first_message(open, stream)?;
        socket.write_all(&first).await?;
    }
    let mut place = Some(place);
    loop {
        if device.has_begun && place.take().is_some() {
            meter.opened();
            if !open.reads {
                pending::<()>().await;
            }
        }
        socket.readable().await?;
        let read = READ.with_borrow_mut(|buffer| {
            let read = socket.try_read(buffer)?;
            device.take_in(buffer.get(..read).unwrap_or_default());
            Ok::<_, std::io::Error>(read)
        });
        match read {
            Ok(0) => return Err("the server has closed".into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        if !device.answers.is_empty() {
            socket.write_all(&std::mem::take(&mut device.answers)).await?;
        }
        if let Some(why) = device.ended.take() {
            return Err(why.into());
        }
    }
}

/// The head of the request, and its body where it has one.
fn greeting(open: &Open, stream: usize) -> Outcome<Vec<u8>> {
    let path = match open.how {
        How::Sse => {
            let body = open.subscription(stream)?;
            let (target, length) = (open.target, body.len());
            let head = format!(
                "POST /events/sse HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/proto\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            return Ok([head.as_bytes(), &body].concat());
        }
        How::Centrifugo => "/connection/websocket".to_owned(),
        How::Pushpin => format!("/?{}", open.user(stream)),
        How::Websocket | How::Grpc => "/events/ws".to_owned(),
    };
    Ok(format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        open.target
    )
    .into_bytes())
}

/// Reads the answer's head and nothing after it.
async fn switched(socket: &mut TcpStream) -> Outcome<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX {
            return Err("a head without end".into());
        }
        head.push(socket.read_u8().await?);
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&head).into_owned().into()),
    }
}

/// What a device makes of what it reads.
struct Device<'a> {
    how: How,
    /// What says that everything asked for is there.
    begun: Vec<u8>,
    has_begun: bool,
    meter: &'a Meter,
    frames: Frames,
    scanner: Scanner,
    answers: Vec<u8>,
    ended: Option<String>,
}

impl<'a> Device<'a> {
    fn new(open: &Open, meter: &'a Meter) -> Self {
        let begun = match open.how {
            // Replies come in the order of the commands, of which the first connects.
            How::Centrifugo => format!("\"id\":{},\"subscribe\"", open.channels.len() + 1).into_bytes(),
            _ => BEGUN.to_vec(),
        };
        Self {
            how: open.how,
            begun,
            // Pushpin has subscribed before it answers.
            has_begun: open.how == How::Pushpin,
            meter,
            frames: Frames::default(),
            scanner: Scanner::default(),
            answers: Vec::new(),
            ended: None,
        }
    }

    fn first_message(&self, open: &Open, stream: usize) -> Outcome<Vec<u8>> {
        match self.how {
            How::Centrifugo => {
                let subscribe = (2..).zip(&open.channels).map(|(id, channel)| {
                    let channel = match channel {
                        Channel::All => "all".to_owned(),
                        Channel::User => open.user(stream),
                    };
                    json!({ "id": id, "subscribe": { "channel": channel } }).to_string()
                });
                let connect = json!({ "id": 1, "connect": {} }).to_string();
                let commands: Vec<String> = std::iter::once(connect).chain(subscribe).collect();
                Ok(masked(TEXT, commands.join("\n").as_bytes()))
            }
            How::Pushpin => Ok(Vec::new()),
            How::Websocket | How::Sse | How::Grpc => Ok(masked(BINARY, &open.subscription(stream)?)),
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        let Self { how, begun, has_begun, meter, frames, scanner, answers, ended } = self;
        let mut look = |bytes: &[u8]| {
            *has_begun = *has_begun || bytes.windows(begun.len()).any(|window| window == begun);
        };
        if *how == How::Sse {
            look(bytes);
            return scanner.feed(bytes, |number| meter.arrived(number));
        }
        frames.feed(bytes, |opcode, payload| match opcode {
            CLOSE => {
                answers.extend(masked(CLOSE, payload));
                let why = payload.get(2..).unwrap_or_default();
                *ended = Some(format!("closed: {}", String::from_utf8_lossy(why)));
            }
            PING => answers.extend(masked(PONG, payload)),
            // Centrifugo asks in its own protocol whether the client lives.
            TEXT if *how == How::Centrifugo && payload == b"{}" => answers.extend(masked(TEXT, b"{}")),
            _ => {
                look(payload);
                numbers(payload).for_each(|number| meter.arrived(number));
            }
        });
    }
}
