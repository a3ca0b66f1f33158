//! What an operator probably meant.

/// Names beyond these are not compared; no file that somebody types has as many.
const CANDIDATES_MAX: usize = 1_000;
/// More names than these in one sentence are not read.
const LISTED_MAX: usize = 24;

/// The candidate that is close enough to a name to be what was meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // No name in a configuration is this long, and the distance costs the product of both lengths.
    if length > 64 {
        return None;
    }
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(name: &str, candidate: &str) -> usize {
    // `keep-alive` and `KeepAlive` are the same name in another habit.
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    if plain(name) == plain(candidate) { 0 } else { strsim::osa_distance(name, candidate) }
}

/// "did you mean" where something is near, otherwise what there is.
pub(super) fn remedy<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match (nearest(name, candidates.iter().copied()), candidates.as_slice()) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, [only]) => format!("there is only `{only}`"),
        (None, []) => format!("there are no {what} yet: add it"),
        (None, several) => format!("the {what} are {}", listed(several)),
    }
}

/// The first of very many names.
fn listed(names: &[&str]) -> String {
    match names.split_at_checked(LISTED_MAX) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", quoted(first), rest.len()),
        _ => quoted(names),
    }
}

/// Names in a sentence: `a`, `b` and `c`.
pub(super) fn quoted(names: &[&str]) -> String {
    joined(names, "and")
}

/// Names to choose from: one of `a`, `b` or `c`.
pub(super) fn one_of(names: &[&str]) -> String {
    format!("{}{}", if names.len() > 1 { "one of " } else { "" }, joined(names, "or"))
}

fn joined(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, ahead)) => format!("{} {word} {last}", ahead.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised_and_other_names_are_not() {
        let names = ["path", "host", "listener", "keepalive", "on"];
        let check = |name: &str, expected| assert_eq!(nearest(name, names), expected, "{name}");
        check("pth", Some("path"));
        check("paht", Some("path"));
        check("lisener", Some("listener"));
        check("Keep-Alive", Some("keepalive"));
        check("hots", Some("host"));
        check("colour", None);
        check("x", None);
        check("", None);
        check(&"path".repeat(1000), None);
    }
}
