//! `${VAR}` and `${VAR:-default}` inside scalars.
//!
//! Expansion comes after parsing, so what the environment holds can never become YAML structure.

/// Where variables come from. A value that is no UTF-8 has U+FFFD in it, and is refused wherever it is used.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// A variable of this process's environment.
#[must_use]
pub fn of_the_process(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether a value is what the environment holds, and not a part of it.
pub(super) fn is_text(value: &str) -> bool {
    !value.contains(char::REPLACEMENT_CHARACTER)
}

/// A scalar with its variables filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The text.
    pub(super) text: String,
    /// Whether any of it may have come from the environment.
    pub(super) has_variables: bool,
    /// Whether the scalar was one variable and nothing else.
    pub(super) is_variable: bool,
}

/// What is wrong with a variable, and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpandProblem {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// Fills the variables of a scalar in. `$$` is a `$`; a `$` ahead of anything but `{` stands for itself.
pub(super) fn expand(written: &str, env: &Env<'_>) -> Result<Expanded, Vec<ExpandProblem>> {
    let mut text = String::new();
    let mut problems = Vec::new();
    let mut rest = written;
    let mut variables = 0_usize;
    while let Some((ahead, behind)) = rest.split_once('$') {
        text.push_str(ahead);
        if let Some(behind) = behind.strip_prefix('$') {
            text.push('$');
            rest = behind;
        } else if let Some(inside) = behind.strip_prefix('{') {
            variables += 1;
            let Some((inside, behind)) = inside.split_once('}') else {
                problems.push(malformed(inside, "it has no closing `}`"));
                rest = "";
                break;
            };
            match value(inside, env) {
                Ok(value) => text.push_str(&value),
                Err(problem) => problems.push(problem),
            }
            rest = behind;
        } else {
            text.push('$');
            rest = behind;
        }
    }
    text.push_str(rest);
    if !problems.is_empty() {
        return Err(problems);
    }
    let is_variable = variables == 1 && written.starts_with("${") && written.find('}') == written.len().checked_sub(1);
    Ok(Expanded { text, has_variables: variables > 0, is_variable })
}

fn value(inside: &str, env: &Env<'_>) -> Result<String, ExpandProblem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if default.is_some_and(|default| default.contains("${")) {
        return Err(malformed(inside, "a default cannot hold another variable"));
    }
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(malformed(inside, "a variable's name is letters, digits and `_`"));
    }
    // As in a shell, `:-` also stands in for a variable that is set to nothing.
    match (env(name), default) {
        (Some(value), _) if !is_text(&value) => Err(ExpandProblem {
            what: format!("the environment variable `{name}` is not UTF-8"),
            remedy: "set it to a text in UTF-8, or take it out of the environment".to_owned(),
        }),
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandProblem {
            what: format!("the environment variable `{name}` is not set"),
            remedy: format!("set it, or write a default: `${{{name}:-value}}`"),
        }),
    }
}

fn malformed(inside: &str, why: &str) -> ExpandProblem {
    ExpandProblem {
        what: format!("`${{{inside}` is no variable: {why}"),
        remedy: "write `${NAME}` or `${NAME:-default}`, and `$$` for a `$` itself".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        [("PORT", "80"), ("EMPTY", ""), ("TRAP", "${PORT}: [")]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())
    }

    #[test]
    fn variables_are_filled_in_once() {
        let check = |written: &str, expected: &str| {
            assert_eq!(expand(written, &env).map(|e| e.text).unwrap_or_default(), expected, "{written}");
        };
        check("plain", "plain");
        check("${PORT}", "80");
        check("a${PORT}b${PORT}c", "a80b80c");
        check("${NONE:-x}", "x");
        check("${NONE:-}", "");
        check("${EMPTY:-x}", "x");
        check("a${EMPTY}b", "ab");
        check("$$", "$");
        check("$${PORT}", "${PORT}");
        check("$1 and $", "$1 and $");
        check("${NONE:-http://a:80}", "http://a:80");
        check("${TRAP}", "${PORT}: [");
    }

    #[test]
    fn only_a_lone_variable_is_one() {
        let check = |written: &str, expected: bool| {
            assert_eq!(expand(written, &env).map(|e| e.is_variable), Ok(expected), "{written}");
        };
        check("${PORT}", true);
        check("${PORT}0", false);
        check("${PORT}${PORT}", false);
        check("$$", false);
        check("plain}", false);
    }

    #[test]
    fn problems_name_the_variable_and_the_remedy() {
        let check = |written: &str, expected: &[&str]| {
            let what = |problems: Vec<ExpandProblem>| problems.into_iter().map(|p| p.what).collect::<Vec<_>>();
            assert_eq!(expand(written, &env).map_err(what), Err(expected.iter().map(ToString::to_string).collect()));
        };
        check("${NONE}", &["the environment variable `NONE` is not set"]);
        check(
            "${NONE}${OTHER}",
            &["the environment variable `NONE` is not set", "the environment variable `OTHER` is not set"],
        );
        check("${PORT", &["`${PORT` is no variable: it has no closing `}`"]);
        check("${}", &["`${` is no variable: a variable's name is letters, digits and `_`"]);
        check("${PORT-1}", &["`${PORT-1` is no variable: a variable's name is letters, digits and `_`"]);
        check("${A:-${PORT}}", &["`${A:-${PORT` is no variable: a default cannot hold another variable"]);
    }
}
