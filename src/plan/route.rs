//! Which request goes to which route: the most specific match wins, whatever the order in the file.
//!
//! Specificity is compared in this order: host (exact, then the longest `*.` suffix, then any), path
//! (segment by segment: literal, then `{param}`, then `/*`), number of headers, method. A request whose path
//! is known but whose method is not falls through to less specific routes before it is a 405.

use crate::config::source::Match;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::{cmp::Ordering, collections::HashMap};

/// One piece of a path pattern. The order is the order of specificity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// This very text.
    Literal(String),
    /// One segment, whatever it is.
    Param,
    /// Everything below.
    Rest,
}

/// Which hosts a route takes. The order is the order of specificity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// Every name that ends so: `.example.com`.
    Suffix(String),
    /// Any.
    Any,
}

/// What a request must have, compiled.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The listener's name; any where it is none.
    pub listener: Option<String>,
    /// The host.
    pub host: HostPattern,
    /// The path.
    pub segments: Vec<Segment>,
    /// The methods; any where there is none.
    pub methods: Vec<Method>,
    /// Headers that must have these values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A match that cannot be compiled. The configuration's checks find these first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MatchProblem(String);

impl Matcher {
    /// Compiles what the operator wrote.
    ///
    /// # Errors
    /// Where a method or header is none.
    pub fn new(written: &Match) -> Result<Self, MatchProblem> {
        let path = match (&written.rpc, &written.path) {
            (Some(service), _) => format!("/{service}/*"),
            (None, Some(path)) => path.clone(),
            (None, None) => "/*".to_owned(),
        };
        let host = match written.host.as_deref().map(str::to_ascii_lowercase) {
            None => HostPattern::Any,
            Some(host) => match host.strip_prefix('*') {
                Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
                None => HostPattern::Exact(host),
            },
        };
        let method = |name: &String| name.parse().map_err(|_| MatchProblem(format!("`{name}` is no method")));
        let header = |(name, value): (&String, &String)| {
            let problem = |_| MatchProblem(format!("`{name}: {value}` is no header"));
            let parsed = name.parse::<HeaderName>().map_err(|e| problem(e.to_string()))?;
            Ok((parsed, HeaderValue::from_str(value).map_err(|e| problem(e.to_string()))?))
        };
        Ok(Self {
            listener: written.listener.clone(),
            host,
            segments: segments(&path),
            methods: written.method.iter().map(method).collect::<Result<_, _>>()?,
            headers: written.headers.iter().map(header).collect::<Result<_, _>>()?,
        })
    }

    /// The path as it is written in the configuration.
    #[must_use]
    pub fn path(&self) -> String {
        let piece = |segment: &Segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Param => "/{}".to_owned(),
            Segment::Rest => "/*".to_owned(),
        };
        self.segments.iter().map(piece).collect()
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |piece: &str| match piece {
        "*" => Segment::Rest,
        _ if piece.starts_with('{') && piece.ends_with('}') => Segment::Param,
        literal => Segment::Literal(literal.to_owned()),
    };
    path.strip_prefix('/').unwrap_or(path).split('/').map(segment).collect()
}

/// Most specific first.
#[must_use]
pub fn by_specificity(a: &Matcher, b: &Matcher) -> Ordering {
    let host = |matcher: &Matcher| match &matcher.host {
        HostPattern::Exact(_) => (0, 0),
        HostPattern::Suffix(suffix) => (1, usize::MAX - suffix.len()),
        HostPattern::Any => (2, 0),
    };
    let last = |matcher: &Matcher| {
        (usize::MAX - matcher.headers.len(), matcher.methods.is_empty(), matcher.listener.is_none())
    };
    host(a).cmp(&host(b)).then_with(|| a.segments.cmp(&b.segments)).then_with(|| last(a).cmp(&last(b)))
}

/// What of a request is matched.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The `Host` or `:authority`, port and all.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The method; of a CORS preflight, the method that it asks for.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The route at this index.
    Route(usize),
    /// Routes of this path take these methods only.
    OtherMethods(Vec<Method>),
    /// No route has this path.
    Nothing,
}

/// The routes of one listener, ready to be searched. Cost: the number of segments, not of routes.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Node>,
    suffixes: Vec<(String, Node)>,
    any: Node,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    param: Option<Box<Node>>,
    here: Vec<usize>,
    below: Vec<usize>,
}

impl RouteTable {
    /// Of the routes that `listener` serves. Indices are those of `matchers`.
    #[must_use]
    pub fn new(listener: &str, matchers: &[Matcher]) -> Self {
        let mut table = Self { matchers: matchers.to_vec(), ..Self::default() };
        let mut order: Vec<usize> = (0..matchers.len()).collect();
        order.sort_by(|a, b| match (matchers.get(*a), matchers.get(*b)) {
            (Some(a), Some(b)) => by_specificity(a, b),
            _ => Ordering::Equal,
        });
        for index in order {
            let Some(matcher) = matchers.get(index) else { continue };
            if matcher.listener.as_deref().is_none_or(|name| name == listener) {
                table.root(&matcher.host).insert(&matcher.segments, index);
            }
        }
        table
    }

    fn root(&mut self, host: &HostPattern) -> &mut Node {
        match host {
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Any => &mut self.any,
            HostPattern::Suffix(suffix) => {
                // Routes come in order of specificity, so the longest suffix is first.
                let place = self.suffixes.iter().position(|(known, _)| known == suffix);
                let place = place.unwrap_or_else(|| {
                    self.suffixes.push((suffix.clone(), Node::default()));
                    self.suffixes.len() - 1
                });
                match self.suffixes.get_mut(place) {
                    Some((_, node)) => node,
                    None => &mut self.any,
                }
            }
        }
    }

    /// The routes that a host can have, the most specific first.
    fn roots(&self, host: &str) -> Vec<&Node> {
        let host = without_port(host).to_ascii_lowercase();
        let suffixes = self.suffixes.iter().filter(|(suffix, _)| host.ends_with(suffix.as_str())).map(|(_, node)| node);
        self.exact.get(&host).into_iter().chain(suffixes).chain([&self.any]).collect()
    }

    /// The most specific route for what is asked.
    #[must_use]
    pub fn find(&self, asked: Asked<'_>) -> Found {
        let mut search = Search { matchers: &self.matchers, asked, other_methods: Vec::new() };
        let pieces = asked.path.strip_prefix('/').unwrap_or(asked.path);
        let found = match self.exact.is_empty() && self.suffixes.is_empty() {
            true => search.descend(&self.any, Some(pieces)),
            false => self.roots(asked.host).into_iter().find_map(|root| search.descend(root, Some(pieces))),
        };
        match found {
            Some(index) => Found::Route(index),
            None if search.other_methods.is_empty() => Found::Nothing,
            None => Found::OtherMethods(search.other_methods),
        }
    }
}

impl Node {
    fn insert(&mut self, segments: &[Segment], index: usize) {
        match segments.split_first() {
            None => self.here.push(index),
            Some((Segment::Rest, _)) => self.below.push(index),
            Some((Segment::Param, rest)) => self.param.get_or_insert_default().insert(rest, index),
            Some((Segment::Literal(text), rest)) => self.literals.entry(text.clone()).or_default().insert(rest, index),
        }
    }
}

struct Search<'a> {
    matchers: &'a [Matcher],
    asked: Asked<'a>,
    other_methods: Vec<Method>,
}

impl Search<'_> {
    /// `pieces` is what is left of the path; none at its end.
    fn descend(&mut self, node: &Node, pieces: Option<&str>) -> Option<usize> {
        let Some(pieces) = pieces else { return self.first(&node.here) };
        let (piece, rest) = match pieces.split_once('/') {
            Some((piece, rest)) => (piece, Some(rest)),
            None => (pieces, None),
        };
        if let Some(index) = node.literals.get(piece).and_then(|next| self.descend(next, rest)) {
            return Some(index);
        }
        // An empty segment is the end of a path with a trailing slash, not a value.
        if let Some(index) =
            node.param.as_deref().filter(|_| !piece.is_empty()).and_then(|next| self.descend(next, rest))
        {
            return Some(index);
        }
        self.first(&node.below)
    }

    fn first(&mut self, candidates: &[usize]) -> Option<usize> {
        for index in candidates {
            let Some(matcher) = self.matchers.get(*index) else { continue };
            let has =
                |(name, value): &(HeaderName, HeaderValue)| self.asked.headers.get_all(name).iter().any(|v| v == value);
            if !matcher.headers.iter().all(has) {
                continue;
            }
            if matcher.methods.is_empty() || matcher.methods.contains(self.asked.method) {
                return Some(*index);
            }
            for method in &matcher.methods {
                if !self.other_methods.contains(method) {
                    self.other_methods.push(method.clone());
                }
            }
        }
        None
    }
}

pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(method: &str, host: &str, path: &str) -> Matcher {
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let method = some(method).into_iter().collect();
        Matcher::new(&Match { host: some(host), path: some(path), method, ..Match::default() }).unwrap()
    }

    fn find(routes: &[(&str, &str, &str)], method: &str, host: &str, path: &str) -> String {
        let matchers: Vec<_> = routes.iter().map(|(m, h, p)| matcher(m, h, p)).collect();
        let headers = HeaderMap::new();
        let method = method.parse().unwrap();
        match RouteTable::new("public", &matchers).find(Asked { host, path, method: &method, headers: &headers }) {
            Found::Route(index) => format!("{index}"),
            Found::OtherMethods(methods) => format!("405 {methods:?}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_most_specific_path_wins_whatever_the_order() {
        let routes = [
            ("", "", "/*"),
            ("", "", "/a/*"),
            ("", "", "/a/{id}"),
            ("", "", "/a/b"),
            ("", "", "/a/{id}/c"),
            ("", "", "/a/b/*"),
        ];
        for (path, expected) in [
            ("/", "0"),
            ("/x", "0"),
            ("/a", "0"),
            ("/a/", "1"),
            ("/a/b", "3"),
            ("/a/z", "2"),
            ("/a/z/c", "4"),
            ("/a/b/c", "5"),
            ("/a/b/", "5"),
            ("/a/z/d", "1"),
            ("/A/b", "0"),
        ] {
            assert_eq!(find(&routes, "GET", "h", path), expected, "{path}");
        }
    }

    #[test]
    fn host_goes_before_path_and_method_falls_through() {
        let routes = [
            ("GET", "api.example.com", "/x"),
            ("", "*.example.com", "/x"),
            ("", "*.b.example.com", "/x"),
            ("POST", "", "/x"),
            ("GET", "", "/y"),
        ];
        for (method, host, path, expected) in [
            ("GET", "api.example.com", "/x", "0"),
            ("GET", "API.example.com:8080", "/x", "0"),
            ("PUT", "api.example.com", "/x", "1"),
            ("GET", "a.b.example.com", "/x", "2"),
            ("POST", "example.com", "/x", "3"),
            ("GET", "example.com", "/x", "405 [POST]"),
            ("POST", "elsewhere", "/y", "405 [GET]"),
            ("GET", "[::1]:80", "/y", "4"),
            ("GET", "elsewhere", "/z", "404"),
        ] {
            assert_eq!(find(&routes, method, host, path), expected, "{method} {host} {path}");
        }
    }
}
