//! Bytes that are only tried: what the guard would take for a request in them, without a connection.

use super::{
    chunked::Chunked,
    head::{Body, Head, HeadLimits, HeadReader, HeadRefusal},
    http2,
};

/// A request whose head passes the guard.
#[derive(Debug)]
pub struct Framed {
    /// Its head.
    pub head: Head,
    /// What is there of its body, in the same bytes: from the end of the head up to here.
    pub end: usize,
    /// Whether that is all of it.
    pub body: BodyEnd,
}

/// How a body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// With its last byte: what stands behind is another request.
    Whole,
    /// Not in what is there. So many bytes are awaited, where its head says how many.
    Awaited(Option<u64>),
    /// Nowhere: its chunks are none.
    Broken(String),
}

/// Whether a connection's first bytes are taken for HTTP/2, where that is spoken.
#[must_use]
pub fn begins_http2(bytes: &[u8]) -> bool {
    http2::is_preface(bytes) == Some(true)
}

/// What a client of HTTP/2 comes to where only HTTP/1.1 is spoken, or the other way round.
#[must_use]
pub fn other_protocol(limits: HeadLimits, is_http2: bool) -> HeadRefusal {
    let as_head = || HeadReader::new(limits).read(http2::PREFACE).err();
    is_http2.then(as_head).flatten().unwrap_or_else(|| HeadRefusal::version(http2::ONLY))
}

/// The request at the front of `bytes`, as the guard would hand it out. `None` where its head is not yet whole.
///
/// # Errors
/// What is wrong with its head.
pub fn frame(bytes: &[u8], limits: HeadLimits) -> Result<Option<Framed>, HeadRefusal> {
    let Some(head) = HeadReader::new(limits).read(bytes)? else { return Ok(None) };
    let there = bytes.get(head.bytes.end..).unwrap_or_default();
    let (taken, body) = match head.body {
        Body::None => (0, BodyEnd::Whole),
        Body::Length(length) => match length.checked_sub(there.len() as u64) {
            Some(missing @ 1..) => (there.len(), BodyEnd::Awaited(Some(missing))),
            Some(0) | None => (usize::try_from(length).unwrap_or(usize::MAX), BodyEnd::Whole),
        },
        Body::Chunked => {
            let mut chunked = Chunked::default();
            match chunked.follow(there) {
                Ok(taken) if chunked.is_done() => (taken, BodyEnd::Whole),
                Ok(taken) => (taken, BodyEnd::Awaited(None)),
                // Of a piece that is not wholly in order nothing is handed out.
                Err(fault) => (0, BodyEnd::Broken(fault.to_string())),
            }
        }
    };
    let end = head.bytes.end + taken;
    Ok(Some(Framed { head, end, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_the_guard_lets_it_end() {
        const LIMITS: HeadLimits = HeadLimits { bytes_max: 100, headers_max: 3 };
        let broken = |what: &str| BodyEnd::Broken(format!("the chunked body is malformed: {what}"));
        for (headers, body, taken, end) in [
            ("", "", 0, BodyEnd::Whole),
            ("", "next", 0, BodyEnd::Whole),
            ("Content-Length: 4\r\n", "body", 4, BodyEnd::Whole),
            ("Content-Length: 4\r\n", "bodynext", 4, BodyEnd::Whole),
            ("Content-Length: 0\r\n", "next", 0, BodyEnd::Whole),
            ("Content-Length: 9\r\n", "body", 4, BodyEnd::Awaited(Some(5))),
            ("Content-Length: 9223372036854775807\r\n", "", 0, BodyEnd::Awaited(Some(i64::MAX as u64))),
            ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\nnext", 14, BodyEnd::Whole),
            ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n", 12, BodyEnd::Awaited(None)),
            ("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\nx", 0, broken("a chunk has no size")),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            let framed = frame(format!("{head}{body}").as_bytes(), LIMITS).unwrap().unwrap();
            assert_eq!((framed.end - head.len(), framed.body), (taken, end), "{headers:?} {body:?}");
        }
        assert!(frame(b"GET / HTTP/1.1\r\nHost: a\r\n", LIMITS).unwrap().is_none());
        assert_eq!(frame(b"GET / HTTP/1.1\nHost: a\n\n", LIMITS).unwrap_err().status, 400);
        assert_eq!((other_protocol(LIMITS, true).status, other_protocol(LIMITS, false).status), (505, 505));
    }
}
