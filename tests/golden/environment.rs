//! What comes from the environment may be a secret: no message tells it.

use portcullis::config;
use serde_yaml::{Mapping, Value};
use std::{fs, path::Path};

/// What stands for the variable until the file is written.
const PLACE: &str = "PLACE-OF-THE-VARIABLE";
const SIGNING_KEY: &str = "PORTCULLIS_SIGNING_KEY";

/// What variables hold, and what of it must not be told, in lower case.
const SECRETS: &[(&str, &[&str])] = &[
    ("8675309", &["8675309"]),
    ("0x845fed", &["845fed", "8675309"]),
    ("8675309e1", &["8675309", "86753090"]),
    ("true", &["`true`", "\"true\""]),
    ("s3cr3t", &["s3cr3t"]),
    ("/S3cr3t", &["s3cr3t"]),
    ("s3cr3t/{x}/{y-z}", &["s3cr3t", "{x}", "y-z"]),
    ("https://s3cr3t:h1dd3n@host/x", &["s3cr3t", "h1dd3n"]),
    ("s3cr3t: h1dd3n", &["s3cr3t", "h1dd3n"]),
    ("s3cr3t`x»h1dd3n«", &["s3cr3t", "h1dd3n"]),
    ("-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----\n", &["s3cr3t", "begin private"]),
    ("8675309s", &["8675309", "2409h", "100d"]),
    ("3722000ms", &["3722"]),
    ("86753GiB", &["86753"]),
    ("86753/9s", &["86753", "9s"]),
    ("11.86.75.30/8", &["86.75", "11.0.0.0/8"]),
    ("[0:0:0:0:0:0:8675:309]:1", &["8675"]),
];

/// The paths to all scalars of a value.
fn leaves(value: &Value, path: &mut Vec<Value>, found: &mut Vec<Vec<Value>>) {
    let mut below = |key: Value, value: &Value| {
        path.push(key);
        leaves(value, path, found);
        path.pop();
    };
    match value {
        Value::Mapping(entries) => entries.iter().for_each(|(key, value)| below(key.clone(), value)),
        Value::Sequence(items) => items.iter().enumerate().for_each(|(index, value)| below(index.into(), value)),
        _ => found.push(path.clone()),
    }
}

fn at<'a>(value: &'a mut Value, path: &[Value]) -> &'a mut Value {
    path.iter().fold(value, |value, key| match key.as_u64() {
        Some(index) if value.is_sequence() => &mut value[index as usize],
        _ => &mut value[key],
    })
}

/// The reference with what it has as comments only, in variants that can each be used.
fn references() -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.yaml")).unwrap();
    let reference: Value = serde_yaml::from_str(&text).unwrap();
    let mut other = reference.clone();
    let put = |other: &mut Value, path: &[&str], yaml: &str| {
        let place = path.iter().fold(other, |value, key| &mut value[*key]);
        *place = serde_yaml::from_str(yaml).unwrap();
    };
    put(&mut other, &["listeners", "public", "tls"], "{ certificate: tests/golden/files/certificate.pem, key: k.pem }");
    put(
        &mut other,
        &["stores", "main"],
        "{ redis: { url: 'redis://10.0.0.5:6379/0', user: u, password: { env: REDIS_PASSWORD }, tls: { ca: ca.pem },
           prefix: '{portcullis}:', command_timeout: 250ms, connect_timeout: 1s, allow_eviction: false,
           breaker: { failures: 5, open_for: 1s }, in_flight_max: 10000 } }",
    );
    put(&mut other, &["upstreams", "health", "tls"], "{ ca: ca.pem, server_name: backend.internal }");
    put(&mut other, &["sessions", "devices", "unknown_for"], "1s");
    put(&mut other, &["sessions", "devices", "cache"], "{ ttl: 30s, sessions: 100000, without_feed: false }");
    put(&mut other, &["signing", "keys", "main"], "{ file: signer.pem }");
    put(&mut other, &["events", "player", "feed", "tls"], "{ ca: push-ca.pem, server_name: push.internal }");
    put(&mut other, &["observe", "access_log", "to"], "{ file: access.log }");
    put(&mut other, &["reload", "streams"], "{ drain: 30s }");
    other["tests"] = Value::Sequence(Vec::new());
    let mut sentinel = Value::Mapping(Mapping::new());
    sentinel["version"] = 1.into();
    put(&mut sentinel, &["listeners"], "{ a: { bind: '127.0.0.1:1' } }");
    put(
        &mut sentinel,
        &["stores"],
        "{ s: { redis: { sentinel: { sentinels: ['redis://10.0.0.5:1'], master: m, password: { file: p } } } },
           c: { redis: { cluster: ['redis://10.0.0.5:1'] } } }",
    );
    vec![reference, other, sentinel]
}

/// What is said in every form of a file that has the variable at one place.
fn said(yaml: &str, secret: &str) -> String {
    let env = |name: &str| match name {
        "SECRET" => Some(secret.to_owned()),
        SIGNING_KEY => super::env(SIGNING_KEY),
        _ => None,
    };
    match config::parse(yaml, "gateway.yaml", Path::new(""), &env) {
        Ok(loaded) => format!("{}{}{}", loaded.warnings, loaded.warnings.json(), loaded.masked()),
        Err(report) => format!("{report}{}", report.json()),
    }
}

#[test]
fn what_the_environment_holds_is_never_told() {
    let mut told = Vec::new();
    let (mut cases, mut turn) = (0, 0);
    for reference in references() {
        let mut paths = Vec::new();
        leaves(&reference, &mut Vec::new(), &mut paths);
        for path in paths {
            let mut changed = reference.clone();
            *at(&mut changed, &path) = PLACE.into();
            let yaml = serde_yaml::to_string(&changed).unwrap();
            // A third of them for each, and of three forms one, in turn.
            turn += 1;
            for (secret, hidden) in SECRETS.iter().skip(turn % 3).step_by(3) {
                let written = ["${SECRET}", "\"${SECRET}\"", "\"a-${SECRET}\""][cases % 3];
                cases += 1;
                let said = said(&yaml.replacen(PLACE, written, 1), secret).to_lowercase();
                if let Some(hidden) = hidden.iter().find(|hidden| said.contains(**hidden)) {
                    let line = said.lines().find(|line| line.contains(hidden)).unwrap_or_default().to_owned();
                    told.push(format!("{path:?} {written} {secret:?}: {hidden} in {line}"));
                }
            }
        }
    }
    assert!(cases > 2_000, "only {cases} were tried");
    assert!(
        told.is_empty(),
        "{} of {cases}:\n{}",
        told.len(),
        told.iter().take(60).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// A file with one listener, upstream and route, and this of `connections`.
fn with_connections(written: &str) -> String {
    format!(
        "version: 1\nlisteners: {{ public: {{ bind: '127.0.0.1:8080' }} }}\nconnections:{written}\n\
         upstreams: {{ backend: {{ endpoints: ['http://127.0.0.1:8081'] }} }}\n\
         routes: [{{ name: all, match: {{ path: '/*' }}, chain: request_id, forward: backend }}]\n"
    )
}

#[test]
fn a_quoted_variable_is_a_number_where_one_is_wanted() {
    let env = |name: &str| match name {
        "MAX" => Some("1200".to_owned()),
        "LINE" => Some("1300\n".to_owned()),
        "LONG" => Some("7s\n".to_owned()),
        "TRUE" => Some("true".to_owned()),
        _ => None,
    };
    for (written, max, keepalive) in [
        (" { max: \"${MAX}\" }", 1200, "75s"),
        ("\n  max: ${MAX}", 1200, "75s"),
        (" { max: '${LINE}', keepalive: \"${LONG}\" }", 1300, "7s"),
        (" { max: \"${MAX}0\", keepalive: \"${NONE:-8s}\" }", 12_000, "8s"),
    ] {
        let loaded = config::parse(&with_connections(written), "", Path::new(""), &env);
        let config = loaded.map_err(|report| report.to_string()).unwrap().config;
        let connections = (config.connections.max, config.connections.keepalive.to_string());
        assert_eq!(connections, (max, keepalive.to_owned()), "{written}");
    }
    let text = with_connections(" {}\nnode: { id: \"${MAX}\" }\nreload: { watch: \"${TRUE}\" }");
    let config = config::parse(&text, "", Path::new(""), &env).map_err(|report| report.to_string()).unwrap().config;
    assert_eq!((config.node.id.as_str(), config.reload.watch), ("1200", true), "where a text is wanted, it stays one");
}

#[test]
fn a_tab_behind_a_colon_is_a_space() {
    let tabbed =
        with_connections("\n  max:\t1200\n  per_ip:\t \t7 # of one\n  keepalive:\t5s").replacen(": ", ":\t", 1);
    let config =
        config::parse(&tabbed, "", Path::new(""), &|_| None).map_err(|report| report.to_string()).unwrap().config;
    assert_eq!((config.connections.max, config.connections.per_ip), (1200, 7));
    let within = with_connections(" {}\nnode:\t{ id: \"a\" }").replace("name: all", "name:\tall");
    assert!(config::parse(&within, "", Path::new(""), &|_| None).is_ok());
    let kept =
        with_connections("\n  max:\t1200\ntests: [{ name: \"a:\tb\", request: { get: / }, expect: { status: 200 } }]");
    let report = config::parse(&kept, "", Path::new(""), &|_| None).unwrap_err().to_string();
    assert!(report.contains("no name that can be shown"), "a tab within quotes is a part of the text: {report}");
}
