//! What a request must have to go to a route.

use crate::{config::source::Match, plan::path::Ambiguities, wire::Host};
use http::{HeaderName, HeaderValue, Method};
use std::cmp::Ordering;

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
    /// This one.
    Exact(Host<'static>),
    /// Every name that ends so, in the normal form of hosts: `.example.com`.
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
    /// What may be ambiguous in the path.
    pub keeps: Ambiguities,
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
        let host = match written.host.as_deref() {
            None => HostPattern::Any,
            Some(host) => match host.strip_prefix('*') {
                Some(suffix) => HostPattern::Suffix(Host::written(suffix).as_str().to_owned()),
                None => HostPattern::Exact(Host::written(host).into_owned()),
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
            keeps: Ambiguities::default(),
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
