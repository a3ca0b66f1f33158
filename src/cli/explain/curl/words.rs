//! The words of a line for a shell, as bash has them (bash manual, section 3.1.2). They are bytes, not text: `$'\xff'` is
//! one.

use std::{iter::Peekable, slice::Iter};

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
    /// Where output goes is the shell's business.
    #[error("redirects with `{0}`: leave that out, or put it in quotes")]
    Redirection(char),
    /// A NUL ends an argument.
    #[error("has `{0}` in $'…', a NUL, which no argument can have")]
    Nul(String),
    /// An escape without its digits.
    #[error("has `{0}` in $'…' without a number")]
    Escape(String),
    /// A line for another shell.
    #[error(
        "is written for Windows' cmd, which continues lines and escapes quotes with `^`: choose `Copy as cURL (bash)`"
    )]
    Cmd,
    /// A line for yet another shell.
    #[error("is written for PowerShell, which continues lines with a backtick: choose `Copy as cURL (bash)`")]
    PowerShell,
}

type Bytes<'a> = Peekable<Iter<'a, u8>>;

/// The words of a line. Line breaks separate them too: some that are pasted have lost their backslashes.
pub(super) fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, WordFault> {
    let mut bytes = line.iter().peekable();
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    while let Some(&byte) = bytes.next() {
        let next = bytes.peek().map(|next| **next);
        let ends_word = next.is_none_or(|next| next.is_ascii_whitespace());
        match byte {
            _ if byte.is_ascii_whitespace() => words.extend(word.take()),
            b'\\' if skips_line_break(&mut bytes) => {}
            b'#' if word.is_none() => drop(bytes.by_ref().find(|byte| **byte == b'\n')),
            b'^' if matches!(next, Some(b'"' | b'\n' | b'\r')) => return Err(WordFault::Cmd),
            b'`' if matches!(next, Some(b'\n' | b'\r')) => return Err(WordFault::PowerShell),
            b'<' | b'>' => return Err(WordFault::Redirection(byte.into())),
            // Many write a URL with `&` without quotes.
            b';' | b'&' if word.is_none() || ends_word => return Err(WordFault::Operator(byte.into())),
            b'|' => return Err(WordFault::Operator(byte.into())),
            _ => part(byte, &mut bytes, word.get_or_insert_default())?,
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes the line break behind a backslash, which together stand for nothing.
fn skips_line_break(bytes: &mut Bytes<'_>) -> bool {
    let has_return = bytes.next_if(|byte| **byte == b'\r').is_some();
    let has_feed = bytes.next_if(|byte| **byte == b'\n').is_some();
    has_return || has_feed
}

/// A part of a word, that begins with this byte.
fn part(first: u8, bytes: &mut Bytes<'_>, word: &mut Vec<u8>) -> Result<(), WordFault> {
    match (first, bytes.peek().map(|next| **next)) {
        (b'\\', _) => word.push(*bytes.next().ok_or(WordFault::Quote)?),
        (b'\'', _) => loop {
            match bytes.next().ok_or(WordFault::Quote)? {
                b'\'' => return Ok(()),
                byte => word.push(*byte),
            }
        },
        (b'"', _) => return in_double_quotes(bytes, word),
        (b'$', Some(b'\'')) => {
            bytes.next();
            return in_ansi_quotes(bytes, word);
        }
        (b'$' | b'`', next) => {
            if let Some(expansion) = expansion(first, next) {
                return Err(WordFault::Expansion(expansion));
            }
            word.push(first);
        }
        _ => word.push(first),
    }
    Ok(())
}

fn in_double_quotes(bytes: &mut Bytes<'_>, word: &mut Vec<u8>) -> Result<(), WordFault> {
    loop {
        match *bytes.next().ok_or(WordFault::Quote)? {
            b'"' => return Ok(()),
            b'\\' if skips_line_break(bytes) => {}
            b'\\' => match *bytes.next().ok_or(WordFault::Quote)? {
                byte @ (b'"' | b'\\' | b'$' | b'`') => word.push(byte),
                byte => word.extend([b'\\', byte]),
            },
            byte => match expansion(byte, bytes.peek().map(|next| **next)) {
                Some(expansion) => return Err(WordFault::Expansion(expansion)),
                None => word.push(byte),
            },
        }
    }
}

/// What begins here, where a shell would put something else in its place.
fn expansion(byte: u8, next: Option<u8>) -> Option<String> {
    match (byte, next) {
        (b'`', _) => Some("`".to_owned()),
        (b'$', Some(next)) if next.is_ascii_alphanumeric() || b"_({?!@*#$-".contains(&next) => {
            Some(format!("${}", char::from(next)))
        }
        _ => None,
    }
}

/// `$'…'` (bash manual, section 3.1.2.4), in which browsers write whatever has control characters or quotes.
fn in_ansi_quotes(bytes: &mut Bytes<'_>, word: &mut Vec<u8>) -> Result<(), WordFault> {
    loop {
        match *bytes.next().ok_or(WordFault::Quote)? {
            b'\'' => return Ok(()),
            b'\\' => escape(bytes, word)?,
            byte => word.push(byte),
        }
    }
}

fn escape(bytes: &mut Bytes<'_>, word: &mut Vec<u8>) -> Result<(), WordFault> {
    let letter = *bytes.next().ok_or(WordFault::Quote)?;
    let plain = match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'e' | b'E' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'\'' | b'"' | b'?' => letter,
        // A control character: \cx.
        b'c' => *bytes.next().ok_or(WordFault::Quote)? & 0x1f,
        b'x' | b'u' | b'U' | b'0'..=b'7' => return number(letter, bytes, word),
        // What is no escape stands for itself.
        _ => {
            word.push(b'\\');
            letter
        }
    };
    word.push(plain);
    Ok(())
}

/// `\xNN` and `\NNN` put a byte, `\uNNNN` and `\UNNNNNNNN` the UTF-8 of a code point, surrogates too, as bash has it.
fn number(letter: u8, bytes: &mut Bytes<'_>, word: &mut Vec<u8>) -> Result<(), WordFault> {
    let (radix, digits_max) = match letter {
        b'x' => (16, 2),
        b'u' => (16, 4),
        b'U' => (16, 8),
        _ => (8, 2),
    };
    let mut digits: String = if radix == 8 { char::from(letter).to_string() } else { String::new() };
    for _ in 0..digits_max {
        digits.extend(bytes.next_if(|byte| char::from(**byte).is_digit(radix)).map(|byte| char::from(*byte)));
    }
    let written = || match radix {
        8 => format!("\\{digits}"),
        _ => format!("\\{}{digits}", char::from(letter)),
    };
    let code = u32::from_str_radix(&digits, radix).map_err(|_| WordFault::Escape(written()))?;
    let [.., second, last] = code.to_be_bytes();
    match letter {
        // Of an octal number over 255 bash takes the last eight bits.
        b'x' | b'0'..=b'7' if last == 0 => return Err(WordFault::Nul(written())),
        b'x' | b'0'..=b'7' => word.push(last),
        _ if code == 0 => return Err(WordFault::Nul(written())),
        _ => match char::from_u32(code) {
            Some(c) => word.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            None if code < 0x1_0000 => {
                word.extend([0xe0 | (second >> 4), 0x80 | (second & 0x0f) << 2 | last >> 6, 0x80 | (last & 0x3f)]);
            }
            None => return Err(WordFault::Escape(written())),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_bash() {
        let cases: &[(&str, &[&[u8]])] = &[
            ("a  b\tc\nd", &[b"a", b"b", b"c", b"d"]),
            ("'a b'\"c d\"e\\ f", &[b"a bc de f"]),
            ("'' \"\"", &[b"", b""]),
            (r"'a\n' 'b\'", &[br"a\n", br"b\"]),
            (r#""a\"b\\c\nd\$e""#, &[br#"a"b\c\nd$e"#]),
            (r"a\'b", &[b"a'b"]),
            ("a \\\n b \\\r\n c", &[b"a", b"b", b"c"]),
            ("a\\\nb \"c\\\nd\"", &[b"ab", b"cd"]),
            ("a\r\nb", &[b"a", b"b"]),
            (r"$'a\'b\\c\n\t\u0021\x41\101\u00e9\U0001F600'", &["a'b\\c\n\t!AA\u{e9}\u{1f600}".as_bytes()]),
            (r#"$'{"a":"it\'s"}'"#, &[br#"{"a":"it's"}"#]),
            ("a$'\\n'b", &[b"a\nb"]),
            (r"$'caf\xc3\xa9\303\251'", &["caféé".as_bytes()]),
            (r"$'\xff\377\xe9z\x4'", &[b"\xff\xff\xe9z\x04"]),
            (r"$'\ud83d\ude00'", &[b"\xed\xa0\xbd\xed\xb8\x80"]),
            (r"$'\q\cA\?'", &[b"\\q\x01?"]),
            ("a # comment\nb c#d", &[b"a", b"b", b"c#d"]),
            ("http://h/?a=1&b=2;c=$", &[b"http://h/?a=1&b=2;c=$"]),
            ("'$a `b` | c^\" > d'", &[b"$a `b` | c^\" > d"]),
            ("a^b ^c", &[b"a^b", b"^c"]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(split(line.as_bytes()).unwrap(), *expected, "{line}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        let expansion = |what: &str| WordFault::Expansion(what.to_owned());
        let nul = |what: &str| WordFault::Nul(what.to_owned());
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
            ("a|jq", WordFault::Operator('|')),
            ("a && b", WordFault::Operator('&')),
            ("'a'; b", WordFault::Operator(';')),
            ("a &", WordFault::Operator('&')),
            ("a >b", WordFault::Redirection('>')),
            ("a 2>/dev/null", WordFault::Redirection('>')),
            ("a 2>&1", WordFault::Redirection('>')),
            ("a <b", WordFault::Redirection('<')),
            (r"$'\u0000'", nul("\\u0000")),
            (r"$'\x00'", nul("\\x00")),
            (r"$'\400'", nul("\\400")),
            (r"$'\xg'", WordFault::Escape("\\x".to_owned())),
            (r"$'\UFFFFFFFF'", WordFault::Escape("\\UFFFFFFFF".to_owned())),
            ("curl ^\"http://h/^\" ^\n -H ^\"a: b^\"", WordFault::Cmd),
            ("curl \"http://h/\" ^\r\n -H \"a: b\"", WordFault::Cmd),
            ("curl.exe \"http://h/\" `\r\n -H \"a: b\"", WordFault::PowerShell),
        ] {
            assert_eq!(split(line.as_bytes()).unwrap_err(), expected, "{line}");
        }
    }
}
