//! Whether the names of a configuration lead anywhere.

use super::{
    Loaded, Report, conceal,
    problem::{Problem, Severity},
    source::{RedisUrl, Store},
    tree::join,
};
use http::Uri;
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// More are not asked for: each takes a thread.
const NAMES_MAX: usize = 64;

impl Loaded {
    /// The same with a warning for each name of a backend, feed or store that does not resolve here. It takes as long as
    /// the slowest answer, and no longer than `within`.
    #[must_use]
    pub fn with_names_looked_up(self, within: Duration) -> Self {
        let end = Instant::now() + within;
        let mut problems = Vec::new();
        for (name, (pointers, answer)) in ask(hosts(&self)) {
            let left = end.saturating_duration_since(Instant::now());
            let why = match answer.recv_timeout(left) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("does not resolve: {error}"),
                Err(_) => format!("was not resolved within {within:?}"),
            };
            for pointer in pointers {
                let remedy = "check the name; `--offline` is for machines that do not see it";
                let warning =
                    Problem::error(self.place(&pointer), &pointer, format!("the host «{name}» {why}"), remedy);
                problems.push(Problem { severity: Severity::Warning, ..warning });
            }
        }
        conceal::settle(&mut problems, Some(&self.tree));
        problems.extend(self.warnings.problems().iter().cloned());
        let warnings = Report::new(&self.file, &self.text, problems);
        Self { warnings, ..self }
    }
}

/// Names and where they stand.
fn hosts(loaded: &Loaded) -> BTreeMap<String, Vec<String>> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |pointer: String, host: Option<String>| {
        let host = host.filter(|host| host.parse::<IpAddr>().is_err() && !host.starts_with('['));
        if let Some(host) = host.filter(|host| hosts.contains_key(host) || hosts.len() < NAMES_MAX) {
            hosts.entry(host).or_default().push(pointer);
        }
    };
    let of_url = |url: &String| url.parse::<Uri>().ok()?.host().map(str::to_owned);
    let of_redis = |url: &String| url.parse::<RedisUrl>().ok().map(|url| url.host);
    let config = &loaded.config;
    for (name, upstream) in &config.upstreams {
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            add(format!("{}/endpoints/{index}", join("/upstreams", name)), of_url(endpoint));
        }
    }
    for (name, events) in &config.events {
        add(format!("{}/feed/grpc", join("/events", name)), of_url(&events.feed.grpc));
    }
    for (name, store) in &config.stores {
        let Store::Redis(redis) = store else { continue };
        let pointer = format!("{}/redis", join("/stores", name));
        if let Some(url) = &redis.url {
            add(format!("{pointer}/url"), of_redis(url));
        }
        for (index, url) in redis.cluster.iter().enumerate() {
            add(format!("{pointer}/cluster/{index}"), of_redis(url));
        }
        for (index, url) in redis.sentinel.iter().flat_map(|sentinel| &sentinel.sentinels).enumerate() {
            add(format!("{pointer}/sentinel/sentinels/{index}"), of_redis(url));
        }
    }
    hosts
}

type Asked = (Vec<String>, mpsc::Receiver<io::Result<()>>);

/// Asks for all of them at once.
fn ask(hosts: BTreeMap<String, Vec<String>>) -> Vec<(String, Asked)> {
    let asked = hosts.into_iter().map(|(host, pointers)| {
        let (answer, answers) = mpsc::channel();
        let name = host.clone();
        // One that nobody waits for any more ends with the process.
        thread::spawn(move || answer.send((name.as_str(), 80).to_socket_addrs().map(drop)));
        (host, (pointers, answers))
    });
    asked.collect()
}
