//! Pingora's trait for sessions of others.

use super::Session;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use pingora_core::{
    Error, ErrorType, Result,
    protocols::{
        Digest,
        http::{
            HttpTask,
            custom::{CustomMessageWrite, server::Session as CustomSession},
        },
        l4::socket::SocketAddr,
    },
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;
use std::time::Duration;

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

#[async_trait]
impl CustomSession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.body.read().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        let read = async {
            while self.body.read().await?.is_some() {}
            Ok(())
        };
        match self.drain {
            None => read.await,
            Some(drain) => match timeout(drain, read).await {
                Ok(read) => read,
                Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the rest of a body"),
            },
        }
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.write_head(*head, end)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_head(head.clone(), end)
    }

    async fn write_body(&mut self, piece: Bytes, end: bool) -> Result<()> {
        self.write(piece, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.end_with(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_last = false;
        for task in tasks {
            is_last |= match task {
                HttpTask::Header(head, end) => {
                    self.write_head(*head, end).map_err(Error::into_down)?;
                    end
                }
                HttpTask::Body(piece, end) => {
                    if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                        self.write(piece, end).await?;
                    }
                    end
                }
                HttpTask::Trailer(trailers) => {
                    if let Some(trailers) = trailers {
                        self.end_with(*trailers).map_err(Error::into_down)?;
                    }
                    true
                }
                HttpTask::Done => true,
                HttpTask::Failed(error) => return Err(error),
                HttpTask::UpgradedBody(..) => {
                    return Error::e_explain(ErrorType::InternalError, "another protocol on a stream of HTTP/2");
                }
            };
        }
        if is_last {
            self.end().map_err(Error::into_down)?;
        }
        Ok(is_last)
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write = timeout;
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.write
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_ref()
    }

    /// An answer that is not finished is broken off when the session is dropped.
    async fn shutdown(&mut self, _: u32, _: &str) {}

    fn is_body_done(&mut self) -> bool {
        self.body.is_empty() || self.body.is_over()
    }

    async fn finish(&mut self) -> Result<()> {
        self.end()
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.is_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() { self.idle().await } else { self.body.read().await }
    }

    fn body_bytes_sent(&self) -> usize {
        self.sent
    }

    fn body_bytes_read(&self) -> usize {
        self.body.read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        std::sync::Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    /// Asked for by requests that a request makes, of which there are none.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        self.body.kept.get_or_insert(Some(BytesMut::new()));
    }

    fn retry_buffer_truncated(&self) -> bool {
        matches!(self.body.kept, Some(None))
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        let kept = self.body.kept.as_ref()?.as_ref()?;
        (!kept.is_empty()).then(|| kept.clone().freeze())
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    /// Stands for the way out of the stream, see `take_exit`.
    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        self.leave();
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
