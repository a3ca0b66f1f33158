//! A signed command is checked, forwarded as REST and answered signed, in every protocol; and refused with its
//! reason in the caller's own.

use crate::kit::{
    device::{DIALECTS, answer, backend, command, device, edge_yaml, refused, send},
    gateway::Gateway,
};
use portcullis::client::{Codec, Device, Protocol, unix_ms};
use proto::edge::v1::ExecuteCommandRequest;

fn gateway() -> (Gateway, crate::kit::backend::Backend) {
    let backend = backend();
    (Gateway::start(&edge_yaml(&backend)), backend)
}

#[tokio::test]
async fn accepted_in_every_protocol_and_codec_with_a_signature_that_verifies() {
    let (gateway, backend) = gateway();
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        let device = device(&format!("session-{number}"));
        let request = device.sign(&command("user.account.get", ""));
        let answer = send(&gateway, dialect, &request).await.unwrap_or_else(|error| panic!("{dialect:?}: {error}"));
        device.verify(&request, &answer.response).unwrap_or_else(|error| panic!("{dialect:?}: {error}"));
        assert_eq!(answer.response.result_code, "ok");
        assert_eq!(&answer.response.payload_bytes[..], br#"{"name":"Ada"}"#);
        for header in ["x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
            assert!(answer.headers.contains_key(header), "{dialect:?}: {header}: {:?}", answer.headers);
        }
        let seen = backend.seen_at("/api/v1/user/account").pop().unwrap();
        assert_eq!(seen.header("x-user-id"), Some("user-1"));
        assert_eq!(seen.header("x-device-session-id"), Some(device.device_session_id.as_str()));
        assert_eq!(seen.header("x-request-id"), Some(request.request_id.as_str()));
        assert!(seen.header("traceparent").is_some());
    }
}

#[tokio::test]
async fn a_payload_becomes_path_query_or_body_and_a_4xx_is_signed() {
    let (gateway, backend) = gateway();
    let device = device("session-1");
    let dialect = (Protocol::Connect, Codec::Proto);
    let request = device.sign(&command("user.games.report", r#"{"game_id":"a/b","page":2}"#));
    let answer = send(&gateway, dialect, &request).await.unwrap();
    device.verify(&request, &answer.response).unwrap();
    assert_eq!(backend.seen_at("/api/v1/user/games").pop().unwrap().target, "/api/v1/user/games/a%2Fb/report?page=2");
    let request = device.sign(&command("user.account.rename", r#"{"name":""}"#));
    let answer = send(&gateway, dialect, &request).await.unwrap();
    device.verify(&request, &answer.response).unwrap();
    assert_eq!(answer.response.result_code, "name.invalid");
    let seen = backend.seen_at("/api/v1/user/account").pop().unwrap();
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("PATCH", &br#"{"name":""}"#[..]));
}

#[tokio::test]
async fn numbers_reach_the_backend_as_they_were_written() {
    let (gateway, backend) = gateway();
    let request = device("session-1")
        .sign(&command("user.games.report", r#"{"game_id":18446744073709551616,"v":1.50,"e":1e2,"z":-0}"#));
    send(&gateway, (Protocol::Connect, Codec::Proto), &request).await.unwrap();
    let seen = backend.seen_at("/api/v1/user/games").pop().unwrap();
    assert_eq!(seen.target, "/api/v1/user/games/18446744073709551616/report?e=1e2&v=1.50&z=-0");
}

#[tokio::test]
async fn a_call_without_a_body_says_so_where_its_method_has_one() {
    let (gateway, backend) = gateway();
    for (message_type, path, expected) in [
        ("user.account.rename", "/api/v1/user/account", Some("0")),
        ("test.moved", "/api/v1/test/moved", Some("0")),
        ("user.account.get", "/api/v1/user/account", None),
    ] {
        let request = device("session-1").sign(&command(message_type, ""));
        drop(send(&gateway, (Protocol::Connect, Codec::Proto), &request).await);
        let seen = backend.seen_at(path).pop().unwrap();
        assert_eq!(seen.header("content-length"), expected, "{message_type}");
        assert_eq!((seen.header("transfer-encoding"), seen.header("content-type")), (None, None), "{message_type}");
    }
}

/// A way to spoil a good request.
type Spoil = fn(&Device, &mut ExecuteCommandRequest);

/// What is spoilt, the session, the command, its payload, how it is spoilt, the code and the reason.
const REFUSALS: &[(&str, &str, &str, Spoil, &str, &str)] = &[
    ("user.account.get", "session-1", "", |_, r| r.request_id.clear(), "invalid_argument", "ENVELOPE_INVALID"),
    ("user.account.get", "session-1", "", |_, r| r.signature.truncate(63), "invalid_argument", "ENVELOPE_INVALID"),
    (
        "user.account.get",
        "session-1",
        "",
        |_, r| r.protocol_version = "v9".into(),
        "failed_precondition",
        "PROTOCOL_VERSION_UNSUPPORTED",
    ),
    ("user.nothing", "session-1", "", |_, _| {}, "unimplemented", "MESSAGE_TYPE_UNKNOWN"),
    ("gateway.subscribe", "session-1", "", |_, _| {}, "unimplemented", "MESSAGE_TYPE_UNKNOWN"),
    ("user.account.get", "nobody", "", |_, _| {}, "unauthenticated", "SESSION_UNKNOWN"),
    ("user.account.get", "..", "", |_, _| {}, "unauthenticated", "SESSION_UNKNOWN"),
    ("user.account.get", "session/../admin", "", |_, _| {}, "unauthenticated", "SESSION_UNKNOWN"),
    ("user.account.get", "%2e%2e", "", |_, _| {}, "unauthenticated", "SESSION_UNKNOWN"),
    ("user.account.get", "session-revoked", "", |_, _| {}, "failed_precondition", "SESSION_REVOKED"),
    ("user.account.get", "session-lost", "", |_, _| {}, "unavailable", "SESSION_LOOKUP_UNAVAILABLE"),
    (
        "user.account.get",
        "session-1",
        "{}",
        |_, r| r.payload_bytes = "[]".into(),
        "invalid_argument",
        "PAYLOAD_HASH_MISMATCH",
    ),
    ("user.account.get", "session-1", "", |_, r| r.timestamp_ms += 1, "unauthenticated", "SIGNATURE_INVALID"),
    (
        "user.account.get",
        "session-1",
        "",
        |_, r| r.signature = vec![0; 64].into(),
        "unauthenticated",
        "SIGNATURE_INVALID",
    ),
    (
        "user.account.get",
        "session-1",
        "",
        |d, r| {
            r.timestamp_ms = unix_ms() - 61_000;
            d.sign_envelope(r);
        },
        "failed_precondition",
        "REQUEST_STALE",
    ),
    (
        "user.account.get",
        "session-1",
        "",
        |d, r| {
            r.timestamp_ms = unix_ms() + 60_000;
            d.sign_envelope(r);
        },
        "failed_precondition",
        "REQUEST_STALE",
    ),
    (
        "user.account.get",
        "session-1",
        "",
        |d, r| {
            r.timestamp_ms = 0;
            d.sign_envelope(r);
        },
        "failed_precondition",
        "REQUEST_STALE",
    ),
    ("user.games.report", "session-1", "{}", |_, _| {}, "invalid_argument", "PAYLOAD_INVALID"),
    ("user.games.report", "session-1", r#"{"game_id":"a/../b"}"#, |_, _| {}, "invalid_argument", "PAYLOAD_INVALID"),
    ("user.account.rename", "session-1", "no json", |_, _| {}, "invalid_argument", "PAYLOAD_INVALID"),
    ("test.broken", "session-1", "", |_, _| {}, "unavailable", "BACKEND_UNAVAILABLE"),
    ("test.moved", "session-1", "", |_, _| {}, "unavailable", "BACKEND_UNAVAILABLE"),
];

#[tokio::test]
async fn every_refusal_comes_in_the_callers_protocol_with_its_reason() {
    for dialect in DIALECTS {
        // A gateway of its own for each: what is refused ahead of the budgets must not depend on them.
        let (gateway, backend) = gateway();
        for (message_type, session, payload, spoil, code, reason) in REFUSALS {
            let device = device(session);
            let mut request = device.sign(&command(message_type, payload));
            spoil(&device, &mut request);
            let refused = refused(send(&gateway, dialect, &request).await);
            assert_eq!(
                (refused.code.as_str(), refused.reason.as_deref()),
                (*code, Some(*reason)),
                "{dialect:?} {request:?}"
            );
        }
        let reached = backend.seen().iter().filter(|seen| seen.target.starts_with("/api/v1/user")).count();
        assert_eq!(reached, 0, "a refused command reached the backend");
        let is_dotted = |target: &str| target.contains("..") || target.contains("%252e");
        assert!(!backend.seen().iter().any(|seen| is_dotted(&seen.target)), "{:?}", backend.seen());
    }
}

#[tokio::test]
async fn a_replay_is_refused_in_whatever_protocol_it_comes() {
    let (gateway, backend) = gateway();
    let request = device("session-1").sign(&command("user.account.get", ""));
    send(&gateway, (Protocol::Connect, Codec::Proto), &request).await.unwrap();
    for dialect in DIALECTS {
        let refused = refused(send(&gateway, dialect, &request).await);
        assert_eq!((refused.code.as_str(), refused.reason.as_deref()), ("already_exists", Some("REQUEST_REPLAYED")));
    }
    assert_eq!(backend.seen_at("/api/v1/user/account").len(), 1);
}

#[tokio::test]
async fn of_many_copies_at_once_one_is_accepted() {
    let (gateway, backend) = gateway();
    let request = device("session-1").sign(&command("user.account.get", ""));
    let copies = (0..32).map(|_| send(&gateway, (Protocol::Connect, Codec::Proto), &request));
    let outcomes = futures_util::future::join_all(copies).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(backend.seen_at("/api/v1/user/account").len(), 1);
}

#[tokio::test]
async fn a_budget_is_exact_says_when_to_come_back_and_burns_no_id() {
    let (gateway, backend) = gateway();
    let device = device("session-1");
    let requests: Vec<_> = (0..30).map(|_| device.sign(&command("user.account.get", ""))).collect();
    let calls = requests.iter().map(|request| send(&gateway, (Protocol::Grpc, Codec::Proto), request));
    let outcomes = futures_util::future::join_all(calls).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 20);
    let unlucky = outcomes.iter().position(Result::is_err).unwrap();
    for dialect in DIALECTS {
        let refused = refused(send(&gateway, dialect, &requests[unlucky]).await);
        assert_eq!(
            (refused.code.as_str(), refused.reason.as_deref()),
            ("resource_exhausted", Some("BUDGET_EXHAUSTED")),
            "{dialect:?}"
        );
        assert!(
            refused.retry_after_seconds.is_some_and(|seconds| (1..=10).contains(&seconds)),
            "{dialect:?} {refused:?}"
        );
        let rate = refused.rate_limit.unwrap_or_else(|| panic!("{dialect:?} says nothing of the limit"));
        assert_eq!((rate.limit, rate.remaining), (20, 0), "{dialect:?}");
    }
    assert_eq!(backend.seen_at("/api/v1/user/account").len(), 20);
}

#[tokio::test]
async fn a_backend_that_is_late_or_gone_is_said_to_be() {
    let (gateway, _backend) = gateway();
    for dialect in DIALECTS {
        let request = device("session-1").sign(&command("test.slow", ""));
        let refused = refused(send(&gateway, dialect, &request).await);
        assert_eq!(
            (refused.code.as_str(), refused.reason.as_deref()),
            ("deadline_exceeded", Some("BACKEND_TIMEOUT")),
            "{dialect:?}"
        );
    }
    let gone = crate::kit::backend::Backend::start(|seen| {
        if seen.target.contains("/sessions/") { answer(seen) } else { crate::kit::backend::Reply::json(200, "{}") }
    });
    let yaml = edge_yaml(&gone)
        .replace("  game:\n    upstream: backend", "  game:\n    upstream: nowhere")
        .replace("upstreams:\n", "upstreams:\n  nowhere: { endpoints: [\"http://127.0.0.1:1\"] }\n");
    let gateway = Gateway::start(&yaml);
    let request = device("session-1").sign(&command("user.account.get", ""));
    let refused = refused(send(&gateway, (Protocol::Connect, Codec::Json), &request).await);
    assert_eq!((refused.code.as_str(), refused.reason.as_deref()), ("unavailable", Some("BACKEND_UNAVAILABLE")));
}

#[tokio::test]
async fn what_is_no_command_is_refused_in_the_callers_protocol() {
    use crate::kit::raw::Raw;
    let (gateway, _backend) = gateway();
    let post = |content_type: &str, body: &[u8]| {
        let head = format!(
            "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut raw = Raw::connect(gateway.address("edge"));
        raw.send(head).send(body).answer()
    };
    let connect = post("application/proto", b"\xff\xff\xff");
    assert_eq!((connect.status, connect.json()["code"].as_str()), (400, Some("invalid_argument")));
    assert_eq!(connect.json()["details"][0]["type"], "google.rpc.ErrorInfo");
    let json = post("application/json", b"{");
    assert_eq!((json.status, json.json()["code"].as_str()), (400, Some("invalid_argument")));
    let lying = post("application/grpc-web+proto", b"\0\xff\xff\xff\xffabc");
    assert_eq!(lying.status, 200);
    assert!(String::from_utf8_lossy(&lying.body).contains("grpc-status"), "{lying:?}");
    assert!(String::from_utf8_lossy(&lying.body).contains("grpc-status-details-bin"), "{lying:?}");
    let large = post("application/proto", &vec![0; 70_000]);
    assert_eq!((large.status, large.json()["code"].as_str()), (429, Some("resource_exhausted")));
    let text = post("text/plain", b"hello");
    assert_eq!((text.status, text.json()["reason"].as_str()), (415, Some("MEDIA_TYPE_UNSUPPORTED")));
    let mut raw = Raw::connect(gateway.address("edge"));
    let get = raw.send("GET /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    assert_eq!((get.status, get.header("allow").as_deref()), (405, Some("POST")));
}

/// A backend that answers each request and then closes the connection without having said so.
fn closing_backend() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap_or(0);
            let target = String::from_utf8_lossy(&buffer[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let seen = crate::kit::backend::Seen {
                method: "GET".to_owned(),
                target,
                headers: http::HeaderMap::new(),
                body: bytes::Bytes::new(),
            };
            let body = answer(&seen).body;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            drop(stream.write_all(&[head.as_bytes(), &body].concat()));
        }
    });
    address
}

#[tokio::test]
async fn a_backend_that_drops_its_connections_costs_no_command_that_may_be_repeated() {
    let named = backend();
    let yaml = edge_yaml(&named).replace(&named.address.to_string(), &closing_backend().to_string());
    let gateway = Gateway::start(&yaml);
    for number in 0..60 {
        let request = device(&format!("session-{number}")).sign(&command("user.account.get", ""));
        let outcome = send(&gateway, (Protocol::Connect, Codec::Proto), &request).await;
        assert!(outcome.is_ok(), "{number}: {outcome:?}");
    }
}
