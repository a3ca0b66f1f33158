//! A message is as large as it may be, on its way in and out, as it comes and decompressed; a call lasts as long as it
//! may, and says to the upstream what is left.

use super::{everywhere, start, start_with, still_serves};
use crate::kit::{
    grpc::{Step, echo, frame, head, status},
    raw::Raw,
    rpc::{Answer, Codec, Dialect, Protocol, STREAM, UNARY},
    soon,
};
use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use std::{
    io::Write as _,
    time::{Duration, Instant},
};

/// A message of zeros that becomes small, in each encoding.
fn compressed(message: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(message).unwrap();
    let mut brotli = Vec::new();
    ::brotli::BrotliCompress(&mut &*message, &mut brotli, &Default::default()).unwrap();
    [("gzip", gzip.finish().unwrap()), ("zstd", zstd::bulk::compress(message, 3).unwrap()), ("br", brotli)]
}

fn assert_too_large(answer: &Answer, dialect: Dialect, what: &str) {
    assert_eq!((answer.code(), answer.reason()), ("resource_exhausted", None), "{what} {dialect:?} {answer:?}");
    let status = if dialect.0 == Protocol::Connect { 429 } else { 200 };
    assert_eq!(answer.status, status, "{what} {dialect:?}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_as_it_comes() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        // The listener takes 64 KiB.
        let answer = caller.ask(dialect, method, &"x".repeat(70 << 10)).await;
        assert_too_large(&answer, dialect, method);
        still_serves(&caller, &upstream).await;
    }
    for seen in upstream.seen() {
        assert!(seen.messages.iter().all(|(_, message)| message.len() < 100), "{}", seen.path);
    }
}

#[tokio::test]
async fn a_bomb_is_too_large_and_what_fits_is_unwrapped() {
    let (gateway, upstream, caller) = start().await;
    let before = resident(gateway.pid());
    let [bombs, bombs_in_json] = [UNARY[0], UNARY[1]].map(|dialect| compressed(&dialect.item(&"x".repeat(32 << 20))));
    for (dialect, method) in everywhere() {
        for (encoding, bomb) in if dialect.1 == Codec::Proto { &bombs } else { &bombs_in_json } {
            assert!(bomb.len() < 60 << 10, "{encoding} {}", bomb.len());
            let headers = [(dialect.encoding(), (*encoding).to_owned())];
            let answer = caller.call(dialect, method, &headers, dialect.body(1, &[bomb])).await;
            assert_too_large(&answer, dialect, encoding);
        }
        for (encoding, small) in compressed(&dialect.item(&"x".repeat(60 << 10))) {
            let headers = [(dialect.encoding(), encoding.to_owned())];
            let answer = caller.call(dialect, method, &headers, dialect.body(1, &[&small])).await;
            assert_eq!(answer.code(), "ok", "{encoding} {dialect:?} {method} {answer:?}");
            assert!(answer.messages[0].1.len() > 60 << 10, "{encoding} {dialect:?}");
        }
    }
    still_serves(&caller, &upstream).await;
    // Nearly a hundred bombs of 32 MiB.
    let grown = resident(gateway.pid()).saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");
}

/// Bytes that a process has in memory.
fn resident(pid: u32) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let (_gateway, upstream, caller) = start().await;
    let large = vec![0; 70 << 10];
    let mut answers = vec![("as it comes", vec![head(), Step::Data(frame(0, &large)), status(0)])];
    for (encoding, small) in compressed(&large) {
        let head = Step::Head(200, vec![("grpc-encoding", encoding.to_owned())]);
        answers.push((encoding, vec![head, Step::Data(frame(1, &small)), status(0)]));
    }
    // Only what the length says, and nothing behind it.
    answers.push(("announced", vec![head(), Step::Data(Bytes::from_static(b"\0\xff\xff\xff\xff")), Step::Hang]));
    for (what, answer) in answers {
        for (dialect, method) in everywhere() {
            upstream.does(answer.clone());
            assert_too_large(&caller.ask(dialect, method, "a").await, dialect, what);
            if what == "announced" {
                soon("the reset", || upstream.last().reset).await;
            }
            still_serves(&caller, &upstream).await;
        }
    }
}

fn hangs() -> Vec<Step> {
    vec![Step::Hang]
}

#[tokio::test]
async fn a_callers_deadline_ends_the_call_on_both_sides() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        for script in [hangs(), vec![head(), Step::Hang], vec![head(), Step::Data(frame(0, b"")), Step::Hang]] {
            upstream.does(script);
            let begun = Instant::now();
            let body = dialect.body(0, &[&dialect.item("a")]);
            let answer = caller.call(dialect, method, &[dialect.timeout(100)], body).await;
            assert_eq!((answer.code(), answer.reason()), ("deadline_exceeded", None), "{dialect:?} {answer:?}");
            let status = if dialect.0 == Protocol::Connect { 504 } else { 200 };
            assert_eq!(answer.status, status, "{dialect:?} {answer:?}");
            assert!((100..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
            soon("the reset", || upstream.last().reset).await;
        }
    }
    still_serves(&caller, &upstream).await;
}

/// The upstream's own limit is the gateway's word: it comes with a reason.
#[tokio::test]
async fn the_gateways_own_limit_ends_a_unary_call() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("request: 60s", "request: 100ms")).await;
    for dialect in UNARY {
        upstream.does(hangs());
        let answer = caller.ask(dialect, "Ask", "a").await;
        let expected = ("deadline_exceeded", Some("BACKEND_TIMEOUT"));
        assert_eq!((answer.code(), answer.reason().as_deref()), expected, "{dialect:?} {answer:?}");
        soon("the reset", || upstream.last().reset).await;
        still_serves(&caller, &upstream).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_silent_for_too_long_is_ended() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("rpc: {", "rpc: { idle: 100ms,")).await;
    for dialect in STREAM {
        for method in ["List", "Gather", "Talk"] {
            upstream.does(vec![head(), Step::Hang]);
            let answer = caller.ask(dialect, method, "a").await;
            let expected = ("unavailable", Some("BACKEND_TIMEOUT"));
            assert_eq!((answer.code(), answer.reason().as_deref()), expected, "{method} {dialect:?} {answer:?}");
            soon("the reset", || upstream.last().reset).await;
        }
    }
    still_serves(&caller, &upstream).await;
}

/// `connections.body_idle` is for bodies that are read whole: how long a stream may be silent its route says.
#[tokio::test]
async fn a_stream_may_be_silent_for_longer_than_a_body() {
    let idle = "connections: { body_idle: 200ms }\nroutes:";
    let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("routes:", idle)).await;
    for dialect in STREAM {
        upstream.does(echo());
        let mut pending = caller.begin(dialect, "Talk", &[]).await;
        pending.message(&dialect.item("a"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        pending.message(&dialect.item("b"));
        pending.finish();
        let answer = pending.answer().await;
        assert_eq!((answer.code(), answer.messages.len()), ("ok", 2), "{dialect:?} {answer:?}");
    }
}

/// The same over HTTP/1.1, where reads have a time of their own.
#[tokio::test]
async fn a_stream_in_chunks_may_be_silent_too() {
    let idle = "connections: { body_idle: 200ms }\nroutes:";
    let (gateway, _upstream, _caller) = start_with(|yaml| yaml.replace("routes:", idle)).await;
    let mut raw = Raw::connect(gateway.address("edge"));
    raw.send("POST /test.v1.Test/Talk HTTP/1.1\r\nHost: a\r\nContent-Type: application/connect+proto\r\n");
    raw.send("Transfer-Encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    raw.send("5\r\n\0\0\0\0\0\r\n0\r\n\r\n");
    let answer = tokio::task::spawn_blocking(move || raw.answer()).await.unwrap();
    assert_eq!(answer.body, b"\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02{}");
}

#[tokio::test]
async fn what_is_left_of_a_deadline_goes_along() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        let body = dialect.body(0, &[&dialect.item("a")]);
        caller.call(dialect, method, &[dialect.timeout(60_000)], body.clone()).await;
        let left = upstream.last().all("grpc-timeout").concat();
        let (digits, unit) = left.split_at(left.len() - 1);
        let per_second = match unit {
            "n" => 1e9,
            "u" => 1e6,
            "m" => 1e3,
            _ => panic!("{left}"),
        };
        let seconds = digits.parse::<f64>().unwrap() / per_second;
        assert!((30.0..60.0).contains(&seconds), "{dialect:?} {left}");
        caller.call(dialect, method, &[], body).await;
        assert_eq!(upstream.last().all("grpc-timeout"), [""; 0], "{dialect:?}");
    }
}
