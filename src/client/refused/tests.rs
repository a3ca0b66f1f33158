use super::*;
use http::HeaderValue;

fn info() -> Bytes {
    let info = ErrorInfo { reason: "BUDGET_EXHAUSTED".to_owned(), domain: "edge.v1".to_owned(), ..Default::default() };
    info.encode_to_vec().into()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |value: &str| HeaderValue::from_str(value).unwrap();
    pairs.iter().map(|(name, text)| (http::HeaderName::from_static(name), value(text))).collect()
}

fn expected() -> Refused {
    Refused {
        code: "resource_exhausted".to_owned(),
        reason: Some("BUDGET_EXHAUSTED".to_owned()),
        message: "Too many requests".to_owned(),
        retry_after_seconds: Some(3),
        rate_limit: None,
        http_status: 200,
    }
}

#[test]
fn reads_grpc_trailers() {
    let details = vec![
        Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(), value: info() },
        // retry_delay { seconds: 2, nanos: 1 }, by hand: 3 once rounded up.
        Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: Bytes::from_static(&[0x0a, 4, 8, 2, 0x10, 1]),
        },
        Any { type_url: "example.com/unknown".to_owned(), value: Bytes::from_static(b"\xff") },
    ];
    let status = Status { code: 8, message: String::new(), details }.encode_to_vec();
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    let trailers = headers(&[
        ("grpc-status", "8"),
        ("grpc-message", "Too%20many requests"),
        ("grpc-status-details-bin", &encoded),
    ]);
    let refused = Refused::from_trailers(StatusCode::OK, &trailers).unwrap();
    assert_eq!(refused, Some(expected()));
}

#[test]
fn reads_connect_errors() {
    let value = base64::engine::general_purpose::STANDARD_NO_PAD.encode(info());
    let body = serde_json::json!({
        "code": "resource_exhausted", "message": "Too many requests",
        "details": [{ "type": "google.rpc.ErrorInfo", "value": value, "debug": {} }],
    });
    let headers = headers(&[
        ("retry-after", "3"),
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1"),
    ]);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let refused = Refused::from_connect(status, &headers, body.to_string().as_bytes()).unwrap();
    let rate_limit = Some(RateLimit { limit: 20, remaining: 0, reset_seconds: 1 });
    assert_eq!(refused, Refused { rate_limit, http_status: 429, ..expected() });
}

#[test]
fn reads_problem_documents() {
    let headers = headers(&[("content-type", "application/problem+json"), ("retry-after", "3")]);
    let body = br#"{"type":"about:blank","title":"Too many requests","status":429,"reason":"BUDGET_EXHAUSTED"}"#;
    let refused = Refused::from_connect(StatusCode::TOO_MANY_REQUESTS, &headers, body).unwrap();
    assert_eq!(refused, Refused { code: "Too many requests".to_owned(), http_status: 429, ..expected() });
}

#[test]
fn success_is_no_refusal() {
    let trailers = headers(&[("grpc-status", "0")]);
    assert_eq!(Refused::from_trailers(StatusCode::OK, &trailers).unwrap(), None);
}

#[test]
fn nonsense_is_neither() {
    fn check(pairs: &[(&'static str, &str)], expected: &str) {
        let fault = Refused::from_trailers(StatusCode::OK, &headers(pairs)).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    check(&[], "no grpc-status");
    check(&[("grpc-status", "17")], "a grpc-status that is none");
    check(&[("grpc-status", "x")], "a grpc-status that is none");
    check(&[("grpc-status", "8"), ("grpc-status-details-bin", "!")], "base64");
    check(&[("grpc-status", "8"), ("grpc-status-details-bin", "/////w")], "grpc-status-details-bin");
    for body in ["", "<html>", "{}", r#"{"code":"internal","details":[{"type":"a","value":"!"}]}"#] {
        let refused = Refused::from_connect(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes());
        assert!(matches!(refused, Err(CallError::Malformed(_))), "{body}");
    }
}
