//! Paths with parameters.

use std::collections::HashSet;

/// A tree of routes is as deep as their longest path, and a search goes down as deep.
const SEGMENTS_MAX: usize = 256;

/// What is wrong with a path, and the remedy.
pub(super) type Said = (String, String);

/// Checks the path of a match: `/users/{id}/files/*`.
pub(super) fn pattern(path: &str) -> Result<(), Said> {
    canonical(path)?;
    let (whole, is_prefix) = match path.strip_suffix("/*") {
        Some(ahead) => (ahead, true),
        None => (path, false),
    };
    if whole.split('/').skip(1).nth(SEGMENTS_MAX).is_some() {
        let remedy = "match the beginning of it, with `/*` at the end".to_owned();
        return Err((format!("the path has more than {SEGMENTS_MAX} segments"), remedy));
    }
    let mut known = HashSet::new();
    for segment in whole.split('/').skip(1) {
        if segment.contains('*') {
            let remedy = if is_prefix {
                "keep only the one at the end"
            } else {
                "write `/*` at the end, or `{name}` for one segment"
            };
            return Err((format!("«{path}» has a `*` that is not `/*` at its end"), remedy.to_owned()));
        }
        let Some(name) = parameter(path, segment)? else { continue };
        if !is_identifier(name) {
            let remedy = "name it with letters, digits and `_`, such as `{user_id}`".to_owned();
            return Err((format!("«{{{name}}}» is no parameter"), remedy));
        }
        if !known.insert(name) {
            return Err((
                format!("«{{{name}}}» stands in «{path}» twice"),
                "give the second one a name of its own".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether a match with the path `pattern` takes `path`.
pub(super) fn takes(pattern: &str, path: &str) -> bool {
    let (whole, is_prefix) = pattern.strip_suffix("/*").map_or((pattern, false), |ahead| (ahead, true));
    let mut segments = path.split('/').skip(1);
    let begins = whole.split('/').skip(1).all(|wanted| {
        segments.next().is_some_and(|segment| wanted == segment || (wanted.starts_with('{') && !segment.is_empty()))
    });
    // `/a/*` takes what is below `/a`, and not `/a`.
    begins && segments.next().is_some() == is_prefix
}

/// Checks the path of a command's call: `/users/{payload.user_id}`.
pub(super) fn call(path: &str) -> Result<(), Said> {
    template(path, "{payload.field}", |name| name.strip_prefix("payload.").is_some_and(is_identifier)).map(drop)
}

/// Checks the path of a session lookup: `/sessions/{id}`.
pub(super) fn session(path: &str) -> Result<(), Said> {
    match template(path, "{id}", |name| name == "id")? {
        1 => Ok(()),
        0 => Err((format!("«{path}» has no `{{id}}`"), "write `{id}` where the device session id goes".to_owned())),
        _ => Err((format!("«{path}» has `{{id}}` more than once"), "keep one".to_owned())),
    }
}

/// Checks a path that is never reachable: `/internal/`.
pub(super) fn shut(path: &str) -> Result<(), Said> {
    canonical(path)?;
    if path.contains(['*', '{', '}']) {
        let remedy = "write the beginning of the paths as it is: `/internal/`".to_owned();
        return Err((format!("«{path}» is a pattern, but what is shut is a plain beginning"), remedy));
    }
    Ok(())
}

fn template(path: &str, example: &str, takes: impl Fn(&str) -> bool) -> Result<usize, Said> {
    canonical(path)?;
    let mut parameters = 0;
    for segment in path.split('/').skip(1) {
        let Some(name) = parameter(path, segment)? else { continue };
        if !takes(name) {
            return Err((format!("«{{{name}}}» is not known in «{path}»"), format!("write `{example}`")));
        }
        parameters += 1;
    }
    Ok(parameters)
}

/// The name of the parameter that a segment is, if it is one.
fn parameter<'a>(path: &str, segment: &'a str) -> Result<Option<&'a str>, Said> {
    if !segment.contains(['{', '}']) {
        return Ok(None);
    }
    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.filter(|name| !name.contains(['{', '}'])).map(Some).ok_or_else(|| {
        let what = format!("«{segment}» in «{path}» is not a whole parameter");
        (what, "a parameter is all of its segment: `/{name}/`".to_owned())
    })
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Requests are matched by their canonical path: decoded once, without dot segments. What could never be one
/// would silently match nothing, or shut nothing.
fn canonical(path: &str) -> Result<(), Said> {
    let said = |why: &str, remedy: &str| Err((format!("«{path}» {why}"), remedy.to_owned()));
    if !path.starts_with('/') {
        return said("is no path", &format!("begin it with a slash: «/{path}»"));
    }
    if path.contains('%') {
        return said("holds a `%`, but paths are matched decoded", "write the character itself");
    }
    if let Some(c) = path.chars().find(|c| matches!(c, '\\' | '?' | '#') || c.is_control() || c.is_whitespace()) {
        let remedy = if matches!(c, '?' | '#') { "remove it: a query is not part of a path" } else { "remove it" };
        return said(&format!("holds a «{c}», which no canonical path has"), remedy);
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return said("holds a dot segment, which no canonical path has", "write the path that it leads to");
    }
    if path.contains("//") {
        return said("holds an empty segment", "write one slash");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(checked: Result<(), Said>, expected: Option<&str>) {
        let what = checked.err().map(|(what, _)| what.replace(['«', '»'], "`"));
        assert_eq!(what.as_deref(), expected);
    }

    #[test]
    fn what_a_pattern_takes() {
        let check = |pattern, path, expected| assert_eq!(takes(pattern, path), expected, "{pattern} {path}");
        check("/*", "/a/b", true);
        check("/a/*", "/a/b", true);
        check("/a/b/*", "/a/b", false);
        check("/a/*", "/a/b/c", true);
        check("/{x}/{y}", "/a/b", true);
        check("/{x}/b", "/a/b", true);
        check("/a/b", "/a/b", true);
        check("/a", "/a/b", false);
        check("/a/b/c", "/a/b", false);
        check("/a/b/c/*", "/a/b", false);
        check("/b/*", "/a/b", false);
        check("/a/{y}/{z}", "/a/b", false);
    }

    #[test]
    fn patterns() {
        let check = |path: &str, expected| check(pattern(path), expected);
        check("/", None);
        check("/*", None);
        check("/a/b", None);
        check("/a/{b}/c_1/{d}/*", None);
        let (deep, deeper) = ("/a".repeat(256), "/a".repeat(257));
        check(&deep, None);
        check(&deeper, Some("the path has more than 256 segments"));
        check("/ä", None);
        check("a", Some("`a` is no path"));
        check("", Some("`` is no path"));
        check("/a*", Some("`/a*` has a `*` that is not `/*` at its end"));
        check("/*/a", Some("`/*/a` has a `*` that is not `/*` at its end"));
        check("/{a}/{a}", Some("`{a}` stands in `/{a}/{a}` twice"));
        check("/{a", Some("`{a` in `/{a` is not a whole parameter"));
        check("/x{a}", Some("`x{a}` in `/x{a}` is not a whole parameter"));
        check("/{}", Some("`{}` is no parameter"));
        check("/{a-b}", Some("`{a-b}` is no parameter"));
        check("/a%2fb", Some("`/a%2fb` holds a `%`, but paths are matched decoded"));
        check("/a\\b", Some("`/a\\b` holds a `\\`, which no canonical path has"));
        check("/a/../b", Some("`/a/../b` holds a dot segment, which no canonical path has"));
        check("/a//b", Some("`/a//b` holds an empty segment"));
        check("/a?b", Some("`/a?b` holds a `?`, which no canonical path has"));
    }

    #[test]
    fn templates() {
        check(call("/user/{payload.user_id}/x"), None);
        check(call("/user/{user_id}"), Some("`{user_id}` is not known in `/user/{user_id}`"));
        check(call("/user/{payload.}"), Some("`{payload.}` is not known in `/user/{payload.}`"));
        check(session("/sessions/{id}"), None);
        check(session("/sessions"), Some("`/sessions` has no `{id}`"));
        check(session("/{id}/{id}"), Some("`/{id}/{id}` has `{id}` more than once"));
        check(shut("/internal/"), None);
        check(shut("/internal/*"), Some("`/internal/*` is a pattern, but what is shut is a plain beginning"));
    }
}
