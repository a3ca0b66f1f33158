use super::{
    super::{
        nearest::one_of,
        source::{Call, Match},
        tree::join,
    },
    Checks, paths,
    targets::COMMAND_SERVICE,
};
use crate::wire::Host;
use filters::headers::is_framing;
use http::{HeaderName, HeaderValue, Method};
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Arguments,
};

impl<'a> Checks<'a> {
    pub(super) fn routes(&mut self) {
        let config = self.config;
        let mut names = HashMap::new();
        let mut matches = HashMap::new();
        for (index, route) in config.routes.iter().enumerate() {
            let pointer = format!("/routes/{index}");
            if let Some(first) = names.insert(route.name.as_str(), index) {
                let what =
                    format!("the name «{}» is taken by the route on line {}", route.name, self.route_line(first));
                self.error(format_args!("{pointer}/name"), what, "give each route a name of its own");
            }
            if let Some(first) = matches.insert(comparable(&route.r#match), index) {
                let what = format!("this matches exactly what the route on line {} matches", self.route_line(first));
                self.error(format_args!("{pointer}/match"), what, "narrow one of the two, or remove it");
            }
            self.matching(&pointer, &route.r#match);
            self.target(&pointer, route);
            let Some(placed) = self.expanded(index, &route.chain) else { continue };
            self.order(index, &placed);
            self.fits_target(index, route, &placed);
            self.effect(index, route, &placed);
        }
        for (index, prefix) in config.shut.iter().enumerate() {
            if let Err((what, remedy)) = paths::shut(prefix) {
                self.error(format_args!("/shut/{index}"), what, remedy);
            }
        }
        for (index, header) in config.identity_headers.iter().enumerate() {
            self.header_of_clients(&format!("/identity_headers/{index}"), header);
        }
    }

    fn route_line(&self, index: usize) -> usize {
        self.line(&format!("/routes/{index}/name"))
    }

    fn matching(&mut self, pointer: &str, r#match: &Match) {
        let config = self.config;
        if let Some(listener) = &r#match.listener {
            self.known(format_args!("{pointer}/match/listener"), "listener", listener, &config.listeners);
            if config.listeners.get(listener).is_some_and(|listener| listener.admin) {
                let what = format!("the admin listener «{listener}» serves no routes");
                self.error(format_args!("{pointer}/match/listener"), what, "name another listener");
            }
        }
        if let Some(host) = r#match.host.as_ref().filter(|host| !is_host(host)) {
            let remedy = "write a name without port, such as `api.example.com` or `*.example.com`";
            self.error(format_args!("{pointer}/match/host"), format!("«{host}» is no host"), remedy);
        }
        if let Some(Err((what, remedy))) = r#match.path.as_deref().map(paths::pattern) {
            self.error(format_args!("{pointer}/match/path"), what, remedy);
        }
        if let Some(rpc) = &r#match.rpc {
            let at = format!("{pointer}/match/rpc");
            if r#match.path.is_some() {
                self.error(&at, "`rpc` is short for a `path`, and both are given", "keep one of the two");
            }
            if !is_service(rpc) {
                let remedy = format!("write package and service, such as `{COMMAND_SERVICE}`");
                self.error(&at, format!("«{rpc}» is no RPC service"), remedy);
            }
        }
        for (index, method) in r#match.method.iter().enumerate() {
            self.method(format_args!("{pointer}/match/method/{index}"), method);
        }
        for (name, value) in &r#match.headers {
            let at = join(&format!("{pointer}/match/headers"), name);
            self.header_name(&at, name);
            if HeaderValue::from_str(value).is_err() {
                self.error(&at, format!("«{value}» is no header value"), "write visible characters");
            }
        }
    }

    fn method(&mut self, pointer: Arguments<'_>, method: &str) {
        const KNOWN: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
        let upper = method.to_ascii_uppercase();
        if upper == "CONNECT" {
            self.error(pointer, "`CONNECT` is never served: Portcullis is no forward proxy", "remove it");
        } else if upper != method && KNOWN.contains(&upper.as_str()) {
            let what = format!("«{method}» is not a method: their names are case-sensitive");
            self.error(pointer, what, format!("write it in capitals: «{upper}»"));
        } else if Method::from_bytes(method.as_bytes()).is_err() {
            let remedy = format!("write {}", one_of(KNOWN));
            self.error(pointer, format!("«{method}» is no method"), remedy);
        }
    }

    pub(super) fn header_name(&mut self, pointer: &str, name: &str) {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let remedy = "write letters, digits and `-`, such as `x-user-id`";
            self.error(pointer, format!("«{name}» is no header name"), remedy);
        }
    }

    /// A header whose copies by clients the gateway can drop.
    pub(super) fn header_of_clients(&mut self, pointer: &str, name: &str) {
        self.header_name(pointer, name);
        if is_framing(name) {
            let what = format!("«{name}» frames the message or belongs to one connection: the proxy writes its own");
            self.error(pointer, what, "leave it out");
        }
    }

    pub(super) fn commands(&mut self) {
        let config = self.config;
        for (name, commands) in &config.commands {
            let pointer = join("/commands", name);
            self.cleartext(format_args!("{pointer}/upstream"), "a command", &commands.upstream);
            if commands.routes.is_empty() {
                let remedy = "add one: `user.account.get: { get: /api/v1/user/account }`";
                self.error(format_args!("{pointer}/routes"), format!("`{name}` has no commands"), remedy);
            }
            for (message_type, call) in &commands.routes {
                let pointer = join(&format!("{pointer}/routes"), message_type);
                self.message_type(&pointer, message_type);
                let (method, path) = parts(call);
                if let Err((what, remedy)) = paths::call(path) {
                    self.error(join(&pointer, method), what, remedy);
                }
            }
        }
    }

    fn message_type(&mut self, pointer: &str, name: &str) {
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if name.is_empty() || name.len() > 128 || !is_plain {
            let what = format!("«{name}» is no message_type");
            self.error(pointer, what, "write 1 to 128 of a-z, 0-9, `.`, `_` and `-`");
        } else if name.starts_with("gateway.") {
            let what = format!("«{name}» is reserved: `gateway.` is for what the gateway itself sends");
            self.error(pointer, what, "begin it with another word");
        }
    }
}

fn parts(call: &Call) -> (&'static str, &str) {
    match call {
        Call::Get(path) => ("get", path),
        Call::Post(path) => ("post", path),
        Call::Put(path) => ("put", path),
        Call::Patch(path) => ("patch", path),
        Call::Delete(path) => ("delete", path),
    }
}

type Comparable = (Option<String>, Option<String>, Option<String>, BTreeSet<String>, BTreeSet<(String, String)>);

/// A match in a form in which two that match the same are equal.
fn comparable(r#match: &Match) -> Comparable {
    let nameless = |path: &str| {
        let segment = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
        path.split('/').map(segment).collect::<Vec<_>>().join("/")
    };
    let of_rpc = || r#match.rpc.as_ref().map(|rpc| format!("/{rpc}/*"));
    (
        r#match.listener.clone(),
        r#match.host.as_ref().map(|host| Host::written(host).as_str().to_owned()),
        r#match.path.as_deref().map(nameless).or_else(of_rpc),
        r#match.method.iter().cloned().collect(),
        r#match.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
    )
}

/// Whether this is a host, or all below one. The dot of the DNS root is taken, and means the same.
fn is_host(written: &str) -> bool {
    let name = written.strip_prefix("*.").unwrap_or(written);
    let host = Host::written(name);
    let name = host.as_str();
    if name.parse::<std::net::IpAddr>().is_ok() {
        return !written.starts_with('*');
    }
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&label.len()) && is_plain && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_service(rpc: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    rpc.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |host: &str, expected: bool| assert_eq!(is_host(host), expected, "{host}");
        check("api.example.com", true);
        check("*.example.com", true);
        check("localhost", true);
        check("127.0.0.1", true);
        check("::1", true);
        check("[::1]", true);
        check("api.example.com.", true);
        check("*.example.com.", true);
        check("*.[::1]", false);
        check("api.example.com..", false);
        check(".", false);
        check("*.", false);
        check("[a]", false);
        check("*.127.0.0.1", false);
        check("example.com:80", false);
        check("a.*.com", false);
        check("*", false);
        check("", false);
        check("a..b", false);
        check("-a.b", false);
        check("http://a", false);
    }

    #[test]
    fn services() {
        let check = |rpc: &str, expected: bool| assert_eq!(is_service(rpc), expected, "{rpc}");
        check("edge.v1.Gateway", true);
        check("Gateway", true);
        check("edge.v1.Gateway/Execute", false);
        check("edge..Gateway", false);
        check("", false);
    }
}
