//! Whatever an upstream does wrong ends in a failure that says so, and harms no other call.

use super::{everywhere, start, start_with, still_serves};
use crate::kit::{
    grpc::{Step, echo, frame, head, status},
    rpc::{Failed, Protocol, STREAM, Status, UNARY},
};
use h2::Reason;
use hyper::body::Bytes;
use prost::Message as _;

fn data(bytes: &'static [u8]) -> Step {
    Step::Data(Bytes::from_static(bytes))
}

#[tokio::test]
async fn an_answer_that_is_none_is_the_gateways_failure() {
    let (_gateway, upstream, caller) = start().await;
    let unavailable = ("unavailable", Some("BACKEND_UNAVAILABLE"));
    let broken = ("internal", Some("BACKEND_UNAVAILABLE"));
    let html =
        |status| vec![Step::Head(status, vec![("content-type", "text/html".to_owned())]), data(b"<p>"), Step::End];
    for (what, script, expected) in [
        ("502", html(502), unavailable),
        ("503", html(503), unavailable),
        ("404", html(404), ("unimplemented", Some("BACKEND_UNAVAILABLE"))),
        ("200 that is no gRPC", html(200), ("unknown", Some("BACKEND_UNAVAILABLE"))),
        ("no status", vec![head(), Step::Echo, Step::End], unavailable),
        ("no status among the trailers", vec![head(), Step::Trailers(vec![("x-a", "1".into())])], unavailable),
        ("a reset", vec![head(), Step::Reset(Reason::INTERNAL_ERROR)], broken),
        ("a reset of all", vec![Step::Reset(Reason::INTERNAL_ERROR)], broken),
        ("a refusal", vec![Step::Reset(Reason::REFUSED_STREAM)], unavailable),
        (
            "a refused transport",
            vec![Step::Reset(Reason::INADEQUATE_SECURITY)],
            ("permission_denied", Some("BACKEND_UNAVAILABLE")),
        ),
        ("half a message", vec![head(), data(b"\0\0\0\0\x05ab"), status(0)], broken),
        ("half a message, and no status", vec![head(), data(b"\0\0\0\0\x05ab"), Step::End], unavailable),
        ("reserved flags", vec![head(), data(b"\x02\0\0\0\0"), status(0)], broken),
        ("compressed without an encoding", vec![head(), data(b"\x01\0\0\0\x01a"), status(0)], broken),
    ] {
        for (dialect, method) in everywhere() {
            upstream.does(script.clone());
            let answer = caller.ask(dialect, method, "a").await;
            let said = (answer.code(), answer.reason());
            assert_eq!((said.0, said.1.as_deref()), expected, "{what} {method} {dialect:?} {answer:?}");
            still_serves(&caller, &upstream).await;
        }
    }
}

#[tokio::test]
async fn a_method_that_answers_once_answers_once() {
    let (_gateway, upstream, caller) = start().await;
    for (what, script) in [
        ("none", vec![head(), status(0)]),
        ("two", vec![head(), data(b"\0\0\0\0\0\0\0\0\0\0"), status(0)]),
        ("none, by its status alone", vec![Step::Only(200, vec![("grpc-status", "0".to_owned())])]),
    ] {
        for dialect in UNARY {
            upstream.does(script.clone());
            let answer = caller.ask(dialect, "Ask", "a").await;
            assert_eq!(answer.code(), "unimplemented", "{what} {dialect:?} {answer:?}");
            assert!(answer.messages.is_empty(), "{what} {dialect:?} {answer:?}");
        }
        for dialect in STREAM {
            upstream.does(script.clone());
            assert_eq!(caller.ask(dialect, "Gather", "a").await.code(), "unimplemented", "{what} {dialect:?}");
        }
    }
    still_serves(&caller, &upstream).await;
}

/// gRPC servers write an empty stream as a status alone: "Trailers-Only".
#[tokio::test]
async fn a_stream_may_be_empty() {
    let (_gateway, upstream, caller) = start().await;
    for script in [
        vec![head(), status(0)],
        vec![Step::Only(200, vec![("grpc-status", "0".to_owned()), ("x-behind", "1".to_owned())])],
    ] {
        for dialect in STREAM {
            for method in ["List", "Talk"] {
                upstream.does(script.clone());
                let answer = caller.ask(dialect, method, "a").await;
                assert_eq!((answer.code(), answer.messages.len()), ("ok", 0), "{method} {dialect:?} {answer:?}");
                assert_eq!(answer.all("x-behind").len(), script.len() % 2, "{method} {dialect:?} {answer:?}");
            }
        }
    }
    still_serves(&caller, &upstream).await;
}

#[tokio::test]
async fn what_came_ahead_of_a_failure_is_passed_on() {
    let (_gateway, upstream, caller) = start().await;
    for (last, code) in [(Step::Reset(Reason::REFUSED_STREAM), "unavailable"), (status(9), "failed_precondition")] {
        for dialect in STREAM {
            upstream.does([head(), Step::Data(frame(0, b"\x0a\x01a")), Step::Wait, last.clone()]);
            let answer = caller.ask(dialect, "List", "a").await;
            assert_eq!(answer.code(), code, "{dialect:?} {answer:?}");
            let is_first_lost = answer.messages.is_empty() && code == "unavailable";
            assert!(is_first_lost || answer.messages == [(0, dialect.item("a").into())], "{dialect:?} {answer:?}");
            assert_eq!(answer.status, 200);
        }
    }
    still_serves(&caller, &upstream).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unavailable() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_gateway, upstream, caller) = start_with(|yaml| {
        let (before, rest) = yaml.split_once("http://").unwrap();
        format!("{before}http://{gone}{}", &rest[rest.find('"').unwrap()..])
    })
    .await;
    for (dialect, method) in everywhere() {
        let answer = caller.ask(dialect, method, "a").await;
        let expected = ("unavailable", Some("BACKEND_UNAVAILABLE"));
        assert_eq!((answer.code(), answer.reason().as_deref()), expected, "{method} {dialect:?} {answer:?}");
        let status = if dialect.0 == Protocol::Connect { 503 } else { 200 };
        assert_eq!(answer.status, status, "{dialect:?} {answer:?}");
    }
    assert!(upstream.seen().is_empty());
}

fn details(of: &[(&str, &[u8])]) -> String {
    let any = |(name, value): &(&str, &[u8])| prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: value.to_vec(),
    };
    let status = Status { code: 5, message: "gone".to_owned(), details: of.iter().map(any).collect() };
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, status.encode_to_vec())
}

#[tokio::test]
async fn an_upstreams_own_failure_passes_whole() {
    let (_gateway, upstream, caller) = start().await;
    let known: [(&str, &[u8]); 2] = [("google.rpc.Help", b""), ("own.v1.Detail", b"\x0a\x01a")];
    let failure = || {
        vec![
            ("grpc-status", "5".to_owned()),
            ("grpc-message", "gone%20100%25 %C3%BC".to_owned()),
            ("grpc-status-details-bin", details(&known)),
            ("x-behind", "1".to_owned()),
            ("x-behind", "2".to_owned()),
            ("x-behind-bin", "AAE".to_owned()),
        ]
    };
    let scripts = [vec![Step::Only(200, failure())], vec![head(), Step::Trailers(failure())]];
    for (dialect, method) in everywhere() {
        for script in &scripts {
            upstream.does(script.clone());
            let answer = caller.ask(dialect, method, "a").await;
            let details = known.map(|(name, value)| (name.to_owned(), value.to_vec())).to_vec();
            let expected = Failed { code: "not_found".to_owned(), message: "gone 100% ü".to_owned(), details };
            assert_eq!(answer.failed.as_ref(), Some(&expected), "{method} {dialect:?} {answer:?}");
            let status = if dialect.0 == Protocol::Connect { 404 } else { 200 };
            assert_eq!(answer.status, status, "{dialect:?}");
            assert_eq!(answer.all("x-behind"), ["1", "2"], "{method} {dialect:?} {answer:?}");
            assert_eq!(answer.all("x-behind-bin"), ["AAE"], "{method} {dialect:?} {answer:?}");
            for own in ["grpc-message", "grpc-status", "grpc-status-details-bin"] {
                let values = if dialect.0 == Protocol::Connect || dialect.0 == Protocol::ConnectStream { 0 } else { 1 };
                assert_eq!(answer.all(own).len(), values, "{own} {dialect:?} {answer:?}");
            }
        }
    }
    still_serves(&caller, &upstream).await;
}

/// What an upstream says about a failure begins no header, wherever it ends up.
#[tokio::test]
async fn a_failures_words_stay_words() {
    let (_gateway, upstream, caller) = start().await;
    for (sent, expected) in [
        ("a%0D%0Aset-cookie: b=1%0d%0a%0d%0a<p>", "a\r\nset-cookie: b=1\r\n\r\n<p>"),
        ("%00%7f\u{fffd}", "\0\x7f\u{fffd}"),
        ("100%", "100%"),
        ("%FF%zz", "\u{fffd}%zz"),
    ] {
        for (dialect, method) in everywhere() {
            let trailers = vec![
                ("grpc-status", "13".to_owned()),
                ("grpc-message", sent.to_owned()),
                ("grpc-status-details-bin", "no base64!".to_owned()),
            ];
            upstream.does([head(), Step::Trailers(trailers)]);
            let answer = caller.ask(dialect, method, "a").await;
            let failed = answer.failed.as_ref().unwrap();
            assert_eq!(
                (failed.message.as_str(), failed.code.as_str()),
                (expected, "internal"),
                "{dialect:?} {answer:?}"
            );
            assert!(failed.details.is_empty() && answer.all("set-cookie").is_empty(), "{dialect:?} {answer:?}");
        }
    }
    still_serves(&caller, &upstream).await;
}

#[tokio::test]
async fn a_code_that_nobody_knows_is_unknown() {
    let (_gateway, upstream, caller) = start().await;
    for (code, expected) in
        [("17", "unknown"), ("-1", "unknown"), ("ok", "unknown"), ("", "unknown"), ("+0", "unknown")]
    {
        for (dialect, method) in everywhere() {
            upstream.does([head(), Step::Echo, Step::Trailers(vec![("grpc-status", code.to_owned())])]);
            assert_eq!(caller.ask(dialect, method, "a").await.code(), expected, "{code} {method} {dialect:?}");
        }
    }
    upstream.does(echo());
    still_serves(&caller, &upstream).await;
}
