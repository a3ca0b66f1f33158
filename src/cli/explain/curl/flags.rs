//! Arguments of curl that say nothing of the request.

/// How curl is to go about it.
const IGNORED: &[&str] = &[
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-k",
    "--insecure",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--fail-with-body",
    "-N",
    "--no-buffer",
    "-g",
    "--globoff",
    "--path-as-is",
    "--http1.1",
    "-#",
    "--progress-bar",
    "--tlsv1.2",
    "--tlsv1.3",
    "--tcp-nodelay",
    "-4",
    "--ipv4",
    "-6",
    "--ipv6",
    "--no-keepalive",
    "-O",
    "--remote-name",
];
/// The same, with a value.
const IGNORED_WITH_VALUE: &[&str] = &[
    "-m",
    "--max-time",
    "--connect-timeout",
    "-o",
    "--output",
    "-w",
    "--write-out",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "--cacert",
    "--capath",
    "-E",
    "--cert",
    "--key",
    "--resolve",
    "--connect-to",
    "-c",
    "--cookie-jar",
    "-x",
    "--proxy",
    "-D",
    "--dump-header",
    "--limit-rate",
    "--interface",
];

/// Whether it stands for itself and says nothing of the request.
pub(super) fn is_ignored(flag: &str) -> bool {
    IGNORED.contains(&flag)
}

/// Whether neither it nor its value says anything of the request.
pub(super) fn is_ignored_with_value(flag: &str) -> bool {
    IGNORED_WITH_VALUE.contains(&flag)
}

/// Why a flag is not understood here that many lines have.
pub(super) fn why_not(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "-F" | "--form" | "--form-string" => "a form in parts, whose boundary curl makes up anew each time",
        "-T" | "--upload-file" => "an upload, whose path depends on the file's name",
        "-K" | "--config" => "a file with more arguments",
        "-:" | "--next" => "another request",
        "-0" | "--http1.0" => "HTTP/1.0",
        "--http3" | "--http3-only" => "HTTP/3, which the gateway does not speak",
        "-n" | "--netrc" | "--netrc-file" => "a file with passwords",
        "--digest" | "--ntlm" | "--negotiate" | "--anyauth" => "a log-in that takes more than one request",
        "-r" | "--range" | "-C" | "--continue-at" => "a part of the answer: write -H 'Range: …'",
        _ => return None,
    })
}

/// A flag, and what hangs on it: `-XPOST`. Of a long flag its value stands behind it.
pub(super) fn split(word: &str) -> (String, Option<String>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word.to_owned(), None),
        };
    }
    let mut chars = word.chars();
    let flag: String = chars.by_ref().take(2).collect();
    let attached: String = chars.collect();
    (flag, Some(attached).filter(|attached| !attached.is_empty()))
}
