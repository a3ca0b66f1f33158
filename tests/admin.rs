//! The admin listener answers command lines, scrapers and probes, and no page in a browser; and what is changed there
//! lasts as long as it was meant to.

use crate::kit::{
    backend::{Backend, Reply},
    eventually,
    gateway::Gateway,
    raw::{Raw, RawAnswer},
};
use serde_json::Value;
use std::fs;

fn yaml(backend: &Backend, rate: &str, comment: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
budgets: {{ few: {{ key: [client.ip], instance: ["{rate}"] }}, other: {{ key: [client.ip], instance: ["9/1h"] }} }}
routes:
  - {{ name: {comment}, match: {{ path: "/*" }}, chain: [request_id, {{ budget: [few, other] }}], forward: backend }}
reload: {{ watch: false }}
drain: {{ delay: 0s, deadline: 5s }}
"#,
        backend.address
    )
}

fn start(backend: &Backend) -> Gateway {
    Gateway::start(&yaml(backend, "3/1h", "one"))
}

fn backend() -> Backend {
    Backend::start(|_| Reply::json(200, "{}"))
}

fn ask(gateway: &Gateway, line: &str, headers: &str, body: &str) -> RawAnswer {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    Raw::connect(gateway.address("admin")).send(head).answer()
}

fn json(gateway: &Gateway, path: &str) -> Value {
    ask(gateway, &format!("GET {path}"), "Host: localhost\r\n", "").json()
}

fn patch(gateway: &Gateway, body: &str) -> RawAnswer {
    ask(gateway, "PATCH /budgets/few", "Host: 127.0.0.1\r\nContent-Type: application/json\r\n", body)
}

fn rate(gateway: &Gateway) -> Value {
    json(gateway, "/budgets/few")["instance"][0]["rate"].clone()
}

fn reload(gateway: &Gateway, yaml: &str) {
    fs::write(gateway.config(), yaml).unwrap();
    assert_eq!(ask(gateway, "POST /reload", "Host: localhost\r\n", "").json()["outcome"], "reloaded");
}

#[test]
fn no_page_in_a_browser_is_answered_by_any_method() {
    let backend = backend();
    let gateway = start(&backend);
    let port = gateway.address("admin").port();
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    for (headers, status) in [
        (own.clone(), 200),
        (format!("Host: [::1]:{port}\r\n"), 200),
        (format!("Host: localhost:{port}\r\n"), 200),
        (format!("{own}Sec-Fetch-Site: none\r\n"), 200),
        (format!("{own}Origin: http://evil.example\r\n"), 403),
        (format!("{own}Origin: http://127.0.0.1:{port}\r\n"), 403),
        (format!("{own}Sec-Fetch-Site: cross-site\r\n"), 403),
        // A name of its own that a page has had resolved to this address.
        ("Host: evil.example\r\n".to_owned(), 421),
        (format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"), 403),
    ] {
        for (line, more, body) in [
            ("GET /readyz", "", ""),
            ("GET /config", "", ""),
            ("PATCH /budgets/few", "Content-Type: application/json\r\n", r#"{"instance":["3/1h"]}"#),
            ("POST /reload", "", ""),
        ] {
            let answer = ask(&gateway, line, &format!("{headers}{more}"), body);
            assert_eq!(answer.status, status, "{line} {headers}");
            if status != 200 {
                assert_eq!(answer.json()["reason"], "ORIGIN_FORBIDDEN", "{line} {headers}");
                assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
            }
        }
        if status != 200 {
            assert_eq!(ask(&gateway, "POST /upgrade", &headers, "").status, status, "{headers}");
        }
    }
}

#[test]
fn the_paths_that_there_are_are_listed() {
    let backend = backend();
    let gateway = start(&backend);
    let listed = ask(&gateway, "GET /", "Host: localhost\r\n", "");
    let text = String::from_utf8(listed.body).unwrap();
    assert_eq!(listed.status, 200);
    let paths: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths.len(), 9, "{text}");
    for path in paths.into_iter().filter(|path| *path != "/upgrade") {
        let path = path.replace("NAME", "few");
        assert_eq!(ask(&gateway, &format!("GET {path}"), "Host: localhost\r\n", "").status, 200, "{path}");
    }
    for (line, status, allow) in [
        ("GET /nowhere", 404, None),
        ("POST /nowhere", 404, None),
        ("GET /upgrade", 405, Some("POST")),
        ("DELETE /budgets/few", 405, Some("GET, HEAD, PATCH")),
        ("POST /readyz", 405, Some("GET, HEAD")),
    ] {
        let answer = ask(&gateway, line, "Host: localhost\r\n", "");
        assert_eq!((answer.status, answer.header("allow").as_deref()), (status, allow), "{line}");
    }
}

#[test]
fn a_budgets_change_outlives_reloads_that_leave_it_alone() {
    let backend = backend();
    let gateway = start(&backend);
    let ready = |gateway: &Gateway| json(gateway, "/readyz");
    assert!(ready(&gateway).get("notes").is_none());
    assert_eq!(patch(&gateway, r#"{"instance":["501/1h"]}"#).status, 200);
    let shown = json(&gateway, "/budgets/few");
    assert_eq!(shown["changed"]["by"], "127.0.0.1");
    assert!(shown["changed"]["since"].is_string() && shown["changed"].get("until").is_none(), "{shown}");
    assert!(json(&gateway, "/budgets/other").get("changed").is_none());
    reload(&gateway, &yaml(&backend, "3/1h", "two"));
    assert_eq!(rate(&gateway), "501/1h");
    let told = ready(&gateway);
    assert!(told["ready"] == true && told["notes"][0].as_str().unwrap().contains("budget `few`"), "{told}");
    reload(&gateway, &yaml(&backend, "4/1h", "two"));
    assert_eq!(rate(&gateway), "4/1h");
    assert!(ready(&gateway).get("notes").is_none());
    let ended = "a budget's change is over: its configuration is another";
    let line = eventually("the end", || gateway.logged(|line| line["message"] == ended));
    assert_eq!((&line["budget"], &line["by"]), (&"few".into(), &"127.0.0.1".into()), "{line}");
}

#[test]
fn a_budgets_change_ends_when_it_was_said_to() {
    let backend = backend();
    let gateway = start(&backend);
    let changed = patch(&gateway, r#"{"instance":["501/1h"],"for":"300ms"}"#);
    assert_eq!(changed.status, 200);
    assert!(changed.json()["changed"]["until"].is_string(), "{changed:?}");
    // It goes on over a reload, and so does its end.
    reload(&gateway, &yaml(&backend, "3/1h", "two"));
    eventually("the end of the change", || (rate(&gateway) == "3/1h").then_some(()));
    for (message, field) in
        [("a budget was changed", "until"), ("a budget is as it is written again: its change is over", "since")]
    {
        let line = eventually(message, || gateway.logged(|line| line["message"] == message));
        assert!(line["by"] == "127.0.0.1" && line[field].is_string(), "{line}");
    }
    for body in [r#"{"instance":["501/1h"],"for":"0s"}"#, r#"{"instance":["501/1h"],"for":"soon"}"#] {
        assert_eq!(patch(&gateway, body).status, 400, "{body}");
    }
}
