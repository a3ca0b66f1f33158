//! A request as a line for curl, as browsers and runbooks have it.

use crate::explain::Parts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::{error::Error, vec};

/// Reads a body that is given as `@FILE`.
type Read<'a> = dyn Fn(&str) -> Result<Bytes, Box<dyn Error>> + 'a;

/// Flags that say how curl is to go about it, and nothing of the request.
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

/// A line that gives no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CurlFault {
    /// A quote is not closed.
    #[error("the line for curl has a quote that is not closed")]
    Quote,
    /// A flag that is not known here.
    #[error("the line for curl has `{0}`, which is not understood here: take it out, or give the request by --request")]
    Flag(String),
    /// A flag without its value.
    #[error("the line for curl has `{0}` without its value")]
    Value(String),
    /// A header that is none.
    #[error("the line for curl has the header `{0}`, which has no colon")]
    Header(String),
    /// No URL, or more than one.
    #[error("the line for curl has {0} URLs, where one request has one")]
    Urls(usize),
}

/// What was gathered so far.
#[derive(Default)]
struct Line {
    method: Option<String>,
    urls: Vec<String>,
    headers: Vec<(String, String)>,
    data: Vec<Bytes>,
    /// The media type that the kind of data stands for.
    media_type: Option<&'static str>,
    is_json: bool,
    is_query: bool,
    is_head: bool,
    is_http2: bool,
    is_compressed: bool,
}

/// The request of a line for curl. `read` reads `@FILE`.
pub(super) fn parse(line: &str, read: &Read<'_>) -> Result<Parts, Box<dyn Error>> {
    // A line that was pasted has its own line breaks behind backslashes, or lost the backslashes.
    let joined = line.replace("\\\r\n", " ").replace("\\\n", " ");
    let words = shlex::split(&joined).ok_or(CurlFault::Quote)?;
    let mut words = words.into_iter().peekable();
    if words.peek().is_some_and(|word| word == "curl" || word.ends_with("/curl")) {
        words.next();
    }
    let mut parsed = Line::default();
    let mut words = words.collect::<Vec<_>>().into_iter();
    while let Some(word) = words.next() {
        parsed.take(&word, &mut words, read)?;
    }
    Ok(parsed.finish()?)
}

impl Line {
    fn take(&mut self, word: &str, rest: &mut vec::IntoIter<String>, read: &Read<'_>) -> Result<(), Box<dyn Error>> {
        if !word.starts_with('-') || word == "-" {
            self.urls.push(word.to_owned());
            return Ok(());
        }
        let (flag, attached) = split(word);
        if IGNORED.contains(&flag.as_str()) {
            // `-sSL` is three of them.
            return attached.map_or(Ok(()), |more| self.take(&format!("-{more}"), rest, read));
        }
        if self.switch(&flag) {
            return attached.map_or(Ok(()), |more| self.take(&format!("-{more}"), rest, read));
        }
        let mut value = || attached.clone().or_else(|| rest.next()).ok_or_else(|| CurlFault::Value(flag.clone()));
        if IGNORED_WITH_VALUE.contains(&flag.as_str()) {
            value()?;
            return Ok(());
        }
        match flag.as_str() {
            "-X" | "--request" => self.method = Some(value()?),
            "--url" => self.urls.push(value()?),
            "-H" | "--header" => {
                let line = value()?;
                let (name, value) = line.split_once([':', ';']).ok_or_else(|| CurlFault::Header(line.clone()))?;
                self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            "-d" | "--data" | "--data-ascii" => self.add(&value()?, Kind::Text, read)?,
            "--data-binary" => self.add(&value()?, Kind::Binary, read)?,
            "--data-raw" => self.add(&value()?, Kind::Raw, read)?,
            "--json" => {
                self.is_json = true;
                self.add(&value()?, Kind::Binary, read)?;
            }
            "-u" | "--user" => self.header("authorization", format!("Basic {}", STANDARD.encode(value()?))),
            "-b" | "--cookie" => self.header("cookie", value()?),
            "-A" | "--user-agent" => self.header("user-agent", value()?),
            "-e" | "--referer" => self.header("referer", value()?),
            "--oauth2-bearer" => self.header("authorization", format!("Bearer {}", value()?)),
            _ => return Err(CurlFault::Flag(flag).into()),
        }
        Ok(())
    }

    fn switch(&mut self, flag: &str) -> bool {
        match flag {
            "-I" | "--head" => self.is_head = true,
            "-G" | "--get" => self.is_query = true,
            "--http2" | "--http2-prior-knowledge" => self.is_http2 = true,
            "--compressed" => self.is_compressed = true,
            _ => return false,
        }
        true
    }

    fn header(&mut self, name: &str, value: String) {
        self.headers.push((name.to_owned(), value));
    }

    fn add(&mut self, given: &str, kind: Kind, read: &Read<'_>) -> Result<(), Box<dyn Error>> {
        let mut data = match given.strip_prefix('@').filter(|_| kind != Kind::Raw) {
            Some("-") => read("-")?,
            Some(_) => read(given)?,
            None => Bytes::copy_from_slice(given.as_bytes()),
        };
        if kind == Kind::Text && given.starts_with('@') {
            // As curl does it: a file that is sent as a form has no line breaks.
            data = data.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        }
        self.media_type.get_or_insert("application/x-www-form-urlencoded");
        self.data.push(data);
        Ok(())
    }

    fn finish(mut self) -> Result<Parts, CurlFault> {
        let [url] = self.urls.as_slice() else { return Err(CurlFault::Urls(self.urls.len())) };
        let mut target = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        if let Some((before, _)) = target.split_once('#') {
            target = before.to_owned();
        }
        let separator: &[u8] = if self.is_json { b"" } else { b"&" };
        let mut body = Bytes::from(self.data.join(separator));
        if self.is_query && !body.is_empty() {
            let joint = if target.contains('?') { '&' } else { '?' };
            target = format!("{target}{joint}{}", String::from_utf8_lossy(&body));
            body = Bytes::new();
            self.media_type = None;
        }
        let method = match (self.is_head, self.media_type.is_some()) {
            (true, _) => "HEAD",
            (false, true) => "POST",
            (false, false) => "GET",
        };
        let defaults = [
            ("accept", Some(if self.is_json { "application/json" } else { "*/*" })),
            ("content-type", if self.is_json { Some("application/json") } else { self.media_type }),
            ("accept-encoding", self.is_compressed.then_some("deflate, gzip, br, zstd")),
        ];
        for (name, value) in defaults {
            let is_given = self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
            if let Some(value) = value.filter(|_| !is_given) {
                self.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        // `-H 'Accept:'` takes a header of curl's own away.
        self.headers.retain(|(_, value)| !value.is_empty());
        Ok(Parts {
            method: self.method.unwrap_or_else(|| method.to_owned()),
            target,
            host: None,
            headers: self.headers,
            body,
            is_http2: self.is_http2,
        })
    }
}

/// How a body is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    Raw,
}

/// A flag, and what hangs on it: `-XPOST`, `--url=…`.
fn split(word: &str) -> (String, Option<String>) {
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

#[cfg(test)]
mod tests;
