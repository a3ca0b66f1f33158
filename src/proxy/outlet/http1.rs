//! A connection of HTTP/1 that carries one stream to its end, or speaks another protocol from here on.

use super::Gone;
use crate::listener::GuardedStream;
use bytes::{Buf, Bytes, buf::Chain};
use std::{
    io::{Cursor, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite as _;

/// So much may come that nobody asked for: a client which goes on sending would be read for ever.
const UNASKED_BYTES_MAX: usize = 64 << 10;
/// A length in hexadecimal digits, and the end of its line.
const SIZE_BYTES: usize = 18;
/// A size, a piece of the body, and what stands behind it.
type Staged = Chain<Chain<Cursor<[u8; SIZE_BYTES]>, Bytes>, &'static [u8]>;

/// What the bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Framing {
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
    /// A body that ends with the connection: HTTP/1.0 knows no chunks.
    UntilClosed,
    /// Another protocol's, both ways.
    Switched,
}

pub(in crate::proxy) struct Http1 {
    stream: Box<GuardedStream>,
    framing: Framing,
    staged: Staged,
    unasked: usize,
}

impl Http1 {
    pub(super) fn new(mut stream: Box<GuardedStream>, framing: Framing) -> Self {
        stream.write_through();
        Self { stream, framing, staged: staged(None, Bytes::new(), b""), unasked: 0 }
    }

    /// What the client says, where it has a say.
    pub(super) fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        loop {
            match ready!(self.stream.poll_receive(cx)) {
                Ok(heard) if heard.is_empty() => return Poll::Ready(Err(Gone)),
                Ok(heard) if self.framing == Framing::Switched => return Poll::Ready(Ok(heard)),
                // Perhaps its next request, which it will have to send elsewhere. It is read so that the end is seen.
                Ok(unasked) => self.unasked += unasked.len(),
                Err(_) => return Poll::Ready(Err(Gone)),
            }
            if self.unasked > UNASKED_BYTES_MAX {
                return Poll::Ready(Err(Gone));
            }
        }
    }

    pub(super) fn put(&mut self, piece: Bytes, is_last: bool) {
        self.staged = match (self.framing, is_last) {
            (Framing::UntilClosed | Framing::Switched, _) => staged(None, piece, b""),
            // A chunk of nothing is the last one.
            (Framing::Chunked, false) if piece.is_empty() => staged(None, piece, b""),
            (Framing::Chunked, true) if piece.is_empty() => staged(None, piece, b"0\r\n\r\n"),
            (Framing::Chunked, false) => staged(Some(piece.len()), piece, b"\r\n"),
            (Framing::Chunked, true) => staged(Some(piece.len()), piece, b"\r\n0\r\n\r\n"),
        };
    }

    pub(super) fn unsent(&self) -> usize {
        self.staged.remaining()
    }

    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, left: usize) -> Poll<Result<(), Gone>> {
        while self.staged.remaining() > left {
            let stream = Pin::new(&mut *self.stream);
            let written = if self.staged.chunk().len() == self.staged.remaining() {
                stream.poll_write(cx, self.staged.chunk())
            } else {
                let mut parts = [IoSlice::new(&[]); 3];
                let count = self.staged.chunks_vectored(&mut parts);
                stream.poll_write_vectored(cx, parts.get(..count).unwrap_or_default())
            };
            match ready!(written) {
                Ok(written @ 1..) => self.staged.advance(written),
                Ok(0) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        if left > 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut *self.stream).poll_flush(cx)).map_err(|_| Gone)?;
        // What was sent would otherwise be held until the next piece.
        self.staged = staged(None, Bytes::new(), b"");
        Poll::Ready(Ok(()))
    }

    pub(super) async fn close(mut self) {
        self.stream.close().await;
    }
}

fn staged(size: Option<usize>, piece: Bytes, behind: &'static [u8]) -> Staged {
    let mut line = [0; SIZE_BYTES];
    let mut at = SIZE_BYTES;
    if let Some(mut size) = size {
        let digits = std::iter::from_fn(|| {
            let digit = char::from_digit((size & 0xf) as u32, 16).filter(|_| size > 0)?;
            size >>= 4;
            Some(digit as u8)
        });
        for (place, byte) in line.iter_mut().rev().zip([b'\n', b'\r'].into_iter().chain(digits)) {
            *place = byte;
            at -= 1;
        }
    }
    let mut line = Cursor::new(line);
    line.set_position(at as u64);
    line.chain(piece).chain(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_chunk_of_its_size() {
        for (length, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0xabcde, "abcde\r\n")] {
            let mut staged = staged(Some(length), vec![b'x'; length].into(), b"\r\n");
            let whole = staged.copy_to_bytes(staged.remaining());
            assert_eq!(whole, [line.as_bytes(), &vec![b'x'; length], b"\r\n"].concat(), "{length}");
        }
        let longest = staged(Some(usize::MAX), Bytes::new(), b"");
        assert_eq!(longest.remaining(), SIZE_BYTES);
    }
}
