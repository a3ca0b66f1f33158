//! The paths that an admin listener has.

use super::Page;
use http::Method;
use std::fmt::Write as _;

/// One path, or with `NAME` at its end one for each budget.
pub(super) struct Path {
    path: &'static str,
    /// As `Allow` has them (RFC 9110 section 10.2.1).
    pub(super) methods: &'static str,
    what: &'static str,
}

const NAME: &str = "NAME";

static PATHS: [Path; 9] = [
    Path { path: "/", methods: "GET, HEAD", what: "this list" },
    Path { path: "/livez", methods: "GET, HEAD", what: "200 as long as the process answers" },
    Path {
        path: "/readyz",
        methods: "GET, HEAD",
        what: "200 where requests may be sent here, else 503 with the reasons",
    },
    Path { path: "/metrics", methods: "GET, HEAD", what: "counters and gauges, as Prometheus reads them" },
    Path { path: "/config", methods: "GET, HEAD", what: "the configuration in force, without secrets" },
    Path { path: "/reload", methods: "GET, HEAD, POST", what: "GET: what a reload would do; POST: does it" },
    Path { path: "/upgrade", methods: "POST", what: "has a new process take the place of this one" },
    Path { path: "/budgets", methods: "GET, HEAD", what: "all budgets: rules, counts, changes" },
    Path { path: "/budgets/NAME", methods: "GET, HEAD, PATCH", what: "one budget; PATCH changes it while it works" },
];

impl Path {
    /// Whether it is there for this method.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|known| known == method.as_str())
    }
}

/// The path that is asked for, where there is one.
pub(super) fn find(path: &str) -> Option<&'static Path> {
    PATHS.iter().find(|known| match known.path.strip_suffix(NAME) {
        Some(folder) => path.strip_prefix(folder).is_some_and(|name| !name.is_empty()),
        None => known.path == path,
    })
}

/// All of them, a line each.
pub(super) fn list() -> Page {
    let mut text = String::new();
    for Path { path, methods, what } in &PATHS {
        // Nothing is written to a string that could fail.
        let _ = writeln!(text, "{path:<15} {methods:<17} {what}");
    }
    Page { status: 200, media_type: "text/plain; charset=utf-8", body: text.into_bytes(), revision: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_as_they_are_listed() {
        for (path, methods) in [
            ("/", Some("GET, HEAD")),
            ("/budgets", Some("GET, HEAD")),
            ("/budgets/by_ip", Some("GET, HEAD, PATCH")),
            ("/budgets/", None),
            ("/upgrade", Some("POST")),
            ("/version", None),
            ("", None),
        ] {
            assert_eq!(find(path).map(|path| path.methods), methods, "{path}");
        }
    }
}
