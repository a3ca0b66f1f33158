//! The store finds its server, and takes none that it cannot rely on.

use super::*;
use crate::kit::{
    authority::Vouched,
    redis::{Watched, cluster},
};
use filters::{memory::SystemClock, session::Invalidations};
use portcullis::{
    config::{self, source},
    plan,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_drop_keys_is_refused_until_it_may_not() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let redis = Redis::start();
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let instance = begin(at(&redis), Scripts::default());
        let reason = format!("`maxmemory-policy {policy}`");
        let unfit =
            || matches!(instance.status(), Status::Unfit { reason: why } if why.contains(&reason)).then_some(());
        until("that the server is found unfit", async || unfit()).await;
        let allowed = connected(RedisOptions { allow_eviction: true, ..at(&redis) }).await;
        assert_eq!(allowed.status(), Status::Up);
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        instance.is_up().await;
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        until("that the server is found unfit again", async || unfit()).await;
        assert!(instance.try_reserve("a", now_ms()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused() {
    let primary = Redis::start();
    let replica = Redis::with(&["--save", "", "--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let instance = begin(at(&replica), Scripts::default());
    instance.is_down("is a slave").await;
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    instance.is_up().await;
    replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    until("a fault", async || instance.try_reserve("a", now_ms()).await.is_err().then_some(())).await;
    instance.is_down("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_rights_is_enough() {
    let redis = Redis::start();
    let rights = "+info +evalsha +script|load +time +hmget +hset +exists +mget +set +del +zadd +zremrangebyscore +zcard \
                  +pexpire";
    let mut words = vec!["ACL", "SETUSER", "gateway", "on", ">secret", "~{portcullis}:*"];
    words.extend(rights.split_whitespace());
    redis.ask(&words);
    let user = |url: String| options(Place::Server(url.parse().unwrap()));
    let instance = connected(user(format!("redis://gateway:secret@127.0.0.1:{}", redis.port()))).await;
    until("a reservation", async || instance.reserves(&now_ms().to_string(), now_ms()).await.then_some(())).await;
    let charges = [charge("a", 5, Duration::from_secs(60))];
    let Claimed::Granted(grant) = instance.spends(&charges).await else { panic!("the first is granted") };
    instance.refund(&charges, grant.receipt);
    until("the refund", async || (instance.metrics.calls("refund") == 1).then_some(())).await;
    let stranger = begin(user(format!("redis://gateway:wrong@127.0.0.1:{}", redis.port())), Scripts::default());
    stranger.is_unfit("authentication failed").await;
    let said = stranger.status().to_string();
    assert!(!said.contains("wrong:") && !said.contains("secret"), "{said}");
    // A right that a question, a heartbeat or a claim needs, each at another moment; given back, it is enough again.
    for (place, right) in ["info", "script|load", "hmget", "zadd", "set"].into_iter().enumerate() {
        redis.ask(&["ACL", "SETUSER", "gateway", &format!("-{right}")]);
        let lacking = begin(user(format!("redis://gateway:secret@127.0.0.1:{}", redis.port())), Scripts::default());
        let mut tried = 0;
        until(&format!("that the lack of {right} is told"), async || {
            tried += 1;
            drop(lacking.try_reserve(&format!("{place}-{tried}"), now_ms()).await);
            matches!(lacking.status(), Status::Unfit { reason } if reason.contains("+zremrangebyscore")).then_some(())
        })
        .await;
        redis.ask(&["ACL", "SETUSER", "gateway", &format!("+{right}")]);
        until("a reservation", async || {
            tried += 1;
            lacking.try_reserve(&format!("{place}-{tried}"), now_ms()).await.is_ok().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_to_whom_the_authority_vouches_for() {
    let vouched = Vouched::new("127.0.0.1");
    let tls_port = crate::kit::redis::free_port();
    let _redis = Redis::with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        vouched.certificate.to_str().unwrap(),
        "--tls-key-file",
        vouched.key.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        vouched.ca.to_str().unwrap(),
    ]);
    let trusting = |trust: portcullis::client::Trust| RedisOptions {
        tls: Some(Arc::new(trust.config())),
        ..options(Place::Server(format!("rediss://127.0.0.1:{tls_port}").parse().unwrap()))
    };
    connected(trusting(portcullis::client::Trust::in_file(&vouched.ca).unwrap())).await;
    let instance = begin(trusting(portcullis::client::Trust::nobody()), Scripts::default());
    instance.is_down("TLS: invalid peer certificate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_serves_from_the_node_of_its_slot() {
    let nodes = cluster();
    let urls = nodes.iter().map(|node| node.url().parse().unwrap()).collect();
    let instance = connected(options(Place::Cluster(urls))).await;
    until("a reservation", async || instance.reserves(&now_ms().to_string(), now_ms()).await.then_some(())).await;
    let charges = [charge("a", 5, Duration::from_secs(60)), charge("b", 5, Duration::from_secs(60))];
    assert!(matches!(instance.spends(&charges).await, Claimed::Granted(_)));
    let keys = nodes.iter().filter(|node| node.text(&["DBSIZE"]) != "0").count();
    assert_eq!(keys, 1, "all keys are on one node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_frees_no_id_that_the_replica_never_heard_of() {
    let mut watched = Watched::start();
    let sentinels: Vec<_> = watched.sentinels.iter().map(|sentinel| sentinel.url().parse().unwrap()).collect();
    let place = Place::Sentinel { sentinels, master: "main".to_owned(), login: Login::default() };
    let quick = RedisOptions { connect_timeout: Duration::from_millis(500), ..options(place) };
    let both = [connected(quick.clone()).await, connected(quick).await];
    watched.servers[1].freeze();
    let mut ids = Vec::new();
    while ids.len() < 50 {
        let (id, stamp) = (format!("a-{}", ids.len()), now_ms());
        if both[0].reserves(&id, stamp).await {
            ids.push((id, stamp));
        }
    }
    watched.servers[0].kill();
    watched.servers[1].thaw();
    for instance in &both {
        until("that the link is lost", async || (instance.metrics.reconnects.get() > 0).then_some(())).await;
        instance.is_up().await;
        for (id, stamp) in &ids {
            assert!(!instance.reserves(id, *stamp).await, "{id}");
        }
    }
    until("a reservation", async || both[0].reserves(&now_ms().to_string(), now_ms()).await.then_some(())).await;
    for (id, stamp) in &ids {
        assert!(!both[1].reserves(id, *stamp).await, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_gives_a_store_and_shows_no_secret() {
    let redis = Redis::start();
    redis.ask(&["ACL", "SETUSER", "gateway", "on", ">correct-horse", "~*", "+@all"]);
    let text = format!(
        "version: 1
listeners: {{ public: {{ bind: \"127.0.0.1:0\" }} }}
stores:
  main: {{ redis: {{ url: \"redis://odd:battery-staple@127.0.0.1:{}\", user: gateway, password: {{ env: SECRET }},
                   prefix: \"other:\", command_timeout: 5s }} }}",
        redis.port()
    );
    let env = |name: &str| (name == "SECRET").then(|| "correct-horse\n".to_owned());
    let loaded = || config::parse(&text, "gateway.yaml", std::path::Path::new(""), &env).unwrap();
    let metrics = Metrics::new().unwrap();
    let clock: Arc<dyn Clock> = Arc::<TestClock>::default();
    // The clock of a store in Redis has no monotonic time, which invalidations go by.
    let invalidations = Arc::new(Invalidations::new(Arc::new(SystemClock::new())));
    let outside = plan::Outside { clock, metrics: &metrics, env: &env, invalidations: &invalidations };
    let plan = plan::build(loaded(), &outside, None).unwrap();
    let source::Store::Redis(written) = &plan.loaded.config.stores["main"] else { panic!("a store in Redis") };
    let store = Arc::clone(plan.shared_stores().next().unwrap().store());
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(Arc::clone(&store).run(stopped));
    until("that the store is up", async || (store.status() == Status::Up).then_some(())).await;
    let shown = format!(
        "{} {} {:?}",
        plan.loaded.masked(),
        String::from_utf8_lossy(&metrics.render()),
        portcullis::store::redis::RedisOptions::new(written, &plan.loaded, &env).unwrap()
    );
    for secret in ["battery-staple", "correct-horse"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(redis.text(&["EXISTS", "other:instances"]), "1");
    let no_env = plan::Outside { env: &|_| None, ..outside };
    let fault = plan::build(loaded(), &no_env, None).err().unwrap().to_string();
    assert_eq!(fault, "store `main`: the environment variable `SECRET` is not set");
}
