//! How a line for curl begins, and what others that are pasted in its place begin with.

/// A line that is not for curl.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum OpeningFault {
    /// Nothing.
    #[error("there is no line for curl: give one, a file of it as `@FILE`, or `-` for standard input")]
    Empty,
    /// What a shell writes itself.
    #[error("the line for curl begins with `{0}`, which is a shell's prompt: leave that out")]
    Prompt(String),
    /// What browsers copy as fetch.
    #[error("the line is JavaScript, which browsers copy as fetch: choose `Copy as cURL`")]
    JavaScript,
    /// What browsers copy for Windows.
    #[error("the line is written for PowerShell: choose `Copy as cURL (bash)`")]
    PowerShell,
    /// Anything else.
    #[error(
        "the line begins with `{0}`, not with `curl`: --curl takes a whole line for curl, `@FILE` or `-`; a URL goes in without a flag"
    )]
    Other(String),
}

/// What begins lines of other languages: these have no words of a shell.
const OTHERS: &[(&str, OpeningFault)] = &[
    ("fetch(", OpeningFault::JavaScript),
    ("await ", OpeningFault::JavaScript),
    ("const ", OpeningFault::JavaScript),
    ("$session", OpeningFault::PowerShell),
    ("Invoke-", OpeningFault::PowerShell),
    ("iwr ", OpeningFault::PowerShell),
    ("irm ", OpeningFault::PowerShell),
];

/// Refuses a line whose beginning says that it is for something else.
pub(super) fn check(line: &[u8]) -> Result<(), OpeningFault> {
    let opening = line.trim_ascii_start();
    if opening.is_empty() {
        return Err(OpeningFault::Empty);
    }
    if let Some((_, fault)) = OTHERS.iter().find(|(begin, _)| opening.starts_with(begin.as_bytes())) {
        return Err(fault.clone());
    }
    let first = opening.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    // `user@host:~$ curl …`, `PS C:\> curl …`.
    let is_prompt = matches!(first, b"PS") || first.last().is_some_and(|last| b"$#%>".contains(last));
    let has_more = opening.len() > first.len();
    if is_prompt && has_more { Err(OpeningFault::Prompt(shown(first))) } else { Ok(()) }
}

/// Whether a word is curl's name.
pub(super) fn is_curl(word: &[u8]) -> bool {
    let name = word.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
    matches!(name, b"curl" | b"curl.exe")
}

/// That a line begins with this word.
pub(super) fn other(word: &[u8]) -> OpeningFault {
    OpeningFault::Other(shown(word))
}

fn shown(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    text.chars().take(40).collect()
}
