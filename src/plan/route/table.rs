//! Routes, ready to be searched.

use super::{
    matcher::{HostPattern, Matcher, Segment, by_specificity},
    search::{Found, Lookup, Search, descend},
};
use crate::{plan::path::Ambiguities, wire::Host};
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
    exact: HashMap<Host<'static>, Node>,
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
        let host = Host::of(host);
        let suffixes =
            self.suffixes.iter().filter(|(suffix, _)| host.as_str().ends_with(suffix.as_str())).map(|(_, node)| node);
        self.exact.get(host.as_str()).into_iter().chain(suffixes).chain([&self.any]).collect()
    }

    /// Finds the most specific route for what is asked.
    #[must_use]
    pub fn find(&self, asked: Lookup<'_>) -> Found {
        match asked.path.ambiguities() {
            None => self.find_at(asked, asked.path.as_str()),
            Some(kinds) => self.find_ambiguous(asked, kinds),
        }
    }

    fn find_at(&self, asked: Lookup<'_>, path: &str) -> Found {
        let mut search = Search::new(&self.matchers, asked);
        let found = self.first_of(asked.host, path, |candidates| search.first(candidates));
        search.found(found)
    }

    /// Finds the route that keeps what is ambiguous, where no reading of the path leads to another route: a backend that
    /// reads the path so would serve what that route guards.
    fn find_ambiguous(&self, asked: Lookup<'_>, kinds: Ambiguities) -> Found {
        let found = self.find_at(asked, asked.path.as_str());
        let kept = match found {
            Found::Route(index) => self.matchers.get(index).map(|matcher| matcher.keeps).unwrap_or_default(),
            _ => Ambiguities::default(),
        };
        if let Some(what) = kinds.beyond(kept) {
            return Found::Ambiguous(what);
        }
        let leads_elsewhere = |reading: &String| {
            let read = self.find_at(asked, reading);
            read != Found::Nothing && read != found
        };
        match asked.path.readings().iter().any(leads_elsewhere) {
            true => Found::Ambiguous("the path can be read as that of another route"),
            false => found,
        }
    }

    /// Finds the most specific route of a host and a path that `is` the one, whatever method and headers it takes.
    pub fn find_by_path(&self, host: &str, path: &str, mut is: impl FnMut(usize) -> bool) -> Option<usize> {
        self.first_of(host, path, |candidates| candidates.iter().copied().find(|index| is(*index)))
    }

    fn first_of(&self, host: &str, path: &str, mut first: impl FnMut(&[usize]) -> Option<usize>) -> Option<usize> {
        let pieces = path.strip_prefix('/').unwrap_or(path);
        match self.exact.is_empty() && self.suffixes.is_empty() {
            true => descend(&self.any, Some(pieces), &mut first),
            false => self.roots(host).into_iter().find_map(|root| descend(root, Some(pieces), &mut first)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::source::Match, plan::path::CanonicalPath};
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
        let path = &CanonicalPath::parse(path.as_bytes()).unwrap();
        match RouteTable::new("public", &matchers).find(Lookup { host, path, method: &method, headers: &headers }) {
            Found::Route(index) => format!("{index}"),
            Found::OtherMethods(methods) => format!("405 {methods:?}"),
            Found::Nothing => "404".to_owned(),
            Found::Ambiguous(what) => what.to_owned(),
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

    /// Routes with the names of what they keep behind their paths: `/a/* slash percent`.
    fn keeping(routes: &[&str]) -> Matchers {
        let of = |route: &&str| {
            let (path, kept) = route.split_once(' ').unwrap_or((route, ""));
            let keeps = Ambiguities {
                encoded_slash: kept.contains("slash"),
                double_slash: kept.contains("double"),
                encoded_percent: kept.contains("percent"),
            };
            Arc::new(Matcher { keeps, ..matcher("", "", path) })
        };
        Matchers::new(routes.iter().map(of).collect())
    }

    #[test]
    fn ambiguous_paths_go_where_every_reading_leads() {
        const SLASH: &str = "the path has an encoded slash";
        const EMPTY: &str = "the path has an empty segment";
        const AGAIN: &str = "the path would change if it were decoded again";
        const ELSEWHERE: &str = "the path can be read as that of another route";
        for (routes, path, expected) in [
            (&["/*"][..], "/a%2Fb", SLASH),
            (&["/*"], "/a//b", EMPTY),
            (&["/*"], "/a%2541", AGAIN),
            (&["/b slash"], "/a%2Fb", SLASH),
            (&["/a/* slash", "/* double"], "/a/b%2Fc", "0"),
            (&["/a/* slash", "/* double"], "/c%2Fd", SLASH),
            (&["/a/* slash", "/* double"], "//c//d", "1"),
            (&["/a/* slash"], "/a/b%2F/c//", EMPTY),
            (&["/a/{id} slash"], "/a/group%2Fname", "0"),
            (&["/a/{id} slash"], "/a/group%252Fname", AGAIN),
            (&["/a/{id} slash percent"], "/a/group%252Fname", "0"),
            (&["/* slash double percent", "/admin/*"], "/x%2Fy", "0"),
            (&["/* slash double percent", "/admin/*"], "/admin%2Fy", ELSEWHERE),
            (&["/* slash double percent", "/admin/*"], "/admin%252Fy", ELSEWHERE),
            (&["/* slash double percent", "/admin/*"], "//admin/y", ELSEWHERE),
            (&["/* slash double percent", "/admin/*"], "/%2Fadmin/y", ELSEWHERE),
            (&["/* slash double percent", "/admin/*"], "/%2561dmin/y", ELSEWHERE),
            (&["/* slash double percent", "/admin/*"], "/%252561dmin/y", ELSEWHERE),
            (&["/{x}/{y} slash percent", "/{x}/admin"], "/a%2Fb/%2561dmin", ELSEWHERE),
            (&["/{x} slash percent", "/a/{x}"], "/a%2Fb%252Fc", ELSEWHERE),
        ] {
            let table = RouteTable::new("public", &keeping(routes));
            let asked = CanonicalPath::parse(path.as_bytes()).unwrap();
            let headers = HeaderMap::new();
            let found = table.find(Lookup { host: "h", path: &asked, method: &http::Method::GET, headers: &headers });
            let found = match found {
                Found::Route(index) => format!("{index}"),
                Found::Ambiguous(what) => what.to_owned(),
                other => format!("{other:?}"),
            };
            assert_eq!(found, expected, "{routes:?} {path}");
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
            ("GET", "::2", "/x"),
            ("GET", "[::3]", "/x"),
        ];
        for (method, host, path, expected) in [
            ("GET", "api.example.com", "/x", "0"),
            ("GET", "API.example.com:8080", "/x", "0"),
            ("GET", "api.example.com.", "/x", "0"),
            ("GET", "api.example.com.:80", "/x", "0"),
            ("GET", "api.example.com:", "/x", "0"),
            ("PUT", "a.b.example.com.", "/x", "2"),
            ("GET", "[0::2]:80", "/x", "5"),
            ("GET", "[::3]", "/x", "6"),
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
