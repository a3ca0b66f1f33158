//! Bytes on a connection, and what comes of each request in them: the status, the reason, the filter that stops it or what
//! else of the configuration decides that.

/// Bytes, and a line for each request in them.
pub type Wire = (String, Vec<&'static str>);

/// `POST` with these headers and this body.
fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
}

fn json(headers: &str, body: &str) -> String {
    post("/json", &format!("Content-Type: application/json\r\n{headers}"), body)
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
pub const GET: &str = "GET /open HTTP/1.1\r\nHost: a\r\n\r\n";
const MALFORMED: &str = "400 REQUEST_MALFORMED";

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}\r\n")
}

/// Heads that the guard turns away, and some that it lets pass.
pub fn heads() -> Vec<Wire> {
    let long = "x".repeat(1024);
    let many = "X-A: b\r\n".repeat(8);
    vec![
        (GET.to_owned(), vec!["200"]),
        (GET.replace("\r\n", "\n"), vec![MALFORMED]),
        (GET.replace("Host: a\r", "Host: a"), vec![MALFORMED]),
        (GET.replace("Host: a\r\n", ""), vec![MALFORMED]),
        (GET.replace("Host: a\r\n", "Host: a\r\nHost: a\r\n"), vec![MALFORMED]),
        (GET.replace("Host: a", "Host: a b"), vec![MALFORMED]),
        (GET.replace("Host: a", "Host : a"), vec![MALFORMED]),
        (GET.replace("Host: a", "Host: a\r\n folded"), vec![MALFORMED]),
        (GET.replace("GET /open", "GET  /open"), vec![MALFORMED]),
        (GET.replace("/open", "http://b/open"), vec![MALFORMED]),
        (GET.replace("/open", "http://a/open"), vec!["200"]),
        (GET.replace("GET", "CONNECT"), vec!["405 METHOD_NOT_ALLOWED"]),
        (GET.replace("GET", "TRACE"), vec!["405 METHOD_NOT_ALLOWED"]),
        (GET.replace("1.1", "2.0"), vec!["505 REQUEST_MALFORMED"]),
        (
            GET.replace("Host: a", &format!("Host: a\r\nX: {long}")),
            vec!["431 REQUEST_MALFORMED over listeners.public.limits.head"],
        ),
        (
            GET.replace("Host: a\r\n", &format!("Host: a\r\n{many}")),
            vec!["431 REQUEST_MALFORMED over listeners.public.limits.headers"],
        ),
        (GET.replace("Host: a", "Host: a\r\nExpect: more"), vec!["417 REQUEST_MALFORMED"]),
        (GET.replace("Host: a", "Host: a\r\nContent_Length: 5"), vec![MALFORMED]),
        (GET.replace("/open", "/none"), vec!["404 ROUTE_UNKNOWN"]),
        (GET.replace("/open", "/a/..%2fb"), vec![MALFORMED]),
        (GET.replace("/open", "/shut"), vec!["403 ADDRESS_FORBIDDEN by ip"]),
        (GET.trim_end().to_owned(), vec!["408 REQUEST_TIMEOUT over connections.head_deadline"]),
        ("GET /open HTTP/1.0\r\n\r\n".to_owned(), vec!["200"]),
        (format!("\r\n{GET}"), vec!["200"]),
        (format!("\r\n\r\n{GET}"), vec![MALFORMED]),
        ("{}".to_owned(), vec![MALFORMED]),
    ]
}

/// Bodies that end elsewhere than their head says, or nowhere.
pub fn bodies() -> Vec<Wire> {
    let body = r#"{"a":1}"#;
    let waits = "408 REQUEST_TIMEOUT over connections.body_idle";
    // `1}` might go on as a method.
    let head = "408 REQUEST_TIMEOUT over connections.head_deadline";
    let large = "413 BODY_TOO_LARGE over listeners.public.limits.body";
    vec![
        (json(&length(7), body), vec!["200"]),
        (json("", body), vec!["400 BODY_INVALID by body", MALFORMED]),
        (post("/open", "", body), vec!["200", MALFORMED]),
        (json(&length(5), body), vec!["400 BODY_INVALID by body", head]),
        (post("/open", &length(6), body), vec!["200", MALFORMED]),
        (json(&length(7), &format!("{body}\r\n")), vec!["200"]),
        (json(&length(7), &format!("{body}\n")), vec!["200", MALFORMED]),
        (json(&length(9), body), vec![waits]),
        (post("/open", &length(9), body), vec![waits]),
        (post("/brisk", &length(9), body), vec!["408 REQUEST_TIMEOUT over upstreams.brisk.timeouts.request"]),
        (post("/shut", &length(9), body), vec!["403 ADDRESS_FORBIDDEN by ip"]),
        (post("/open", &format!("{}{CHUNKED}", length(7)), body), vec![MALFORMED]),
        (post("/open", &length(7).repeat(2), body), vec![MALFORMED]),
        (post("/open", "Content-Length: 7, 7\r\n", body), vec![MALFORMED]),
        (post("/open", "Content-Length: +7\r\n", body), vec![MALFORMED]),
        (post("/open", "Transfer-Encoding: gzip, chunked\r\n", body), vec![MALFORMED]),
        (post("/open", "Transfer-Encoding: identity\r\n", body), vec![MALFORMED]),
        (post("/open", &CHUNKED.repeat(2), "0\r\n\r\n"), vec![MALFORMED]),
        (post("/open", CHUNKED, "2\r\n{}\r\n0\r\n\r\n").replace("1.1", "1.0"), vec![MALFORMED]),
        (json(CHUNKED, "2\r\n{}\r\n0\r\n\r\n"), vec!["200"]),
        (json(CHUNKED, "2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n"), vec!["200"]),
        (json(CHUNKED, "2\r\n{}\r\n0\r\n"), vec![waits]),
        (json(CHUNKED, "3\r\n{}\r\n0\r\n\r\n"), vec![MALFORMED]),
        (json(CHUNKED, body), vec![MALFORMED]),
        (post("/open", CHUNKED, "2\n{}\n0\n\n"), vec![MALFORMED]),
        (post("/open", CHUNKED, "2\r\n{}\r\n0\r\n"), vec![waits]),
        (post("/shut", CHUNKED, "x\r\n"), vec!["403 ADDRESS_FORBIDDEN by ip"]),
        (json(&length(33), &" ".repeat(33)), vec!["413 BODY_TOO_LARGE by body"]),
        (json(CHUNKED, &format!("21\r\n{}\r\n0\r\n\r\n", " ".repeat(33))), vec!["413 BODY_TOO_LARGE by body"]),
        (post("/few", &length(9), "012345678"), vec!["413 BODY_TOO_LARGE by body"]),
        (post("/few", CHUNKED, "9\r\n012345678\r\n0\r\n\r\n"), vec!["413 BODY_TOO_LARGE by body"]),
        (post("/open", &length(65), &"x".repeat(65)), vec![large]),
        (post("/open", &length(65), ""), vec![large]),
        (post("/open", CHUNKED, &format!("41\r\n{}\r\n0\r\n\r\n", "x".repeat(65))), vec![large]),
        // The head of the chain goes first.
        (post("/few", &length(65), ""), vec!["413 BODY_TOO_LARGE by body"]),
        (post("/shut", &length(65), ""), vec!["403 ADDRESS_FORBIDDEN by ip"]),
        (json(&length(65), ""), vec![large]),
    ]
}

/// Requests behind another one.
pub fn pipelines() -> Vec<Wire> {
    let shut = GET.replace("/open", "/shut");
    let closes = GET.replace("Host: a", "Host: a\r\nConnection: close");
    let old = "GET /open HTTP/1.0\r\n\r\n";
    let kept = "GET /open HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    vec![
        (format!("{GET}{shut}{GET}"), vec!["200", "403 ADDRESS_FORBIDDEN by ip", "200"]),
        (format!("{}{GET}", json(&length(2), "{}")), vec!["200", "200"]),
        (format!("{}{GET}", json(CHUNKED, "2\r\n{}\r\n0\r\n\r\n")), vec!["200", "200"]),
        (format!("{}{GET}", json(&length(1), "{}")), vec!["400 BODY_INVALID by body", MALFORMED]),
        (format!("{}{GET}", post("/shut", &length(2), "{}")), vec!["403 ADDRESS_FORBIDDEN by ip", "200"]),
        (
            format!("{}{GET}", post("/shut", CHUNKED, "2\r\n{}\r\n0\r\n\r\n")),
            vec!["403 ADDRESS_FORBIDDEN by ip", "200"],
        ),
        (
            format!("{}{GET}", post("/shut", &format!("Expect: 100-continue\r\n{}", length(2)), "{}")),
            vec!["403 ADDRESS_FORBIDDEN by ip"],
        ),
        (format!("{}{GET}", json(&length(33), &" ".repeat(33))), vec!["413 BODY_TOO_LARGE by body", "200"]),
        (format!("{}{GET}", post("/few", CHUNKED, "9\r\n012345678\r\n0\r\n\r\n")), vec!["413 BODY_TOO_LARGE by body"]),
        (
            format!("{}{GET}", post("/open", &length(65), &"x".repeat(65))),
            vec!["413 BODY_TOO_LARGE over listeners.public.limits.body", "200"],
        ),
        (format!("{closes}{GET}"), vec!["200"]),
        (format!("{old}{GET}"), vec!["200"]),
        (format!("{kept}{GET}"), vec!["200", "200"]),
        (format!("{}{GET}", GET.replace("/open", "/a//b")), vec![MALFORMED, "200"]),
        (format!("{GET}{}", GET.trim_end()), vec!["200", "408 REQUEST_TIMEOUT over connections.head_deadline"]),
    ]
}
