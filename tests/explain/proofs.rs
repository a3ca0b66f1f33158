//! What `check` has proved of a configuration no request can break.

use portcullis::{
    config::{self, Loaded},
    explain::{Answers, Command, Lookups, Parts, Rehearsal, Request, Signer, Upshot},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Segments of patterns, and how they may be spelled in requests.
const NAMES: &[&str] = &["a", "b", "A", "a;x", "b."];

fn env(_: &str) -> Option<String> {
    None
}

/// A route's path, and what else it asks for.
#[derive(Debug, Clone)]
struct Wanted {
    path: String,
    listener: Option<&'static str>,
    host: bool,
    method: bool,
    header: bool,
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![prop::sample::select(NAMES).prop_map(Some), Just(None)];
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, is_open)| {
        let path: String = segments.iter().enumerate().fold(String::new(), |path, (at, segment)| match segment {
            Some(name) => path + "/" + name,
            None => format!("{path}/{{p{at}}}"),
        });
        match (path.is_empty(), is_open) {
            (_, true) => path + "/*",
            (true, false) => "/".to_owned(),
            (false, false) => path,
        }
    })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let listener = prop::sample::select(vec![None, Some("one"), Some("two")]);
    (pattern(), listener, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(path, listener, host, method, header)| Wanted { path, listener, host, method, header })
}

fn yaml(routes: &[Wanted], shut: &[&str], invariant: &str, call: &str) -> String {
    let mut yaml = format!(
        "version: 1\nlisteners: {{ one: {{ bind: '127.0.0.1:1' }}, two: {{ bind: '127.0.0.1:2' }} }}\n\
         upstreams: {{ backend: {{ endpoints: ['http://127.0.0.1:3'] }} }}\n\
         sessions: {{ devices: {{ upstream: backend, path: '/sessions/{{id}}' }} }}\n\
         stores: {{ main: {{ memory: {{}} }} }}\n\
         signing: {{ keys: {{ main: {{ file: none.pem }} }}, active: main }}\n\
         chains: {{ signed: [envelope, session: devices, payload_hash, signature, freshness, replay: {{ store: main }}] }}\n\
         commands: {{ game: {{ upstream: backend, routes: {{ go: {{ post: '{call}' }} }} }} }}\n\
         shut: {shut:?}\ninvariants: [{{ {invariant} }}]\nroutes:\n  \
         - {{ name: edge, match: {{ rpc: edge.v1.Gateway }}, chain: signed, commands: game }}\n"
    );
    for (index, Wanted { path, listener, host, method, header }) in routes.iter().enumerate() {
        let listener = listener.map(|name| format!(", listener: {name}")).unwrap_or_default();
        let host = if *host { ", host: h.example" } else { "" };
        let method = if *method { ", method: PUT" } else { "" };
        let header = if *header { ", headers: { x-a: '1' }" } else { "" };
        let matched = format!("path: '{path}'{listener}{host}{method}{header}");
        writeln!(yaml, "  - {{ name: r{index}, match: {{ {matched} }}, forward: backend }}").unwrap();
    }
    yaml
}

/// Loads a configuration, unless something is wrong with it: the invariant, or two routes that are the same.
fn load(yaml: &str) -> Option<Loaded> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, yaml).unwrap();
    config::load_without_secrets(&file, &env).ok()
}

/// Whether a path lies under a beginning for the most forgiving backend: said here once more, by itself.
fn lies_under(path: &str, under: &str) -> bool {
    let folded = |segment: &str| {
        let segment = segment.replace("%61", "a").replace("%3B", ";").to_lowercase();
        segment.split(';').next().unwrap().trim_end_matches('.').to_owned()
    };
    let path: Vec<String> = path.split('/').skip(1).map(folded).collect();
    let under: Vec<String> = under.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    path.len() >= under.len() && path.iter().zip(&under).all(|(name, wanted)| name == wanted)
}

fn rehearse(loaded: Loaded, signer: &Signer) -> Rehearsal {
    let lookups = Lookups::Always(signer.session("s", "u", "active"));
    Rehearsal::new(loaded, 1_700_000_000_000, Answers { lookups, upstreams: BTreeMap::new() }).unwrap()
}

/// Every path of up to three segments in some spellings, to both listeners.
fn requests() -> Vec<(String, Request)> {
    let spellings = ["a", "b", "A", "%61", "a;x", "a%3Bx", "b.", "c"];
    let mut paths = vec!["/".to_owned()];
    for one in spellings {
        paths.push(format!("/{one}"));
        for two in spellings {
            paths.extend([format!("/{one}/{two}"), format!("/{one}/{two}/"), format!("/{one}/{two}/c")]);
        }
    }
    let mut requests = Vec::new();
    for path in paths {
        for listener in ["one", "two"] {
            let parts = Parts {
                method: "PUT".to_owned(),
                target: path.clone(),
                host: Some("h.example".to_owned()),
                headers: vec![("x-a".to_owned(), "1".to_owned())],
                ..Parts::default()
            };
            requests.push((path.clone(), Request::new(listener, PEER, parts).unwrap()));
            let parts = Parts { method: "GET".to_owned(), target: path.clone(), ..Parts::default() };
            requests.push((path.clone(), Request::new(listener, PEER, parts).unwrap()));
        }
    }
    requests
}

/// The requests that reach the backend under a path, of those that are tried.
fn breaking(loaded: Loaded, under: &str) -> Vec<String> {
    let signer = Signer::new(None);
    let rehearsal = rehearse(loaded, &signer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut breaking = Vec::new();
    for (path, request) in requests().iter().filter(|(path, _)| lies_under(path, under)) {
        let told = runtime.block_on(rehearsal.explain(request));
        if let Upshot::Forwarded { sent, .. } = told.upshot {
            breaking.push(format!("{} to {} by {:?} as {}", path, told.listener, told.route, sent.target));
        }
    }
    breaking
}

/// Where the command `go` is called, if it is let through.
fn called(loaded: Loaded) -> Option<String> {
    let signer = Signer::new(None);
    let rehearsal = rehearse(loaded, &signer);
    let command = Command {
        session: "s".to_owned(),
        message_type: "go".to_owned(),
        payload: r#"{"x":"a"}"#.into(),
        request_id: "r".to_owned(),
        timestamp_ms: rehearsal.now_ms(),
        headers: Vec::new(),
        is_forged: false,
    };
    let request = signer.request("one", PEER, &command).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(rehearsal.explain(&request)).upshot {
        Upshot::Forwarded { sent, .. } => Some(sent.target),
        other => panic!("{other:?}"),
    }
}

/// How many of the configurations below were proved, and how many were not and could be broken: neither may be none.
static PROVED: AtomicUsize = AtomicUsize::new(0);
static BROKEN: AtomicUsize = AtomicUsize::new(0);

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    fn no_request_breaks_what_is_proved_of_random_routes(
        routes in prop::collection::vec(wanted(), 1..5),
        shut in prop::collection::vec(prop::sample::select(vec!["/a/", "/a/b/", "/b", "/"]), 0..2),
        under in prop::sample::select(vec!["/a/", "/b/", "/a/b/"]),
        is_shut in any::<bool>(),
    ) {
        let claim = if is_shut { "is: shut" } else { "needs: session" };
        match load(&yaml(&routes, &shut, &format!("under: {under}, {claim}"), "/calls")) {
            Some(loaded) => {
                PROVED.fetch_add(1, Relaxed);
                let breaking = breaking(loaded, under);
                prop_assert!(breaking.is_empty(), "under {}: {:?}", under, breaking);
            }
            None => {
                let unproved = load(&yaml(&routes, &shut, "never_forwarded: x-user-id", "/calls"));
                BROKEN.fetch_add(usize::from(unproved.is_some_and(|it| !breaking(it, under).is_empty())), Relaxed);
            }
        }
    }

    #[test]
    fn no_command_is_called_where_it_is_shut(
        call in prop::sample::select(vec!["/a", "/a/b", "/A/b", "/{payload.x}/b", "/b/{payload.x}", "/c/a", "/a;y/b"]),
        under in prop::sample::select(vec!["/a/", "/b/", "/a/b/"]),
    ) {
        if let Some(loaded) = load(&yaml(&[], &[], &format!("under: {under}, is: shut"), call)) {
            let called = called(loaded).unwrap();
            prop_assert!(!lies_under(&called, under), "{} under {}", called, under);
        }
    }
}

#[test]
fn no_request_breaks_what_is_proved() {
    no_request_breaks_what_is_proved_of_random_routes();
    let (proved, broken) = (PROVED.load(Relaxed), BROKEN.load(Relaxed));
    assert!(proved > 10 && broken > 10, "{proved} proved, {broken} broken");
}

#[test]
fn what_is_proved_is_what_an_operator_means() {
    let route =
        |path: &str| vec![Wanted { path: path.to_owned(), listener: None, host: false, method: false, header: false }];
    for (path, shut, claim, call, is_proved) in [
        ("/c/*", &[][..], "needs: session", "/a/x", true),
        ("/c/*", &[], "is: shut", "/a/x", false),
        ("/c/*", &[], "is: shut", "/c/x", true),
        ("/a/x", &[], "needs: session", "/c", false),
        ("/A;b/x", &[], "needs: session", "/c", false),
        ("/{p}/x", &[], "needs: session", "/c", false),
        ("/*", &[], "needs: session", "/c", false),
        ("/*", &["/a/"], "needs: session", "/c", true),
        ("/*", &["/a/b/"], "needs: session", "/c", false),
        ("/a/b/*", &["/a/b/"], "is: shut", "/c", true),
        ("/*", &[], "upstream: backend, needs: session", "/c", false),
        ("/*", &["/a"], "is: shut", "/c", true),
    ] {
        let yaml = yaml(&route(path), shut, &format!("under: /a/, {claim}"), call);
        assert_eq!(load(&yaml).is_some(), is_proved, "{path} {shut:?} {claim} {call}");
    }
}

/// A configuration with one forward, in whose chain some headers are taken off, that says so of one header.
fn forwarding(header: &str) -> String {
    format!(
        "version: 1\nlisteners: {{ one: {{ bind: '127.0.0.1:1' }} }}\n\
         upstreams: {{ backend: {{ endpoints: ['http://127.0.0.1:2'] }} }}\n\
         routes:\n  - name: all\n    match: {{ path: '/*' }}\n    forward: backend\n    \
         chain: [request_id, headers: {{ request: {{ remove: [X-Removed], set: {{ x-set: '1' }} }} }}]\n\
         invariants: [{{ never_forwarded: '{header}' }}]\n"
    )
}

#[test]
fn what_is_never_forwarded_is_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (header, is_proved) in [
        ("X-User-Id", true),
        ("x-device-session-id", true),
        ("forwarded", true),
        ("x-forwarded-for", true),
        ("x-forwarded-host", true),
        ("x-forwarded-port", true),
        ("x-forwarded-proto", true),
        ("x-real-ip", true),
        ("x-request-id", true),
        ("x-removed", true),
        ("x-set", true),
        ("x-other", false),
        ("x_removed", false),
        ("traceparent", false),
    ] {
        let Some(loaded) = load(&forwarding(header)) else {
            assert!(!is_proved, "{header}");
            continue;
        };
        assert!(is_proved, "{header}");
        let rehearsal = rehearse(loaded, &Signer::new(None));
        let headers = vec![(header.to_owned(), "mallory".to_owned())];
        let parts = Parts { method: "GET".to_owned(), target: "/".to_owned(), headers, ..Parts::default() };
        let told = runtime.block_on(rehearsal.explain(&Request::new("one", PEER, parts).unwrap()));
        let sent = told.upshot.sent().unwrap();
        let is_passed = |(name, value): &(String, String)| name.eq_ignore_ascii_case(header) && value == "mallory";
        assert!(!sent.headers.iter().any(is_passed), "{header}: {sent:?}");
    }
}

/// A configuration whose only chain names these budgets, and that says that every request is held to one.
fn held(budgets: &str) -> String {
    format!(
        "version: 1\nlisteners: {{ one: {{ bind: '127.0.0.1:1' }} }}\n\
         upstreams: {{ backend: {{ endpoints: ['http://127.0.0.1:2'] }} }}\n\
         budgets:\n  seen: {{ key: [client.ip], instance: ['1/1h'], mode: observe }}\n  \
         few: {{ key: [client.ip], instance: ['1/1h'] }}\n\
         routes: [{{ name: all, match: {{ path: '/*' }}, chain: [{budgets}], forward: backend }}]\n\
         invariants: [{{ needs: budget }}]\n"
    )
}

#[test]
fn a_budget_that_refuses_nobody_proves_nothing() {
    for (budgets, is_proved) in [
        ("", false),
        ("{ budget: seen }", false),
        ("{ budget: few }", true),
        ("{ budget: [seen, few] }", true),
        ("{ budget: seen }, { budget: few }", true),
    ] {
        assert_eq!(load(&held(budgets)).is_some(), is_proved, "{budgets}");
    }
}

#[test]
fn another_name_for_an_upstream_is_no_way_around() {
    let yaml = |endpoint: &str| {
        format!(
            "version: 1\nlisteners: {{ one: {{ bind: '127.0.0.1:1' }} }}\n\
             upstreams: {{ backend: {{ endpoints: ['http://127.0.0.1:2'] }}, other: {{ endpoints: ['{endpoint}'] }} }}\n\
             routes: [{{ name: all, match: {{ path: '/*' }}, forward: other }}]\n\
             invariants: [{{ under: /a/, upstream: backend, needs: session }}]\n"
        )
    };
    for (endpoint, is_proved) in
        [("http://127.0.0.1:3", true), ("http://127.0.0.1:2", false), ("HTTP://127.0.0.1:2/", false)]
    {
        assert_eq!(load(&yaml(endpoint)).is_some(), is_proved, "{endpoint}");
    }
}
