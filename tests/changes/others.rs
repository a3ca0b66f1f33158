//! Streams that carry no events hang on their routes like the others: calls of an upstream's service, and tunnels.

use super::{change, reload_with, write};
use crate::{
    kit::{
        gateway::Gateway,
        grpc::{Step, frame, head},
        raw::Raw,
        rpc::{Codec, Dialect, Protocol},
        scripted::scripted,
        soon,
    },
    services::start_with,
};
use std::io::{Read as _, Write as _};

#[tokio::test]
async fn a_streaming_call_is_kept_or_told() {
    for (policy, is_kept) in [("keep", true), ("cut", false), ("{ drain: 100ms }", false)] {
        let (gateway, upstream, caller) =
            start_with(|yaml| format!("{yaml}reload: {{ watch: false, streams: {policy} }}\n")).await;
        upstream.does(vec![head(), Step::Data(frame(0, b"\x0a\x01a")), Step::Hang]);
        let dialect = Dialect(Protocol::Grpc, Codec::Proto);
        let mut pending = caller.begin(dialect, "List", &[]).await;
        pending.message(&dialect.item("a"));
        pending.finish();
        soon("the call", || (upstream.seen().len() == 1).then_some(())).await;
        change(&gateway, "chain: [ request_id ]", "chain: [ request_id, { cors: { origins: [\"https://a\"] } } ]");
        if is_kept {
            // Where it is not served any more, it is not kept either.
            change(&gateway, "rpc: test.v1.Test }", "rpc: test.v1.Test, host: elsewhere }");
        }
        let answer = pending.answer().await;
        assert_eq!(
            (answer.code(), answer.reason().as_deref()),
            ("unavailable", Some("ROUTE_CHANGED")),
            "{policy} {answer:?}"
        );
        let call = upstream.seen().pop().unwrap();
        assert_eq!(call.reset, Some(h2::Reason::CANCEL), "{policy}");
    }
}

#[test]
fn a_tunnel_is_kept_or_closed() {
    const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                              Sec-WebSocket-Accept: x\r\n\r\n";
    let backend = scripted(|stream, _| {
        stream.write_all(UPGRADED).unwrap();
        // What comes is sent back.
        let mut bytes = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..read]).unwrap();
        }
    });
    let gateway = Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }}, admin: {{ bind: "127.0.0.1:0", admin: true }} }}
upstreams: {{ backend: {{ endpoints: ["http://{backend}"] }} }}
routes: [{{ name: ws, match: {{ path: /ws }}, forward: {{ upstream: backend, websocket: true }} }}]
reload: {{ watch: false, streams: keep }}
drain: {{ deadline: 1s }}
"#
    ));
    let mut raw = Raw::connect(gateway.address("public"));
    let head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: eA==\r\n\r\n";
    assert_eq!(raw.send(head).answer().status, 101);
    let mut echoed = |what: &str| raw.send(what).exactly(what.len()) == what.as_bytes();
    assert!(echoed("one"));
    change(&gateway, "match: { path: /ws }", "match: { path: /ws }, chain: request_id");
    assert!(echoed("two"), "the same upstream is behind it");
    write(&gateway, "streams: keep", "streams: cut");
    write(&gateway, "chain: request_id", "chain: []");
    let said = reload_with(&gateway, &["--plan"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("1 stream: 1 cut"), "{said:?}");
    assert!(reload_with(&gateway, &[]).status.success());
    assert_eq!(raw.rest(), b"");
    assert_eq!(gateway.access_line(|line| line["route"] == "ws")["reason"], "ROUTE_CHANGED");
}
