//! A session that is ended is refused at once: what comes after, what is being looked up, what waits for the
//! backend; and a cache never outlives what it was told.
//!
//! The gateway runs in the test's own process, so that the test can be the feed.

use crate::kit::{
    PATIENCE,
    backend::{Backend, Seen},
    device::{answer, command, device, edge_yaml, refused},
    eventually,
    gateway::SIGNER_PEM,
};
use filters::session::{Feed, Invalidations};
use portcullis::{
    client::{Answer, CallError, Client, Codec, Command, Dialect, Endpoint, Protocol},
    config, life,
};
use std::{path::Path, sync::Arc};
use tokio::{sync::watch, time::timeout};

const LOOKUPS: &str = "/api/v1/internal/sessions/";
const ACCOUNT: &str = "/api/v1/user/account";

struct Scene {
    running: life::Running,
    edge: Endpoint,
    backend: Backend,
    gate: watch::Sender<bool>,
}

/// A gateway whose backend holds what it answers at `held` until the gate is opened, and whose lookup has these
/// options.
async fn scene(held: &'static str, options: &str) -> Scene {
    let (gate, is_open) = watch::channel(false);
    let backend = Backend::start(move |seen: &Seen| {
        let reply = answer(seen);
        if !held.is_empty() && seen.target.starts_with(held) { reply.when(&is_open) } else { reply }
    });
    let yaml = edge_yaml(&backend)
        .replace("{id}\" } }", &format!("{{id}}\"{options} }} }}"))
        .replace("drain:", "observe: { access_log: { to: off } }\ndrain:");
    let env = |name: &str| (name == "TEST_SIGNER").then(|| SIGNER_PEM.to_owned());
    let loaded = config::parse(&yaml, "gateway.yaml", Path::new(""), &env).unwrap();
    let running = life::start(loaded, &env).await.unwrap();
    let edge = format!("http://{}", running.address("edge").unwrap()).parse().unwrap();
    Scene { running, edge, backend, gate }
}

impl Scene {
    async fn send(&self, session: &str, command: &Command) -> Result<Answer, CallError> {
        let request = device(session).sign(command);
        Client::default().call(&self.edge, Dialect::new(Protocol::Grpc, Codec::Proto), &request).await
    }

    /// What becomes of a command: its result code, or the reason of its refusal.
    async fn outcome(&self, session: &str) -> String {
        match self.send(session, &command("user.account.get", "")).await {
            Ok(answer) => answer.response.result_code,
            refusal => refused(refusal).reason.unwrap_or_default(),
        }
    }

    fn invalidations(&self) -> &Arc<Invalidations> {
        &self.running.invalidations
    }

    fn reached(&self, path: &str) -> usize {
        self.backend.seen_at(path).len()
    }

    /// What becomes of a command of `session-1` that is at `held` when something is invalidated.
    async fn overtaken(&self, held: &str, invalidate: impl FnOnce(&Invalidations)) -> String {
        let before = self.reached(held);
        let interfere = async {
            timeout(PATIENCE, async {
                while self.reached(held) == before {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            })
            .await
            .expect("the backend is asked");
            invalidate(self.invalidations());
            self.gate.send_replace(true);
        };
        let (outcome, ()) = tokio::join!(self.outcome("session-1"), interfere);
        self.gate.send_replace(false);
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_backend_is_refused_and_its_answer_is_not_signed() {
    let scene = scene(ACCOUNT, "").await;
    for (session, user, expected) in [
        ("session-2", "user-2", "ok"),
        ("session-2", "user-1", "SESSION_REVOKED"),
        ("session-1", "user-2", "SESSION_REVOKED"),
    ] {
        let outcome = scene.overtaken(ACCOUNT, |all| {
            all.invalidate_session(session);
            all.invalidate_user(user);
        });
        assert_eq!(outcome.await, expected, "{session} {user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_looked_up_is_refused_and_does_not_reach_the_backend() {
    let scene = scene(LOOKUPS, "").await;
    assert_eq!(scene.overtaken(LOOKUPS, |all| all.invalidate_user("user-2")).await, "ok");
    assert_eq!(scene.reached(ACCOUNT), 1);
    assert_eq!(scene.overtaken(LOOKUPS, |all| all.invalidate_user("user-1")).await, "SESSION_REVOKED");
    assert_eq!(scene.overtaken(LOOKUPS, |all| all.invalidate_session("session-1")).await, "SESSION_REVOKED");
    assert_eq!(scene.reached(ACCOUNT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_refused_whatever_the_lookup_says_and_a_user_is_looked_up() {
    let scene = scene("", "").await;
    assert_eq!(scene.outcome("session-1").await, "ok");
    scene.invalidations().invalidate_session("session-1");
    let lookups = scene.reached(LOOKUPS);
    assert_eq!(scene.outcome("session-1").await, "SESSION_REVOKED");
    assert_eq!(scene.reached(LOOKUPS), lookups, "nobody is asked");
    assert_eq!(scene.outcome("session-2").await, "ok");
    scene.invalidations().invalidate_user("user-1");
    assert_eq!(scene.outcome("session-2").await, "ok", "the lookup says that it is active");
    assert_eq!(scene.outcome("session-1").await, "SESSION_REVOKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_emptied_by_invalidations_and_unused_while_the_feed_is_down() {
    let scene = scene("", ", unknown_for: 1m, cache: { ttl: 1h, without_feed: true }").await;
    let lookups = async |times: usize, expected: &str| {
        let before = scene.reached(LOOKUPS);
        for _ in 0..times {
            assert_eq!(scene.outcome("session-1").await, expected);
        }
        scene.reached(LOOKUPS) - before
    };
    assert_eq!(lookups(3, "ok").await, 1);
    let mut feed = Feed::new(Arc::clone(scene.invalidations()));
    assert_eq!(lookups(2, "ok").await, 2);
    feed.up();
    assert_eq!(lookups(3, "ok").await, 1);
    feed.gap();
    assert_eq!(lookups(2, "ok").await, 1);
    scene.invalidations().invalidate_user("user-2");
    assert_eq!(lookups(2, "ok").await, 0);
    scene.invalidations().invalidate_user("user-1");
    assert_eq!(lookups(2, "ok").await, 1);
    scene.invalidations().invalidate_session("session-1");
    assert_eq!(lookups(2, "SESSION_REVOKED").await, 0);
    let before = scene.reached(LOOKUPS);
    for (session, expected) in [("nobody", "SESSION_UNKNOWN"), ("session-revoked", "SESSION_REVOKED")] {
        for _ in 0..3 {
            assert_eq!(scene.outcome(session).await, expected);
        }
    }
    assert_eq!(scene.reached(LOOKUPS), before + 2, "what is unknown and what is revoked is cached too");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_every_command_asks_and_is_counted() {
    let scene = scene("", "").await;
    for session in ["session-1", "session-1", "nobody", "session-lost"] {
        scene.outcome(session).await;
    }
    scene.invalidations().invalidate_session("session-1");
    scene.outcome("session-1").await;
    assert_eq!(scene.reached(LOOKUPS), 4);
    let admin = scene.running.address("admin").unwrap();
    let metrics = eventually("the metrics", || {
        let answer = crate::kit::raw::Raw::connect(admin).send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        (answer.status == 200).then(|| String::from_utf8(answer.body).unwrap())
    });
    for line in [
        r#"portcullis_session_answers_total{from="lookup",sessions="devices"} 4"#,
        r#"portcullis_session_answers_total{from="invalidations",sessions="devices"} 1"#,
        r#"portcullis_session_answers_total{from="cache",sessions="devices"} 0"#,
        r#"portcullis_session_lookups_total{outcome="active",sessions="devices"} 2"#,
        r#"portcullis_session_lookups_total{outcome="unknown",sessions="devices"} 1"#,
        r#"portcullis_session_lookups_total{outcome="fault",sessions="devices"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}
