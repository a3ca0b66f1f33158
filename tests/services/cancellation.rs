//! Whoever goes away takes the call with it, at once, and half an upload never looks whole.

use super::{everywhere, start, start_with, still_serves};
use crate::kit::{
    grpc::{GrpcUpstream, Step, echo, frame, head, status},
    raw::Raw,
    rpc::{Caller, Codec, Dialect, Protocol, STREAM, UNARY},
    soon,
};
use h2::Reason;
use hyper::body::Bytes;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

fn hanging() -> [Vec<Step>; 3] {
    let first = Step::Data(frame(0, b"\x0a\x01a"));
    [vec![Step::Hang], vec![head(), Step::Hang], vec![head(), first, Step::Hang]]
}

/// Waits until the upstream has so many messages of its last call.
async fn arrived(upstream: &GrpcUpstream, calls: usize, messages: usize) {
    soon("the message", || {
        let seen = upstream.seen();
        (seen.len() == calls && seen[calls - 1].messages.len() >= messages).then_some(())
    })
    .await;
}

async fn was_cancelled(upstream: &GrpcUpstream, what: &str) {
    let reason = soon(what, || upstream.last().reset).await;
    assert_eq!(reason, Reason::CANCEL, "{what}");
}

#[tokio::test]
async fn a_stream_that_its_client_resets_is_reset_upstream() {
    let (_gateway, upstream, caller) = start().await;
    let mut calls = 0;
    for (dialect, method) in everywhere() {
        for script in hanging() {
            upstream.does(script);
            let mut pending = caller.begin(dialect, method, &[]).await;
            pending.message(&dialect.item("a"));
            if matches!(method, "Ask" | "List") {
                pending.finish();
            }
            calls += 1;
            arrived(&upstream, calls, 1).await;
            drop(pending);
            was_cancelled(&upstream, &format!("{method} {dialect:?}")).await;
        }
    }
    still_serves(&caller, &upstream).await;
}

fn post(method: &str, dialect: Dialect, more: &str) -> String {
    let media_type = dialect.media_type();
    format!("POST /test.v1.Test/{method} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\n{more}\r\n\r\n")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Over HTTP/1.1, where gRPC cannot be spoken and nothing but the connection's end says so.
#[tokio::test]
async fn a_connection_that_closes_is_a_call_taken_back() {
    let (gateway, upstream, _caller) = start().await;
    let mut calls = 0;
    for (dialect, method) in [
        (UNARY[0], "Ask"),
        (UNARY[1], "Ask"),
        (Dialect(Protocol::GrpcWeb, Codec::Proto), "Ask"),
        (Dialect(Protocol::GrpcWebText, Codec::Proto), "List"),
        (Dialect(Protocol::ConnectStream, Codec::Json), "List"),
        (Dialect(Protocol::ConnectStream, Codec::Proto), "Gather"),
        (Dialect(Protocol::GrpcWeb, Codec::Json), "Gather"),
    ] {
        for script in hanging() {
            upstream.does(script);
            let mut raw = Raw::connect(gateway.address("edge"));
            raw.send(post(method, dialect, "Transfer-Encoding: chunked"));
            raw.send(chunk(&dialect.body(0, &[&dialect.item("a")])));
            if method != "Gather" {
                raw.send("0\r\n\r\n");
            }
            calls += 1;
            arrived(&upstream, calls, 1).await;
            drop(raw);
            was_cancelled(&upstream, &format!("{method} {dialect:?}")).await;
        }
    }
}

/// RFC 9112 section 9.3.2: a client may send its next request ahead of the answer.
#[tokio::test]
async fn a_request_behind_a_call_does_not_take_it_back() {
    let (gateway, upstream, _caller) = start().await;
    let go_on = Arc::new(Notify::new());
    upstream.does([head(), Step::Echo, Step::Pause(Arc::clone(&go_on)), status(0)]);
    let mut raw = Raw::connect(gateway.address("edge"));
    let body = UNARY[0].item("a");
    let request = [post("Ask", UNARY[0], &format!("Content-Length: {}", body.len())).as_bytes(), &body].concat();
    raw.send(&request);
    arrived(&upstream, 1, 1).await;
    raw.send([request.clone(), request].concat());
    // What comes behind is seen by now, or never.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.last().reset, None);
    for _ in 0..3 {
        go_on.notify_one();
        raw = tokio::task::spawn_blocking(move || {
            assert_eq!(raw.answer().status, 200);
            raw
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn half_an_upload_never_looks_whole() {
    let (gateway, upstream, caller) = start().await;
    let mut calls = 0;
    for dialect in STREAM {
        for method in ["Gather", "Talk"] {
            for cut in [&b""[..], b"\0\0", b"\0\0\0\0\x05ab"] {
                upstream.does(hanging()[1].clone());
                let mut pending = caller.begin(dialect, method, &[]).await;
                pending.message(&dialect.item("a"));
                calls += 1;
                arrived(&upstream, calls, 1).await;
                pending.request.send_data(dialect.wrapped(cut.to_vec()), false).unwrap();
                if cut.is_empty() {
                    pending.request.send_reset(Reason::INTERNAL_ERROR);
                } else {
                    // An end within a frame is no end of messages.
                    pending.finish();
                    assert_eq!(pending.answer().await.code(), "invalid_argument", "{method} {dialect:?} {cut:?}");
                }
                was_cancelled(&upstream, &format!("{method} {dialect:?} {cut:?}")).await;
                assert!(!upstream.last().is_whole, "{method} {dialect:?} {cut:?}");
            }
        }
    }
    for end in [&b""[..], b"5\r\n\0\0", b"nonsense\r\n", b"0\r\n"] {
        upstream.does(hanging()[0].clone());
        let dialect = Dialect(Protocol::ConnectStream, Codec::Proto);
        let mut raw = Raw::connect(gateway.address("edge"));
        raw.send(post("Gather", dialect, "Transfer-Encoding: chunked"));
        raw.send(chunk(&dialect.body(0, &[&dialect.item("a")])));
        calls += 1;
        arrived(&upstream, calls, 1).await;
        raw.send(end);
        drop(raw);
        was_cancelled(&upstream, &format!("{end:?}")).await;
        assert!(!upstream.last().is_whole, "{end:?}");
    }
    still_serves(&caller, &upstream).await;
}

/// An upstream may answer before it has all: the rest of the upload is for nobody.
#[tokio::test]
async fn an_early_answer_ends_the_call() {
    let (_gateway, upstream, caller) = start().await;
    for dialect in STREAM {
        for method in ["Gather", "Talk"] {
            let only = vec![("grpc-status", "9".to_owned())];
            upstream.does([Step::Only(200, only)]);
            let mut pending = caller.begin(dialect, method, &[]).await;
            pending.message(&dialect.item("a"));
            assert_eq!(pending.answer().await.code(), "failed_precondition", "{method} {dialect:?}");
            assert!(!upstream.last().is_whole, "{method} {dialect:?}");
        }
    }
    still_serves(&caller, &upstream).await;
}

/// Until an upstream can send no more.
async fn stalled(upstream: &GrpcUpstream) -> usize {
    let mut last = (0, Instant::now());
    soon("the upstream has to wait", || {
        let taken = upstream.seen().last().map_or(0, |seen| seen.bytes_taken);
        if taken != last.0 {
            last = (taken, Instant::now());
        }
        (taken > 0 && last.1.elapsed() > Duration::from_millis(300)).then_some(taken)
    })
    .await
}

const MEBI: usize = 1 << 20;

/// Messages of 16 KiB each, 32 MiB of them.
fn endless() -> Vec<Step> {
    let messages = Bytes::from(frame(0, &[0; 16 << 10]).repeat(2048));
    vec![head(), Step::Data(messages), status(0)]
}

async fn begin_unread(address: SocketAddr, timeout: Option<u64>) -> (Caller, crate::kit::rpc::Pending) {
    let dialect = Dialect(Protocol::Grpc, Codec::Proto);
    let caller = Caller::connect(address).await;
    let headers: Vec<_> = timeout.map(|timeout| dialect.timeout(timeout)).into_iter().collect();
    let mut pending = caller.begin(dialect, "List", &headers).await;
    pending.message(b"");
    pending.finish();
    (caller, pending)
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_upstream_back_and_nobody_else() {
    let (gateway, upstream, caller) = start().await;
    upstream.does(endless());
    let (slow, pending) = begin_unread(gateway.address("edge"), None).await;
    // Windows and buffers on the way, and nothing more.
    let taken = stalled(&upstream).await;
    assert!(taken < MEBI, "{taken}");
    let mut raw = Raw::connect(gateway.address("edge"));
    let dialect = Dialect(Protocol::ConnectStream, Codec::Proto);
    let body = dialect.body(0, &[b""]);
    raw.send(post("List", dialect, &format!("Content-Length: {}", body.len()))).send(body);
    soon("the second call", || (upstream.seen().len() == 2).then_some(())).await;
    // The kernel's buffers come on top.
    let taken = stalled(&upstream).await;
    assert!(taken < 16 * MEBI, "{taken}");
    still_serves(&caller, &upstream).await;
    let answer = pending.answer().await;
    assert_eq!((answer.code(), answer.messages.len()), ("ok", 2048));
    drop((slow, raw));
    soon("the reset", || upstream.seen()[1].reset).await;
}

/// A deadline holds too while the client does not read: an upstream is not kept waiting for it.
#[tokio::test]
async fn a_deadline_ends_the_call_of_a_client_that_does_not_read() {
    let (gateway, upstream, _caller) = start().await;
    upstream.does(endless());
    let (_slow, _pending) = begin_unread(gateway.address("edge"), Some(300)).await;
    soon("the reset", || upstream.seen().first()?.reset).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_can_still_go_away() {
    let (gateway, upstream, _caller) = start().await;
    upstream.does(endless());
    let (_slow, pending) = begin_unread(gateway.address("edge"), None).await;
    stalled(&upstream).await;
    drop(pending);
    was_cancelled(&upstream, "a client that does not read").await;
}

/// A stream is not told that the gateway stops: it has until the drain's deadline.
#[tokio::test]
async fn an_open_stream_does_not_outlive_the_drain() {
    let (mut gateway, upstream, caller) = start_with(|yaml| yaml.replace("deadline: 500ms", "deadline: 1s")).await;
    upstream.does(echo());
    let mut finishes = caller.begin(STREAM[0], "Talk", &[]).await;
    let mut stays = caller.begin(STREAM[2], "Talk", &[]).await;
    for pending in [&mut finishes, &mut stays] {
        let item = pending.dialect.item("a");
        pending.message(&item);
    }
    soon("both calls", || (upstream.seen().iter().filter(|seen| !seen.messages.is_empty()).count() == 2).then_some(()))
        .await;
    gateway.signal("TERM");
    gateway.log_line("draining");
    finishes.message(&finishes.dialect.item("b"));
    finishes.finish();
    let answer = finishes.answer().await;
    assert_eq!((answer.code(), answer.messages.len()), ("ok", 2), "{answer:?}");
    let begun = Instant::now();
    let ended = tokio::task::spawn_blocking(move || gateway.ended().code()).await.unwrap();
    assert_eq!(ended, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Cut off, it is no success.
    assert_ne!(stays.answer().await.code(), "ok");
}
