//! The answers of a stream, each as its time has come.

use super::{
    answers::{self, Context},
    incoming::Incoming,
    messages::{Answer, BidiRequest, Error, Payload, RequestInfo, StreamDefinition, StreamRequest},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use portcullis::{
    upstream::grpc::{Piece, Reply},
    wire::Failure,
};
use prost::Message as _;
use prost_types::Any;
use std::{collections::VecDeque, mem};

/// A call that is answered with a stream, while it lasts.
pub struct Conversation {
    context: Context,
    incoming: Incoming,
    /// What has been read since the last answer.
    unanswered: Vec<Any>,
    /// What is still to be sent.
    data: VecDeque<Bytes>,
    delay_ms: u32,
    /// What comes behind it.
    error: Option<Error>,
    trailers: HeaderMap,
    has_answered: bool,
}

impl Conversation {
    /// Before anything was read.
    pub fn new(context: Context, incoming: Incoming) -> Self {
        Self {
            context,
            incoming,
            unanswered: Vec::new(),
            data: VecDeque::new(),
            delay_ms: 0,
            error: None,
            trailers: HeaderMap::new(),
            has_answered: false,
        }
    }

    /// Answers the one request that comes.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn answer_one(mut self) -> Result<Reply, Failure> {
        let Some((request, echo)) = self.incoming.next::<StreamRequest>().await? else {
            return Ok(self.answer(StreamDefinition::default()));
        };
        self.unanswered.push(echo);
        Ok(self.answer(request.definition.unwrap_or_default()))
    }

    /// Answers each request as it comes, or all where they have come, as the first says.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub async fn answer_all(mut self) -> Result<Reply, Failure> {
        let first = self.read().await?.unwrap_or_default();
        // Over HTTP/1.1 a client reads nothing before it has sent everything.
        while !first.is_full_duplex && self.read().await?.is_some() {}
        Ok(self.answer(first.definition.unwrap_or_default()))
    }

    async fn read(&mut self) -> Result<Option<BidiRequest>, Failure> {
        let Some((request, echo)) = self.incoming.next::<BidiRequest>().await? else { return Ok(None) };
        self.unanswered.push(echo);
        Ok(Some(request))
    }

    fn answer(mut self, definition: StreamDefinition) -> Reply {
        self.data = definition.data.into();
        self.delay_ms = definition.delay_ms;
        self.error = definition.error;
        self.trailers = answers::metadata(&definition.trailers);
        let pieces = stream::unfold(Some(self), |conversation| async {
            let mut conversation = conversation?;
            let piece = conversation.next().await.unwrap_or_else(|failure| Piece::End(Err(failure)));
            let goes_on = matches!(piece, Piece::Message(_));
            Some((piece, goes_on.then_some(conversation)))
        });
        Reply { headers: answers::metadata(&definition.headers), pieces: pieces.boxed() }
    }

    async fn next(&mut self) -> Result<Piece, Failure> {
        if self.unanswered.is_empty() {
            self.read().await?;
        }
        if let Some(data) = self.data.pop_front() {
            let request_info = self.echo();
            answers::wait(self.delay_ms).await;
            self.has_answered = true;
            let answer = Answer { payload: Some(Payload { data, request_info }) };
            return Ok(Piece::Message(answer.encode_to_vec().into()));
        }
        let trailers = mem::take(&mut self.trailers);
        let Some(error) = self.error.take() else { return Ok(Piece::End(Ok(trailers))) };
        let echoed = if self.has_answered { None } else { self.echo() };
        Err(answers::failure(error, echoed).with_trailers(trailers))
    }

    /// What the first answer echoes: everything; a later one: the requests since.
    fn echo(&mut self) -> Option<RequestInfo> {
        let requests = mem::take(&mut self.unanswered);
        match self.has_answered {
            false => Some(self.context.echo(requests)),
            true if requests.is_empty() => None,
            true => Some(RequestInfo { requests, ..RequestInfo::default() }),
        }
    }
}
