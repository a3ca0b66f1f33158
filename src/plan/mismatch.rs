//! Why a route does not take a request, for whoever asks. Requests themselves are routed by the table.

use super::route::{HostPattern, Lookup, Matcher, Segment};
use crate::wire::Host;
use std::fmt;

/// What of a request is not as a route has it; the first that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The route is for this listener.
    Listener(String),
    /// The route is for these hosts.
    Host(String),
    /// The route is for other paths.
    Path,
    /// The route asks for this header.
    Header(String),
    /// The route takes these methods.
    Method(String),
}

impl Mismatch {
    /// Whether the request has the route's listener, host and path.
    #[must_use]
    pub fn is_near(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Method(_))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(name) => write!(f, "is for listener `{name}`"),
            Self::Host(host) => write!(f, "is for host {host}"),
            Self::Path => f.write_str("has another path"),
            Self::Header(header) => write!(f, "asks for the header `{header}`"),
            Self::Method(methods) => write!(f, "takes {methods} only"),
        }
    }
}

impl Matcher {
    /// Why a route with this match does not take what is asked on `listener`; none where it does.
    #[must_use]
    pub fn mismatch(&self, listener: &str, asked: Lookup<'_>) -> Option<Mismatch> {
        if let Some(name) = self.listener.as_ref().filter(|name| *name != listener) {
            return Some(Mismatch::Listener(name.clone()));
        }
        if !self.host.takes(asked.host) {
            return Some(Mismatch::Host(self.host.to_string()));
        }
        if !takes(&self.segments, asked.path.as_str()) {
            return Some(Mismatch::Path);
        }
        for (name, value) in &self.headers {
            if !asked.headers.get_all(name).iter().any(|given| given == value) {
                return Some(Mismatch::Header(format!("{name}: {}", value.to_str().unwrap_or("…"))));
            }
        }
        if self.methods.is_empty() || self.methods.contains(asked.method) {
            return None;
        }
        let methods: Vec<&str> = self.methods.iter().map(http::Method::as_str).collect();
        Some(Mismatch::Method(methods.join(", ")))
    }
}

impl HostPattern {
    fn takes(&self, host: &str) -> bool {
        let host = Host::of(host);
        match self {
            Self::Exact(name) => *name == host,
            Self::Suffix(suffix) => host.as_str().ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

fn takes(segments: &[Segment], path: &str) -> bool {
    let mut pieces = path.strip_prefix('/').unwrap_or(path).split('/');
    for segment in segments {
        let piece = pieces.next();
        let is_taken = match (segment, piece) {
            (Segment::Rest, piece) => return piece.is_some(),
            (Segment::Literal(text), Some(piece)) => text == piece,
            (Segment::Param, Some(piece)) => !piece.is_empty(),
            (Segment::Literal(_) | Segment::Param, None) => false,
        };
        if !is_taken {
            return false;
        }
    }
    pieces.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::source::Match,
        plan::{
            path::CanonicalPath,
            route::{Found, Matchers, RouteTable, by_specificity},
        },
    };
    use http::{HeaderMap, Method};
    use proptest::prelude::*;
    use std::{collections::BTreeMap, sync::Arc};

    fn matcher((listener, host, path, method, header): (u8, u8, String, u8, bool)) -> Matcher {
        let some = |place: u8, names: &[&str]| names.get(usize::from(place)).map(|name| (*name).to_owned());
        let headers = BTreeMap::from_iter(header.then(|| ("x-a".to_owned(), "1".to_owned())));
        let written = Match {
            listener: some(listener, &["one", "two"]),
            host: some(host, &["a.b", "*.b", "C."]),
            path: Some(path),
            method: some(method, &["GET", "POST"]).into_iter().collect(),
            headers,
            ..Match::default()
        };
        Matcher::new(&written).unwrap()
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["a", "b", "{p}"]);
        (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, is_open)| {
            let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            match (path.is_empty(), is_open) {
                (_, true) => format!("{path}/*"),
                (true, false) => "/".to_owned(),
                (false, false) => path,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// In the order of specificity the first route without a mismatch is the one that the table finds.
        #[test]
        fn it_says_what_the_table_does(
            routes in prop::collection::vec((0..4_u8, 0..6_u8, path(), 0..4_u8, any::<bool>()), 1..8),
            host in prop::sample::select(vec!["a.b", "x.b:80", "A.b.", "x.B.:80", "c", "d"]),
            asked_path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4),
            ends_with_slash in any::<bool>(),
            method in prop::sample::select(vec![Method::GET, Method::POST, Method::PUT]),
            has_header in any::<bool>(),
        ) {
            let matchers: Vec<Arc<Matcher>> = routes.into_iter().map(|route| Arc::new(matcher(route))).collect();
            let mut headers = HeaderMap::new();
            if has_header {
                headers.insert("x-a", "1".parse().unwrap());
            }
            let path = format!("/{}{}", asked_path.join("/"), if ends_with_slash { "/" } else { "" });
            let path = CanonicalPath::parse(path.as_bytes()).unwrap();
            let asked = Lookup { host, path: &path, method: &method, headers: &headers };
            let mut order: Vec<&Matcher> = matchers.iter().map(AsRef::as_ref).collect();
            order.sort_by(|a, b| by_specificity(a, b));
            let first = order.iter().find(|matcher| matcher.mismatch("one", asked).is_none());
            let found = match RouteTable::new("one", &Matchers::new(matchers.clone())).find(asked) {
                Found::Route(index) => Some(&matchers[index]),
                Found::Nothing | Found::OtherMethods(_) | Found::Ambiguous(_) => None,
            };
            prop_assert_eq!(first.map(|matcher| format!("{matcher:?}")), found.map(|matcher| format!("{matcher:?}")));
        }
    }
}
