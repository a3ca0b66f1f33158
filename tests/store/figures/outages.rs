//! With the store refused, stopped or slow, every decision is the stated one, and nobody waits.

use super::*;
use crate::kit::{
    backend::Backend,
    device::{self, command, device, edge},
    fault_proxy::{Fault, FaultProxy},
    gateway::Gateway,
    raw::Raw,
};
use http::{HeaderMap, HeaderName, Method};
use hyper::body::Bytes;
use portcullis::client::{CallError, Client, Codec, Device, Dialect, Endpoint, HttpVersion, Protocol};
use std::sync::Mutex;

const DEADLINE: Duration = Duration::from_millis(100);
/// What a request may take beside its wait for the store, on a machine that also runs the load.
const SLACK: Duration = Duration::from_millis(50);
const P99_GROWS_MAX: Duration = Duration::from_millis(10);
/// Fewer than the load of the other figures: these requests are there for their times.
const CLIENTS: usize = 4;
/// Of both instances together.
const SHARE: usize = 20;

/// A gateway with a route for each policy, and commands with replay and three shared budgets.
pub(super) fn edge_yaml(backend: &Backend, redis_url: &str) -> String {
    let routes = ["allow", "deny", "local_share"].map(|policy| {
        format!("  - {{ name: {policy}, match: {{ path: /{policy} }}, chain: [{{ budget: {policy} }}], forward: backend }}\n")
    });
    format!(
        r#"
version: 1
listeners:
  public: {{ bind: "127.0.0.1:0" }}
  edge:   {{ bind: "127.0.0.1:0" }}
  admin:  {{ bind: "127.0.0.1:0", admin: true }}
stores:
  main: {{ redis: {{ url: "{redis_url}", command_timeout: 100ms, breaker: {{ failures: 5 }} }} }}
upstreams: {{ backend: {{ endpoints: ["http://{}"] }} }}
sessions: {{ devices: {{ upstream: backend, path: "/api/v1/internal/sessions/{{id}}" }} }}
signing: {{ keys: {{ main: {{ env: TEST_SIGNER }} }}, active: main }}
budgets:
  allow: {{ key: [header.x-api-key], shared: ["{SHARE}/1h"], on_store_error: allow }}
  deny: {{ key: [header.x-api-key], shared: ["{SHARE}/1h"], on_store_error: deny }}
  local_share: {{ key: [header.x-api-key], shared: ["{SHARE}/1h"] }}
  edge_session: {{ key: [session.id], shared: ["1000000/1m"] }}
  edge_user: {{ key: [session.user_id], shared: ["1000000/1m"] }}
  edge_type: {{ key: [session.user_id, message.type], shared: ["1000000/1m"] }}
chains:
  signed_edge: [ envelope, {{ session: devices }}, payload_hash, signature, {{ freshness: {{ past: 60s, future: 30s }} }},
                 {{ replay: {{ store: main }} }}, {{ budget: [edge_session, edge_user, edge_type] }} ]
routes:
  - {{ name: edge, match: {{ listener: edge, rpc: edge.v1.Gateway }}, chain: signed_edge, commands: game }}
{}commands: {{ game: {{ upstream: backend, routes: {{ user.account.get: {{ get: /api/v1/user/account }} }} }} }}
"#,
        backend.address,
        routes.concat()
    )
}

/// How many calls of its store a gateway counts with this outcome.
pub(super) fn calls(gateway: &Gateway, outcome: &str) -> u64 {
    metric(gateway, &format!("portcullis_store_calls_total{{outcome=\"{outcome}\",store=\"main\"}} "))
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let answer = Raw::connect(gateway.address("admin")).send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    let text = String::from_utf8(answer.body).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, |value| value.parse().unwrap())
}

/// Who asks one gateway, and notes how long each answer took.
#[derive(Clone)]
struct Caller {
    client: Client,
    public: Endpoint,
    edge: Endpoint,
    device: Arc<Device>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Caller {
    fn of(gateway: &Gateway, took: &Arc<Mutex<Vec<Duration>>>) -> Self {
        Self {
            client: Client::default(),
            public: format!("http://{}", gateway.address("public")).parse().unwrap(),
            edge: edge(gateway),
            device: Arc::new(device("session-1")),
            took: Arc::clone(took),
        }
    }

    /// The answer's status, with the reason of a refusal.
    async fn get(&self, policy: &str, key: &str) -> String {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), key.parse().unwrap())]);
        let (path, begun) = (format!("/{policy}"), Instant::now());
        let asked = self.client.exchange(&self.public, HttpVersion::Http1, Method::GET, &path, headers, Bytes::new());
        let reply = asked.await.unwrap();
        self.took.lock().unwrap().push(begun.elapsed());
        let reason = ["BUDGET_EXHAUSTED", "BUDGET_STORE_UNAVAILABLE"]
            .into_iter()
            .find(|reason| reply.body.windows(reason.len()).any(|part| part == reason.as_bytes()));
        reason.map_or_else(|| reply.status.as_str().to_owned(), |reason| format!("{} {reason}", reply.status.as_str()))
    }

    async fn command(&self) -> String {
        let request = self.device.sign(&command("user.account.get", ""));
        let begun = Instant::now();
        let called = self.client.call(&self.edge, Dialect::new(Protocol::Connect, Codec::Proto), &request).await;
        self.took.lock().unwrap().push(begun.elapsed());
        match called {
            Ok(_) => "200".to_owned(),
            Err(CallError::Refused(refused)) => refused.reason.unwrap_or_default(),
            Err(fault) => panic!("{fault}"),
        }
    }

    /// Asks each route once, as a caller that has spent nothing.
    async fn round(&self, key: &str) -> [String; 4] {
        [
            self.get("allow", key).await,
            self.get("deny", key).await,
            self.get("local_share", key).await,
            self.command().await,
        ]
    }
}

const WITH_STORE: [&str; 4] = ["200", "200", "200", "200"];
const WITHOUT_STORE: [&str; 4] = ["200", "503 BUDGET_STORE_UNAVAILABLE", "200", "REPLAY_STORE_UNAVAILABLE"];

/// Two gateways, and their callers.
struct Fleet {
    gateways: [Gateway; 2],
    callers: [Caller; 2],
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Fleet {
    fn start(backend: &Backend, url: &str) -> Self {
        let gateways = [(); 2].map(|()| Gateway::start(&edge_yaml(backend, url)));
        let took = Arc::default();
        let callers = [Caller::of(&gateways[0], &took), Caller::of(&gateways[1], &took)];
        Self { gateways, callers, took }
    }

    /// So many rounds, each with the decisions `expected`. Gives the sorted times of the requests.
    async fn rounds(&self, name: &str, rounds: usize, expected: [&str; 4]) -> Vec<Duration> {
        self.took.lock().unwrap().clear();
        join_all((0..CLIENTS).map(|client| async move {
            for round in 0..rounds.div_ceil(CLIENTS) {
                let decisions = self.callers[client % 2].round(&format!("{name} {client} {round}")).await;
                assert_eq!(decisions, expected, "{name}");
            }
        }))
        .await;
        let mut took = std::mem::take(&mut *self.took.lock().unwrap());
        took.sort_unstable();
        took
    }

    /// Waits until both gateways know of each other.
    async fn is_counted(&self, redis: &Redis) {
        until("two instances", async || (redis.text(&["ZCARD", "{portcullis}:instances"]) == "2").then_some(())).await;
        for gateway in &self.gateways {
            let before = calls(gateway, "heartbeat");
            until("a heartbeat", async || (calls(gateway, "heartbeat") > before + 1).then_some(())).await;
        }
    }

    /// Without the store, each gateway grants one caller its own part.
    async fn shares(&self, name: &str) {
        for caller in &self.callers {
            for spent in 0..SHARE {
                let expected = if spent < SHARE / 2 { "200" } else { "429 BUDGET_EXHAUSTED" };
                assert_eq!(caller.get("local_share", &format!("{name} shared")).await, expected, "{spent}");
            }
        }
    }

    async fn recovers(&self, name: &str) {
        for caller in &self.callers {
            let mut tries = 0;
            until("recovery", async || {
                tries += 1;
                (caller.round(&format!("{name} recovers {tries}")).await == WITH_STORE).then_some(())
            })
            .await;
        }
    }
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// One fault, from before it begins until after it has ended.
async fn outage(
    name: &str,
    fleet: &Fleet,
    redis: &mut Redis,
    begin: impl AsyncFn(&mut Redis),
    end: impl AsyncFn(&mut Redis),
) {
    fleet.recovers(&format!("{name} first")).await;
    fleet.is_counted(redis).await;
    let before = fleet.rounds(&format!("{name} before"), sized(5_000).max(200), WITH_STORE).await;
    begin(redis).await;
    let onset = fleet.rounds(&format!("{name} onset"), 40, WITHOUT_STORE).await;
    for gateway in &fleet.gateways {
        until("that the breaker opens", async || {
            (metric(gateway, "portcullis_store_up{store=\"main\"} ") == 0).then_some(())
        })
        .await;
    }
    let open = fleet.rounds(&format!("{name} open"), sized(5_000).max(200), WITHOUT_STORE).await;
    fleet.shares(name).await;
    let ended = Instant::now();
    end(redis).await;
    fleet.recovers(name).await;
    let recovered = ended.elapsed();

    // Each was compared as it came.
    let decisions = onset.len() + open.len() + 2 * SHARE;
    note(&format!("{name}: decisions as the stated policy has them; any other ends the run"), &decisions.to_string());
    let (longest, most) = (*onset.last().max(open.last()).unwrap(), DEADLINE + SLACK);
    let usual = before.last().copied().unwrap_or_default();
    let what = format!("{name}: longest wait at a command_timeout of 100 ms, {} before", ms(usual));
    report(&what, &ms(longest), &ms(most), longest <= most);
    let [p99_before, p99_open] = [p99(&before), p99(&open)];
    let what = format!("{name}: p99 once the breaker is open, {} before", ms(p99_before));
    let most = p99_before + P99_GROWS_MAX;
    report(&what, &ms(p99_open), &ms(most), p99_open <= most);
    note(&format!("{name}: recovery after its end, without a restart"), &ms(recovered));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of load: ops/bench/stores runs it"]
async fn with_redis_out_of_reach_decisions_are_the_stated_ones() {
    let (mut redis, backend) = (Redis::start(), device::backend());
    let fleet = Fleet::start(&backend, &redis.url());
    outage("Redis refused", &fleet, &mut redis, async |redis| redis.kill(), async |redis| redis.start_again()).await;
    outage("Redis stopped", &fleet, &mut redis, async |redis| redis.freeze(), async |redis| redis.thaw()).await;
    drop(fleet);
    let proxy = FaultProxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let fleet = Fleet::start(&backend, &format!("redis://{}", proxy.address()));
    let slow = async |_: &mut Redis| proxy.set(Fault::Delay(Duration::from_millis(200)));
    outage("Redis slowed to 200 ms", &fleet, &mut redis, slow, async |_| proxy.set(Fault::None)).await;
}
