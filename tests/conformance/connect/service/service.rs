//! `connectrpc.conformance.v1.ConformanceService`.

use super::{
    answers::{self, Context},
    conversation::Conversation,
    incoming::Incoming,
    messages::{Answer, AnswerRequest, Payload},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream};
use portcullis::{
    upstream::grpc::{Call, Callee, Piece, Reply},
    wire::{Code, Failure, failure::Metadata},
};
use prost::Message as _;

/// Does what each request says.
pub struct Service;

impl Callee for Service {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Reply, Failure>> {
        let context = Context { headers: call.headers, deadline: call.deadline };
        let incoming = |name| Incoming::new(name, call.requests);
        match call.path.trim_start_matches("/connectrpc.conformance.v1.ConformanceService/") {
            "Unary" => Box::pin(answer(context, incoming("UnaryRequest"))),
            "IdempotentUnary" => Box::pin(answer(context, incoming("IdempotentUnaryRequest"))),
            "ClientStream" => Box::pin(answer(context, incoming("ClientStreamRequest"))),
            "ServerStream" => Box::pin(Conversation::new(context, incoming("ServerStreamRequest")).answer_one()),
            "BidiStream" => Box::pin(Conversation::new(context, incoming("BidiStreamRequest")).answer_all()),
            _ => Box::pin(async { Err(Failure::new(Code::Unimplemented, "not implemented")) }),
        }
    }
}

/// The one answer to all that comes, as the first request says.
async fn answer(context: Context, mut incoming: Incoming) -> Result<Reply, Failure> {
    let (mut definition, mut echoes) = (None, Vec::new());
    while let Some((request, echo)) = incoming.next::<AnswerRequest>().await? {
        if echoes.is_empty() {
            definition = request.definition;
        }
        echoes.push(echo);
    }
    let definition = definition.unwrap_or_default();
    let request_info = Some(context.echo(echoes));
    let (headers, trailers) = (answers::metadata(&definition.headers), answers::metadata(&definition.trailers));
    answers::wait(definition.delay_ms).await;
    if let Some(error) = definition.error {
        let metadata = Box::new(Metadata { headers, trailers });
        return Err(Failure { metadata, ..answers::failure(error, request_info) });
    }
    let message = Answer { payload: Some(Payload { data: definition.data, request_info }) }.encode_to_vec();
    let pieces = [Piece::Message(message.into()), Piece::End(Ok(trailers))];
    Ok(Reply { headers, pieces: stream::iter(pieces).boxed() })
}
