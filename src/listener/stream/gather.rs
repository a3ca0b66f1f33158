//! Small writes of HTTP/1 go out together: a head and a short body in one segment. Pingora 0.9.1 has a buffer for that in
//! every connection for as long as it is open; here there is one while something is in it.

use super::{GuardedStream, Window};
use bytes::{Buf as _, BytesMut};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::AsyncWrite as _, time::sleep};

/// About one segment.
const GATHERED_BYTES: usize = 1460;
/// How long what is small waits for what may follow it: an answer that comes in small pieces is passed on as it comes.
const GATHERED_FOR: Duration = Duration::from_millis(5);

impl GuardedStream {
    /// What is written from now on goes out as it is: whoever writes has put it together already.
    pub fn write_through(&mut self) {
        self.is_gathering = false;
    }

    fn is_gathering(&self) -> bool {
        self.is_gathering && !matches!(self.body, Window::Open)
    }

    /// Gathers what is small; says how much was taken, or that it is to be written as it is.
    pub(super) fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let is_small = self.is_gathering() && bytes <= GATHERED_BYTES;
        if !is_small || self.gathered.len() + bytes > GATHERED_BYTES {
            ready!(self.poll_gathered(cx))?;
        }
        if !is_small {
            return Poll::Ready(Ok(None));
        }
        self.gathered.reserve(GATHERED_BYTES - self.gathered.len());
        bufs.iter().for_each(|buf| self.gathered.extend_from_slice(buf));
        Poll::Ready(Ok(Some(bytes)))
    }

    /// Sends what was gathered once it has waited long enough. To be called while nothing is written; what fails here
    /// fails the next write as well.
    pub(super) fn poll_waited(&mut self, cx: &mut Context<'_>) {
        if self.gathered.is_empty() {
            return;
        }
        let waited = self.waited.get_or_insert_with(|| Box::pin(sleep(GATHERED_FOR)));
        if waited.is_elapsed() || waited.as_mut().poll(cx).is_ready() {
            let _ = self.poll_gathered(cx).map_ok(|()| Pin::new(&mut self.inner).poll_flush(cx));
        }
    }

    /// Writes what was gathered.
    pub(super) fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = Pin::new(&mut self.inner).poll_write(cx, &self.gathered);
            let written = ready!(self.stall.judge(cx, written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(written);
        }
        self.gathered = BytesMut::new();
        self.waited = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Bindings, Endpoint, tests::listener_rules};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    fn pair() -> (GuardedStream, DuplexStream) {
        let address = "127.0.0.1:1".parse().unwrap();
        let bindings = Bindings::new(vec![Endpoint { address, rules: listener_rules() }]);
        let (ours, theirs) = duplex(1 << 16);
        (GuardedStream::new(Box::new(ours), bindings.by_local_addr(&address).unwrap(), None), theirs)
    }

    async fn come(theirs: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let read = theirs.read(&mut bytes).await.unwrap();
        bytes.truncate(read);
        bytes
    }

    #[tokio::test]
    async fn small_writes_go_out_together() {
        let (mut ours, mut theirs) = pair();
        for piece in ["a head", ", ", "a body"] {
            ours.write_all(piece.as_bytes()).await.unwrap();
        }
        ours.flush().await.unwrap();
        assert_eq!(come(&mut theirs).await, b"a head, a body");
        assert_eq!(ours.gathered.capacity(), 0, "an idle connection holds no buffer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_follows_does_not_wait() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"a head").await.unwrap();
        tokio::select! {
            _ = ours.read_u8() => unreachable!("nothing was sent"),
            came = come(&mut theirs) => assert_eq!(came, b"a head"),
        }
    }

    #[tokio::test]
    async fn a_large_one_follows_what_was_gathered() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"head").await.unwrap();
        ours.write_all(&[b'x'; GATHERED_BYTES + 1]).await.unwrap();
        assert_eq!(come(&mut theirs).await, [&b"head"[..], &[b'x'; GATHERED_BYTES + 1]].concat());
    }

    #[tokio::test]
    async fn what_was_gathered_is_sent_when_an_answer_breaks_off() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"head").await.unwrap();
        drop(ours);
        assert_eq!(come(&mut theirs).await, b"head");
        assert_eq!(come(&mut theirs).await, b"");
    }

    #[tokio::test]
    async fn whoever_puts_it_together_writes_through() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"head").await.unwrap();
        ours.write_through();
        ours.write_all(b"event").await.unwrap();
        assert_eq!(come(&mut theirs).await, b"headevent");
    }
}
