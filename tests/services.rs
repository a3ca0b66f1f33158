//! Services of a gRPC upstream are served in every RPC protocol, and whatever goes wrong is said in the caller's own.

mod cancellation;
mod hostile;
mod json;
mod limits;
mod metadata;
mod refusals;
mod stops;
mod upstreams;

use crate::kit::{
    gateway::Gateway,
    grpc::{GrpcUpstream, echo},
    rpc::{Caller, Dialect, STREAM, UNARY},
};

/// A gateway in front of `test.v1.Test`. Tests replace what they need otherwise.
fn yaml(upstream: &GrpcUpstream) -> String {
    format!(
        r#"
version: 1
listeners:
  edge:  {{ bind: "127.0.0.1:0", limits: {{ body: 64KiB }} }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
stores: {{ main: {{ memory: {{}} }} }}
upstreams:
  test: {{ endpoints: ["http://{}"], timeouts: {{ connect: 500ms, request: 60s }} }}
routes:
  - name: test
    match: {{ listener: edge, rpc: test.v1.Test }}
    chain: [ request_id ]
    rpc: {{ upstream: test, descriptors: {}, message_max: 64KiB }}
drain: {{ delay: 0s, deadline: 500ms }}
"#,
        upstream.address,
        upstream.descriptors().display()
    )
}

async fn start() -> (Gateway, GrpcUpstream, Caller) {
    start_with(|yaml| yaml).await
}

pub(crate) async fn start_with(change: impl Fn(String) -> String) -> (Gateway, GrpcUpstream, Caller) {
    let upstream = GrpcUpstream::start();
    let gateway = Gateway::start(&change(yaml(&upstream)));
    let caller = Caller::connect(gateway.address("edge")).await;
    (gateway, upstream, caller)
}

/// Every dialect with a method that it can call.
fn everywhere() -> impl Iterator<Item = (Dialect, &'static str)> {
    let streams = STREAM.into_iter().flat_map(|dialect| ["List", "Gather", "Talk"].map(|method| (dialect, method)));
    UNARY.into_iter().map(|dialect| (dialect, "Ask")).chain(streams)
}

/// That the connection is unharmed by what was on it: the next call is answered.
async fn still_serves(caller: &Caller, upstream: &GrpcUpstream) {
    upstream.does(echo());
    let answer = caller.ask(UNARY[0], "Ask", "next").await;
    assert_eq!((answer.code(), &answer.messages[0].1[..]), ("ok", &b"\x0a\x04next"[..]), "{answer:?}");
}

#[tokio::test]
async fn every_kind_of_method_is_served_in_every_dialect() {
    let (_gateway, upstream, caller) = start().await;
    for (method, dialects, sent) in
        [("Ask", UNARY, 1), ("Look", UNARY, 1), ("List", STREAM, 1), ("Gather", STREAM, 1), ("Talk", STREAM, 3)]
    {
        for dialect in dialects {
            let items: Vec<Vec<u8>> = ["a", "b", "c"].iter().take(sent).map(|name| dialect.item(name)).collect();
            let body = dialect.body(0, &items.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let answer = caller.call(dialect, method, &[], body).await;
            let expected: Vec<(u8, hyper::body::Bytes)> = items.into_iter().map(|item| (0, item.into())).collect();
            assert_eq!((answer.code(), &answer.messages), ("ok", &expected), "{method} {dialect:?} {answer:?}");
            let seen = upstream.last();
            assert_eq!((seen.messages.len(), seen.is_whole), (sent, true), "{method} {dialect:?}");
            assert_eq!(seen.messages[0], (0, b"\x0a\x01a"[..].into()), "{method} {dialect:?}");
        }
    }
}
