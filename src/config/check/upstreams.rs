use super::{
    super::{
        source::{Upstream, UpstreamTls},
        tree::join,
    },
    Checks, paths,
};
use crate::client::Trust;
use http::{Uri, uri::Scheme};
use rustls::pki_types::ServerName;
use std::{collections::HashSet, fmt::Display};

impl Checks<'_> {
    pub(super) fn upstreams(&mut self) {
        let config = self.config;
        for (name, upstream) in &config.upstreams {
            let mut known = HashSet::new();
            for (index, endpoint) in upstream.endpoints.iter().enumerate() {
                let pointer = format!("{}/endpoints/{index}", join("/upstreams", name));
                match endpoint_fault(endpoint) {
                    // Never quoted: a URL may hold a password.
                    Some(why) => self.error(&pointer, why, "write `http://host:port`, such as `http://127.0.0.1:8081`"),
                    None if !known.insert(endpoint) => {
                        self.warning(&pointer, format!("«{endpoint}» is listed twice"), "keep one");
                    }
                    None => {}
                }
            }
            if let Some(tls) = &upstream.tls {
                let pointer = format!("{}/tls", join("/upstreams", name));
                self.client_tls(
                    &pointer,
                    tls,
                    has_tls(upstream),
                    "write `https://` in its `endpoints`, or remove `tls`",
                );
            }
        }
        for (name, sessions) in &config.sessions {
            let pointer = join("/sessions", name);
            self.cleartext(format_args!("{pointer}/upstream"), "a session lookup", &sessions.upstream);
            if let Err((what, remedy)) = paths::session(&sessions.path) {
                self.error(format_args!("{pointer}/path"), what, remedy);
            }
            if config.events.is_empty() && sessions.cache.as_ref().is_some_and(|cache| !cache.without_feed) {
                let what = format!("no feed tells `{name}` of revoked sessions, so its cache would never be used");
                let remedy =
                    "add `events` with a feed, or `without_feed: true`: a revoked session may then act for `ttl`";
                self.error(format_args!("{pointer}/cache"), what, remedy);
            }
        }
    }

    /// An upstream of this name, none of whose endpoints is spoken to by TLS.
    pub(super) fn cleartext(&mut self, pointer: impl Display, user: &str, name: &str) {
        let config = self.config;
        self.known(&pointer, "upstream", name, &config.upstreams);
        if config.upstreams.get(name).is_some_and(has_tls) {
            let what = format!("«{name}» has `https://` endpoints, but {user} goes out in cleartext only");
            let remedy =
                "TLS to upstreams is for `rpc` routes so far: name an upstream that has `http://` endpoints only";
            self.error(pointer, what, remedy);
        }
    }

    /// How somebody is spoken to by TLS, who may not be: `unused` is what to do then.
    pub(super) fn client_tls(&mut self, pointer: &str, tls: &UpstreamTls, is_used: bool, unused: &str) {
        if !is_used {
            self.error(pointer, "no endpoint here is spoken to by TLS", unused);
        }
        if let Some(name) = tls.server_name.as_ref().filter(|name| ServerName::try_from(name.as_str()).is_err()) {
            let remedy = "write a name or an address without port, such as `backend.internal`";
            self.error(format_args!("{pointer}/server_name"), format!("«{name}» cannot be in a certificate"), remedy);
        }
        if let Some(ca) = tls.ca.as_ref().filter(|_| self.outside.has_secrets)
            && let Err(fault) = Trust::in_file(&self.outside.base_dir.join(ca))
        {
            let remedy = "name a PEM file with the certificate of the authority";
            self.fault(format_args!("{pointer}/ca"), &fault, remedy);
        }
    }

    pub(super) fn budgets(&mut self) {
        let config = self.config;
        for (name, budget) in &config.budgets {
            let pointer = join("/budgets", name);
            for problem in budget.problems() {
                self.error(format_args!("{pointer}{}", problem.pointer), problem.what, problem.remedy);
            }
            match (&budget.store, config.stores.len()) {
                (Some(store), _) => self.known(format_args!("{pointer}/store"), "store", store, &config.stores),
                (None, 1) => {}
                (None, _) if budget.shared.is_empty() => {}
                (None, 0) => {
                    let what = format!("the budget `{name}` has shared rules, but there is no store");
                    self.error(format_args!("{pointer}/shared"), what, "add one: `stores: { main: { memory: {} } }`");
                }
                (None, several) => {
                    let what =
                        format!("the budget `{name}` has shared rules, but which of {several} stores is not said");
                    let remedy = format!("add `store: {}`", config.stores.keys().next().map_or("", String::as_str));
                    self.error(format_args!("{pointer}/shared"), what, remedy);
                }
            }
        }
    }
}

fn has_tls(upstream: &Upstream) -> bool {
    upstream.endpoints.iter().any(|endpoint| is_tls(endpoint))
}

pub(super) fn is_tls(endpoint: &str) -> bool {
    endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS))
}

/// What is wrong with the address of an endpoint.
pub(super) fn endpoint_fault(endpoint: &str) -> Option<String> {
    let Ok(uri) = endpoint.parse::<Uri>() else { return Some("this endpoint is no URL".to_owned()) };
    let Some(authority) = uri.authority() else { return Some("this endpoint is no URL with a host".to_owned()) };
    if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
        return Some("this endpoint is neither `http://` nor `https://`".to_owned());
    }
    if authority.as_str().contains('@') {
        return Some("this endpoint holds a user name, which is not supported".to_owned());
    }
    if authority.host().is_empty() {
        return Some("this endpoint has no host".to_owned());
    }
    if authority.port_u16().is_none_or(|port| port == 0) {
        return Some("this endpoint has no port".to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if uri.scheme() == Some(&Scheme::HTTPS) && ServerName::try_from(host).is_err() {
        return Some("the host of this endpoint cannot be in a certificate".to_owned());
    }
    let has_path = uri.path() != "/" || uri.query().is_some() || endpoint.ends_with('/') || endpoint.contains('#');
    has_path.then(|| "this endpoint has a path, but an endpoint is only an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses() {
        let check = |endpoint: &str, expected: Option<&str>| {
            assert_eq!(endpoint_fault(endpoint).as_deref(), expected, "{endpoint}");
        };
        check("http://127.0.0.1:8081", None);
        check("https://[::1]:8443", None);
        check("http://backend.internal:80", None);
        check("https://a..b:443", Some("the host of this endpoint cannot be in a certificate"));
        check("127.0.0.1:8081", Some("this endpoint is neither `http://` nor `https://`"));
        check("http://127.0.0.1", Some("this endpoint has no port"));
        check("http://127.0.0.1:0", Some("this endpoint has no port"));
        check("http://127.0.0.1:80800", Some("this endpoint has no port"));
        check("http://:80", Some("this endpoint has no host"));
        check("ftp://a:1", Some("this endpoint is neither `http://` nor `https://`"));
        check("http://u:p@a:1", Some("this endpoint holds a user name, which is not supported"));
        check("http://a:1/", Some("this endpoint has a path, but an endpoint is only an address"));
        check("http://a:1/x", Some("this endpoint has a path, but an endpoint is only an address"));
        check("http://a:1?x", Some("this endpoint has a path, but an endpoint is only an address"));
        check("a b", Some("this endpoint is no URL"));
        check("/x", Some("this endpoint is no URL with a host"));
    }
}
