//! The few headers that decide where a request ends and whom it is for.

use super::{HeadRefusal, line::trim};

/// How a request's body is framed, RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    host: Option<Vec<u8>>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

impl Facts {
    /// Takes a header line's name and value.
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadRefusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => self.note_host(value),
            6 if is("expect") => expect(value),
            7 if is("upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if is("connection") => self.note_connection(value),
            14 if is("content-length") => self.note_length(value),
            17 if is("transfer-encoding") => self.note_transfer_encoding(value),
            _ => check_spelling(name),
        }
    }

    fn note_host(&mut self, value: &[u8]) -> Result<(), HeadRefusal> {
        // RFC 9112 section 3.2: a cache takes the first and a backend the last, or the other way round.
        if self.host.is_some() {
            return Err(HeadRefusal::malformed("Host is repeated"));
        }
        self.host = Some(value.to_vec());
        Ok(())
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), HeadRefusal> {
        // RFC 9112 section 6.3 allows for repeated equal values, as in `5, 5`. No client sends them.
        if self.length.is_some() {
            return Err(HeadRefusal::malformed("Content-Length is repeated"));
        }
        self.length = Some(length(value)?);
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadRefusal> {
        // RFC 9112 section 6.1. Two spellings of one coding are what TE.TE smuggling is made of.
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadRefusal::malformed("the only Transfer-Encoding that is taken is one `chunked`"));
        }
        self.chunked = true;
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadRefusal> {
        for option in value.split(|byte| *byte == b',').map(trim) {
            let is = |known: &str| option.eq_ignore_ascii_case(known.as_bytes());
            // RFC 9110 section 7.6.1: a proxy removes what is named here, and so would lose its own framing.
            if is("host") || is("content-length") || is("transfer-encoding") {
                return Err(HeadRefusal::malformed("Connection names a header that the request cannot be without"));
            }
            self.connection_upgrade |= is("upgrade");
        }
        Ok(())
    }

    /// The Host of a request of version 1.`minor`.
    pub(super) fn host(&self, minor: u8) -> Result<Option<&[u8]>, HeadRefusal> {
        match &self.host {
            Some(host) => Ok(Some(host)),
            None if minor == 0 => Ok(None),
            None => Err(HeadRefusal::malformed("Host is missing")),
        }
    }

    /// The body's framing, and whether the connection may change its protocol afterwards.
    pub(super) fn framing(&self, minor: u8) -> Result<(Body, bool), HeadRefusal> {
        let body = match (self.chunked, self.length) {
            // RFC 9112 section 6.1: an attempt at request smuggling (CL.TE, TE.CL), or broken.
            (true, Some(_)) => return Err(HeadRefusal::malformed("Content-Length comes with Transfer-Encoding")),
            (true, None) if minor == 0 => {
                return Err(HeadRefusal::malformed("Transfer-Encoding comes with HTTP/1.0"));
            }
            (true, None) => Body::Chunked,
            (false, None | Some(0)) => Body::None,
            (false, Some(length)) => Body::Length(length),
        };
        Ok((body, minor == 1 && self.upgrade && self.connection_upgrade))
    }
}

/// Refuses a framing header that is spelled with an underscore. A CGI-like backend makes `CONTENT_LENGTH` of both
/// spellings, so one of them would hide the other.
pub(super) fn check_spelling(name: &[u8]) -> Result<(), HeadRefusal> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        14 | 17 if is("content_length") || is("transfer_encoding") => {
            Err(HeadRefusal::malformed("a framing header is spelled with an underscore"))
        }
        _ => Ok(()),
    }
}

/// A Content-Length, RFC 9110 section 8.6: digits and nothing else. `+5`, `0x5`, `5,` and `5 5` have all been
/// numbers to some parser.
pub(super) fn length(value: &[u8]) -> Result<u64, HeadRefusal> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|length| i64::try_from(*length).is_ok())
        .ok_or_else(|| HeadRefusal::malformed("Content-Length is malformed"))
}

/// RFC 9110 section 10.1.1. A header without a value expects nothing; a list is not taken, which no client sends and not
/// every backend reads.
pub(super) fn expect(value: &[u8]) -> Result<(), HeadRefusal> {
    match value.is_empty() || value.eq_ignore_ascii_case(b"100-continue") {
        true => Ok(()),
        false => Err(HeadRefusal::expectation()),
    }
}
