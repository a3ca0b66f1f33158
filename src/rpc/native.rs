//! `edge.v1.Gateway` behind connectrpc's byte-level dispatcher.

use super::{Response, execute, refusal};
use crate::{
    plan::{CommandTarget, Route, path::CanonicalPath},
    proxy::context::RequestContext,
};
use bytes::Bytes;
use connectrpc::{
    CodecFormat, ConnectError, ConnectRpcService, Limits, Payload, RequestContext as RpcContext,
    dispatcher::{
        Dispatcher, MethodDescriptor, RequestStream, StreamingResult, UnaryResult, unimplemented_streaming,
        unimplemented_unary,
    },
};
use filters::api::{Clock, Facts, Reason, Refusal};
use http_body_util::Full;
use std::{
    mem,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tower::Service as _;

const EXECUTE: &str = "edge.v1.Gateway/ExecuteCommand";
const SUBSCRIBE: &str = "edge.v1.Gateway/SubscribeEvents";

static SERVICE: LazyLock<ConnectRpcService<Native>> = LazyLock::new(|| ConnectRpcService::new(Native));

/// Whether a canonical path is a method of the service.
#[must_use]
pub fn is_served(path: &str) -> bool {
    matches!(path.strip_prefix('/'), Some(EXECUTE | SUBSCRIBE))
}

/// Has connectrpc read the request, call [`execute`] and frame the answer.
pub async fn call(mut request: http::Request<Full<Bytes>>, slot: &Slot, message_bytes_max: u64) -> Response {
    let max = usize::try_from(message_bytes_max).unwrap_or(usize::MAX);
    let limits = Limits::default().with_max_request_body_size(max.saturating_add(5)).with_max_message_size(max);
    request.extensions_mut().insert(slot.clone());
    // The error type has no values.
    let Ok(response) = SERVICE.clone().with_limits(limits).call(request).await;
    response
}

/// Everything that a call needs and finds, taken from the request and given back to it.
pub struct Call {
    /// Its route.
    pub route: Arc<Route>,
    /// Where it goes.
    pub target: Arc<CommandTarget>,
    /// What the filters found.
    pub facts: Facts,
    /// The canonical path.
    pub path: Option<CanonicalPath>,
    /// The client's address.
    pub client_ip: IpAddr,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Why it was refused.
    pub refused: Option<Reason>,
    /// How long the chain took.
    pub chain_took: Duration,
    /// How long the backend took.
    pub backend_took: Duration,
}

impl Call {
    /// Of this request. Its facts are with the call until it has ended; the request keeps its id.
    #[must_use]
    pub fn new(
        ctx: &mut RequestContext,
        route: &Arc<Route>,
        target: &Arc<CommandTarget>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let facts = mem::take(&mut ctx.facts);
        ctx.facts.request_id = facts.request_id.clone();
        ctx.facts.downstream_headers = facts.downstream_headers.clone();
        Self {
            route: Arc::clone(route),
            target: Arc::clone(target),
            facts,
            path: ctx.path.clone(),
            client_ip: ctx.client_ip,
            clock,
            refused: None,
            chain_took: ctx.chain_took,
            backend_took: Duration::ZERO,
        }
    }

    /// Gives the request what was found.
    pub fn give_back(self, ctx: &mut RequestContext) {
        ctx.facts = self.facts;
        ctx.refused = self.refused;
        ctx.chain_took = self.chain_took;
        ctx.backend_took = self.backend_took;
    }
}

/// Carries a call through connectrpc to the dispatcher and back.
#[derive(Clone)]
pub struct Slot(Arc<Mutex<Stage>>);

enum Stage {
    Waiting(Box<Call>),
    Called,
    Done(Box<Call>),
}

/// How a call ended.
pub enum Ended {
    /// It ran to its end.
    Whole(Box<Call>),
    /// It did not.
    Early {
        /// Whether it had begun.
        was_called: bool,
    },
}

impl Slot {
    /// With a call that waits.
    #[must_use]
    pub fn new(call: Call) -> Self {
        Self(Arc::new(Mutex::new(Stage::Waiting(Box::new(call)))))
    }

    fn set(&self, stage: Stage) -> Stage {
        mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), stage)
    }

    /// What became of the call.
    #[must_use]
    pub fn end(self) -> Ended {
        match self.set(Stage::Called) {
            Stage::Done(call) => Ended::Whole(call),
            Stage::Called => Ended::Early { was_called: true },
            Stage::Waiting(_) => Ended::Early { was_called: false },
        }
    }
}

struct Native;

impl Dispatcher for Native {
    fn lookup(&self, path: &str) -> Option<MethodDescriptor> {
        match path {
            EXECUTE => Some(MethodDescriptor::unary(false)),
            SUBSCRIBE => Some(MethodDescriptor::server_streaming()),
            _ => None,
        }
    }

    fn call_unary(&self, _: &str, context: RpcContext, request: Payload, format: CodecFormat) -> UnaryResult {
        Box::pin(async move {
            let (slot, mut call) = take(&context)?;
            let outcome = match request.encoded() {
                Ok(bytes) => execute::execute(&mut call, &context, &bytes, format).await,
                Err(_) => Err(Refusal::new(Reason::EnvelopeInvalid)),
            };
            let result = match outcome {
                Ok(response) => execute::encode(&response, format, &call.facts),
                Err(refusal) => {
                    call.refused = Some(refusal.reason);
                    Err(refusal::to_error(&refusal, &call.facts))
                }
            };
            slot.set(Stage::Done(call));
            result
        })
    }

    fn call_server_streaming(&self, _: &str, context: RpcContext, _: Bytes, _: CodecFormat) -> StreamingResult {
        Box::pin(async move {
            let (slot, mut call) = take(&context)?;
            let refusal = Refusal::because(Reason::NotServed, "event streams are not served yet");
            call.refused = Some(refusal.reason);
            let error = refusal::to_error(&refusal, &call.facts);
            slot.set(Stage::Done(call));
            Err(error)
        })
    }

    fn call_client_streaming(&self, path: &str, _: RpcContext, _: RequestStream, _: CodecFormat) -> UnaryResult {
        unimplemented_unary(path)
    }

    fn call_bidi_streaming(&self, path: &str, _: RpcContext, _: RequestStream, _: CodecFormat) -> StreamingResult {
        unimplemented_streaming(path)
    }
}

fn take(context: &RpcContext) -> Result<(Slot, Box<Call>), ConnectError> {
    let slot = context.extensions().get::<Slot>().cloned();
    match slot.map(|slot| (slot.set(Stage::Called), slot)) {
        Some((Stage::Waiting(call), slot)) => Ok((slot, call)),
        _ => Err(ConnectError::internal("a call without its request")),
    }
}
