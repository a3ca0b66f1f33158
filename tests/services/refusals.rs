//! What the gateway refuses, in each dialect: with the code, the reason and the HTTP status that the protocol has for
//! it, and the next call on the connection is answered.

use super::{everywhere, start_with, still_serves};
use crate::kit::{
    grpc::GrpcUpstream,
    rpc::{Answer, Caller, Dialect, Protocol, UNARY},
};
use http::Request;

/// How a refusal looks: its code, the reason among its details, and the status where Connect says it by HTTP.
type Expected = (&'static str, Option<&'static str>, u16);

fn assert_refused(answer: &Answer, dialect: Dialect, (code, reason, status): Expected, what: &str) {
    assert_eq!((answer.code(), answer.reason().as_deref()), (code, reason), "{what} {dialect:?} {answer:?}");
    let status = if dialect.0 == Protocol::Connect { status } else { 200 };
    assert_eq!(answer.status, status, "{what} {dialect:?} {answer:?}");
    assert!(answer.messages.is_empty(), "{what} {dialect:?} {answer:?}");
    assert_eq!(answer.all("x-request-id").len(), 1, "{what} {dialect:?} {answer:?}");
}

#[tokio::test]
async fn a_spent_budget_says_when_to_come_again() {
    let budget = "budgets: { tight: { key: [client.ip], instance: [\"1/1h\"] } }\nroutes:";
    let (_gateway, upstream, caller) = start_with(|yaml| {
        yaml.replace("routes:", budget).replace("[ request_id ]", "[ request_id, { budget: [tight] } ]")
    })
    .await;
    still_serves(&caller, &upstream).await;
    for (dialect, method) in everywhere() {
        let answer = caller.ask(dialect, method, "a").await;
        assert_refused(&answer, dialect, ("resource_exhausted", Some("BUDGET_EXHAUSTED"), 429), method);
        let details = &answer.failed.as_ref().unwrap().details;
        let info = details.iter().find(|(name, _)| name == "google.rpc.RetryInfo").expect("a RetryInfo");
        let info: proto::google::rpc::RetryInfo = prost::Message::decode(info.1.as_slice()).unwrap();
        let seconds = info.retry_delay.unwrap().seconds;
        assert!((1..=3600).contains(&seconds), "{seconds}");
        let told = |name: &str| answer.all(name).join(",");
        assert_eq!(told("retry-after"), seconds.to_string(), "{answer:?}");
        assert_eq!((told("x-ratelimit-limit"), told("x-ratelimit-remaining")), ("1".to_owned(), "0".to_owned()));
        assert!((1..=3600).contains(&told("x-ratelimit-reset").parse().unwrap()), "{answer:?}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_filter_refuses_in_the_callers_words() {
    for (filter, headers, reason) in [
        ("{ ip: { deny: [127.0.0.1] } }", vec![], "ADDRESS_FORBIDDEN"),
        (
            "{ cors: { origins: [\"https://a.test\"], strict: true } }",
            vec![("origin", "https://b.test".to_owned())],
            "ORIGIN_FORBIDDEN",
        ),
    ] {
        let chain = format!("[ request_id, {filter} ]");
        let (_gateway, upstream, caller) = start_with(|yaml| yaml.replace("[ request_id ]", &chain)).await;
        for (dialect, method) in everywhere() {
            let answer = caller.call(dialect, method, &headers, dialect.body(0, &[&dialect.item("a")])).await;
            assert_refused(&answer, dialect, ("permission_denied", Some(reason), 403), method);
        }
        assert_eq!(upstream.seen().len(), 0);
    }
}

/// A call that is none of the service's is refused in the protocol's own words: they carry no details.
#[tokio::test]
async fn what_the_service_does_not_have_is_unimplemented() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml).await;
    for (dialect, _) in everywhere() {
        let answer = caller.ask(dialect, "Nothing", "a").await;
        assert_refused(&answer, dialect, ("unimplemented", None, 404), "an unknown method");
        still_serves(&caller, &upstream).await;
    }
    for (dialect, path) in everywhere().map(|(dialect, _)| (dialect, "other.v1.Other/Ask")) {
        let request = Request::post(format!("http://edge/{path}"))
            .header("content-type", dialect.media_type())
            .header("connect-protocol-version", "1");
        let answer = caller.send(dialect, request.body(()).unwrap(), true).await.answer().await;
        assert_refused(&answer, dialect, ("unimplemented", Some("ROUTE_UNKNOWN"), 404), "an unknown route");
        still_serves(&caller, &upstream).await;
    }
}

/// Connect's error codes by HTTP alone: what is no call of the protocol at all has no error in it.
#[tokio::test]
async fn another_verb_or_media_type_is_told_the_right_one() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml).await;
    let plain = UNARY[0];
    for (verb, method, media_type, status, name, value) in [
        ("PUT", "Ask", "application/proto", 405, "allow", "POST"),
        ("PUT", "Look", "application/proto", 405, "allow", "GET, POST"),
        ("GET", "Ask", "application/proto", 405, "allow", "POST"),
        ("GET", "List", "application/connect+proto", 405, "allow", "POST"),
        ("POST", "Ask", "text/plain", 415, "accept-post", "application/proto"),
        ("POST", "Ask", "application/grpc+thrift", 415, "accept-post", "application/grpc"),
        ("POST", "Ask", "application/xml", 415, "accept-post", "application/json"),
        ("POST", "Ask", "application/connect+proto", 415, "", ""),
        ("POST", "List", "application/proto", 415, "", ""),
    ] {
        let request = Request::builder().method(verb).uri(format!("http://edge/test.v1.Test/{method}"));
        let request = request.header("content-type", media_type);
        let answer = caller.send(plain, request.body(()).unwrap(), true).await.answer().await;
        let what = format!("{verb} {method} {media_type} {answer:?}");
        let told = answer.headers.get(name).map(|told| told.to_str().unwrap());
        if media_type == "application/connect+proto" && status == 415 {
            // A stream's error is at its end, whatever the method is.
            assert_eq!(answer.status, 200, "{what}");
        } else {
            assert_eq!(answer.status, status, "{what}");
        }
        assert!(name.is_empty() || told.is_some_and(|told| told.contains(value)), "{what}");
        still_serves(&caller, &upstream).await;
    }
    assert!(upstream.seen().iter().all(|seen| seen.path == "/test.v1.Test/Ask" && !seen.messages.is_empty()));
}

async fn refused_head(
    caller: &Caller,
    upstream: &GrpcUpstream,
    header: impl Fn(Dialect) -> (&'static str, &'static str),
    expected: Expected,
) -> Vec<(Dialect, Answer)> {
    let mut answers = Vec::new();
    let before = upstream.seen().len();
    for (dialect, method) in everywhere() {
        let (name, value) = header(dialect);
        let body = dialect.body(0, &[&dialect.item("a")]);
        let answer = caller.call(dialect, method, &[(name, value.to_owned())], body).await;
        assert_refused(&answer, dialect, expected, &format!("{name}: {value}"));
        answers.push((dialect, answer));
    }
    assert_eq!(upstream.seen().len(), before);
    still_serves(caller, upstream).await;
    answers
}

#[tokio::test]
async fn an_unknown_encoding_is_told_the_known_ones() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml).await;
    for encoding in ["deflate", "gzip, gzip", "x"] {
        let unknown = |dialect: Dialect| (dialect.encoding(), encoding);
        for (dialect, answer) in refused_head(&caller, &upstream, unknown, ("unimplemented", None, 415)).await {
            let accepted = match dialect.0 {
                Protocol::Connect => "accept-encoding",
                Protocol::ConnectStream => "connect-accept-encoding",
                _ => "grpc-accept-encoding",
            };
            assert_eq!(answer.all(accepted), ["gzip, zstd, br"], "{dialect:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let (_gateway, upstream, caller) = start_with(|yaml| yaml).await;
    for value in ["soon", "-1", "1.5", "99999999999", "", "1 S"] {
        let timeout = |dialect: Dialect| (dialect.timeout(0).0, value);
        refused_head(&caller, &upstream, timeout, ("invalid_argument", None, 400)).await;
    }
}
