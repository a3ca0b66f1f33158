//! Answering a head that is not taken, before there is a session that could.

use super::{head::HeadRefusal, problem, stream::GuardedStream};
use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{io::AsyncWriteExt as _, time::timeout};

/// What the guard asks of, and tells to, the rest of the gateway.
pub trait Hooks: Send + Sync + 'static {
    /// A new request id, for the answer to a request that has none that can be read.
    fn request_id(&self) -> String;

    /// Whether a peer of this listener is a proxy that speaks for others.
    fn is_trusted(&self, listener: &str, peer: IpAddr) -> bool;

    /// A request was refused before it reached a session: for access log and metrics.
    fn refused(&self, refused: &Refused<'_>);
}

/// A request that was refused at the door.
#[derive(Debug)]
pub struct Refused<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The id given to it.
    pub request_id: &'a str,
    /// Status, reason and what was wrong.
    pub refusal: &'a HeadRefusal,
}

/// Writes the answer, and ends the connection.
pub(super) async fn last_words(stream: &mut GuardedStream, answer: &[u8], write: Duration) {
    let written = timeout(write, async {
        stream.write_all(answer).await?;
        stream.flush().await
    });
    if matches!(written.await, Ok(Ok(()))) {
        Box::pin(stream.close()).await;
    }
}

/// The answer as HTTP/1.1 has it, a problem document.
pub(super) fn render(HeadRefusal { status, refusal }: &HeadRefusal, request_id: &str) -> Vec<u8> {
    let body = problem::render_as(*status, refusal, request_id);
    let phrase =
        http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let mut head = format!("HTTP/1.1 {status} {phrase}\r\nContent-Type: {}\r\n", problem::MEDIA_TYPE);
    // Nothing is written to a string that could fail.
    let _ = write!(head, "Content-Length: {}\r\nX-Request-Id: {request_id}\r\n", body.len());
    if let Some(allow) = &refusal.allow {
        let _ = write!(head, "Allow: {allow}\r\n");
    }
    head.push_str("Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.extend_from_slice(&body);
    answer
}
