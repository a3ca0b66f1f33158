//! Nobody who calls loses a request, whatever they speak, while processes come and go.
//!
//! A caller may find its connection closed before it has sent anything of a request on it, or hear by a GOAWAY that a
//! request is not taken, and then opens another. Everything else that is no whole answer is a loss.

mod caller;
mod upstream;

use super::is_upgraded;
use crate::kit::{
    authority::Vouched,
    eventually,
    gateway::{Gateway, has_ended, signal},
    grpc::descriptors,
    raw::Raw,
};
use caller::{Caller, Instances, WAYS};
use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{task::block_in_place, time::sleep};

/// Callers in each way.
const CALLERS: usize = 3;

/// Callers, what they call, and what became of it.
struct Load {
    upstream: SocketAddr,
    vouched: Vouched,
    folder: tempfile::TempDir,
    instances: Arc<Instances>,
    served: Arc<[AtomicUsize; WAYS.len()]>,
    /// Milliseconds until an answer was there, at most.
    longest_ms: Arc<AtomicU64>,
    lost: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("services.bin"), descriptors()).unwrap();
        Self {
            upstream: upstream::start().await,
            vouched: Vouched::new("127.0.0.1"),
            folder,
            instances: Arc::default(),
            served: Arc::default(),
            longest_ms: Arc::default(),
            lost: Arc::default(),
            is_over: Arc::default(),
        }
    }

    fn yaml(&self) -> String {
        format!(
            r#"
version: 1
listeners:
  plain: {{ bind: "127.0.0.1:0" }}
  tls: {{ bind: "127.0.0.1:0", tls: {{ certificate: {:?}, key: {:?} }} }}
  admin: {{ bind: "127.0.0.1:0", admin: true }}
upstreams: {{ upstream: {{ endpoints: ["http://{}"], timeouts: {{ request: 60s, read: 60s }} }} }}
routes:
  - {{ name: api, match: {{ path: "/*" }}, chain: request_id, forward: upstream }}
  - name: test
    match: {{ rpc: test.v1.Test }}
    chain: request_id
    rpc: {{ upstream: upstream, descriptors: {:?} }}
drain: {{ delay: 1s, deadline: 60s }}
observe: {{ access_log: {{ to: off }} }}
reload: {{ watch: false }}
"#,
            self.vouched.certificate,
            self.vouched.key,
            self.upstream,
            self.folder.path().join("services.bin"),
        )
    }

    /// Starts a gateway that is called from here on.
    fn start(&self) -> Gateway {
        let gateway = Gateway::start(&self.yaml());
        self.instances.add((gateway.address("plain"), gateway.address("tls")));
        gateway
    }

    /// Calls until it is over; each second caller takes its time in between.
    fn begin(&self) {
        for (place, way) in WAYS.into_iter().enumerate() {
            for number in 0..CALLERS {
                let mut caller = Caller::new(way, &self.instances, &self.vouched);
                let (served, longest_ms) = (Arc::clone(&self.served), Arc::clone(&self.longest_ms));
                let (lost, is_over) = (Arc::clone(&self.lost), Arc::clone(&self.is_over));
                tokio::spawn(async move {
                    while !is_over.load(Relaxed) {
                        let asked = Instant::now();
                        let outcome = caller.call().await;
                        longest_ms.fetch_max(asked.elapsed().as_millis() as u64, Relaxed);
                        match outcome {
                            Ok(()) => drop(served[place].fetch_add(1, Relaxed)),
                            Err(how) => return lost.lock().unwrap().push(format!("{way:?}: {how}")),
                        }
                        sleep(Duration::from_millis(fastrand::u64(..=30) * (number % 2) as u64)).await;
                    }
                });
            }
        }
    }

    fn served(&self) -> [usize; WAYS.len()] {
        self.served.each_ref().map(|served| served.load(Relaxed))
    }

    /// Waits until each way was served so often.
    fn goes_on(&self, times: usize) {
        let before = self.served();
        eventually("answers in each way", || {
            let lost = self.lost.lock().unwrap().clone();
            assert!(lost.is_empty(), "{lost:#?}");
            self.served().iter().zip(before).all(|(now, before)| *now >= before + times).then_some(())
        });
    }

    /// Answers with how many were served.
    fn end(&self) -> Outcome {
        self.goes_on(1);
        self.is_over.store(true, Relaxed);
        let served = WAYS.into_iter().zip(self.served()).map(|(way, served)| format!("{way:?} {served}"));
        Outcome {
            total: self.served().iter().sum(),
            by_way: served.collect::<Vec<_>>().join(", "),
            longest_ms: self.longest_ms.load(Relaxed),
        }
    }
}

/// What was served, none of it lost.
pub struct Outcome {
    pub total: usize,
    pub by_way: String,
    pub longest_ms: u64,
}

/// One process that is replaced again and again, with so many answers in each way before.
pub async fn upgrades(times: usize, answers: usize) -> Outcome {
    let load = Load::new().await;
    let gateway = load.start();
    load.begin();
    let outcome = block_in_place(|| {
        for _ in 0..times {
            load.goes_on(answers);
            let old = *gateway.pids().last().unwrap();
            is_upgraded(&gateway);
            load.goes_on(1);
            eventually("the end of the old process", || has_ended(old).then_some(()));
        }
        load.end()
    });
    assert!(!gateway.has_panicked() && !gateway.has_logged("the drain deadline is over"));
    outcome
}

/// Two instances behind a balancer that asks them whether they are ready: another comes, and, after so many answers in each
/// way, the older one is stopped.
pub async fn stops(times: usize, answers: usize) -> Outcome {
    let load = Load::new().await;
    let mut oldest = load.start();
    load.begin();
    block_in_place(|| {
        for _ in 0..times {
            let newest = load.start();
            load.goes_on(answers);
            signal(oldest.pid(), "TERM");
            eventually("that it is not ready", || (!is_ready(&oldest)).then_some(()));
            load.instances.remove((oldest.address("plain"), oldest.address("tls")));
            assert_eq!(oldest.ended().code(), Some(0));
            assert!(!oldest.has_panicked() && !oldest.has_logged("the drain deadline is over"));
            load.goes_on(1);
            oldest = newest;
        }
        load.end()
    })
}

fn is_ready(gateway: &Gateway) -> bool {
    Raw::connect(gateway.address("admin")).send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_upgrades() {
    upgrades(4, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_stops() {
    stops(3, 1).await;
}
