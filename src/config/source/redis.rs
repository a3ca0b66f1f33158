//! A store in Redis or Valkey.

use super::Secret;
use filters::api::units::Duration;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// A store in Redis 6.2 or later, or Valkey. It is one of: a server (`url`), a primary that Sentinel names
/// (`sentinel`), or a Cluster (`cluster`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisStore {
    /// The server: `redis://host:port/database`, or `rediss://` for TLS.
    pub url: Option<String>,
    /// The Sentinels that know which server is the primary.
    pub sentinel: Option<Sentinel>,
    /// Some nodes of a Cluster, as URLs. All keys of a store lie in one slot, so that a claim is one call: a
    /// Cluster gives a store availability, not scale.
    pub cluster: Vec<String>,
    /// The ACL user; Redis' default user where it is left out.
    pub user: Option<String>,
    /// The user's password, by reference.
    pub password: Option<Secret>,
    /// Whom to trust on `rediss://`; the system's authorities where it is left out.
    pub tls: Option<RedisTls>,
    /// What every key begins with. The part in braces keeps them in one slot of a Cluster.
    pub prefix: String,
    /// The longest that a request waits for the store.
    pub command_timeout: Duration,
    /// The longest that each step of connecting takes.
    pub connect_timeout: Duration,
    /// When the store is left alone for a while.
    pub breaker: Breaker,
    /// Takes a server that may drop keys when its memory is full: commands could then be replayed.
    pub allow_eviction: bool,
    /// The most calls that wait for an answer at once; with more, further ones fail at once.
    pub in_flight_max: usize,
}

impl Default for RedisStore {
    fn default() -> Self {
        Self {
            url: None,
            sentinel: None,
            cluster: Vec::new(),
            user: None,
            password: None,
            tls: None,
            prefix: "{portcullis}:".to_owned(),
            command_timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            breaker: Breaker::default(),
            allow_eviction: false,
            in_flight_max: 10_000,
        }
    }
}

/// Sentinels, and the name of what they watch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// Their addresses, as URLs. With `rediss://` the servers that they name are called by TLS too.
    #[schemars(length(min = 1))]
    pub sentinels: Vec<String>,
    /// The name that they know the primary by.
    pub master: String,
    /// The Sentinels' own password, by reference.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// Whom to trust on `rediss://`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisTls {
    /// A PEM file with the authorities' certificates.
    pub ca: PathBuf,
}

/// When a store is left alone for a while.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// So many calls in a row have failed.
    pub failures: u32,
    /// How long it is left alone, until the gateway itself tries again.
    pub open_for: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(1) }
    }
}

/// A URL of a Redis server, taken apart. Its `Debug` and `Display` keep user and password to themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port; 6379 by default.
    pub port: u16,
    /// Whether it is spoken to by TLS.
    pub is_tls: bool,
    /// The user in it.
    pub user: Option<String>,
    /// The password in it.
    pub password: Option<String>,
    /// The number of the database.
    pub database: i64,
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(char::is_whitespace) {
            return Err("there is white space in this URL: in a password write it as %20");
        }
        let (is_tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => return Err("this URL is neither `redis://` nor `rediss://`"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, authority),
        };
        let (user, password) = match userinfo.map(|userinfo| userinfo.split_once(':').unwrap_or((userinfo, ""))) {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        let (host, port) = host_and_port(address)?;
        let database = match path {
            "" => 0,
            path => {
                path.parse().ok().filter(|database| *database >= 0).ok_or("the database in this URL is no number")?
            }
        };
        Ok(Self { host, port, is_tls, user, password, database })
    }
}

fn decoded(text: &str) -> Result<Option<String>, &'static str> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "user or password in this URL are no UTF-8 text")?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

fn host_and_port(address: &str) -> Result<(String, u16), &'static str> {
    // The colons of an IPv6 address are within brackets (RFC 3986, 3.2.2).
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port = match port {
        None => 6379,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("the port in this URL is no number")?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_plain) {
        return Err("this URL has no host");
    }
    Ok((host.to_owned(), port))
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |text: &str, expected: Result<RedisUrl, &str>| {
            assert_eq!(text.parse::<RedisUrl>(), expected, "{text}");
        };
        let plain = |host: &str, port, database| {
            let (host, user, password) = (host.to_owned(), None, None);
            RedisUrl { host, port, is_tls: false, user, password, database }
        };
        check("redis://a", Ok(plain("a", 6379, 0)));
        check("redis://127.0.0.1:7000/3", Ok(plain("127.0.0.1", 7000, 3)));
        let (user, password) = (Some("u".to_owned()), Some("p@ss".to_owned()));
        let login = RedisUrl { is_tls: true, user, password, ..plain("h.example", 1, 0) };
        check("rediss://u:p%40ss@h.example:1/", Ok(login));
        let password = Some("secret".to_owned());
        check("redis://:secret@h", Ok(RedisUrl { password, ..plain("h", 6379, 0) }));
        check("redis://[::1]:7000", Ok(plain("::1", 7000, 0)));
        check("redis://[::1]", Ok(plain("::1", 6379, 0)));
        check("http://a", Err("this URL is neither `redis://` nor `rediss://`"));
        check("127.0.0.1:6379", Err("this URL is neither `redis://` nor `rediss://`"));
        check("redis://", Err("this URL has no host"));
        check("redis://a b", Err("there is white space in this URL: in a password write it as %20"));
        check("redis://a:0", Err("the port in this URL is no number"));
        check("redis://a:b", Err("the port in this URL is no number"));
        check("redis://a/x", Err("the database in this URL is no number"));
        check("redis://a/-1", Err("the database in this URL is no number"));
    }

    #[test]
    fn a_shown_url_has_no_password() {
        let url: RedisUrl = "redis://user:secret@[::1]:7000/1".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "[::1]:7000 [::1]:7000");
    }
}
