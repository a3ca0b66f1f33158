//! What the RPC protocols ask of a server besides the commands: frames, encodings, deadlines, trailers, and what
//! HTTP asks below them.

use crate::kit::{
    backend::{Backend, Reply},
    device::{DIALECTS, backend, command, device, edge_yaml, refused, send_body},
    eventually,
    gateway::Gateway,
    raw::Raw,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis::{
    client::{Codec, Dialect, Protocol},
    wire::Encoding,
};
use prost::Message as _;
use std::time::{Duration, Instant};

fn gateway() -> (Gateway, Backend) {
    let backend = backend();
    (Gateway::start(&edge_yaml(&backend).replace("20/10s", "1000/10s")), backend)
}

/// A signed command as this dialect's message, without a frame.
fn message(codec: Codec, message_type: &str) -> Vec<u8> {
    let request = device("session-1").sign(&command(message_type, ""));
    match codec {
        Codec::Proto => request.encode_to_vec(),
        Codec::Json => serde_json::to_vec(&request).unwrap(),
    }
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// What a dialect sends of these framed bytes.
fn body(protocol: Protocol, framed: Vec<u8>) -> Vec<u8> {
    if protocol == Protocol::GrpcWebText { STANDARD.encode(framed).into_bytes() } else { framed }
}

/// RFC 8878: one raw block in one segment, so a compressor is not needed.
fn zstd(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    let block_head = (length << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &length.to_le_bytes(), &block_head[..3], message].concat()
}

#[tokio::test]
async fn a_broken_frame_is_an_invalid_envelope() {
    let (gateway, backend) = gateway();
    for dialect in DIALECTS.into_iter().filter(|(protocol, _)| *protocol != Protocol::Connect) {
        let whole = || frame(0, &message(dialect.1, "user.account.get"));
        let cut = || whole().split_last().unwrap().1.to_vec();
        for (what, framed) in [
            ("nothing", Vec::new()),
            ("half a head", vec![0; 4]),
            ("a cut message", cut()),
            ("two messages", [whole(), whole()].concat()),
            ("a byte behind", [whole(), vec![0]].concat()),
            ("a compressed message without its encoding", frame(1, &message(dialect.1, "user.account.get"))),
            ("an end of stream", frame(2, &message(dialect.1, "user.account.get"))),
            ("trailers", frame(0x80, &message(dialect.1, "user.account.get"))),
        ] {
            let refused = refused(send_body(&gateway, dialect, &[], body(dialect.0, framed)).await.1);
            assert_eq!(
                (refused.code.as_str(), refused.reason.as_deref()),
                ("invalid_argument", Some("ENVELOPE_INVALID")),
                "{dialect:?} {what}"
            );
        }
        let claimed = [&[0][..], &u32::MAX.to_be_bytes(), b"abc"].concat();
        let refused = refused(send_body(&gateway, dialect, &[], body(dialect.0, claimed)).await.1);
        assert_eq!(refused.reason.as_deref(), Some("MESSAGE_TOO_LARGE"), "{dialect:?}");
        send_body(&gateway, dialect, &[], body(dialect.0, whole())).await.1.unwrap();
    }
    assert_eq!(backend.seen_at("/api/v1/user").len(), DIALECTS.len() - 2);
}

#[tokio::test]
async fn an_encoding_is_served_or_the_served_ones_are_named() {
    let (gateway, _backend) = gateway();
    for dialect in DIALECTS {
        let (protocol, codec) = dialect;
        let (named, accepted) = match protocol {
            Protocol::Connect => ("content-encoding", "accept-encoding"),
            _ => ("grpc-encoding", "grpc-accept-encoding"),
        };
        let compressed = |message: Vec<u8>| match protocol {
            Protocol::Connect => message,
            _ => body(protocol, frame(1, &message)),
        };
        let sent = compressed(zstd(&message(codec, "user.account.get")));
        let (_, outcome) = send_body(&gateway, dialect, &[(named, "zstd")], sent).await;
        outcome.unwrap_or_else(|error| panic!("{dialect:?}: {error}"));
        for encoding in ["deflate", "x-unknown", "gzip, gzip"] {
            let sent = compressed(message(codec, "user.account.get"));
            let (headers, outcome) = send_body(&gateway, dialect, &[(named, encoding)], sent).await;
            let refused = refused(outcome);
            assert_eq!(
                (refused.code.as_str(), refused.reason.as_deref()),
                ("unimplemented", Some("MEDIA_TYPE_UNSUPPORTED")),
                "{dialect:?} {encoding}"
            );
            assert_eq!(headers.get(accepted).unwrap(), "gzip, zstd, br", "{dialect:?} {encoding}");
        }
    }
}

/// Members of gzip and frames of zstd are one message together; behind it nothing may follow.
#[tokio::test]
async fn a_compressed_message_is_taken_whole_or_refused() {
    let (gateway, _backend) = gateway();
    for (name, encoding) in [("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd), ("br", Encoding::Br)] {
        let part = |bytes: &[u8]| encoding.compress(bytes).unwrap().to_vec();
        for dialect in DIALECTS {
            let message = || message(dialect.1, "user.account.get");
            let halved = |bytes: Vec<u8>| {
                let (one, two) = bytes.split_at(bytes.len() / 2);
                [part(one), part(two)].concat()
            };
            let skippable = || b"\x5f\x2a\x4d\x18\x02\0\0\0ab".to_vec();
            let has_members = encoding != Encoding::Br;
            let large = || [part(&vec![b' '; 40_000]), part(&vec![b' '; 40_000])].concat();
            for (what, sent, expected) in [
                ("one", part(&message()), None),
                ("two members", halved(message()), (!has_members).then_some("ENVELOPE_INVALID")),
                (
                    "a skippable frame",
                    [part(&message()), skippable()].concat(),
                    (encoding != Encoding::Zstd).then_some("ENVELOPE_INVALID"),
                ),
                ("a byte behind", [part(&message()), vec![0]].concat(), Some("ENVELOPE_INVALID")),
                ("text behind", [part(&message()), b"more".to_vec()].concat(), Some("ENVELOPE_INVALID")),
                (
                    "members over the limit together",
                    large(),
                    Some(if has_members { "MESSAGE_TOO_LARGE" } else { "ENVELOPE_INVALID" }),
                ),
            ] {
                let (header, sent) = match dialect.0 {
                    Protocol::Connect => ("content-encoding", sent),
                    _ => ("grpc-encoding", body(dialect.0, frame(1, &sent))),
                };
                let (headers, outcome) = send_body(&gateway, dialect, &[(header, name)], sent).await;
                let reason = outcome.err().map(|error| refused(Err(error)).reason.unwrap());
                assert_eq!(reason.as_deref(), expected, "{name} {dialect:?} {what}");
                assert!(!headers.contains_key("retry-after"), "no time makes a message smaller");
            }
        }
    }
}

/// With the one of the lines that the gateway has, whichever line it stands in.
#[tokio::test]
async fn an_answer_is_compressed_by_any_line_that_allows_it() {
    let answer = serde_json::json!({ "text": "x".repeat(5_000) }).to_string();
    let backend = Backend::start(move |seen| match crate::kit::device::answer(seen) {
        found if seen.target.contains("/sessions/") => found,
        _ => Reply::json(200, answer.clone()),
    });
    let gateway = Gateway::start(&edge_yaml(&backend).replace("20/10s", "1000/10s"));
    for (lines, of_connect, of_grpc) in [
        (&["deflate", "gzip"][..], Some("gzip"), Some("gzip")),
        (&["identity, deflate, gzip"], None, Some("gzip")),
        (&["gzip, br", "zstd"], Some("gzip"), Some("zstd")),
        (&["gzip;q=0.5", "br"], Some("br"), Some("br")),
        (&["identity"], None, None),
        (&[], None, None),
    ] {
        for (path, is_grpc) in [("application/proto", false), ("application/grpc-web+proto", true)] {
            let signed = message(Codec::Proto, "user.account.get");
            let sent = if is_grpc { frame(0, &signed) } else { signed };
            let name = if is_grpc { "grpc-accept-encoding" } else { "accept-encoding" };
            let asked: String = lines.iter().map(|line| format!("{name}: {line}\r\n")).collect();
            let head = format!(
                "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: {path}\r\n{asked}Content-Length: {}\r\n\r\n",
                sent.len()
            );
            let answer = Raw::connect(gateway.address("edge")).send([head.as_bytes(), &sent].concat()).answer();
            let named = answer.header(if is_grpc { "grpc-encoding" } else { "content-encoding" });
            assert_eq!(named.as_deref(), if is_grpc { of_grpc } else { of_connect }, "{lines:?} {path}");
        }
    }
}

/// Clients without protobuf read it there; the others find the same in `value`.
#[tokio::test]
async fn connects_details_can_be_read_without_protobuf() {
    let (backend, yaml) = (backend(), |backend: &Backend| edge_yaml(backend).replace("20/10s", "1/1h"));
    let gateway = Gateway::start(&yaml(&backend));
    let call = || {
        let sent = message(Codec::Json, "user.account.get");
        let head = format!(
            "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        Raw::connect(gateway.address("edge")).send([head.as_bytes(), &sent].concat()).answer()
    };
    assert_eq!(call().status, 200);
    let refused = call();
    let told: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    let debug = |place: usize| &told["details"][place]["debug"];
    assert_eq!(*debug(0), serde_json::json!({ "reason": "BUDGET_EXHAUSTED", "domain": "edge.v1" }), "{told}");
    assert_eq!(*debug(1), serde_json::json!({ "retryDelay": format!("{}s", refused.header("retry-after").unwrap()) }));
}

#[tokio::test]
async fn a_clients_deadline_ends_the_wait_for_the_backend() {
    let (gateway, _backend) = gateway();
    for dialect in DIALECTS {
        let deadline = match dialect.0 {
            Protocol::Connect => ("connect-timeout-ms", "150"),
            _ => ("grpc-timeout", "150m"),
        };
        let request = device("session-1").sign(&command("test.slow", ""));
        let asked = Instant::now();
        let sent = Dialect::new(dialect.0, dialect.1).body(&request).unwrap();
        let refused = refused(send_body(&gateway, dialect, &[deadline], sent).await.1);
        assert_eq!(
            (refused.code.as_str(), refused.reason.as_deref()),
            ("deadline_exceeded", Some("BACKEND_TIMEOUT")),
            "{dialect:?}"
        );
        // The upstream's own limits are 1 s and 2 s.
        assert!(asked.elapsed() < Duration::from_millis(950), "{dialect:?} {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_refusal_in_grpc_is_one_block_of_headers() {
    let (gateway, _backend) = gateway();
    for (method, sent, code) in [
        ("ExecuteCommand", frame(0, b""), "3"),
        ("ExecuteCommand", Vec::new(), "3"),
        ("ExecuteCommand", frame(0, &message(Codec::Proto, "user.nothing")), "12"),
        ("SubscribeEvents", frame(0, b""), "12"),
        ("SubscribeEvents", Vec::new(), "3"),
    ] {
        let stream = tokio::net::TcpStream::connect(gateway.address("edge")).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://edge/edge.v1.Gateway/{method}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers");
        let (response, mut body) =
            client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(sent.into(), true).unwrap();
        let mut response = response.await.unwrap();
        let what = format!("{method} {response:?}");
        assert!(response.body().is_end_stream(), "{what}");
        assert!(response.body_mut().data().await.is_none(), "{what}");
        let headers = response.headers();
        assert_eq!(headers.get("grpc-status").unwrap(), code, "{what}");
        for name in ["content-type", "grpc-message", "grpc-status-details-bin", "x-request-id"] {
            assert_eq!(headers.get_all(name).iter().count(), 1, "{name} {what}");
        }
    }
}

#[tokio::test]
async fn a_call_that_its_client_takes_back_is_no_fault_of_the_gateway() {
    let (gateway, backend) = gateway();
    let stream = tokio::net::TcpStream::connect(gateway.address("edge")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::post("http://edge/edge.v1.Gateway/ExecuteCommand").header("content-type", "application/proto");
    let (response, mut body) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(message(Codec::Proto, "test.slow").into(), true).unwrap();
    // Both wait in their thread, and the connection needs this one.
    let line = tokio::task::spawn_blocking(move || {
        eventually("the command", || (!backend.seen_at("/api/v1/test/slow").is_empty()).then_some(()));
        drop((response, body));
        gateway.access_line(|line| line["route"] == "edge")
    });
    assert_eq!(line.await.unwrap()["reason"], "BACKEND_TIMEOUT");
}

#[test]
fn grpc_over_http1_is_told_that_it_needs_more() {
    let (gateway, _backend) = gateway();
    let head = "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n";
    let answer = Raw::connect(gateway.address("edge")).send(head).send([0; 5]).answer();
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("12")), "{answer:?}");
    assert_eq!(answer.header("content-length").as_deref(), Some("0"), "{answer:?}");
}

#[test]
fn a_connection_is_kept_between_commands() {
    let (gateway, _backend) = gateway();
    let mut raw = Raw::connect(gateway.address("edge"));
    for (codec, media_type) in [(Codec::Proto, "proto"), (Codec::Json, "json"), (Codec::Proto, "proto")] {
        let sent = message(codec, "user.account.get");
        let head = format!(
            "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/{media_type}\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        let answer = raw.send(head).send(sent).answer();
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        assert_eq!((answer.status, length), (200, Some(answer.body.len())), "{answer:?}");
        assert!(!answer.body.is_empty(), "{answer:?}");
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_ne!(answer.header("connection").as_deref(), Some("close"));
    }
}

#[test]
fn another_method_is_told_the_right_one() {
    let (gateway, _backend) = gateway();
    for media_type in ["application/proto", "application/json", "application/connect+proto"] {
        let mut raw = Raw::connect(gateway.address("edge"));
        let head = "PUT /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Type: ";
        let answer = raw.send(head).send(media_type).send("\r\n\r\n").answer();
        assert_eq!(answer.header("allow").as_deref(), Some("POST"), "{media_type}: {answer:?}");
    }
}
