//! The head of a request, checked strictly: what is accepted here has one meaning to every reader behind.
//!
//! A gateway and a backend that disagree about where a request ends can be made to see different requests
//! (request smuggling). RFC 9112 lets a recipient repair much; nothing is repaired here.

mod facts;
mod h2;
mod host;
mod line;
mod refusal;

pub use facts::Body;
pub use h2::{check_h2, list_size};
pub use refusal::HeadRefusal;

use facts::Facts;
use line::RequestLine;
use memchr::memchr;
use std::ops::Range;

/// The most that a request head may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Request line and headers together, in bytes.
    pub bytes_max: usize,
    /// Number of headers. Pingora takes 256 at the most.
    pub headers_max: usize,
}

/// A whole HTTP/1 head that passed every check. Positions are in the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The head itself: from the request line to the empty line, both included.
    pub bytes: Range<usize>,
    /// The method.
    pub method: Range<usize>,
    /// The request target as it was sent.
    pub target: Range<usize>,
    /// Where the last digit of the version stands, where that is a later one than HTTP/1.1.
    later: Option<usize>,
    /// Where the path begins of an absolute target beside a Host.
    path: Option<usize>,
    /// How the body is framed.
    pub body: Body,
    /// Whether the client asks to speak another protocol after this request.
    pub upgrade: bool,
}

impl Head {
    /// Makes of the bytes that this was read from what Pingora 0.9.1 reads: it knows no later version than 1.1, and holds
    /// the host of an absolute target against Host byte by byte. Says where the head begins in them then.
    pub fn settle(&self, bytes: &mut [u8]) -> usize {
        if let Some(minor) = self.later.and_then(|at| bytes.get_mut(at)) {
            *minor = b'1';
        }
        let Range { start, .. } = self.bytes;
        let Some(mut path) = self.path.filter(|path| *path < bytes.len()) else { return start };
        // Where there is no path the target's query or end follows; the slash takes the last byte of the authority.
        if bytes.get(path) != Some(&b'/') {
            path -= 1;
            if let Some(byte) = bytes.get_mut(path) {
                *byte = b'/';
            }
        }
        // The method moves up to the path, over scheme and authority.
        let cut = path - self.target.start;
        bytes.copy_within(start..self.target.start, start + cut);
        start + cut
    }
}

/// Reads one head as its bytes arrive, looking at every byte once.
#[derive(Debug)]
pub struct HeadReader {
    limits: HeadLimits,
    /// Where the next line begins.
    line: usize,
    /// Up to here no LF was found.
    seen: usize,
    request: Option<RequestLine>,
    begin: usize,
    headers: usize,
    facts: Facts,
}

impl HeadReader {
    /// A reader of a head that may bring as much as `limits` says.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, line: 0, seen: 0, request: None, begin: 0, headers: 0, facts: Facts::default() }
    }

    /// Reads on in `bytes`, which begins with what was given before. `None` where the head is not yet whole.
    ///
    /// # Errors
    /// What is wrong with the head. A wrong line is refused as soon as it is whole, however many are to come.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Head>, HeadRefusal> {
        // A TLS ClientHello or other bytes that begin no request may never bring a line end.
        if bytes.first().is_some_and(|first| *first != b'\r' && !line::is_token(&[*first])) {
            return Err(HeadRefusal::malformed("the request line is malformed"));
        }
        while let Some(found) = bytes.get(self.seen..).and_then(|rest| memchr(b'\n', rest)) {
            let end = self.seen + found + 1;
            if end > self.limits.bytes_max {
                return Err(self.too_large(bytes));
            }
            let line = self.line..end;
            (self.line, self.seen) = (end, end);
            if self.take(bytes, line)? {
                return self.finish(bytes, end).map(Some);
            }
        }
        self.seen = bytes.len();
        if bytes.len() > self.limits.bytes_max {
            return Err(self.too_large(bytes));
        }
        Ok(None)
    }

    /// What of the head is over the limit: the target, where its line alone is.
    fn too_large(&self, bytes: &[u8]) -> HeadRefusal {
        if self.request.is_some() {
            return HeadRefusal::too_large("the request head is too large");
        }
        let line = bytes.get(self.line..).unwrap_or_default();
        let method = line.split(|byte| matches!(byte, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
        match line::check_method(method) {
            Ok(()) => HeadRefusal::target_too_long(),
            Err(refusal) => refusal,
        }
    }

    /// Checks one line; whether it was the empty line that ends the head.
    fn take(&mut self, bytes: &[u8], line: Range<usize>) -> Result<bool, HeadRefusal> {
        // RFC 9112 section 2.2 lets a recipient end a line at a bare LF. A proxy in front of us that does not
        // would take what follows for part of the line.
        let Some(content) = bytes.get(line.clone()).and_then(|line| line.strip_suffix(b"\r\n")) else {
            return Err(HeadRefusal::malformed("a line of the head ends without CR LF"));
        };
        match (&self.request, content.is_empty()) {
            (Some(_), true) => return Ok(true),
            // One empty line before the request line is allowed for: old clients send one after a body.
            (None, true) if self.begin == 0 => self.begin = line.end,
            (None, true) => return Err(HeadRefusal::malformed("empty lines precede the request line")),
            (None, false) => self.request = Some(line::request_line(content, line.start)?),
            (Some(_), false) => {
                self.headers += 1;
                if self.headers > self.limits.headers_max {
                    return Err(HeadRefusal::too_large("the request has too many headers"));
                }
                let (name, value) = line::header(content)?;
                self.facts.note(name, value)?;
            }
        }
        Ok(false)
    }

    fn finish(&mut self, bytes: &[u8], end: usize) -> Result<Head, HeadRefusal> {
        let request = self.request.take().ok_or_else(|| HeadRefusal::malformed("the request line is missing"))?;
        let method = bytes.get(request.method.clone()).unwrap_or_default();
        let target = bytes.get(request.target.clone()).unwrap_or_default();
        let host = self.facts.host(request.minor)?;
        let path = host::check_target(method, target, host)?.filter(|_| host.is_some());
        let path = path.map(|path| request.target.start + path);
        let (body, upgrade) = self.facts.framing(request.minor)?;
        let minor_at = request.target.end + " HTTP/1.".len();
        let later = bytes.get(minor_at).filter(|minor| **minor > b'1').map(|_| minor_at);
        Ok(Head { bytes: self.begin..end, method: request.method, target: request.target, later, path, body, upgrade })
    }
}

#[cfg(test)]
mod tests;
