//! Frames in and out of memory: what a client's bytes say, and what is to be written to it. No socket is touched here.

use super::close::Close;
use crate::rpc::Codec;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    },
};

/// Allocated for as long as a client is connected; tungstenite's own default is 128 KiB.
const READ_BYTES: usize = 512;
/// The largest frame that is looked into once no message is taken any more. Control frames have 125 bytes, and one that
/// claims more is told so.
const LATER_FRAME_BYTES_MAX: usize = 4 << 10;

/// What a client has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A message: text is JSON, binary protobuf.
    Message(Bytes, Codec),
    /// A ping or a pong of so many bytes. What answers it is among the answers.
    Control(usize),
    /// It closes. The answer is among the answers.
    Close,
}

/// A server's side of a WebSocket.
pub struct Socket {
    context: WebSocketContext,
    pipe: Pipe,
}

/// What tungstenite takes for the connection.
#[derive(Default)]
struct Pipe {
    inbound: Bytes,
    outbound: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let bytes = buf.len().min(self.inbound.len());
        if let Some(buf) = buf.get_mut(..bytes) {
            self.inbound.copy_to_slice(buf);
        }
        Ok(bytes)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outbound.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Takes messages of this size at most.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max.max(LATER_FRAME_BYTES_MAX)));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), pipe: Pipe::default() }
    }

    /// Takes no further message.
    pub fn take_no_more(&mut self) {
        self.context.set_config(|config| {
            config.max_message_size = Some(0);
            config.max_frame_size = Some(LATER_FRAME_BYTES_MAX);
        });
    }

    /// Adds what has come, once [`Self::next`] has nothing more to say of what came before.
    pub fn feed(&mut self, bytes: Bytes) {
        self.pipe.inbound = bytes;
    }

    /// What the client has said, where it is whole.
    ///
    /// # Errors
    /// With what the connection is to be closed, where it breaks the protocol or sends what is not taken.
    pub fn next(&mut self) -> Result<Option<Said>, Close> {
        let message = match self.context.read(&mut self.pipe) {
            Ok(message) => message,
            Err(Error::Io(fault)) if fault.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(Some(Said::Close)),
            Err(Error::Capacity(CapacityError::MessageTooLong { max_size: 0, .. })) => return Ok(Some(second())),
            Err(error) => return Err(Close::violation(&error)),
        };
        // What answers it is written on the next call only, for which there may be no reason. Into memory it does not
        // fail; that the connection is closed behind the answer to a close is known.
        drop(self.context.flush(&mut self.pipe));
        Ok(Some(match message {
            Message::Text(text) => Said::Message(text.into(), Codec::Json),
            Message::Binary(bytes) => Said::Message(bytes, Codec::Proto),
            Message::Ping(bytes) | Message::Pong(bytes) => Said::Control(bytes.len()),
            Message::Close(_) | Message::Frame(_) => Said::Close,
        }))
    }

    /// What is to be written.
    pub fn take_answers(&mut self) -> Bytes {
        std::mem::take(&mut self.pipe.outbound).into()
    }

    /// Adds a ping to the answers.
    pub fn ping(&mut self) {
        // Into memory it does not fail.
        drop(self.context.write(&mut self.pipe, Message::Ping(Bytes::new())));
    }

    /// Adds a close to the answers.
    pub fn close(&mut self, close: Close) {
        // The same.
        drop(self.context.close(&mut self.pipe, Some(close.frame())));
    }
}

/// That there is a message is all that is known of one that is not taken.
fn second() -> Said {
    Said::Message(Bytes::new(), Codec::Proto)
}

/// A message in its frame, which no server masks: the bytes are the same for every client.
pub fn message(message: &[u8], codec: Codec) -> Bytes {
    let data = match codec {
        Codec::Json => Data::Text,
        Codec::Proto => Data::Binary,
    };
    let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
    let length = message.len() as u64;
    let mut frame = BytesMut::with_capacity(header.len(length) + message.len());
    // Memory takes whatever is written to it.
    drop(header.format(length, &mut (&mut frame).writer()));
    frame.put_slice(message);
    frame.freeze()
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
