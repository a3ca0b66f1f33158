//! Routes, ready to be searched.

use super::{
    matcher::{HostPattern, Matcher, Segment, by_specificity},
    search::{Found, Lookup, Search},
    without_port,
};
use std::{collections::HashMap, sync::Arc};

/// The matchers of all routes, which the tables of all listeners share.
pub(in crate::plan) struct Matchers {
    all: Arc<[Arc<Matcher>]>,
    /// Their indices, the most specific first.
    order: Vec<usize>,
}

impl Matchers {
    pub(in crate::plan) fn new(all: Vec<Arc<Matcher>>) -> Self {
        let mut order: Vec<(usize, &Matcher)> = all.iter().map(AsRef::as_ref).enumerate().collect();
        order.sort_by(|(_, a), (_, b)| by_specificity(a, b));
        Self { order: order.into_iter().map(|(index, _)| index).collect(), all: all.into() }
    }
}

/// The routes of one listener, ready to be searched. Cost: the number of segments, not of routes.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, Node>,
    suffixes: Vec<(String, Node)>,
    any: Node,
    matchers: Arc<[Arc<Matcher>]>,
}

/// What comes next in paths that have begun alike.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) literals: HashMap<String, Node>,
    pub(super) param: Option<Box<Node>>,
    pub(super) here: Vec<usize>,
    pub(super) below: Vec<usize>,
}

impl RouteTable {
    /// Of the routes that `listener` serves. Indices are those of `matchers`.
    pub(in crate::plan) fn new(listener: &str, matchers: &Matchers) -> Self {
        let mut table = Self { matchers: Arc::clone(&matchers.all), ..Self::default() };
        for index in matchers.order.iter().copied() {
            let Some(matcher) = matchers.all.get(index) else { continue };
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
    pub fn find(&self, asked: Lookup<'_>) -> Found {
        let mut search = Search::new(&self.matchers, asked);
        let pieces = asked.path.strip_prefix('/').unwrap_or(asked.path);
        let found = match self.exact.is_empty() && self.suffixes.is_empty() {
            true => search.descend(&self.any, Some(pieces)),
            false => self.roots(asked.host).into_iter().find_map(|root| search.descend(root, Some(pieces))),
        };
        search.found(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Match;
    use http::HeaderMap;

    fn matcher(method: &str, host: &str, path: &str) -> Matcher {
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let method = some(method).into_iter().collect();
        Matcher::new(&Match { host: some(host), path: some(path), method, ..Match::default() }).unwrap()
    }

    fn find(routes: &[(&str, &str, &str)], method: &str, host: &str, path: &str) -> String {
        let matchers = Matchers::new(routes.iter().map(|(m, h, p)| Arc::new(matcher(m, h, p))).collect());
        let headers = HeaderMap::new();
        let method = method.parse().unwrap();
        match RouteTable::new("public", &matchers).find(Lookup { host, path, method: &method, headers: &headers }) {
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
