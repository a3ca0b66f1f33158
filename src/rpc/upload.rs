//! A caller's messages on a stream, read one by one while the answer is awaited.

use super::{asked::Asked, message::MessageFault, text::Decoder, transcode};
use crate::{
    plan::services::Method,
    proxy::is_malformed,
    upstream::grpc::messages::{Messages, Sender, channel},
    wire::{
        Failure,
        frames::{FrameFault, FrameReader},
    },
};
use bytes::Bytes;
use filters::api::Reason;
use pingora_core::{Error, Result, protocols::http::ServerSession};

/// Why there is nothing more to wait for.
pub enum Stop {
    /// The client has gone.
    Gone(Box<Error>),
    /// What it sends cannot be read.
    Failed(Failure),
}

/// What a client sends while it is answered.
pub struct Upload<'a> {
    asked: &'a Asked,
    method: &'a Method,
    text: Option<Decoder>,
    frames: FrameReader,
    /// None once all has been passed on, or nobody reads any more.
    to: Option<Sender>,
    has_ended: bool,
    /// Body bytes that came.
    pub bytes_in: u64,
}

impl<'a> Upload<'a> {
    /// A stream of messages, each at most `bytes_max` bytes, and where they come out.
    #[must_use]
    pub fn new(asked: &'a Asked, method: &'a Method, bytes_max: usize) -> (Self, Messages) {
        let (to, messages) = channel();
        (Self { to: Some(to), ..Self::nothing(asked, method, bytes_max) }, messages)
    }

    /// Of a request that was read whole: only whether the client stays is watched.
    #[must_use]
    pub fn nothing(asked: &'a Asked, method: &'a Method, bytes_max: usize) -> Self {
        let text = asked.caller.is_text.then(Decoder::default);
        let frames = FrameReader::new(asked.encoding, bytes_max);
        Self { asked, method, text, frames, to: None, has_ended: false, bytes_in: 0 }
    }

    /// Does one thing: passes a message on, or reads some more. When all has come it waits until the client goes.
    /// Dropped while it waits, it has lost nothing.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn step(&mut self, session: &mut ServerSession) -> Result<(), Stop> {
        if self.to.is_some() && self.frames.is_ready() {
            return self.pass_on().await.map_err(Stop::Failed);
        }
        if !self.has_ended && session.is_body_done() {
            self.has_ended = true;
            return self.end().map_err(Stop::Failed);
        }
        match session.read_body_or_idle(self.has_ended).await {
            Ok(Some(piece)) => self.take(piece).map_err(Stop::Failed),
            Ok(None) => {
                // Behind a body that ends in trailers Pingora 0.9.1 never says that it is done: asked again, it would
                // give the same answer at once, for ever.
                self.has_ended = true;
                self.end().map_err(Stop::Failed)
            }
            Err(error) if is_malformed(&error) => {
                // Where the body ends, nobody knows any more.
                session.set_keepalive(None);
                Err(Stop::Failed(failed(&FrameFault::Cut.into())))
            }
            Err(error) => Err(Stop::Gone(error.into_down())),
        }
    }

    /// Room comes first: a message that waits for it does so as it came, and not decompressed.
    async fn pass_on(&mut self) -> Result<(), Failure> {
        let Some(to) = &self.to else { return Ok(()) };
        let Some(room) = to.room().await else {
            // Answered already: the rest is read, so that the client is not stopped in the middle, and dropped.
            self.to = None;
            return Ok(());
        };
        if let Some(message) = self.frames.read().map_err(|fault| failed(&fault.into()))? {
            room.send(transcode::to_proto(message, self.asked.caller.codec, &self.method.input)?);
        }
        Ok(())
    }

    fn take(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.bytes_in += piece.len() as u64;
        if self.to.is_none() {
            return Ok(());
        }
        let piece = match &mut self.text {
            None => piece,
            Some(text) => text.decode(&piece).map_err(|_| failed(&MessageFault::Base64))?,
        };
        self.frames.push(piece);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let Some(to) = self.to.take() else { return Ok(()) };
        if self.text.as_ref().is_some_and(|text| !text.is_whole()) {
            return Err(failed(&MessageFault::Base64));
        }
        self.frames.end().map_err(|fault| failed(&fault.into()))?;
        to.finish();
        Ok(())
    }
}

/// The failure of a request whose messages cannot be read (grpc.github.io/grpc/core/md_doc_statuscodes.html). The
/// protocols themselves say what that is: the gateway's word for it is for its log alone.
pub fn failed(fault: &MessageFault) -> Failure {
    let reason = if fault.is_too_large() { Reason::MessageTooLarge } else { Reason::BodyInvalid };
    Failure { reason: Some(reason), ..Failure::new(fault.code(), fault.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rpc::caller::{Caller, Codec, Protocol},
        wire::Encoding,
    };
    use futures_util::FutureExt as _;
    use http::{HeaderMap, Request};
    use pingora_core::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
    use prost_reflect::DescriptorPool;
    use std::{future::poll_fn, sync::Arc};

    fn method() -> Method {
        let empty = DescriptorPool::global().get_message_by_name("google.protobuf.Empty").unwrap();
        let path = "/a.B/C".into();
        let (client_streams, server_streams, has_no_side_effects) = (true, true, false);
        Method { path, input: empty.clone(), output: empty, client_streams, server_streams, has_no_side_effects }
    }

    /// A request over HTTP/2, whose body has one message and ends in trailers.
    async fn with_trailers() -> ServerSession {
        let (client, server) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
            tokio::spawn(connection);
            let request = Request::post("http://gateway/a.B/C").body(()).unwrap();
            let (answer, mut body) = requests.send_request(request, false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).unwrap();
            body.send_trailers(HeaderMap::new()).unwrap();
            drop(answer.await);
        });
        let mut connection = handshake(Box::new(server), None).await.unwrap();
        let accepted = HttpSession::from_h2_conn(&mut connection, Arc::default()).await.unwrap();
        let Some(H2Accept::Session(session)) = accepted else { panic!("no request") };
        tokio::spawn(async move { HttpSession::from_h2_conn(&mut connection, Arc::default()).await.map(drop) });
        ServerSession::new_http2(session)
    }

    #[tokio::test]
    async fn a_body_that_ends_in_trailers_ends_once() {
        let caller = Caller { protocol: Protocol::Grpc, codec: Codec::Proto, is_text: false };
        let asked = Asked { caller, encoding: Encoding::Identity, accepts: Encoding::Identity, timeout: None };
        let method = method();
        let (mut upload, mut messages) = Upload::new(&asked, &method, 16);
        let mut session = with_trailers().await;
        // Data, the message, the end: with a few steps to spare.
        for _ in 0..8 {
            if !upload.has_ended {
                assert!(upload.step(&mut session).await.is_ok());
            }
        }
        assert!(upload.step(&mut session).now_or_never().is_none(), "what has ended waits for the client to go");
        assert_eq!(poll_fn(|cx| messages.poll_next(cx)).await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(poll_fn(|cx| messages.poll_next(cx)).await, None);
    }
}
