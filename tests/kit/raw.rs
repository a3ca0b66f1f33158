//! Bytes on a socket, for what no HTTP library would send or show.

use super::PATIENCE;
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// A connection.
pub struct Raw(TcpStream);

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream.set_nodelay(true).expect("nodelay can be set");
        Self(stream)
    }

    /// Sends bytes. A peer that has closed is no failure: what it said is read after.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        drop(self.0.write_all(bytes.as_ref()));
        self
    }

    /// Sends bytes that the peer must take.
    pub fn send_whole(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).expect("the peer takes what is sent");
        self
    }

    /// Reads one answer, by its Content-Length or chunks.
    pub fn answer(&mut self) -> RawAnswer {
        self.try_answer().expect("an answer comes")
    }

    /// Reads one answer, where one comes.
    pub fn try_answer(&mut self) -> Option<RawAnswer> {
        let head = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8(head).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let body = match header(&head, "content-length") {
            Some(length) => self.exactly(length.parse().expect("a length")),
            None if header(&head, "transfer-encoding").as_deref() == Some("chunked") => self.chunks(),
            None => Vec::new(),
        };
        Some(RawAnswer { status, head, body })
    }

    /// Ends what is sent; what comes can still be read.
    pub fn close_write(&mut self) -> &mut Self {
        drop(self.0.shutdown(Shutdown::Write));
        self
    }

    /// What comes within a time, for tests that nothing does.
    pub fn silent_for(&mut self, time: Duration) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        self.0.set_read_timeout(Some(time)).expect("a time-out can be set");
        let read = self.0.read(&mut bytes).unwrap_or(0);
        self.0.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        bytes.truncate(read);
        bytes
    }

    /// Everything until the peer closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        drop(self.0.read_to_end(&mut rest));
        rest
    }

    /// Reads up to and with `mark`; nothing where the peer closes first.
    pub fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(mark) {
            match self.0.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                _ => return None,
            }
        }
        Some(bytes)
    }

    /// Reads so many bytes.
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the whole body comes");
        bytes
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").expect("a chunk size");
            let length = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).expect("a chunk size");
            body.extend(self.exactly(length));
            self.until(b"\r\n").expect("a chunk's end");
            if length == 0 {
                return body;
            }
        }
    }
}

impl RawAnswer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}
