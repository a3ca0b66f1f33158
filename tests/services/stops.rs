//! At a stop no call is cut: it ends by itself, or is told.

use super::{everywhere, start_with};
use crate::kit::{
    grpc::{Step, frame, head, status},
    raw::Raw,
    rpc::{Answer, Protocol, STREAM},
    soon,
};
use std::sync::Arc;
use tokio::sync::Notify;

fn patient(yaml: &str) -> String {
    yaml.replace("deadline: 500ms", "deadline: 16s")
}

fn first() -> Step {
    Step::Data(frame(0, b"\x0a\x01a"))
}

#[tokio::test]
async fn calls_that_go_on_are_told_of_a_stop() {
    let (mut gateway, upstream, caller) = start_with(|yaml| patient(&yaml)).await;
    let mut calls = Vec::new();
    for (dialect, method) in everywhere() {
        let has_message = matches!(method, "List" | "Talk");
        upstream.does(if has_message { vec![head(), first(), Step::Hang] } else { vec![head(), Step::Hang] });
        let mut pending = caller.begin(dialect, method, &[]).await;
        pending.message(&dialect.item("a"));
        if matches!(method, "Ask" | "List") {
            pending.finish();
        }
        calls.push((dialect, method, usize::from(has_message), pending));
        soon("the call", || (upstream.seen().len() == calls.len()).then_some(())).await;
    }
    gateway.signal("TERM");
    for (dialect, method, messages, pending) in calls {
        let answer = pending.answer().await;
        let said = (answer.code(), answer.reason(), answer.messages.len());
        let expected = ("unavailable", Some("GATEWAY_SHUTTING_DOWN".to_owned()), messages);
        assert_eq!(said, expected, "{method} {dialect:?} {answer:?}");
    }
    assert_eq!(gateway.ended().code(), Some(0));
    // Whoever serves them is told at once.
    assert!(upstream.seen().iter().all(|call| call.reset == Some(h2::Reason::CANCEL)));
}

#[tokio::test]
async fn a_stream_over_http1_is_told_too() {
    let (mut gateway, upstream, _caller) = start_with(|yaml| patient(&yaml)).await;
    upstream.does([head(), first(), Step::Hang]);
    let dialect = STREAM.into_iter().find(|dialect| dialect.0 == Protocol::ConnectStream).unwrap();
    let body = dialect.body(0, &[&dialect.item("a")]);
    let mut raw = Raw::connect(gateway.address("edge"));
    let media_type = dialect.media_type();
    let head = format!("Host: a\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    raw.send(format!("POST /test.v1.Test/List HTTP/1.1\r\n{head}")).send(&body);
    soon("the call", || (upstream.seen().len() == 1).then_some(())).await;
    gateway.signal("TERM");
    let answer = raw.answer();
    let answer = Answer { status: answer.status, ..Answer::default() }.understood(dialect, answer.body);
    let said = (answer.code(), answer.reason(), answer.messages.len());
    assert_eq!(said, ("unavailable", Some("GATEWAY_SHUTTING_DOWN".to_owned()), 1), "{answer:?}");
    assert_eq!(gateway.ended().code(), Some(0));
}

#[tokio::test]
async fn a_stream_that_ends_by_itself_is_left_alone() {
    let (mut gateway, upstream, caller) = start_with(|yaml| patient(&yaml)).await;
    let mut calls = Vec::new();
    for dialect in STREAM {
        let go_on = Arc::new(Notify::new());
        upstream.does([head(), first(), Step::Pause(Arc::clone(&go_on)), first(), status(0)]);
        let mut pending = caller.begin(dialect, "List", &[]).await;
        pending.message(&dialect.item("a"));
        pending.finish();
        calls.push((dialect, go_on, pending));
        soon("the call", || (upstream.seen().len() == calls.len()).then_some(())).await;
    }
    gateway.signal("TERM");
    gateway.log_line("draining");
    for (dialect, go_on, pending) in calls {
        go_on.notify_one();
        let answer = pending.answer().await;
        assert_eq!((answer.code(), answer.messages.len()), ("ok", 2), "{dialect:?} {answer:?}");
    }
    assert_eq!(gateway.ended().code(), Some(0));
}
