use super::*;

const PROTOCOLS: [Protocol; 4] = [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb, Protocol::GrpcWebText];

fn dialects() -> impl Iterator<Item = Dialect> {
    PROTOCOLS.into_iter().flat_map(|protocol| [Codec::Proto, Codec::Json].map(|codec| Dialect::new(protocol, codec)))
}

fn response() -> ExecuteCommandResponse {
    ExecuteCommandResponse {
        request_id: "req-1".to_owned(),
        timestamp_ms: 1_700_000_000_000,
        payload_bytes: Bytes::from_static(b"{}"),
        ..Default::default()
    }
}

fn trailer_frame(block: &str) -> Vec<u8> {
    let mut frame = frame::encode(block.as_bytes()).unwrap().to_vec();
    frame[0] = frame::TRAILERS;
    frame
}

/// What a gateway would send: `message` and `trailers` where the protocol has its place for them.
fn reply(dialect: Dialect, message: Option<&[u8]>, trailers: &str) -> Reply {
    let framed = message.map(|message| frame::encode(message).unwrap()).unwrap_or_default();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(dialect.content_type()))]);
    let plain = Reply { status: StatusCode::OK, headers, body: Bytes::new(), trailers: HeaderMap::new() };
    let web = || [framed.to_vec(), trailer_frame(trailers)];
    match dialect.protocol {
        Protocol::Connect => Reply { body: Bytes::copy_from_slice(message.unwrap_or_default()), ..plain },
        Protocol::Grpc => {
            let trailers = frame::parse_trailers(trailers.as_bytes()).unwrap();
            Reply { body: framed, trailers, ..plain }
        }
        Protocol::GrpcWeb => Reply { body: web().concat().into(), ..plain },
        // Each frame padded by itself.
        Protocol::GrpcWebText => Reply { body: web().map(|frame| BASE64.encode(frame)).concat().into(), ..plain },
    }
}

fn encoded(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Proto => response().encode_to_vec(),
        Codec::Json => serde_json::to_vec(&response()).unwrap(),
    }
}

#[test]
fn reads_an_answer_in_every_dialect() {
    for dialect in dialects() {
        let message = encoded(dialect.codec);
        let answer = dialect.read(reply(dialect, Some(&message), "grpc-status: 0\r\nx-request-id: a\r\n")).unwrap();
        assert_eq!(answer.response, response(), "{dialect:?}");
        if dialect.protocol != Protocol::Connect {
            assert_eq!(answer.headers["x-request-id"], "a", "{dialect:?}");
        }
    }
}

#[test]
fn a_refusal_wins_over_a_message() {
    for dialect in dialects().filter(|dialect| dialect.protocol != Protocol::Connect) {
        for message in [None, Some(b"".as_slice())] {
            let refused = dialect.read(reply(dialect, message, "grpc-status: 16\r\n")).unwrap_err();
            assert!(matches!(refused, CallError::Refused(refused) if refused.code == "unauthenticated"));
        }
    }
}

#[test]
fn a_refusal_without_a_body_is_read_from_the_headers() {
    for dialect in dialects().filter(|dialect| dialect.protocol != Protocol::Connect) {
        let mut reply = reply(dialect, None, "");
        reply.body = Bytes::new();
        reply.headers.insert("grpc-status", HeaderValue::from_static("14"));
        let refused = dialect.read(reply).unwrap_err();
        assert!(matches!(refused, CallError::Refused(refused) if refused.code == "unavailable"));
    }
}

#[test]
fn an_answer_that_stops_short_is_none() {
    for dialect in dialects() {
        let message = encoded(dialect.codec);
        let whole = reply(dialect, Some(&message), "grpc-status: 0\r\n");
        let cut = Reply { body: whole.body.slice(..5), ..whole.clone() };
        let untold = Reply { trailers: HeaderMap::new(), ..reply(dialect, Some(&message), "") };
        let wrong = Reply { headers: HeaderMap::new(), ..whole.clone() };
        let double = Reply { body: [whole.body.clone(), whole.body.clone()].concat().into(), ..whole };
        // Connect has no trailers, and protobuf concatenated is protobuf.
        let connect = dialect.protocol == Protocol::Connect;
        for broken in [cut, wrong].into_iter().chain((!connect).then_some([untold, double]).into_iter().flatten()) {
            let fault = dialect.read(broken).unwrap_err();
            assert!(matches!(fault, CallError::Malformed(_)), "{dialect:?}: {fault}");
        }
    }
}

#[test]
fn compressed_messages_are_refused_since_none_were_asked_for() {
    let dialect = Dialect::new(Protocol::Grpc, Codec::Proto);
    let mut reply = reply(dialect, Some(b""), "grpc-status: 0");
    reply.body = Bytes::from_static(&[1, 0, 0, 0, 0]);
    assert!(matches!(dialect.read(reply), Err(CallError::Malformed(_))));
}

#[test]
fn media_types_may_be_short_or_name_their_charset() {
    fn check(protocol: Protocol, codec: Codec, content_type: &'static str, good: bool) {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let dialect = Dialect::new(protocol, codec);
        let taken = dialect.expect_media_type(&headers, dialect.content_type()).is_ok();
        assert_eq!(taken, good, "{content_type}");
    }
    check(Protocol::Grpc, Codec::Proto, "application/grpc", true);
    check(Protocol::GrpcWeb, Codec::Proto, "application/grpc-web", true);
    check(Protocol::GrpcWeb, Codec::Json, "application/grpc-web", false);
    check(Protocol::GrpcWeb, Codec::Proto, "application/grpc", false);
    check(Protocol::Connect, Codec::Json, "application/json; charset=utf-8", true);
    check(Protocol::Connect, Codec::Json, "application/json; charset=latin1", false);
    check(Protocol::Connect, Codec::Json, "text/html", false);
}
