//! A running gateway takes up another configuration as a whole or not at all, and what stays the same keeps its state.

use crate::kit::{
    PATIENCE,
    authority::Vouched,
    backend::{Backend, Reply},
    device::{command, device, edge, edge_yaml, refused},
    eventually,
    gateway::{Gateway, portcullis},
    raw::{Raw, RawAnswer},
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use portcullis::client::{Client, Codec, Dialect, HttpVersion, Protocol, Trust};
use std::{
    fs,
    os::unix::fs::symlink,
    process::Output,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

fn backend() -> Backend {
    Backend::start(|seen| Reply::json(200, &seen.target))
}

/// One route, under `/route/`; nothing is taken up before it is asked for.
fn yaml(backend: &Backend, route: &str) -> String {
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
budgets: {{ few: {{ key: [client.ip], instance: ["3/1h"] }} }}
routes:
  - {{ name: {route}, match: {{ path: "/{route}/*" }}, chain: request_id, forward: backend }}
  - {{ name: few, match: {{ path: "/few" }}, chain: [ request_id, {{ budget: few }} ], forward: backend }}
reload: {{ watch: false }}
"#,
        backend.address
    )
}

fn get(gateway: &Gateway, listener: &str, path: &str) -> RawAnswer {
    Raw::connect(gateway.address(listener)).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
}

fn post_reload(gateway: &Gateway, headers: &str) -> RawAnswer {
    post_reload_as(gateway, "/reload", headers)
}

fn post_reload_as(gateway: &Gateway, target: &str, headers: &str) -> RawAnswer {
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 0\r\n\r\n");
    Raw::connect(gateway.address("admin")).send(head).answer()
}

/// What `portcullis reload` says.
fn reload(gateway: &Gateway) -> Output {
    let admin = format!("http://{}", gateway.address("admin"));
    portcullis().args(["reload", "--admin", &admin]).output().unwrap()
}

fn is_taken_up(gateway: &Gateway, yaml: &str) {
    fs::write(gateway.config(), yaml).unwrap();
    let output = reload(gateway);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn another_configuration_is_in_force_at_once_and_no_connection_is_cut() {
    let backend = Backend::start(|seen| {
        let slow = if seen.target == "/one/slow" { 700 } else { 0 };
        Reply::json(200, &seen.target).after(std::time::Duration::from_millis(slow))
    });
    let gateway = Gateway::start(&yaml(&backend, "one"));
    let (mut kept, mut slow) = (Raw::connect(gateway.address("public")), Raw::connect(gateway.address("public")));
    assert_eq!(kept.send("GET /one/a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    slow.send("GET /one/slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the slow request", || (!backend.seen_at("/one/slow").is_empty()).then_some(()));
    is_taken_up(&gateway, &yaml(&backend, "two"));
    assert_eq!(kept.send("GET /two/a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200, "the same connection");
    assert_eq!(kept.send("GET /one/a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 404);
    assert_eq!(slow.answer().status, 200, "what was in flight ends on the plan that it began with");
    let metrics = String::from_utf8(get(&gateway, "admin", "/metrics").body).unwrap();
    assert!(metrics.contains(r#"portcullis_reloads_total{outcome="reloaded"} 1"#), "{metrics}");
}

#[test]
fn no_page_in_a_browser_has_it_reloaded_or_upgraded() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one"));
    fs::write(gateway.config(), yaml(&backend, "two")).unwrap();
    for target in ["/reload", "/reload?force", "/upgrade"] {
        let answer = post_reload_as(&gateway, target, "Origin: https://page.example\r\n");
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("ORIGIN_FORBIDDEN")), "{target}");
    }
    assert_eq!(get(&gateway, "public", "/one/a").status, 200);
}

#[test]
fn a_configuration_with_problems_changes_nothing_and_is_named() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one"));
    let before = get(&gateway, "admin", "/config").header("etag").unwrap();
    for (broken, expected) in [
        (String::new(), "gateway.yaml:1:1"),
        (yaml(&backend, "two").replace("forward: backend", "forward: backnd"), "did you mean `backend`"),
        (yaml(&backend, "two").replace("127.0.0.1:0\" }", "127.0.0.1:1\" }"), "cannot change listeners.public.bind"),
        (yaml(&backend, "two").replace("version: 1", "version: 1\nnode: { threads: 3 }"), "cannot change node"),
    ] {
        fs::write(gateway.config(), broken).unwrap();
        let output = reload(&gateway);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        let ready = get(&gateway, "admin", "/readyz");
        let told = ready.json()["reload"].to_string();
        assert!(
            ready.status == 200 && told.contains("refused") && told.contains(&expected.replace('"', "\\\"")),
            "{told}"
        );
    }
    fs::remove_file(gateway.config()).unwrap();
    assert_eq!(reload(&gateway).status.code(), Some(2), "no file");
    assert_eq!(get(&gateway, "public", "/one/a").status, 200);
    assert_eq!(get(&gateway, "admin", "/config").header("etag").unwrap(), before);
    is_taken_up(&gateway, &yaml(&backend, "two"));
    assert_eq!(get(&gateway, "public", "/two/a").status, 200);
}

#[test]
fn whoever_asks_can_say_what_must_be_in_force() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one"));
    let seen = get(&gateway, "admin", "/config").header("etag").unwrap();
    let unchanged = post_reload(&gateway, "");
    assert_eq!((unchanged.status, unchanged.json()["outcome"].as_str()), (200, Some("unchanged")));
    fs::write(gateway.config(), yaml(&backend, "two")).unwrap();
    let reloaded = post_reload(&gateway, &format!("If-Match: {seen}\r\n"));
    assert_eq!((reloaded.status, reloaded.json()["outcome"].as_str()), (200, Some("reloaded")));
    assert_ne!(reloaded.header("etag").unwrap(), seen);
    let outdated = post_reload(&gateway, &format!("If-Match: {seen}\r\n"));
    assert_eq!((outdated.status, outdated.json()["outcome"].as_str()), (412, Some("outdated")));
    // A list in several lines is one list; an empty one names nothing that could be in force.
    let now = reloaded.header("etag").unwrap();
    for (tags, status) in [
        (format!("If-Match: {seen}\r\nIf-Match: \"x\", {now}\r\n"), 200),
        (format!("If-Match: {seen}\r\nIf-Match: *\r\n"), 200),
        (format!("If-Match: W/{now}\r\n"), 412),
        ("If-Match:\r\n".to_owned(), 412),
    ] {
        assert_eq!(post_reload(&gateway, &tags).status, status, "{tags}");
    }
    assert_eq!(post_reload_as(&gateway, "/reload?now", "").status, 400);
}

#[test]
fn a_hangup_reloads_too() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one"));
    fs::write(gateway.config(), yaml(&backend, "two")).unwrap();
    gateway.signal("HUP");
    eventually("the other route", || (get(&gateway, "public", "/two/a").status == 200).then_some(()));
}

#[test]
fn a_file_is_taken_up_however_it_is_replaced() {
    let backend = backend();
    let watched = |route: &str| yaml(&backend, route).replace("watch: false", "watch: true");
    let gateway = Gateway::start(&watched("r0"));
    let (config, folder) = (gateway.config(), gateway.config().parent().unwrap());
    let serves = |route: &str, how: &str| {
        let path = format!("/{route}/a");
        eventually(how, || (get(&gateway, "public", &path).status == 200).then_some(()));
    };
    fs::write(config, watched("r1")).unwrap();
    serves("r1", "written in place");
    fs::write(folder.join("new"), watched("r2")).unwrap();
    fs::rename(folder.join("new"), config).unwrap();
    serves("r2", "renamed over it");
    fs::rename(config, folder.join("gateway.yaml~")).unwrap();
    fs::write(config, watched("r3")).unwrap();
    serves("r3", "moved away and written anew");
    fs::create_dir(folder.join("..1")).unwrap();
    fs::write(folder.join("..1/gateway.yaml"), watched("r4")).unwrap();
    symlink("..1", folder.join("..data")).unwrap();
    fs::remove_file(config).unwrap();
    symlink("..data/gateway.yaml", config).unwrap();
    serves("r4", "a link, as Kubernetes has it");
    fs::create_dir(folder.join("..2")).unwrap();
    fs::write(folder.join("..2/gateway.yaml"), watched("r5")).unwrap();
    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    serves("r5", "the link behind it swapped");
}

#[test]
fn what_callers_have_spent_stays_spent() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one"));
    let spend = || get(&gateway, "public", "/few").status;
    assert_eq!([spend(), spend()], [200, 200]);
    is_taken_up(&gateway, &yaml(&backend, "two"));
    assert_eq!([spend(), spend()], [200, 429], "the third is the last");
    is_taken_up(&gateway, &yaml(&backend, "two").replace("3/1h", "4/1h"));
    assert_eq!(spend(), 200, "another rate begins anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_accepted_is_not_accepted_again() {
    let backend = crate::kit::device::backend();
    let before = edge_yaml(&backend);
    let gateway = Gateway::start(&before);
    let client = Client::default();
    let dialect = Dialect::new(Protocol::Grpc, Codec::Proto);
    let request = device("session-1").sign(&command("user.account.get", ""));
    client.call(&edge(&gateway), dialect, &request).await.unwrap();
    is_taken_up(&gateway, &before.replace("name: public", "name: other"));
    let again = refused(client.call(&edge(&gateway), dialect, &request).await);
    assert_eq!(again.reason.as_deref(), Some("REQUEST_REPLAYED"));
    let fresh = device("session-1").sign(&command("user.account.get", ""));
    client.call(&edge(&gateway), dialect, &fresh).await.unwrap();
}

#[test]
fn nothing_fails_while_configurations_come_and_go() {
    const RELOADS: usize = 60;
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "always"));
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut kept = Raw::connect(gateway.address("public"));
                while !is_over.load(Relaxed) {
                    assert_eq!(kept.send("GET /always/a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
                    assert_eq!(get(&gateway, "public", "/always/b").status, 200);
                    served.fetch_add(2, Relaxed);
                }
            });
        }
        let _load_ends_with_this = Over(&is_over);
        for round in 0..RELOADS {
            let before = served.load(Relaxed);
            let other = yaml(&backend, "always").replace("version: 1", &format!("version: 1\nshut: [/r{round}/]"));
            fs::write(gateway.config(), other).unwrap();
            let told = post_reload(&gateway, "");
            assert_eq!(told.json()["outcome"], "reloaded", "{told:?}");
            eventually("requests in between", || (served.load(Relaxed) > before).then_some(()));
        }
    });
}

/// Says so when it is dropped: a test that fails must not wait for its load for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_with_its_key_or_not_at_all() {
    let (first, second, backend) = (Vouched::new("127.0.0.1"), Vouched::new("127.0.0.1"), backend());
    let tls = format!("tls: {{ certificate: {:?}, key: {:?} }} }}", first.certificate, first.key);
    let yaml = yaml(&backend, "one").replace("127.0.0.1:0\" }", &format!("127.0.0.1:0\", {tls}"));
    let gateway = Gateway::start(&yaml.replace("watch: false", "watch: true"));
    let trusted = async |vouched: &Vouched| {
        let client = Client::new(PATIENCE, &Trust::in_file(&vouched.ca).unwrap());
        let url = format!("https://{}", gateway.address("public")).parse().unwrap();
        let asked = client.exchange(&url, HttpVersion::Http1, Method::GET, "/one/a", HeaderMap::new(), Bytes::new());
        asked.await.is_ok_and(|reply| reply.status == 200)
    };
    assert!(trusted(&first).await && !trusted(&second).await);
    fs::copy(&second.certificate, &first.certificate).unwrap();
    gateway.log_line("the configuration is not taken up");
    assert!(trusted(&first).await, "a certificate without its key is none");
    fs::copy(&second.key, &first.key).unwrap();
    used(&trusted, &second).await;

    let (third, text) = (Vouched::new("127.0.0.1"), fs::read_to_string(gateway.config()).unwrap());
    fs::write(gateway.config(), format!("{text}nonsense: true\n")).unwrap();
    gateway.log_line("unknown key `nonsense`");
    fs::copy(&third.certificate, &first.certificate).unwrap();
    fs::copy(&third.key, &first.key).unwrap();
    used(&trusted, &third).await;
}

/// Waits until a gateway is trusted that shows this certificate.
async fn used(trusted: &impl AsyncFn(&Vouched) -> bool, vouched: &Vouched) {
    let give_up = Instant::now() + PATIENCE;
    while !trusted(vouched).await {
        assert!(Instant::now() < give_up, "the other certificate is not used");
    }
}

#[test]
fn whoever_asks_a_gateway_that_stops_is_told_so() {
    let backend = backend();
    let gateway = Gateway::start(&yaml(&backend, "one").replace("reload:", "drain: { delay: 20s }\nreload:"));
    // Somebody is there, who keeps it from ending at once.
    let mut kept = Raw::connect(gateway.address("public"));
    assert_eq!(kept.send("GET /one/a HTTP/1.1\r\nHost: a\r\n\r\n").answer().status, 200);
    gateway.signal("TERM");
    eventually("the drain", || (get(&gateway, "admin", "/readyz").status == 503).then_some(()));
    let told = post_reload(&gateway, "");
    assert_eq!((told.status, told.json()["reason"].as_str()), (503, Some("GATEWAY_SHUTTING_DOWN")));
}
