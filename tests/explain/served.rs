//! What is told of bytes on a connection is what a running gateway does with them: the same answers, one for each
//! request in them, with the same status, reason and filter, and none beside them.

use super::wires::{GET, Wire, bodies, heads, pipelines};
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

async fn hold_text(cases: Vec<Wire>) {
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
