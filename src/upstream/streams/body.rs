//! The two bodies of a stream, which share its place.

use super::link::Place;
use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use std::{
    error::Error,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Body of a call's request.
#[derive(Debug)]
pub enum StreamBody {
    /// All of it, so that it can be sent again.
    Whole(Bytes),
    /// Pieces as they come; what is gone is gone.
    Flow(UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>),
}

impl StreamBody {
    /// The same body once more, where there can be one. The bytes are shared.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Flow(body) => body.is_end_stream().then(|| Self::Whole(Bytes::new())),
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Self::Flow(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Flow(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Flow(body) => body.size_hint(),
        }
    }
}

/// The body of a request on its way, until it has ended or nobody wants the answer any more.
pub(super) struct Outgoing {
    body: StreamBody,
    place: Arc<Place>,
}

impl Outgoing {
    pub(super) fn new(body: StreamBody, place: Arc<Place>) -> Self {
        Self { body, place }
    }

    pub(super) fn into_inner(self) -> StreamBody {
        self.body
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    // hyper resets the stream with the reason that it finds in here.
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        let cancelled = || Poll::Ready(Some(Err(Reason::CANCEL.into())));
        if this.place.is_abandoned() {
            return cancelled();
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(_))) => cancelled(),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.place.is_abandoned_or_wakes(cx.waker()) => cancelled(),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. Dropped, it resets the stream, unless that has ended both ways.
#[derive(Debug)]
pub struct AnswerBody {
    incoming: Incoming,
    place: Arc<Place>,
}

impl AnswerBody {
    pub(super) fn new(incoming: Incoming, place: Arc<Place>) -> Self {
        Self { incoming, place }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for AnswerBody {
    // h2 resets a stream when both its halves are dropped: the other one is with a request whose body goes on.
    fn drop(&mut self) {
        self.place.abandon();
    }
}
