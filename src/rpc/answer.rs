//! Writes answers in the caller's protocol: whole ones in one piece, streams message by message.

use super::{
    asked::Asked,
    caller::{Caller, Codec, Protocol},
    text,
};
use crate::{
    proxy::{
        Last,
        reply::{self, write_piece},
    },
    wire::{
        Encoding, Failure,
        failure::{GRPC_STATUS, connect_end},
        frames::{END_OF_STREAM, TRAILERS, frame, framed},
    },
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use pingora_core::{Result, protocols::http::ServerSession};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer on its way to one caller.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    caller: Caller,
    accepts: Encoding,
    has_begun: bool,
}

impl Answer {
    /// To a caller whose request was read.
    #[must_use]
    pub fn to(asked: &Asked) -> Self {
        Self { caller: asked.caller, accepts: asked.accepts, has_begun: false }
    }

    /// To a caller of which nothing but its protocol is known.
    #[must_use]
    pub fn to_caller(caller: Caller) -> Self {
        Self { caller, accepts: Encoding::Identity, has_begun: false }
    }

    /// Whether anything of it is written already.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Writes an answer of one message, with `headers` ahead of it and `trailers` behind.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn whole(
        mut self,
        session: &mut Session,
        headers: HeaderMap,
        message: Bytes,
        trailers: &HeaderMap,
    ) -> Result<()> {
        reply::outlast_body(session);
        if self.caller.protocol != Protocol::Connect {
            let mut head = self.head(headers);
            let framed = frame(&message, self.accepts);
            return match self.caller.protocol {
                Protocol::Grpc => {
                    session.write_response_header(Box::new(head), false).await?;
                    write_piece(session, framed, false).await?;
                    self.end_grpc(session, grpc_trailers(None, trailers)).await
                }
                _ => {
                    let body = self.written([framed, self.end(None, trailers)].concat().into());
                    head.insert_header(CONTENT_LENGTH, body.len())?;
                    session.write_response_header(Box::new(head), false).await?;
                    write_piece(session, body, true).await
                }
            };
        }
        let body = self.accepts.shrink(&message).unwrap_or_else(|| {
            self.accepts = Encoding::Identity;
            message
        });
        let mut head = self.head(headers);
        behind(trailers, &mut head)?;
        if session.req_header().method == Method::GET {
            // Such an answer may be kept by a cache, for callers that accept other encodings too. It may vary by more:
            // by origin, where the CORS filter says so.
            head.append_header(VARY, "Accept-Encoding")?;
        }
        write_body(session, head, body).await
    }

    /// Writes the head of a stream.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn begin(&mut self, session: &mut Session, headers: HeaderMap) -> Result<()> {
        self.has_begun = true;
        reply::begin(session, self.head(headers)).await
    }

    /// Writes the head of a stream that is handed over.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn begin_last(&self, session: &mut Session, headers: HeaderMap) -> Result<()> {
        reply::begin_last(session, self.head(headers)).await
    }

    /// A message of a stream in its frame.
    #[must_use]
    pub fn frame(&self, message: &Bytes) -> Bytes {
        frame(message, self.accepts)
    }

    /// How messages are encoded, and how they are compressed.
    #[must_use]
    pub fn form(&self) -> (Codec, Encoding) {
        (self.caller.codec, self.accepts)
    }

    /// How a stream that has begun ends.
    #[must_use]
    pub fn last(&self, failure: Option<&Failure>, trailers: &HeaderMap) -> Last {
        match self.caller.protocol {
            Protocol::Grpc => Last::Trailers(grpc_trailers(failure, trailers)),
            _ => Last::Body(self.written(self.end(failure, trailers))),
        }
    }

    /// Writes a message of a stream that has begun.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn message(&self, session: &mut Session, message: Bytes) -> Result<()> {
        let piece = self.written(self.frame(&message));
        // The client may take its time, and one copy is enough for that.
        drop(message);
        write_piece(session, piece, false).await
    }

    /// Ends a stream that has begun.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn finish(&self, session: &mut Session, failure: Option<&Failure>, trailers: &HeaderMap) -> Result<()> {
        match self.last(failure, trailers) {
            Last::Trailers(trailers) => self.end_grpc(session, trailers).await,
            Last::Body(body) => write_piece(session, body, true).await,
        }
    }

    /// Writes an answer that is a failure and nothing else, with `headers` beside the failure's own.
    ///
    /// # Errors
    /// Where the client has gone.
    pub async fn fail(mut self, session: &mut Session, mut headers: HeaderMap, failure: &Failure) -> Result<()> {
        self.accepts = Encoding::Identity;
        reply::outlast_body(session);
        append(&mut headers, &failure.metadata.headers);
        match self.caller.protocol {
            Protocol::Connect => {
                let mut head = self.head(headers);
                head.set_status(failure.http_status())?;
                head.insert_header(CONTENT_TYPE, JSON)?;
                behind(&failure.metadata.trailers, &mut head)?;
                write_body(session, head, failure.to_connect()).await
            }
            Protocol::Grpc => {
                append(&mut headers, &grpc_trailers(Some(failure), &failure.metadata.trailers));
                self.trailers_only(session, headers).await
            }
            Protocol::ConnectStream | Protocol::GrpcWeb => {
                let body = self.written(self.end(Some(failure), &failure.metadata.trailers));
                let head = self.head(headers);
                write_body(session, head, body).await
            }
        }
    }

    fn head(&self, headers: HeaderMap) -> ResponseHeader {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.headers = headers;
        // What `HeaderMap` can grow to no answer reaches.
        parts.headers.insert(CONTENT_TYPE, self.caller.content_type());
        if self.accepts != Encoding::Identity {
            let name = match self.caller.protocol {
                Protocol::Connect => CONTENT_ENCODING,
                _ => self.caller.encoding_header(),
            };
            parts.headers.insert(name, HeaderValue::from_static(self.accepts.name()));
        }
        // Moved whole, without a second map of how names are spelled: their case says nothing (RFC 9110 section 5.1).
        ResponseHeader::from(parts)
    }

    /// How a stream ends where that is part of the body.
    fn end(&self, failure: Option<&Failure>, trailers: &HeaderMap) -> Bytes {
        if self.caller.protocol == Protocol::ConnectStream {
            return framed(END_OF_STREAM, &connect_end(failure, trailers));
        }
        let mut lines = BytesMut::new();
        for (name, value) in &grpc_trailers(failure, trailers) {
            lines.put_slice(name.as_str().as_bytes());
            lines.put_slice(b": ");
            lines.put_slice(value.as_bytes());
            lines.put_slice(b"\r\n");
        }
        framed(TRAILERS, &lines)
    }

    /// A piece of a body as it goes out. In the text variant each is padded by itself, so a client can read it as it
    /// comes.
    #[must_use]
    pub fn written(&self, piece: Bytes) -> Bytes {
        if self.caller.is_text { text::encode(&piece).into() } else { piece }
    }

    async fn end_grpc(&self, session: &mut Session, trailers: HeaderMap) -> Result<()> {
        session.downstream_session.write_response_trailers(trailers).await
    }

    /// A gRPC answer that is nothing but a status: "Trailers-Only", one block of headers.
    async fn trailers_only(&self, session: &mut Session, headers: HeaderMap) -> Result<()> {
        let mut head = self.head(headers);
        match session.downstream_session.as_mut() {
            // Through the proxy's own method the end would follow in an empty frame of data, and some clients take
            // the status for the headers of an answer whose trailers are missing.
            ServerSession::Custom(stream) => stream.write_response_header(Box::new(head), true).await,
            // gRPC where it cannot be spoken: over HTTP/1.1 the end is a length.
            _ => {
                head.insert_header(CONTENT_LENGTH, 0)?;
                session.write_response_header(Box::new(head), true).await
            }
        }
    }
}

async fn write_body(session: &mut Session, mut head: ResponseHeader, body: Bytes) -> Result<()> {
    head.insert_header(CONTENT_LENGTH, body.len())?;
    session.write_response_header(Box::new(head), body.is_empty()).await?;
    if !body.is_empty() {
        write_piece(session, body, true).await?;
    }
    Ok(())
}

/// Connect's unary answers have no place behind their message: what belongs there gets a prefix.
fn behind(trailers: &HeaderMap, head: &mut ResponseHeader) -> Result<()> {
    for (name, value) in trailers {
        head.append_header(format!("trailer-{name}"), value.clone())?;
    }
    Ok(())
}

fn grpc_trailers(failure: Option<&Failure>, trailers: &HeaderMap) -> HeaderMap {
    let mut written = trailers.clone();
    match failure {
        None => {
            written.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        }
        Some(failure) => failure.write_grpc(&mut written),
    }
    written
}

/// Adds all values of `from`, those of one name side by side.
pub fn append(to: &mut HeaderMap, from: &HeaderMap) {
    for (name, value) in from {
        to.append(name.clone(), value.clone());
    }
}
