//! HTTP/2 towards clients: what it refuses is said as over HTTP/1.1, what breaks off is not hidden, and nobody's stream
//! pays for another's.

use crate::kit::{
    PATIENCE,
    backend::{Backend, Reply},
    frames::{Frame, Frames},
    gateway::Gateway,
    scripted::scripted,
};
use bytes::Bytes;
use h2::{
    Reason,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response};
use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    io::Write as _,
    net::SocketAddr,
    time::Duration,
};
use tokio::time::timeout;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const REFUSED_STREAM: u32 = 7;

fn gateway(backend: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0", limits: {{ body: 64MiB }} }}
upstreams:
  backend: {{ endpoints: ["http://{backend}"] }}
  nowhere: {{ endpoints: ["http://127.0.0.1:1"] }}
budgets:
  none: {{ key: [client.ip], instance: ["1/1h"] }}
routes:
  - {{ name: spent, match: {{ path: /spent }}, chain: [ {{ budget: [none] }} ], forward: backend }}
  - {{ name: lost, match: {{ path: /lost }}, forward: nowhere }}
  - {{ name: all, match: {{ path: "/*" }}, chain: request_id, forward: backend }}
"#
    ))
}

fn plain() -> Backend {
    Backend::start(|seen| {
        Reply::json(200, "{}").after(Duration::from_millis(if seen.target == "/slow" { 500 } else { 0 }))
    })
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

async fn client(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    // What it may send it sends: nothing waits for room on its own side.
    let mut options = h2::client::Builder::new();
    options.max_send_buffer_size(8 << 20);
    let (sender, connection) = options.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// The answer's head, and its body as far as it comes; and why it comes no further.
async fn answer(answer: ResponseFuture) -> (Response<()>, Vec<u8>, Option<Reason>) {
    let (head, mut stream) = in_time(answer).await.unwrap().into_parts();
    let mut body = Vec::new();
    let end = loop {
        match in_time(stream.data()).await {
            Some(Ok(piece)) => {
                stream.flow_control().release_capacity(piece.len()).unwrap();
                body.extend_from_slice(&piece);
            }
            Some(Err(error)) => break error.reason(),
            None => break None,
        }
    };
    (Response::from_parts(head, ()), body, end)
}

async fn ask(gateway: &Gateway, request: Request<()>) -> (Response<()>, Vec<u8>, Option<Reason>) {
    let (coming, _) = client(gateway).await.send_request(request, true).unwrap();
    answer(coming).await
}

#[test]
fn many_malformed_requests_end_a_connection_in_peace() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let mut frames = Frames::connect(gateway.address("public"));
    frames.get(1, "/slow");
    let malformed: Vec<u32> = (0..40).map(|place| 3 + 2 * place).collect();
    for stream in &malformed {
        frames.get_of_two_hosts(*stream, "/x");
    }
    let all: Vec<Frame> = frames.collect();
    let of = |kind: u8| all.iter().filter(move |frame| frame.kind == kind);
    let answered: Vec<u32> = of(HEADERS).map(|frame| frame.stream).collect();
    assert!(answered.contains(&1), "{answered:?}");
    assert!(of(DATA).any(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0));
    // Those behind the last that is forgiven were on their way when it came.
    for (place, stream) in malformed.iter().enumerate() {
        let is_turned_away =
            of(RST_STREAM).any(|frame| frame.stream == *stream && frame.payload == REFUSED_STREAM.to_be_bytes());
        assert!(answered.contains(stream) || (place >= 32 && is_turned_away), "{stream}: {all:?}");
    }
    let last = of(GOAWAY).next_back().expect("a GOAWAY");
    assert_eq!(last.payload[..4], malformed.last().unwrap().to_be_bytes(), "{last:?}");
    assert_eq!(last.payload[4..8], [0; 4], "{last:?}");
}

#[tokio::test]
async fn a_refused_head_is_told_and_logged_as_over_http1() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let long = "x".repeat(40_000);
    let path = format!("http://a.example/{long}");
    let many: Vec<(String, String)> = (0..200).map(|place| (format!("x-{place}"), "x".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (status, reason, method, target, headers) in [
        (400, "REQUEST_MALFORMED", "GET", "http://a.example/x", &[("host", "b.example")] as &[_]),
        (400, "REQUEST_MALFORMED", "GET", "http://a.example/x", &[("host", "a.example"), ("host", "a.example")]),
        (400, "REQUEST_MALFORMED", "GET", "http://u@a.example/x", &[]),
        (400, "REQUEST_MALFORMED", "GET", "ftp://a.example/x", &[]),
        (405, "METHOD_NOT_ALLOWED", "CONNECT", "a.example:443", &[]),
        (431, "REQUEST_MALFORMED", "GET", "http://a.example/x", &[("a", &long)]),
        (414, "REQUEST_MALFORMED", "GET", &path, &[]),
        (431, "REQUEST_MALFORMED", "GET", "http://a.example/x", &many),
        (417, "REQUEST_MALFORMED", "POST", "http://a.example/x", &[("expect", "a-miracle")]),
    ] {
        let (head, body, end) = ask(&gateway, request(method, target, headers)).await;
        let what = format!("{status} {method} {:.40} {:?}", target, headers.first().map(|(name, _)| name));
        assert_eq!((head.status().as_u16(), end), (status, None), "{what}");
        assert_eq!(head.headers()["content-type"], "application/problem+json", "{what}");
        assert_eq!(head.headers().contains_key("allow"), status == 405, "{what}");
        assert!(!head.headers().contains_key("server"), "{what}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((problem["reason"].as_str(), problem["status"].as_u64()), (Some(reason), Some(status.into())));
        let id = head.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(problem["request_id"], id, "{what}");
        let line = gateway.access_line(|line| line["request_id"] == id);
        assert_eq!(
            (line["status"].as_u64(), line["reason"].as_str(), line["method"].as_str(), line["protocol"].as_str()),
            (Some(status.into()), Some(reason), Some(method), Some("HTTP/2.0")),
            "{what}"
        );
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn what_is_far_too_long_is_a_431_too() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let long = "x".repeat(65_000);
    let path = format!("http://a.example/{long}{}", &long[..500]);
    for (target, headers) in [(path.as_str(), &[] as &[_]), ("http://a.example/x", &[("a", &*long), ("b", &*long)])] {
        let (head, ..) = ask(&gateway, request("GET", target, headers)).await;
        assert_eq!(head.status(), 431, "{target:.40}");
    }
}

#[tokio::test]
async fn a_grpc_head_that_is_too_large_has_a_grpc_status() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let long = "x".repeat(40_000);
    let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("a", &long)];
    let (head, ..) = ask(&gateway, request("POST", "http://a.example/s.S/M", &headers)).await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["grpc-message"], "the request head is too large");
    assert!(head.headers().contains_key("grpc-status"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_not_cancelled() {
    let backend = scripted(|stream, head| {
        let framing = if head.contains(" /chunked ") { "Transfer-Encoding: chunked" } else { "Content-Length: 10" };
        let piece = if head.contains(" /chunked ") { "5\r\nhello\r\n" } else { "hello" };
        drop(write!(stream, "HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{piece}"));
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
    let gateway = gateway(backend);
    for path in ["/length", "/chunked"] {
        let (head, body, end) = ask(&gateway, request("GET", &format!("http://a.example{path}"), &[])).await;
        assert_eq!((head.status().as_u16(), body.as_slice()), (200, &b"hello"[..]), "{path}");
        assert_eq!(end, Some(Reason::INTERNAL_ERROR), "{path}");
    }
}

#[tokio::test]
async fn a_lone_upload_has_credit_and_leaves_some_to_others() {
    const STREAM_WINDOW: usize = 1 << 20;
    // It takes no body.
    let backend = scripted(|_, _| std::thread::sleep(PATIENCE));
    let gateway = gateway(backend);
    let mut sender = client(&gateway).await;
    let mut upload = async || {
        let (_, mut body) = sender.send_request(request("POST", "http://a.example/x", &[]), false).unwrap();
        body.reserve_capacity(2 * STREAM_WINDOW);
        in_time(poll_fn(|cx| match body.poll_capacity(cx) {
            std::task::Poll::Ready(Some(Ok(room))) if room < STREAM_WINDOW => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
            other => other.map(drop),
        }))
        .await;
        body
    };
    let mut first = upload().await;
    first.send_data(vec![0; STREAM_WINDOW].into(), false).unwrap();
    upload().await;
}

#[test]
fn a_refused_upload_is_not_reset_while_it_ends() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let mut frames = Frames::connect(gateway.address("public"));
    // The budget's one request.
    frames.get(1, "/spent");
    let ended = |frames: &mut Frames, stream: u32| {
        for frame in frames {
            assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return;
            }
        }
        panic!("stream {stream} does not end");
    };
    ended(&mut frames, 1);
    for (place, path) in ["/spent", "/lost", "/spent"].into_iter().enumerate() {
        let stream = 3 + 4 * u32::try_from(place).unwrap();
        frames.post(stream, path, b"{");
        ended(&mut frames, stream);
        frames.end(stream);
        // Whatever was said of the first is said by now.
        frames.get(stream + 2, "/x");
        ended(&mut frames, stream + 2);
    }
}

#[test]
fn a_backend_is_told_of_a_body_only_where_there_is_one() {
    let backend = plain();
    let gateway = gateway(backend.address);
    let mut frames = Frames::connect(gateway.address("public"));
    frames.get(1, "/none/get");
    frames.post_nothing(3, "/none/post");
    frames.post(5, "/some/post", b"{}");
    frames.end(5);
    let ended = frames.filter(|frame| frame.flags & END_STREAM != 0 && matches!(frame.kind, DATA | HEADERS)).take(3);
    assert_eq!(ended.count(), 3);
    let told: BTreeMap<String, (Option<String>, Option<String>)> = backend
        .seen()
        .iter()
        .map(|seen| {
            let header = |name: &str| seen.header(name).map(str::to_owned);
            (seen.target.clone(), (header("content-length"), header("transfer-encoding")))
        })
        .collect();
    let zero = Some("0".to_owned());
    assert_eq!(told["/none/get"], (None, None));
    assert_eq!(told["/none/post"], (zero, None));
    assert_eq!(told["/some/post"], (None, Some("chunked".to_owned())));
}

#[tokio::test]
async fn informational_answers_reach_the_client() {
    let backend = scripted(|stream, head| {
        let informational = if head.contains("expect: 100-continue") {
            "100 Continue\r\n\r\n"
        } else {
            "103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x-a\r\n\r\n"
        };
        drop(write!(stream, "HTTP/1.1 {informational}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    });
    let gateway = gateway(backend);
    for (expected, method, headers) in
        [(103, "GET", &[] as &[_]), (100, "POST", &[("expect", "100-continue"), ("content-length", "2")])]
    {
        let mut sender = client(&gateway).await;
        let is_whole = method == "GET";
        let sent = sender.send_request(request(method, "http://a.example/x", headers), is_whole);
        let (mut coming, mut body) = sent.unwrap();
        let informational = in_time(poll_fn(|cx| coming.poll_informational(cx))).await.unwrap().unwrap();
        assert_eq!(informational.status(), expected);
        assert!(!informational.headers().contains_key("connection"));
        assert_eq!(informational.headers().contains_key("link"), expected == 103);
        if !is_whole {
            body.send_data(Bytes::from_static(b"{}"), true).unwrap();
        }
        let (head, body, end) = answer(coming).await;
        assert_eq!((head.status().as_u16(), body.as_slice(), end), (200, &b"ok"[..], None));
    }
}
