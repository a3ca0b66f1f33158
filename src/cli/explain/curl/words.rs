//! The words of a line for a shell, as bash has them (bash manual, section 3.1.2).

use std::{iter::Peekable, str::Chars};

/// A line that has no words without a shell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum WordFault {
    /// A quote is not closed.
    #[error("has a quote that is not closed")]
    Quote,
    /// What a shell would put something else for.
    #[error("has `{0}`, in whose place a shell would put something else: write that, or put it in single quotes")]
    Expansion(String),
    /// Another command.
    #[error("goes on behind `{0}`: leave out all but curl and its arguments, or put that in quotes")]
    Operator(char),
    /// An escape that stands for no character.
    #[error("has `{0}` in $'…', which stands for no character")]
    Escape(String),
    /// A line for another shell.
    #[error("is written for Windows' cmd (`^\"`): copy it for bash")]
    Cmd,
}

/// The words of a line. Line breaks separate them too: some that are pasted have lost their backslashes.
pub(super) fn split(line: &str) -> Result<Vec<String>, WordFault> {
    // What Chrome copies "as cURL (cmd)" has this around each argument; no other shell's quotes begin so.
    if line.contains("^\"") {
        return Err(WordFault::Cmd);
    }
    let mut chars = line.chars().peekable();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    while let Some(c) = chars.next() {
        match c {
            _ if c.is_whitespace() => words.extend(word.take()),
            '\\' if matches!(chars.peek(), Some('\n' | '\r')) => words.extend(word.take()),
            '#' if word.is_none() => drop(chars.by_ref().find(|c| *c == '\n')),
            '|' | ';' | '&' | '<' | '>' if word.is_none() => return Err(WordFault::Operator(c)),
            _ => part(c, &mut chars, word.get_or_insert_default())?,
        }
    }
    words.extend(word);
    Ok(words)
}

/// A part of a word, that begins with this character.
fn part(first: char, chars: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), WordFault> {
    match (first, chars.peek()) {
        ('\\', _) => word.push(chars.next().ok_or(WordFault::Quote)?),
        ('\'', _) => loop {
            match chars.next().ok_or(WordFault::Quote)? {
                '\'' => return Ok(()),
                c => word.push(c),
            }
        },
        ('"', _) => return in_double_quotes(chars, word),
        ('$', Some('\'')) => {
            chars.next();
            return in_ansi_quotes(chars, word);
        }
        ('$' | '`', next) => {
            if let Some(expansion) = expansion(first, next.copied()) {
                return Err(WordFault::Expansion(expansion));
            }
            word.push(first);
        }
        _ => word.push(first),
    }
    Ok(())
}

fn in_double_quotes(chars: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), WordFault> {
    loop {
        match chars.next().ok_or(WordFault::Quote)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(WordFault::Quote)? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => match expansion(c, chars.peek().copied()) {
                Some(expansion) => return Err(WordFault::Expansion(expansion)),
                None => word.push(c),
            },
        }
    }
}

/// What begins here, where a shell would put something else in its place.
fn expansion(c: char, next: Option<char>) -> Option<String> {
    match (c, next) {
        ('`', _) => Some("`".to_owned()),
        ('$', Some(next)) if next.is_alphanumeric() || "_({?!@*#$-".contains(next) => Some(format!("${next}")),
        _ => None,
    }
}

/// `$'…'` (bash manual, section 3.1.2.4), in which browsers write whatever has control characters or quotes.
fn in_ansi_quotes(chars: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), WordFault> {
    loop {
        match chars.next().ok_or(WordFault::Quote)? {
            '\'' => return Ok(()),
            '\\' => escape(chars, word)?,
            c => word.push(c),
        }
    }
}

fn escape(chars: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), WordFault> {
    let c = chars.next().ok_or(WordFault::Quote)?;
    let number = |chars: &mut Peekable<Chars<'_>>, radix, digits_max| {
        let digits: String = std::iter::from_fn(|| chars.next_if(|c| c.is_digit(radix))).take(digits_max).collect();
        (u32::from_str_radix(&digits, radix).ok(), digits)
    };
    let (code, digits) = match c {
        'u' => number(chars, 16, 4),
        'U' => number(chars, 16, 8),
        'x' => number(chars, 16, 2),
        '0'..='7' => {
            let (_, rest) = number(chars, 8, 2);
            let digits = format!("{c}{rest}");
            (u32::from_str_radix(&digits, 8).ok(), rest)
        }
        _ => {
            word.push(match c {
                'a' => '\x07',
                'b' => '\x08',
                'e' | 'E' => '\x1b',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                '\\' | '\'' | '"' | '?' => c,
                _ => return Err(WordFault::Escape(format!("\\{c}"))),
            });
            return Ok(());
        }
    };
    // A byte over 0x7f is a part of a character at most, and what is written so is no text.
    let is_character = |code: &u32| matches!(c, 'u' | 'U') || *code < 0x80;
    let found = code.filter(is_character).and_then(char::from_u32).filter(|c| *c != '\0');
    word.push(found.ok_or_else(|| WordFault::Escape(format!("\\{c}{digits}")))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_bash() {
        for (line, expected) in [
            ("a  b\tc\nd", &["a", "b", "c", "d"][..]),
            ("'a b'\"c d\"e\\ f", &["a bc de f"]),
            ("'' \"\"", &["", ""]),
            (r"'a\n' 'b\'", &[r"a\n", r"b\"]),
            (r#""a\"b\\c\nd\$e""#, &[r#"a"b\c\nd$e"#]),
            (r"a\'b", &["a'b"]),
            ("a \\\n b \\\r\n c", &["a", "b", "c"]),
            (r"$'a\'b\\c\n\t\u0021\x41\101\u00e9\U0001F600'", &["a'b\\c\n\t!AA\u{e9}\u{1f600}"]),
            (r#"$'{"a":"it\'s"}'"#, &[r#"{"a":"it's"}"#]),
            ("a$'\\n'b", &["a\nb"]),
            ("a # comment\nb c#d", &["a", "b", "c#d"]),
            ("http://h/?a=1&b=2;c=$", &["http://h/?a=1&b=2;c=$"]),
            ("'$a `b` | c'", &["$a `b` | c"]),
            ("", &[]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        let expansion = |what: &str| WordFault::Expansion(what.to_owned());
        let escape = |what: &str| WordFault::Escape(what.to_owned());
        for (line, expected) in [
            ("'a", WordFault::Quote),
            ("\"a", WordFault::Quote),
            ("$'a", WordFault::Quote),
            (r"$'a\'", WordFault::Quote),
            ("a\\", WordFault::Quote),
            ("a $HOME", expansion("$H")),
            ("\"${a}\"", expansion("${")),
            ("\"$(date)\"", expansion("$(")),
            ("`date`", expansion("`")),
            ("\"a `date`\"", expansion("`")),
            ("a | jq .", WordFault::Operator('|')),
            ("a && b", WordFault::Operator('&')),
            ("a >b", WordFault::Operator('>')),
            (r"$'\xff'", escape("\\xff")),
            (r"$'\ud83d'", escape("\\ud83d")),
            (r"$'\u0000'", escape("\\u0000")),
            (r"$'\q'", escape("\\q")),
            ("curl ^\"http://h/^\" ^\n -H ^\"a: b^\"", WordFault::Cmd),
        ] {
            assert_eq!(split(line).unwrap_err(), expected, "{line}");
        }
    }
}
