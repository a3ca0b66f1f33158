//! Metadata pass both ways, many of one name and binary ones too; what the gateway vouches for nobody else says.

use super::{everywhere, start, start_with};
use crate::kit::{
    grpc::{Step, echo, frame, status},
    rpc::{Caller, Codec, Dialect, Protocol, UNARY},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use http::Request;
use std::io::Write as _;

fn owned(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_callers_metadata_arrive_and_what_is_the_gateways_does_not() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        let headers = owned(&[
            ("x-many", "1"),
            ("x-many", "2"),
            ("x-raw-bin", "AAECAw"),
            ("x-raw-bin", "/w==,Ag, AwQ="),
            ("authorization", "Bearer t"),
            ("user-agent", "own/1"),
            ("x-forwarded-for", "192.0.2.9"),
            ("forwarded", "for=192.0.2.9"),
            ("x-forwarded-host", "evil.test"),
            ("x-real-ip", "192.0.2.9"),
            ("x-forwarded-port", "1"),
            ("x-user-id", "root"),
            ("x_user_id", "root"),
            ("x-device-session-id", "session-1"),
            ("expect", "100-continue"),
            ("x-grpc-web", "1"),
            ("x-user-agent", "grpc-web"),
            ("connect-protocol-version", "1"),
            ("grpc-accept-encoding", "gzip"),
            ("connect-accept-encoding", "gzip"),
            ("accept-encoding", "gzip"),
            ("accept", "*/*"),
            ("proxy-authorization", "Basic x"),
            ("trailer", "x-a"),
        ]);
        let answer = caller.call(dialect, method, &headers, dialect.body(0, &[&dialect.item("a")])).await;
        assert_eq!(answer.code(), "ok", "{dialect:?} {answer:?}");
        let seen = upstream.last();
        for (name, expected) in [
            ("x-many", &["1", "2"][..]),
            ("x-raw-bin", &["AAECAw", "/w", "Ag", "AwQ"]),
            ("authorization", &["Bearer t"]),
            ("user-agent", &["own/1"]),
            ("x-forwarded-for", &["127.0.0.1"]),
            ("x-forwarded-proto", &["http"]),
            ("x-forwarded-host", &["edge"]),
            ("x-forwarded-port", &["80"]),
            ("content-type", &["application/grpc"]),
            ("te", &["trailers"]),
        ] {
            assert_eq!(seen.all(name), expected, "{name} {method} {dialect:?}");
        }
        assert!(seen.all("forwarded").concat().starts_with("for=127.0.0.1"), "{seen:?}");
        for gone in [
            "x-real-ip",
            "x-user-id",
            "x_user_id",
            "x-device-session-id",
            "expect",
            "x-grpc-web",
            "x-user-agent",
            "connect-protocol-version",
            "grpc-accept-encoding",
            "connect-accept-encoding",
            "accept-encoding",
            "accept",
            "proxy-authorization",
            "trailer",
            "host",
        ] {
            assert_eq!(seen.all(gone), [""; 0], "{gone} {method} {dialect:?}");
        }
        let text = format!("{:?}", seen.headers);
        assert!(!text.contains("192.0.2.9") && !text.contains("evil") && !text.contains("root"), "{text}");
    }
}

#[tokio::test]
async fn an_upstreams_metadata_come_back_ahead_and_behind() {
    let (_gateway, upstream, caller) = start().await;
    let ahead = [("x-ahead", "1"), ("x-ahead", "2"), ("x-ahead-bin", "AAE="), ("x-request-id", "forged")];
    let behind = [("x-behind", "3"), ("x-behind", "4"), ("x-behind-bin", "AAE"), ("grpc-status", "0")];
    for (dialect, method) in everywhere() {
        upstream.does([Step::Head(200, owned(&ahead)), Step::Echo, Step::Trailers(owned(&behind))]);
        let answer = caller.ask(dialect, method, "a").await;
        assert_eq!(answer.code(), "ok", "{method} {dialect:?} {answer:?}");
        let all = |headers: &http::HeaderMap, name: &str| -> Vec<String> {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(all(&answer.headers, "x-ahead"), ["1", "2"], "{method} {dialect:?} {answer:?}");
        assert_eq!(all(&answer.headers, "x-ahead-bin"), ["AAE="], "{method} {dialect:?} {answer:?}");
        assert_eq!(all(&answer.trailers, "x-behind"), ["3", "4"], "{method} {dialect:?} {answer:?}");
        assert_eq!(all(&answer.trailers, "x-behind-bin"), ["AAE"], "{method} {dialect:?} {answer:?}");
        let ids = all(&answer.headers, "x-request-id");
        assert!(ids.len() == 1 && ids[0] != "forged", "{method} {dialect:?} {answer:?}");
    }
}

/// Of a failure too: what the gateway says itself, no upstream says for it.
#[tokio::test]
async fn an_upstreams_metadata_do_not_speak_for_the_gateway() {
    let chain = "[ request_id, { cors: { origins: [\"https://a.test\"] } }, { headers: { response: { remove: [x-secret] } } } ]";
    let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("[ request_id ]", chain)).await;
    let all = [
        ("x-request-id", "forged"),
        ("x-secret", "1"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
    ];
    let ended = |code: &str| [&owned(&all)[..], &[("grpc-status", code.to_owned())]].concat();
    for (dialect, method) in everywhere() {
        for script in [
            vec![Step::Head(200, owned(&all)), Step::Echo, status(0)],
            vec![Step::Head(200, owned(&all)), status(5)],
            vec![Step::Only(200, ended("5"))],
        ] {
            upstream.does(script.clone());
            let headers = owned(&[("origin", "https://b.test")]);
            let answer = caller.call(dialect, method, &headers, dialect.body(0, &[&dialect.item("a")])).await;
            let said = |name: &str| answer.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            let ids = said("x-request-id");
            assert!(ids.len() == 1 && ids[0] != "forged", "{method} {dialect:?} {script:?} {answer:?}");
            for (name, _) in &all[1..] {
                assert!(said(name).is_empty(), "{name} {method} {dialect:?} {script:?} {answer:?}");
            }
        }
    }
}

/// An upstream's metadata that HTTP itself would understand say nothing about an answer that the gateway writes.
#[tokio::test]
async fn an_upstreams_metadata_do_not_frame_the_answer() {
    let (_gateway, upstream, caller) = start().await;
    let ahead = [
        ("content-encoding", "gzip"),
        ("connect-content-encoding", "gzip"),
        ("grpc-encoding", "identity"),
        ("trailer", "x-a"),
        ("x-ahead", "1"),
    ];
    for (dialect, method) in everywhere() {
        upstream.does([Step::Head(200, owned(&ahead)), Step::Echo, status(0)]);
        let answer = caller.ask(dialect, method, "a").await;
        assert_eq!((answer.code(), answer.all("x-ahead").len()), ("ok", 1), "{method} {dialect:?} {answer:?}");
        for (name, _) in &ahead[..4] {
            assert_eq!(answer.all(name), [""; 0], "{name} {method} {dialect:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_filters_edits_are_applied_to_both_sides() {
    let edits = "[ request_id, { headers: { request: { remove: [x-drop], set: { x-gateway: own } }, \
                 response: { remove: [x-secret], set: { x-added: \"yes\" } } } } ]";
    let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("[ request_id ]", edits)).await;
    for (dialect, method) in everywhere() {
        upstream.does([Step::Head(200, owned(&[("x-secret", "1"), ("x-added", "no")])), Step::Echo, status(0)]);
        let headers = owned(&[("x-drop", "1"), ("x-gateway", "forged")]);
        let answer = caller.call(dialect, method, &headers, dialect.body(0, &[&dialect.item("a")])).await;
        let seen = upstream.last();
        assert_eq!((seen.all("x-drop").len(), seen.all("x-gateway")), (0, vec!["own"]), "{method} {dialect:?}");
        let told = (answer.all("x-secret").len(), answer.all("x-added"));
        assert_eq!(told, (0, vec!["yes"]), "{method} {dialect:?} {answer:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn each_side_is_compressed_as_it_asks_for() {
    let (_gateway, upstream, caller) =
        start_with(|yaml| yaml.replace("message_max", "compression: gzip, message_max")).await;
    for (dialect, method) in everywhere() {
        let large = dialect.item(&"x".repeat(10_000));
        let accept = match dialect.0 {
            Protocol::Connect => "accept-encoding",
            Protocol::ConnectStream => "connect-accept-encoding",
            _ => "grpc-accept-encoding",
        };
        let zipped = gzip(UNARY[0].item(&"x".repeat(10_000)).as_slice());
        let head = Step::Head(200, owned(&[("grpc-encoding", "gzip")]));
        upstream.does([head, Step::Wait, Step::Data(frame(1, &zipped)), status(0)]);
        let headers = owned(&[(accept, "unknown, zstd")]);
        let answer = caller.call(dialect, method, &headers, dialect.body(0, &[&large])).await;
        assert_eq!(answer.code(), "ok", "{method} {dialect:?} {answer:?}");
        let seen = upstream.last();
        let told = (seen.all("grpc-encoding"), seen.all("grpc-accept-encoding"));
        assert_eq!(told, (vec!["gzip"], vec!["gzip, zstd, br"]), "{method} {dialect:?}");
        assert!(seen.messages[0].0 == 1 && seen.messages[0].1.len() < 200, "{method} {dialect:?}");
        assert_eq!(answer.all(dialect.encoding()), ["zstd"], "{method} {dialect:?} {answer:?}");
        let message = zstd::bulk::decompress(&answer.messages[0].1, 1 << 20).unwrap();
        assert_eq!(message, large, "{method} {dialect:?}");
        upstream.does(echo());
        caller.ask(dialect, method, "small").await;
        assert_eq!(upstream.last().messages[0].0, 0, "{method} {dialect:?}");
    }
}

/// Toward an upstream nothing is compressed, and nothing asked for, unless the route says so.
#[tokio::test]
async fn an_upstream_that_is_asked_for_nothing_may_compress_all_the_same() {
    let (_gateway, upstream, caller) = start().await;
    for (dialect, method) in everywhere() {
        let large = dialect.item(&"x".repeat(10_000));
        let zipped = gzip(UNARY[0].item(&"x".repeat(10_000)).as_slice());
        let head = Step::Head(200, owned(&[("grpc-encoding", "gzip")]));
        upstream.does([head, Step::Wait, Step::Data(frame(1, &zipped)), status(0)]);
        let answer = caller.call(dialect, method, &[], dialect.body(0, &[&large])).await;
        assert_eq!(answer.messages, [(0, large.into())], "{method} {dialect:?} {answer:?}");
        let seen = upstream.last();
        assert_eq!((seen.all("grpc-encoding").len(), seen.all("grpc-accept-encoding").len()), (0, 0));
    }
}

async fn get(caller: &Caller, method: &str, query: &str) -> crate::kit::rpc::Answer {
    let dialect = if query.contains("encoding=json") { UNARY[1] } else { UNARY[0] };
    let request = Request::get(format!("http://edge/test.v1.Test/{method}?{query}"));
    caller.send(dialect, request.body(()).unwrap(), true).await.answer().await
}

#[tokio::test]
async fn what_has_no_side_effects_is_called_by_get() {
    let (_gateway, upstream, caller) = start().await;
    let message = UNARY[0].item("ü");
    let base64 = URL_SAFE_NO_PAD.encode(&message);
    let padded = base64::engine::general_purpose::URL_SAFE.encode(&message).replace('=', "%3D");
    let zipped = URL_SAFE_NO_PAD.encode(gzip(&message));
    for (query, codec) in [
        ("connect=v1&encoding=json&message=%7B%22name%22%3A%22%C3%BC%22%7D".to_owned(), Codec::Json),
        (format!("connect=v1&encoding=proto&base64=1&message={base64}"), Codec::Proto),
        (format!("message={padded}&base64=1&encoding=proto&connect=v1"), Codec::Proto),
        (format!("encoding=proto&base64=1&compression=gzip&message={zipped}"), Codec::Proto),
    ] {
        let answer = get(&caller, "Look", &query).await;
        assert_eq!(answer.code(), "ok", "{query} {answer:?}");
        assert_eq!(answer.messages, [(0, Dialect(Protocol::Connect, codec).item("ü").into())], "{query} {answer:?}");
        // A cache may keep it, for callers that accept other encodings too.
        assert!(answer.all("vary").concat().to_lowercase().contains("accept-encoding"), "{answer:?}");
        let seen = upstream.last();
        assert_eq!((seen.messages.as_slice(), seen.is_whole), (&[(0, message.clone().into())][..], true), "{query}");
    }
    let calls = upstream.seen().len();
    for (method, query, status) in [
        ("Ask", "connect=v1&encoding=json&message=%7B%7D", 405),
        ("List", "connect=v1&encoding=json&message=%7B%7D", 405),
        ("Look", "connect=v1&encoding=xml&message=%7B%7D", 415),
        ("Look", "", 415),
        ("Look", "connect=v1&encoding=json", 400),
        ("Look", "connect=v2&encoding=json&message=%7B%7D", 400),
        ("Look", "encoding=json&message=%7B", 400),
        ("Look", "encoding=proto&base64=1&message=%21", 400),
        ("Look", "encoding=proto&message=&compression=lz4", 400),
        ("Look", "encoding=proto&message=abc&compression=gzip", 400),
    ] {
        let answer = get(&caller, method, query).await;
        assert_eq!(answer.status, status, "{method} {query} {answer:?}");
    }
    assert_eq!(upstream.seen().len(), calls);
    // The length of what a query may hold is that of a head: 64 KiB of zeros need far less.
    let bomb = URL_SAFE_NO_PAD.encode(gzip(&vec![0; 70 << 10]));
    let answer = get(&caller, "Look", &format!("encoding=proto&base64=1&compression=gzip&message={bomb}")).await;
    assert_eq!((answer.status, answer.code()), (429, "resource_exhausted"), "{answer:?}");
}

/// A cache keeps it apart for other origins as well.
#[tokio::test]
async fn an_answer_to_get_varies_by_all_that_it_depends_on() {
    let cors = "[ request_id, { cors: { origins: [\"https://a.test\"] } } ]";
    let (_gateway, _upstream, caller) = start_with(|yaml| yaml.replace("[ request_id ]", cors)).await;
    let answer = get(&caller, "Look", "connect=v1&encoding=json&message=%7B%7D").await;
    let varies = answer.all("vary").join(", ");
    assert!(varies.contains("Origin") && varies.contains("Accept-Encoding"), "{answer:?}");
}
