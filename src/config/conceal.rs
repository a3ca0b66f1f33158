//! Messages without what came from the environment, which may be a secret.
//!
//! A message quotes values of the configuration between `«` and `»`, and what is no value (keys, words of the format,
//! examples) between backticks. [`settle`] makes backticks of all, and shows each value as it stands in the file.

use super::{
    problem::Problem,
    tree::{Node, Variable},
};
use std::borrow::Cow;

/// Text of another scalar that is looked for within a quoted value has at least so many bytes: shorter ones are found
/// in words that have nothing to do with them.
const PART_MIN: usize = 4;
/// What makes it doubtful where a quoted value ends.
const MARKS: [char; 3] = ['«', '»', '`'];

/// Makes the problems of a file fit to be shown. `tree` is what the file holds, as far as it could be parsed.
pub(super) fn settle(problems: &mut [Problem], tree: Option<&Node>) {
    if problems.is_empty() {
        return;
    }
    let mut variables = tree.map(Node::variables).unwrap_or_default();
    // Of one that is within another, the larger is put back.
    variables.sort_by_key(|variable| std::cmp::Reverse(variable.text.len()));
    for problem in problems {
        let own = tree.and_then(|tree| tree.find(&problem.path).node.variable());
        if let Some((written, _)) = own.filter(|(_, text)| text.contains(MARKS)) {
            problem.what = format!("what `{written}` stands for cannot be used here");
            problem.remedy = "set it to something else; `portcullis schema` says what fits".to_owned();
            continue;
        }
        for message in [&mut problem.what, &mut problem.remedy] {
            *message = settled(message, own, &variables);
        }
    }
}

fn settled(message: &str, own: Option<(&str, &str)>, variables: &[Variable]) -> String {
    let mut whole = Cow::Borrowed(message);
    for Variable { text, written, .. } in variables.iter().filter(|variable| variable.text.contains(MARKS)) {
        whole = whole.replace(text, written).into();
    }
    let mut settled = String::with_capacity(whole.len());
    let mut rest = whole.as_ref();
    while let Some((ahead, value, behind)) = quoted(rest) {
        settled.push_str(ahead);
        settled.push('`');
        settled.push_str(&concealed(value, own, variables));
        settled.push('`');
        rest = behind;
    }
    settled.push_str(rest);
    settled
}

/// The first quoted value of a message, and what is ahead of it and behind it.
fn quoted(message: &str) -> Option<(&str, &str, &str)> {
    let (ahead, rest) = message.split_once('«')?;
    let (value, behind) = rest.split_once('»').unwrap_or((rest, ""));
    Some((ahead, value, behind))
}

fn concealed(value: &str, own: Option<(&str, &str)>, variables: &[Variable]) -> String {
    if let Some((written, text)) = own {
        return match (put_back(value, text, written), holds(text, value)) {
            (Some(value), _) => value,
            // A piece of it: of a path, a segment.
            (None, true) if !value.is_empty() => "…".to_owned(),
            // The same in another form, such as `1m` for `60s`.
            (None, _) => written.to_owned(),
        };
    }
    let mut value = value.to_owned();
    for Variable { text, written, .. } in variables {
        if value.eq_ignore_ascii_case(text) {
            return written.clone();
        }
        if text.len() >= PART_MIN
            && let Some(without) = put_back(&value, text, written)
        {
            value = without;
        }
    }
    value
}

/// A value with what is written in place of a text in it, in whatever case; nothing where it is not in it.
fn put_back(value: &str, text: &str, written: &str) -> Option<String> {
    if text.is_empty() {
        return value.is_empty().then(|| written.to_owned());
    }
    let (lower, wanted) = (value.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut put = String::new();
    let mut end = 0;
    for (start, _) in lower.match_indices(&wanted) {
        put.push_str(value.get(end..start)?);
        put.push_str(written);
        end = start + text.len();
    }
    put.push_str(value.get(end..)?);
    (end > 0).then_some(put)
}

fn holds(text: &str, value: &str) -> bool {
    text.to_ascii_lowercase().contains(&value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_are_written() {
        let own = Some(("${P}", "/s3cr3t"));
        let variables = [Variable { pointer: String::new(), written: "${H}".into(), text: "example.com".into() }];
        for (message, own, expected) in [
            ("«a» is no host, write `b`", None, "`a` is no host, write `b`"),
            ("write «/s3cr3t/»", own, "write `${P}/`"),
            ("write «/S3CR3T»", own, "write `${P}`"),
            ("«s3c» of «/s3cr3t»", own, "`…` of `${P}`"),
            ("«60s» is too long", own, "`${P}` is too long"),
            ("`s3cr3t` is a word", own, "`s3cr3t` is a word"),
            ("«api.example.com» and «Example.COM»", None, "`api.${H}` and `${H}`"),
            ("«open", None, "`open`"),
        ] {
            assert_eq!(settled(message, own, &variables), expected, "{message}");
        }
    }
}
