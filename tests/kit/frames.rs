//! HTTP/2 frame by frame, for what its libraries answer by themselves and do not show.

use super::PATIENCE;
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection, as the frames that come on it until it ends. Settings, pings and data are
/// answered.
pub struct Frames(TcpStream);

impl Frames {
    /// Connects, with the widest windows that there are.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let mut frames = Self(stream);
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the preface is taken");
        // SETTINGS_INITIAL_WINDOW_SIZE, and the same for the connection.
        frames.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        frames.send(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
        frames
    }

    /// Sends a whole GET.
    pub fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head(0x82, path));
    }

    /// Sends a whole GET whose Host is not its authority.
    pub fn get_of_two_hosts(&mut self, stream: u32, path: &str) {
        // The field without indexing, whose name has place 38 in the static table.
        let host = [0x0f, 38 - 15, 1, b'b'];
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &[head(0x82, path), host.to_vec()].concat());
    }

    /// Sends a POST whose body is an end and nothing else, in a frame of its own that comes along with the head.
    pub fn post_nothing(&mut self, stream: u32, path: &str) {
        let frames = [frame(HEADERS, END_HEADERS, stream, &head(0x83, path)), frame(DATA, END_STREAM, stream, &[])];
        drop(self.0.write_all(&frames.concat()));
    }

    /// Sends a POST of JSON that goes on after `body`.
    pub fn post(&mut self, stream: u32, path: &str, body: &[u8]) {
        let content_type = [&[0x5f, 16][..], b"application/json"].concat();
        self.send(HEADERS, END_HEADERS, stream, &[head(0x83, path), content_type].concat());
        self.send(DATA, 0, stream, body);
    }

    /// Ends the body of a request.
    pub fn end(&mut self, stream: u32) {
        self.send(DATA, END_STREAM, stream, &[]);
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        // A peer that has closed is no failure: what it said is read after.
        drop(self.0.write_all(&frame(kind, flags, stream, payload)));
    }
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            self.send(kind, ACK, 0, if kind == PING { &payload } else { &[] });
        }
        if kind == DATA && !payload.is_empty() {
            let length = u32::try_from(payload.len()).expect("a frame's length").to_be_bytes();
            self.send(WINDOW_UPDATE, 0, 0, &length);
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's head in HPACK (RFC 7541): the method by its place in the static table, `http`, the authority `a`, and
/// the path without Huffman coding.
fn head(method: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    [&[method, 0x86, 0x41, 1, b'a', 0x44, length], path.as_bytes()].concat()
}
