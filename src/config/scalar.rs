//! What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2), so `no` and `on` are words.

/// What a scalar stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    /// Nothing: an empty scalar, `null`, `~`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, one too large for [`Self::Integer`] included.
    Number(f64),
    /// A text.
    Text,
}

/// What a plain scalar stands for.
pub(super) fn plain(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Meaning::Number(f64::NAN),
        _ => number(text).unwrap_or(Meaning::Text),
    }
}

fn number(text: &str) -> Option<Meaning> {
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix).filter(|digits| digits.chars().all(|c| c.is_digit(radix)))?;
        i64::from_str_radix(digits, radix).ok()
    };
    if let Some(integer) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(Meaning::Integer(integer));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Meaning::Number(f64::INFINITY));
    }
    // Rust also parses `inf`, `nan` and `infinity`, which are words in YAML.
    let begins = unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    if !begins {
        return None;
    }
    text.parse().map(Meaning::Integer).or_else(|_| text.parse().map(Meaning::Number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        let check = |text: &str, expected| assert_eq!(plain(text), expected, "{text:?}");
        check("", Meaning::Null);
        check("~", Meaning::Null);
        check("TRUE", Meaning::Bool(true));
        check("false", Meaning::Bool(false));
        check("no", Meaning::Text);
        check("on", Meaning::Text);
        check("12", Meaning::Integer(12));
        check("-12", Meaning::Integer(-12));
        check("+12", Meaning::Integer(12));
        check("010", Meaning::Integer(10));
        check("0x1F", Meaning::Integer(31));
        check("0o17", Meaning::Integer(15));
        check("0x-1", Meaning::Text);
        check("1.5", Meaning::Number(1.5));
        check(".5", Meaning::Number(0.5));
        check("1e3", Meaning::Number(1000.0));
        check("-.inf", Meaning::Number(f64::INFINITY));
        check("99999999999999999999", Meaning::Number(1e20));
        check("inf", Meaning::Text);
        check("nan", Meaning::Text);
        check("1_000", Meaning::Text);
        check("250ms", Meaning::Text);
        check("127.0.0.1:80", Meaning::Text);
        check("-", Meaning::Text);
    }
}
