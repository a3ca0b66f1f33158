//! The search for one request.

use super::{matcher::Matcher, table::Node};
use crate::plan::path::CanonicalPath;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::sync::Arc;

/// What of a request is matched.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// The `Host` or `:authority`, port and all.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a CanonicalPath,
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
    /// What is wrong with this path, which backends read in different ways: no route keeps it, or its readings lead to
    /// different routes.
    Ambiguous(&'static str),
}

/// Goes down the tree, from the most specific to the least, until `first` takes one of the routes of a node. `pieces` is
/// what is left of the path; none at its end.
pub(super) fn descend(
    node: &Node,
    pieces: Option<&str>,
    first: &mut impl FnMut(&[usize]) -> Option<usize>,
) -> Option<usize> {
    let Some(pieces) = pieces else { return first(&node.here) };
    let (piece, rest) = match pieces.split_once('/') {
        Some((piece, rest)) => (piece, Some(rest)),
        None => (pieces, None),
    };
    if let Some(index) = node.literals.get(piece).and_then(|next| descend(next, rest, first)) {
        return Some(index);
    }
    // An empty segment is the end of a path with a trailing slash, not a value.
    if let Some(index) = node.param.as_deref().filter(|_| !piece.is_empty()).and_then(|next| descend(next, rest, first))
    {
        return Some(index);
    }
    first(&node.below)
}

/// A search on its way.
pub(super) struct Search<'a> {
    matchers: &'a [Arc<Matcher>],
    asked: Lookup<'a>,
    other_methods: Vec<Method>,
}

impl<'a> Search<'a> {
    pub(super) fn new(matchers: &'a [Arc<Matcher>], asked: Lookup<'a>) -> Self {
        Self { matchers, asked, other_methods: Vec::new() }
    }

    /// What has come of it, where this is the route.
    pub(super) fn found(self, route: Option<usize>) -> Found {
        match route {
            Some(index) => Found::Route(index),
            None if self.other_methods.is_empty() => Found::Nothing,
            None => Found::OtherMethods(self.other_methods),
        }
    }

    /// The first that takes the method and the headers that are asked for.
    pub(super) fn first(&mut self, candidates: &[usize]) -> Option<usize> {
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
