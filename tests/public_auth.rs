//! The public auth routes are held to their limits by IP and by the identity in the body, in whatever way it is
//! spelled; what hides its identity shares one strict budget. With the budgets and chains of `gateway.yaml`.

mod spellings;

use crate::kit::{
    backend::{Backend, Reply, Seen},
    gateway::Gateway,
    raw::{Raw, RawAnswer},
};
use spellings::{Comes, Spelling, cases};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use unicode_normalization::UnicodeNormalization as _;

const SEND: &str = "/api/v1/public/auth/send-email-code";
const CONFIRM: &str = "/api/v1/public/auth/confirm-email-code";
/// Those of `gateway.yaml`.
const EMAIL_LIMIT: usize = 3;
const CHALLENGE_LIMIT: usize = 5;
const IP_LIMIT: usize = 30;

struct Scene {
    gateway: Gateway,
    backend: Backend,
    addresses: AtomicU32,
}

/// The reference configuration on free ports, behind a proxy that says where a request comes from.
fn scene() -> Scene {
    let backend = Backend::start(|_| Reply::json(202, "{}"));
    let mut yaml = include_str!("../gateway.yaml").to_owned();
    for (written, here) in [
        ("0.0.0.0:8080", "127.0.0.1:0"),
        ("0.0.0.0:9090", "127.0.0.1:0"),
        ("127.0.0.1:9901", "127.0.0.1:0"),
        ("127.0.0.1:8081", &backend.address.to_string()),
        ("[10.0.0.0/8]", "[127.0.0.0/8]"),
        ("PORTCULLIS_SIGNING_KEY", "TEST_SIGNER"),
        ("ops/descriptors", concat!(env!("CARGO_MANIFEST_DIR"), "/ops/descriptors")),
    ] {
        assert!(yaml.contains(written), "gateway.yaml has no {written}");
        yaml = yaml.replace(written, here);
    }
    Scene { gateway: Gateway::start(&yaml), backend, addresses: AtomicU32::new(0) }
}

impl Scene {
    /// Posts from an address that nobody has called from before.
    fn post(&self, spelling: &Spelling) -> RawAnswer {
        let [_, _, high, low] = self.addresses.fetch_add(1, SeqCst).to_be_bytes();
        self.post_from(&format!("203.0.{high}.{low}"), spelling)
    }

    fn post_from(&self, address: &str, Spelling { path, headers, body, .. }: &Spelling) -> RawAnswer {
        let framing = if headers.contains("Transfer-Encoding") { String::new() } else { length(body) };
        let mut raw = Raw::connect(self.gateway.address("public"));
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n{headers}{framing}\r\n"));
        let answer = raw.send(body).answer();
        if answer.status == 100 { raw.answer() } else { answer }
    }

    /// Spends what the plain spelling of an identity has.
    fn spend(&self, plain: &Spelling, limit: usize) {
        for _ in 0..limit {
            assert_eq!(self.post(plain).status, 202, "{}", plain.name);
        }
        assert_eq!(outcome(&self.post(plain)), (429, "BUDGET_EXHAUSTED".to_owned()), "{}", plain.name);
    }
}

fn length(body: &[u8]) -> String {
    format!("Content-Length: {}\r\n", body.len())
}

fn outcome(answer: &RawAnswer) -> (u16, String) {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, problem["reason"].as_str().unwrap_or_default().to_owned())
}

fn exhausted() -> (u16, String) {
    (429, "BUDGET_EXHAUSTED".to_owned())
}

/// Each spelling has an identity of its own, so that it is held against that one and no other.
#[test]
fn every_spelling_counts_as_the_plain_one_or_is_refused() {
    let scene = scene();
    let mut wrong = Vec::new();
    for (case, (plain, spelling)) in cases().enumerate() {
        let seen = scene.backend.seen().len();
        let expected = match spelling.comes {
            Comes::Counted => exhausted(),
            Comes::Refused(status, reason) => (status, reason.to_owned()),
            Comes::Apart => (202, String::new()),
            Comes::Hidden => continue,
        };
        scene.spend(&plain, EMAIL_LIMIT);
        let (status, reason) = outcome(&scene.post(&spelling));
        let came = scene.backend.seen().len() - seen - EMAIL_LIMIT;
        if (status, &reason) != (expected.0, &expected.1) || came != usize::from(status == 202) {
            wrong.push(format!("{case} {}: {status} {reason}, {came} reached the backend", spelling.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_hides_its_identity_shares_one_budget() {
    let scene = scene();
    let hidden: Vec<_> = cases().map(|(_, spelling)| spelling).filter(|case| case.comes == Comes::Hidden).collect();
    assert!(hidden.len() > EMAIL_LIMIT);
    for (index, spelling) in hidden.iter().chain(hidden.iter()).enumerate() {
        let expected = if index < EMAIL_LIMIT { (202, String::new()) } else { exhausted() };
        assert_eq!(outcome(&scene.post(spelling)), expected, "{index} {}", spelling.name);
    }
    assert_eq!(scene.backend.seen().len(), EMAIL_LIMIT);
}

/// All spellings of one identity after another: what any backend could read as it stays within its limit, and
/// what is hidden within the one that all share.
#[test]
fn no_mixture_of_spellings_passes_the_limit() {
    let scene = scene();
    for round in 0..3 {
        for (plain, spelling) in spellings::of("jos\u{e9}.k") {
            scene.post(&spelling);
            if round > 0 {
                scene.post(&plain);
            }
        }
    }
    let seen = scene.backend.seen();
    let identity = "jos\u{e9}.k@example.com";
    let as_it = seen.iter().filter(|seen| reading(seen).as_deref() == Some(identity)).count();
    assert_eq!(as_it, EMAIL_LIMIT);
    let apart = spellings::of("jos\u{e9}.k").filter(|(_, spelling)| spelling.comes == Comes::Apart).count();
    assert!(seen.len() <= EMAIL_LIMIT * (2 + apart), "{} reached the backend", seen.len());
}

/// As most backends read a body: the last of two names counts, the address is trimmed and lower-cased.
fn reading(seen: &Seen) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(&seen.body).ok()?;
    Some(document.get("email")?.as_str()?.trim().to_lowercase().nfc().collect())
}

#[test]
fn a_code_is_tried_so_often_however_its_challenge_is_spelled() {
    let scene = scene();
    let confirm = |body: &str| Spelling { path: CONFIRM, ..Spelling::json(body) };
    let challenges = [
        (r#"{"challenge_id":"4f1c-AB","code":"1"}"#, r#"{"challenge_id":"4F1C-ab","code":"2"}"#),
        (r#"{"challenge_id":"c-2"}"#, r#"{"challenge_id":" c-2\t"}"#),
        (r#"{"challenge_id":"c-3"}"#, r#"{"challenge_\u0069d":"\u0063-3"}"#),
        (r#"{"challenge_id":4}"#, r#"{"challenge_id":4.0}"#),
        (r#"{"challenge_id":5}"#, r#"{"challenge_id":"5"}"#),
        (r#"{"code":"1"}"#, r#"{"challenge_id":["c-6"]}"#),
        (r#"{"challenge_id":""}"#, r#"{"challenge_id":"  "}"#),
    ];
    for (plain, spelled) in challenges {
        scene.spend(&confirm(plain), CHALLENGE_LIMIT);
        assert_eq!(outcome(&scene.post(&confirm(spelled))), exhausted(), "{spelled}");
    }
    assert_eq!(scene.backend.seen().len(), challenges.len() * CHALLENGE_LIMIT);
}

#[test]
fn an_address_is_limited_whoever_it_says_it_is() {
    let scene = scene();
    // An IPv6 caller holds a whole /64.
    for addresses in [["198.51.100.7"; 2], ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6"]] {
        for attempt in 0..IP_LIMIT {
            let spelling = Spelling::json(format!(r#"{{"email":"{attempt}@{}"}}"#, addresses[0]));
            assert_eq!(scene.post_from(addresses[attempt % 2], &spelling).status, 202, "{attempt}");
        }
        for (path, body) in [(SEND, r#"{"email":"one@more"}"#), (CONFIRM, r#"{"challenge_id":"c"}"#), (SEND, "{}")] {
            let spelling = Spelling { path, ..Spelling::json(body) };
            assert_eq!(outcome(&scene.post_from(addresses[0], &spelling)), exhausted(), "{path} {body}");
        }
        assert_eq!(scene.backend.seen_at("/api/v1/public/auth/confirm").len(), 0);
    }
    let refused = scene.post_from("198.51.100.7", &Spelling::json("{}"));
    let header = |name: &str| refused.header(name).and_then(|value| value.parse::<u64>().ok());
    assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), (Some(30), Some(0)));
    assert!(header("retry-after").is_some_and(|seconds| (1..=60).contains(&seconds)), "{}", refused.head);
}
