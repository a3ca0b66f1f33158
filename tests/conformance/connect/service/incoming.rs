//! The messages of a call.

use portcullis::{
    upstream::grpc::Requests,
    wire::{Code, Failure},
};
use prost::Message;
use prost_types::Any;
use std::future::poll_fn;

/// What is still to come.
pub struct Incoming {
    /// The name of the messages.
    name: &'static str,
    requests: Option<Requests>,
}

impl Incoming {
    /// All of them.
    pub fn new(name: &'static str, requests: Requests) -> Self {
        Self { name, requests: Some(requests) }
    }

    /// The next one, read and as it is to be echoed; none behind the last.
    ///
    /// # Errors
    /// Where there is no next one and no end, or it is another message.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<(M, Any)>, Failure> {
        let bytes = match self.requests.take() {
            None => return Ok(None),
            Some(Requests::One(bytes)) => bytes,
            Some(Requests::Stream(mut messages)) => {
                let next = poll_fn(|cx| messages.poll_next(cx)).await;
                let Some(bytes) = next.transpose().map_err(|broken| failed(Code::Canceled, &broken))? else {
                    return Ok(None);
                };
                self.requests = Some(Requests::Stream(messages));
                bytes
            }
        };
        let message = M::decode(bytes.clone()).map_err(|error| failed(Code::InvalidArgument, &error))?;
        let type_url = format!("type.googleapis.com/connectrpc.conformance.v1.{}", self.name);
        Ok(Some((message, Any { type_url, value: bytes.into() })))
    }
}

fn failed(code: Code, error: &impl ToString) -> Failure {
    Failure::new(code, error.to_string())
}
