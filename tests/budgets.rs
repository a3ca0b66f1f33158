//! Budgets hold callers to what an operator has written, at what each route costs, and can be watched and changed
//! while they work.

use crate::kit::{
    backend::{Backend, Reply},
    gateway::Gateway,
    raw::{Raw, RawAnswer},
};
use serde_json::{Value, json};

fn gateway(backend: &Backend) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
stores: {{ main: {{ memory: {{}} }} }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
budgets:
  key: {{ key: [header.x-api-key], instance: ["10/1h"], shared: ["7/1d"] }}
  watched: {{ key: [header.x-api-key], instance: ["1/1h"], mode: observe }}
routes:
  - {{ name: cheap, match: {{ path: /cheap }}, chain: [{{ budget: key }}], forward: backend }}
  - {{ name: dear, match: {{ path: /dear }}, chain: [{{ budget: key }}], cost: 3, forward: backend }}
  - {{ name: watched, match: {{ path: /watched }}, chain: [{{ budget: watched }}], forward: backend }}
"#,
        backend.address
    ))
}

fn get(gateway: &Gateway, path: &str, key: &str) -> RawAnswer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n");
    Raw::connect(gateway.address("public")).send(head).answer()
}

fn admin(gateway: &Gateway, method: &str, path: &str, media_type: &str, body: &str) -> RawAnswer {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    Raw::connect(gateway.address("admin")).send(head).answer()
}

fn shown(gateway: &Gateway, name: &str) -> Value {
    admin(gateway, "GET", &format!("/budgets/{name}"), "text/plain", "").json()
}

#[test]
fn a_request_costs_what_its_route_says() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = gateway(&backend);
    for (path, status, remaining) in
        [("/dear", 200, "4"), ("/dear", 200, "1"), ("/dear", 429, "1"), ("/cheap", 200, "0"), ("/cheap", 429, "0")]
    {
        let answer = get(&gateway, path, "a");
        let left = answer.header("x-ratelimit-remaining");
        assert_eq!((answer.status, left.as_deref()), (status, Some(remaining)), "{path}");
    }
    assert_eq!(get(&gateway, "/dear", "b").status, 200, "another caller");
    assert_eq!(backend.seen().len(), 4);
}

#[test]
fn an_observed_budget_says_what_it_would_have_refused() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = gateway(&backend);
    for _ in 0..5 {
        let answer = get(&gateway, "/watched", "a");
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, None));
    }
    let budget = shown(&gateway, "watched");
    let limit = &budget["instance"][0]["limit_for_999_of_1000_callers"];
    assert_eq!((&budget["mode"], &budget["observed"], limit), (&json!("observe"), &json!(4), &json!(5)));
    let metrics = String::from_utf8(admin(&gateway, "GET", "/metrics", "text/plain", "").body).unwrap();
    assert!(metrics.contains(r#"portcullis_budget_decisions_total{budget="watched",outcome="observed"} 4"#));
}

#[test]
fn a_budget_is_changed_at_run_time_and_the_change_is_logged() {
    let backend = Backend::start(|_| Reply::json(200, "{}"));
    let gateway = gateway(&backend);
    let change = |body: &str| admin(&gateway, "PATCH", "/budgets/key", "application/json", body);
    assert_eq!(get(&gateway, "/dear", "a").status, 200);
    let changed = change(r#"{"instance":[],"shared":["7/1d","3/1m"]}"#);
    assert_eq!((changed.status, changed.json()["shared"][1]["rate"].as_str()), (200, Some("3/1m")));
    assert_eq!(get(&gateway, "/cheap", "a").header("x-ratelimit-remaining").as_deref(), Some("2"));
    assert_eq!(get(&gateway, "/dear", "a").status, 429, "what was spent under a rule that stays is kept");
    gateway.log_line("a budget was changed");
    for (path, method, media_type, body, status) in [
        ("/budgets/key", "PATCH", "application/json", r#"{"shared":["7/1d"],"instance":["x"]}"#, 400),
        ("/budgets/key", "PATCH", "application/json", r#"{"shared":[]}"#, 400),
        ("/budgets/key", "PATCH", "application/json", r#"{"shred":[]}"#, 400),
        ("/budgets/key", "PATCH", "application/json", r#"["observe"]"#, 400),
        ("/budgets/key", "PATCH", "text/plain", r#"{"mode":"observe"}"#, 415),
        ("/budgets/none", "PATCH", "application/json", r#"{"mode":"observe"}"#, 404),
        ("/budgets/key", "DELETE", "application/json", "", 405),
        ("/budgets", "PATCH", "application/json", "{}", 405),
    ] {
        assert_eq!(admin(&gateway, method, path, media_type, body).status, status, "{method} {path} {body}");
    }
    assert_eq!(shown(&gateway, "key")["shared"][1]["rate"], "3/1m", "what is refused changes nothing");
    for body in [r#"{"instance":["9/1h"],"shared":[]}"#, r#"{"shared":["7/1d"]}"#] {
        assert_eq!(change(body).status, 200, "{body}");
    }
    let all = admin(&gateway, "GET", "/budgets", "text/plain", "").json();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["key", "watched"]);
}
