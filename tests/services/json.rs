//! JSON is protobuf's own (protobuf.dev/programming-guides/json): what comes in is understood as it is there, and what
//! goes out is its canonical form.

use super::{start, still_serves};
use crate::kit::rpc::{Codec, Dialect, STREAM, UNARY};
use serde_json::{Value, json};

fn dialects() -> impl Iterator<Item = (Dialect, &'static str)> {
    let unary = UNARY.into_iter().map(|dialect| (dialect, "Ask"));
    unary.chain(STREAM.into_iter().map(|dialect| (dialect, "Talk"))).filter(|(dialect, _)| dialect.1 == Codec::Json)
}

#[tokio::test]
async fn what_is_understood_comes_back_in_its_canonical_form() {
    let (_gateway, upstream, caller) = start().await;
    let any = json!({ "@type": "type.googleapis.com/test.v1.Item", "name": "a", "item": { "number": "1" } });
    let known = json!({ "@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s" });
    for (sent, expected) in [
        (json!({}), json!({})),
        (json!({ "number": "9223372036854775807" }), json!({ "number": "9223372036854775807" })),
        (json!({ "number": -9_223_372_036_854_775_808_i64 }), json!({ "number": "-9223372036854775808" })),
        (json!({ "number": 1e2 }), json!({ "number": "100" })),
        (json!({ "number": null, "name": null, "item": null }), json!({})),
        (json!({ "data": "-_8" }), json!({ "data": "+/8=" })),
        (json!({ "data": "+/8=" }), json!({ "data": "+/8=" })),
        (json!({ "for_time": "1.5s" }), json!({ "forTime": "1.500s" })),
        (json!({ "forTime": "-0.000000001s" }), json!({ "forTime": "-0.000000001s" })),
        (json!({ "at": "2026-01-02T03:04:05.678+01:00" }), json!({ "at": "2026-01-02T02:04:05.678Z" })),
        (json!({ "mask": "a.fooBar,b" }), json!({ "mask": "a.fooBar,b" })),
        (json!({ "wrapped": "AA==" }), json!({ "wrapped": "AA==" })),
        (json!({ "kind": 1 }), json!({ "kind": "KIND_ONE" })),
        (json!({ "kind": 7 }), json!({ "kind": 7 })),
        // A newer client's, as an unknown field is.
        (json!({ "kind": "KIND_NEWER" }), json!({})),
        (json!({ "ratio": "NaN" }), json!({ "ratio": "NaN" })),
        (json!({ "ratio": "-Infinity" }), json!({ "ratio": "-Infinity" })),
        (json!({ "numbers": { "a": 1.5, "b": "2" } }), json!({ "numbers": { "a": 1.5, "b": 2.0 } })),
        (json!({ "first": 0 }), json!({ "first": 0 })),
        (json!({ "items": [{}, { "name": "ü\u{1F980}" }] }), json!({ "items": [{}, { "name": "ü\u{1F980}" }] })),
        (
            json!({ "structure": { "a": [1, "b", null, true, { "c": {} }] } }),
            json!({ "structure": { "a": [1.0, "b", null, true, { "c": {} }] } }),
        ),
        (json!({ "any": any }), json!({ "any": any })),
        (json!({ "any": known }), json!({ "any": known })),
        (
            json!({ "new": [1, { "deep": {} }], "name": "a", "item": { "newer": 1 } }),
            json!({ "name": "a", "item": {} }),
        ),
    ] {
        for (dialect, method) in dialects() {
            let body = dialect.body(0, &[sent.to_string().as_bytes()]);
            let answer = caller.call(dialect, method, &[], body).await;
            assert_eq!(answer.code(), "ok", "{sent} {method} {dialect:?} {answer:?}");
            let back: Value = serde_json::from_slice(&answer.messages[0].1).unwrap();
            assert_eq!(back, expected, "{sent} {method} {dialect:?}");
        }
    }
    still_serves(&caller, &upstream).await;
}

#[tokio::test]
async fn what_is_not_its_message_is_an_invalid_argument() {
    let (_gateway, upstream, caller) = start().await;
    for sent in [
        "",
        "null",
        "[]",
        "{",
        "{}{}",
        "{} x",
        "\u{feff}{}",
        r#"{"name":1}"#,
        r#"{"name":"\ud800"}"#,
        r#"{"number":1.5}"#,
        r#"{"number":"9223372036854775808"}"#,
        r#"{"number":"x"}"#,
        r#"{"data":"*"}"#,
        r#"{"item":[]}"#,
        r#"{"items":{}}"#,
        r#"{"items":[null]}"#,
        r#"{"at":"yesterday"}"#,
        r#"{"at":"10000-01-01T00:00:00Z"}"#,
        r#"{"forTime":"1"}"#,
        r#"{"any":{"@type":"type.googleapis.com/no.No"}}"#,
        r#"{"any":{"name":"a"}}"#,
        r#"{"first":1,"second":"b"}"#,
        r#"{"ratio":1e60}"#,
    ] {
        for (dialect, method) in dialects() {
            let answer = caller.call(dialect, method, &[], dialect.body(0, &[sent.as_bytes()])).await;
            let said = (answer.code(), answer.reason());
            assert_eq!(said, ("invalid_argument", None), "{sent} {method} {dialect:?} {answer:?}");
        }
    }
    assert!(upstream.seen().iter().all(|seen| seen.messages.is_empty()));
    still_serves(&caller, &upstream).await;
}
