//! Bytes that no honest client or upstream sends cost little, are told what they are, and harm nothing else.

use super::{everywhere, start, still_serves};
use crate::kit::{
    grpc::{Step, frame, head, status},
    rpc::{Codec, Dialect, Protocol},
};
use prost::encoding::encode_varint;

#[tokio::test]
async fn frames_that_lie_are_refused() {
    let (gateway, upstream, caller) = start().await;
    let item = |dialect: Dialect| dialect.item("abc");
    for (dialect, method) in everywhere().filter(|(dialect, _)| dialect.0 != Protocol::Connect) {
        let takes_one = matches!(method, "Ask" | "List");
        let whole = frame(0, &item(dialect)).to_vec();
        let (one, none) = if takes_one { ("unimplemented", "unimplemented") } else { ("ok", "ok") };
        let none = if method == "Gather" { "unimplemented" } else { none };
        let one = if method == "Gather" { "unimplemented" } else { one };
        for (what, framed, code) in [
            ("nothing", vec![], none),
            ("two messages", [whole.clone(), whole.clone()].concat(), one),
            ("4 GiB", [&b"\0\xff\xff\xff\xff"[..], &item(dialect)].concat(), "resource_exhausted"),
            ("2 GiB", [&b"\0\x80\0\0\0"[..], &item(dialect)].concat(), "resource_exhausted"),
            ("longer", [&b"\0\0\0\0\x7f"[..], &item(dialect)].concat(), "invalid_argument"),
            ("half a head", vec![0; 4], "invalid_argument"),
            ("a byte behind", [whole.clone(), vec![0]].concat(), "invalid_argument"),
            ("an end of stream", frame(2, b"{}").to_vec(), "invalid_argument"),
            ("trailers", frame(0x80, b"a: b\r\n").to_vec(), "invalid_argument"),
            ("all flags", frame(0xff, b"").to_vec(), "invalid_argument"),
            ("compressed, but how", frame(1, &item(dialect)).to_vec(), "internal"),
        ] {
            let answer = caller.call(dialect, method, &[], dialect.wrapped(framed)).await;
            assert_eq!(answer.code(), code, "{what} {method} {dialect:?} {answer:?}");
        }
        let headers = [(dialect.encoding(), "gzip".to_owned())];
        let garbage = dialect.body(1, &[b"\x1f\x8bgarbage"]);
        let answer = caller.call(dialect, method, &headers, garbage).await;
        assert_eq!(answer.code(), "invalid_argument", "{method} {dialect:?} {answer:?}");
    }
    still_serves(&caller, &upstream).await;
    assert!(!gateway.has_panicked());
}

#[tokio::test]
async fn text_that_is_no_base64_is_refused() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere().filter(|(dialect, _)| dialect.0 == Protocol::GrpcWebText) {
        for body in ["AAAAAAA", "AAAA!AAA", "====", "\0\0\0\0", "AAAAAA=A", "AA AAAAA="] {
            let answer = caller.call(dialect, method, &[], body).await;
            assert_eq!(answer.code(), "invalid_argument", "{body:?} {method} {dialect:?} {answer:?}");
        }
    }
    still_serves(&caller, &upstream).await;
}

const DEEP: usize = 10_000;

fn deep_json(open: &str, close: &str) -> Vec<u8> {
    [open.repeat(DEEP), close.repeat(DEEP)].concat().into_bytes()
}

/// `Item`s in each other.
fn deep_proto() -> Vec<u8> {
    // Written from its end, each ahead of what it holds.
    let mut reversed = Vec::new();
    for _ in 0..DEEP {
        let mut head = vec![0x22];
        encode_varint(reversed.len() as u64, &mut head);
        reversed.extend(head.into_iter().rev());
    }
    reversed.reverse();
    reversed
}

#[tokio::test]
async fn messages_within_messages_end_somewhere() {
    let (gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        if dialect.1 == Codec::Json {
            for (message, code) in [
                (deep_json("{\"item\":", "}"), "invalid_argument"),
                (deep_json("{\"items\":[", "]}"), "invalid_argument"),
                (
                    [b"{\"structure\":{\"a\":".to_vec(), deep_json("[", "]"), b"}}".to_vec()].concat(),
                    "invalid_argument",
                ),
                (deep_json("[", "]"), "invalid_argument"),
                (deep_json("[", ""), "invalid_argument"),
                // serde_json skips what is not known without going into it.
                ([b"{\"unknown\":".to_vec(), deep_json("[", "]"), b"}".to_vec()].concat(), "ok"),
            ] {
                if message.len() < 64 << 10 {
                    let answer = caller.call(dialect, method, &[], dialect.body(0, &[&message])).await;
                    let start = String::from_utf8_lossy(&message[..20]).into_owned();
                    assert_eq!(answer.code(), code, "{start} {method} {dialect:?} {answer:?}");
                }
            }
            upstream.does([head(), Step::Data(frame(0, &deep_proto())), status(0)]);
            let answer = caller.ask(dialect, method, "a").await;
            let expected = ("internal", Some("BACKEND_UNAVAILABLE"));
            assert_eq!((answer.code(), answer.reason().as_deref()), expected, "{method} {dialect:?} {answer:?}");
            upstream.does(crate::kit::grpc::echo());
        } else {
            // Nobody here looks into it.
            let answer = caller.call(dialect, method, &[], dialect.body(0, &[&deep_proto()])).await;
            assert_eq!(answer.code(), "ok", "{method} {dialect:?} {answer:?}");
        }
    }
    still_serves(&caller, &upstream).await;
    assert!(!gateway.has_panicked());
}

/// What an upstream says that is not its message cannot be said in JSON.
#[tokio::test]
async fn an_answer_that_is_not_its_message_is_the_upstreams_fault() {
    let (gateway, upstream, caller) = start().await;
    for (what, message) in [
        ("no field", &b"\xff\xff\xff"[..]),
        ("cut", b"\x0a\x05ab"),
        ("no UTF-8", b"\x0a\x02\xff\xfe"),
        ("an Any of nothing known", b"\x42\x1a\x0a\x18type.googleapis.com/no.No"),
        // seconds: i64::MAX
        ("a Timestamp of no year", b"\x52\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ("a Duration of no time", b"\x5a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        // Value.number_value: NaN
        ("a NaN in a Struct", b"\x4a\x10\x0a\x0e\x0a\x01a\x12\x09\x11\0\0\0\0\0\0\xf8\x7f"),
    ] {
        for (dialect, method) in everywhere().filter(|(dialect, _)| dialect.1 == Codec::Json) {
            upstream.does([head(), Step::Data(frame(0, message)), status(0)]);
            let answer = caller.ask(dialect, method, "a").await;
            let expected = ("internal", Some("BACKEND_UNAVAILABLE"));
            assert_eq!((answer.code(), answer.reason().as_deref()), expected, "{what} {method} {dialect:?} {answer:?}");
        }
    }
    still_serves(&caller, &upstream).await;
    assert!(!gateway.has_panicked());
}
