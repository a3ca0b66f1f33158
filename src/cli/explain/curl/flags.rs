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
    "--basic",
    "-q",
    "--disable",
    "--raw",
    "--no-progress-meter",
    "--tcp-fastopen",
    "--compressed-ssh",
    "--ssl-no-revoke",
    "--proxy-insecure",
    "--location-trusted",
    "--no-sessionid",
    "--no-alpn",
    "--no-npn",
    "-J",
    "--remote-header-name",
    "--create-dirs",
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
    "--cert-type",
    "--key-type",
    "--pass",
    "--ciphers",
    "--tls-max",
    "--noproxy",
    "--stderr",
    "--trace",
    "--trace-ascii",
    "--max-redirs",
    "--keepalive-time",
    "--output-dir",
    "--pinnedpubkey",
    "--dns-servers",
    "-y",
    "--speed-time",
    "-Y",
    "--speed-limit",
];

/// Those that say something of the request, with a value.
pub(super) const HAVE_VALUES: &[&str] = &[
    "-d",
    "--data",
    "--data-ascii",
    "--data-binary",
    "--data-raw",
    "--data-urlencode",
    "--json",
    "--url-query",
    "-X",
    "--request",
    "--url",
    "--request-target",
    "-H",
    "--header",
    "-u",
    "--user",
    "--oauth2-bearer",
    "-b",
    "--cookie",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
];

/// Whether it stands for itself and says nothing of the request, `--no-…` of one that does not too.
pub(super) fn is_ignored(flag: &str) -> bool {
    let is_known = |flag: &str| IGNORED.contains(&flag);
    is_known(flag) || flag.strip_prefix("--no-").is_some_and(|flag| is_known(&format!("--{flag}")))
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

/// A short flag, and what hangs on it: `-XPOST`. Of a long flag the value is the next word.
pub(super) fn split(word: &[u8]) -> (String, Option<Vec<u8>>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match word.split_at_checked(2) {
        Some((flag, attached)) if flag != b"--" && !attached.is_empty() => (text(flag), Some(attached.to_owned())),
        _ => (text(word), None),
    }
}
