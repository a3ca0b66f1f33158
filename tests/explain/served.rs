//! What is told of bytes on a connection is what a running gateway does with them: the same answers, one for each
//! request in them, with the same status, reason and filter, and none beside them.

use crate::kit::{
    backend::{Backend, Reply},
    gateway::Gateway,
    raw::Raw,
};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{client::legacy, rt::TokioExecutor};
use portcullis::{
    config,
    explain::{Answers, Explanation, Lookups, Parts, Rehearsal, Request, Upshot},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    thread,
};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn yaml(backend: &Backend) -> String {
    format!(
        r#"version: 1
listeners:
  public: {{ bind: "127.0.0.1:0", limits: {{ head: 1KiB, headers: 8, body: 64B }} }}
  old: {{ bind: "127.0.0.1:0", protocols: [http1] }}
  new: {{ bind: "127.0.0.1:0", protocols: [h2c] }}
connections: {{ head_deadline: 3s, body_idle: 1s }}
upstreams:
  backend: {{ endpoints: ["http://{address}"] }}
  brisk: {{ endpoints: ["http://{address}"], timeouts: {{ request: 700ms }} }}
routes:
  - {{ name: open, match: {{ path: /open }}, forward: backend }}
  - {{ name: brisk, match: {{ path: /brisk }}, forward: brisk }}
  - {{ name: json, match: {{ path: /json, method: POST }}, chain: [{{ body: {{ max: 32B, json: true }} }}], forward: backend }}
  - {{ name: few, match: {{ path: /few }}, chain: [{{ body: {{ max: 8B }} }}], forward: backend }}
  - {{ name: shut, match: {{ path: /shut }}, chain: [{{ ip: {{ deny: [127.0.0.0/8] }} }}], forward: backend }}
"#,
        address = backend.address
    )
}

/// `POST` with these headers and this body.
fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
}

fn json(headers: &str, body: &str) -> String {
    post("/json", &format!("Content-Type: application/json\r\n{headers}"), body)
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const GET: &str = "GET /open HTTP/1.1\r\nHost: a\r\n\r\n";
const MALFORMED: &str = "400 REQUEST_MALFORMED";

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}\r\n")
}

/// Heads that the guard turns away, and some that it lets pass.
fn heads() -> Vec<(String, Vec<&'static str>)> {
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
fn bodies() -> Vec<(String, Vec<&'static str>)> {
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
        (post("/few", &length(65), ""), vec![large]),
        (json(&length(65), ""), vec![large]),
    ]
}

/// Requests behind another one.
fn pipelines() -> Vec<(String, Vec<&'static str>)> {
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

/// A connection's bytes, and what is told and answered for each request in them.
pub type Case = (Vec<u8>, Vec<&'static str>);

/// What is told, a line for each request: status, reason, and the filter that stops it or what else decides that.
fn told(told: &Explanation) -> Vec<String> {
    let line = match &told.upshot {
        Upshot::Forwarded { .. } | Upshot::Answered { .. } | Upshot::Opened { .. } => "200".to_owned(),
        Upshot::Refused { reason, answer, decided_by, .. } => {
            let by = told.stopped_by().map(|filter| format!(" by {filter}"));
            let setting = decided_by.as_ref().map(|setting| format!(" over {}", setting.key));
            [Some(format!("{} {reason}", answer.status)), by, setting].into_iter().flatten().collect()
        }
        Upshot::Undecided { why } => panic!("{why}"),
    };
    let next = told.next.as_deref().map(self::told).unwrap_or_default();
    [vec![line], next].concat()
}

/// What comes of the same bytes from the gateway: an answer for each request that was told of, and nothing more.
fn served(gateway: &Gateway, wire: &[u8], count: usize) -> Vec<String> {
    let mut raw = Raw::connect(gateway.address("public"));
    raw.send(wire);
    let mut answers = Vec::new();
    while answers.len() < count {
        let Some(answer) = raw.try_answer().filter(|answer| answer.status != 100) else { break };
        let line = answer.header("x-request-id").map(|id| gateway.access_line(|line| line["request_id"] == id));
        let said = |name: &str| line.as_ref().and_then(|line| line[name].as_str());
        let reason = said("reason").map(|reason| format!(" {reason}")).unwrap_or_default();
        let by = said("stopped_by").map(|filter| format!(" by {filter}")).unwrap_or_default();
        answers.push(format!("{}{reason}{by}", answer.status));
    }
    let rest = raw.close_write().rest();
    if !rest.is_empty() {
        answers.push(format!("and {:?}", String::from_utf8_lossy(&rest)));
    }
    answers
}

fn rehearsal(gateway: &Gateway) -> Rehearsal {
    let loaded = config::load_without_secrets(gateway.config(), &|_| None).unwrap();
    let answers = Answers { lookups: Lookups::Unknown, upstreams: BTreeMap::new() };
    Rehearsal::new(loaded, 1_700_000_000_000, answers).unwrap()
}

/// Holds what is told of these bytes against what the gateway answers to them.
pub async fn hold(gateway: &Gateway, cases: &[Case]) {
    let rehearsal = rehearsal(gateway);
    let mut explained = Vec::new();
    for (wire, _) in cases {
        let request = Request::raw("public", PEER, Bytes::from(wire.clone())).unwrap();
        explained.push(told(&rehearsal.explain(&request).await));
    }
    // Side by side, because some are waited for.
    let answered: Vec<_> = thread::scope(|scope| {
        let ask = |((wire, _), told): (&Case, &Vec<String>)| {
            let (wire, count) = (wire.clone(), told.len());
            scope.spawn(move || served(gateway, &wire, count))
        };
        let asked: Vec<_> = cases.iter().zip(&explained).map(ask).collect();
        asked.into_iter().map(|answers| answers.join().unwrap()).collect()
    });
    let mut differences = Vec::new();
    for (((wire, expected), told), answered) in cases.iter().zip(&explained).zip(&answered) {
        // What decides is not in the access log.
        let logged: Vec<_> = told.iter().map(|told| told.split(" over ").next().unwrap()).collect();
        if told != expected || logged != *answered {
            let wire = String::from_utf8_lossy(wire);
            differences
                .push(format!("{wire:?}\n  expected {expected:?}\n  told     {told:?}\n  answered {answered:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

async fn hold_text(cases: Vec<(String, Vec<&'static str>)>) {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&yaml(&backend));
    let cases: Vec<Case> = cases.into_iter().map(|(wire, expected)| (wire.into_bytes(), expected)).collect();
    hold(&gateway, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_told_as_they_are_answered() {
    hold_text(heads()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_told_as_they_are_answered() {
    hold_text(bodies()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_told_as_they_are_answered() {
    hold_text(pipelines()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_of_http2_are_told_as_they_are_answered() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&yaml(&backend));
    let rehearsal = rehearsal(&gateway);
    let connector = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let url = format!("http://{}/open", gateway.address("public"));
    let mut statuses = BTreeSet::new();
    for bytes in (700..900).step_by(3).chain([0]) {
        let value = "x".repeat(bytes);
        let request = http::Request::get(&url).header("x", &value).body(Empty::new()).unwrap();
        let answered = connector.request(request).await.unwrap().status().as_u16();
        let parts = Parts {
            method: "GET".to_owned(),
            target: url.clone(),
            headers: vec![("x".to_owned(), value)],
            is_http2: true,
            ..Parts::default()
        };
        let told = told(&rehearsal.explain(&Request::new("public", PEER, parts).unwrap()).await);
        let expected = match answered {
            200 => "200",
            _ => "431 REQUEST_MALFORMED over listeners.public.limits.head",
        };
        assert_eq!(told, [expected], "{bytes} bytes are answered with {answered}");
        statuses.insert(answered);
    }
    assert_eq!(statuses, BTreeSet::from([200, 431]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_than_the_listeners_is_told() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&yaml(&backend));
    let rehearsal = rehearsal(&gateway);
    for (listener, wire) in [("new", GET), ("old", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")] {
        Raw::connect(gateway.address(listener)).send(wire).close_write().rest();
        let line = gateway.access_line(|line| line["listener"] == listener);
        let request = Request::raw(listener, PEER, Bytes::from_static(wire.as_bytes())).unwrap();
        let told = told(&rehearsal.explain(&request).await);
        let answered = format!("{} {}", line["status"], line["reason"].as_str().unwrap());
        assert_eq!(told[0].split(" over ").next(), Some(answered.as_str()));
    }
    let over_http2 = Parts { method: "GET".to_owned(), target: "/open".to_owned(), is_http2: true, ..Parts::default() };
    let request = Request::new("old", PEER, over_http2).unwrap();
    let told = told(&rehearsal.explain(&request).await);
    assert_eq!(told, ["505 REQUEST_MALFORMED over listeners.old.protocols"]);
}
