//! A request as a line for curl, as browsers and runbooks have it.

mod data;
mod flags;
#[cfg(test)]
mod tests;
mod words;

use crate::explain::Parts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use data::Kind;
use std::{error::Error, vec};
use words::WordFault;

/// Reads a body that is given as `@FILE`.
type Read<'a> = dyn Fn(&str) -> Result<Bytes, Box<dyn Error>> + 'a;

/// A line that gives no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CurlFault {
    /// It has no words.
    #[error("the line for curl {0}")]
    Words(#[from] WordFault),
    /// A flag that is not known here.
    #[error("the line for curl has `{0}`, which is not understood here: take it out, or give the request by --request")]
    Flag(String),
    /// A flag that is known, and cannot be followed here.
    #[error("the line for curl has `{0}`, {1}: that is not read here, give the request by --request")]
    Unfollowed(String, &'static str),
    /// A flag without its value.
    #[error("the line for curl has `{0}` without its value")]
    Value(String),
    /// A header that is none.
    #[error("the line for curl has the header `{0}`, which has no colon")]
    Header(String),
    /// Headers in a file.
    #[error("the line for curl has its headers in a file, `{0}`: write them out")]
    HeaderFile(String),
    /// Cookies in a file.
    #[error("the line for curl has its cookies in a file, `{0}`: write them out, as `name=value`")]
    CookieFile(String),
    /// No URL, or more than one.
    #[error("the line for curl has {0} URLs, where one request has one")]
    Urls(usize),
}

/// What was gathered so far.
#[derive(Default)]
struct Gathered {
    method: Option<String>,
    urls: Vec<String>,
    /// Those without a value are taken away.
    headers: Vec<(String, Option<String>)>,
    data: Vec<Bytes>,
    query: Vec<String>,
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
    let mut words = words::split(line).map_err(CurlFault::Words)?;
    if words.first().is_some_and(|word| word == "curl" || word.ends_with("/curl") || word == "curl.exe") {
        words.remove(0);
    }
    let mut gathered = Gathered::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        gathered.take(&word, &mut words, read)?;
    }
    Ok(gathered.finish()?)
}

impl Gathered {
    fn take(&mut self, word: &str, rest: &mut vec::IntoIter<String>, read: &Read<'_>) -> Result<(), Box<dyn Error>> {
        if !word.starts_with('-') || word == "-" {
            self.urls.push(word.to_owned());
            return Ok(());
        }
        let (flag, attached) = flags::split(word);
        if flags::is_ignored(&flag) || self.switch(&flag) {
            // `-sSL` is three of them.
            return attached.map_or(Ok(()), |more| self.take(&format!("-{more}"), rest, read));
        }
        if let Some(why) = flags::why_not(&flag) {
            return Err(CurlFault::Unfollowed(flag, why).into());
        }
        let value = || attached.or_else(|| rest.next()).ok_or_else(|| CurlFault::Value(flag.clone()));
        if flags::is_ignored_with_value(&flag) {
            value()?;
            return Ok(());
        }
        match flag.as_str() {
            "-X" | "--request" => self.method = Some(value()?),
            "--url" => self.urls.push(value()?),
            "-H" | "--header" => self.headers.push(data::header(value()?)?),
            "-d" | "--data" | "--data-ascii" => self.form(data::data(&value()?, Kind::Text, read)?),
            "--data-binary" => self.form(data::data(&value()?, Kind::Binary, read)?),
            "--data-raw" => self.form(data::data(&value()?, Kind::Raw, read)?),
            "--data-urlencode" => self.form(data::escaped(&value()?, read)?),
            "--url-query" => self.query.push(data::query(&value()?, read)?),
            "--json" => {
                self.is_json = true;
                self.form(data::data(&value()?, Kind::Binary, read)?);
            }
            "-u" | "--user" => self.header("authorization", format!("Basic {}", STANDARD.encode(value()?))),
            "-b" | "--cookie" => match value()? {
                cookies if cookies.contains('=') => self.header("cookie", cookies),
                file => return Err(CurlFault::CookieFile(file).into()),
            },
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
        self.headers.push((name.to_owned(), Some(value)));
    }

    fn form(&mut self, data: Bytes) {
        self.media_type.get_or_insert("application/x-www-form-urlencoded");
        self.data.push(data);
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
            self.query.push(String::from_utf8_lossy(&body).into_owned());
            body = Bytes::new();
            self.media_type = None;
        }
        for more in &self.query {
            let joint = if target.contains('?') { '&' } else { '?' };
            target = format!("{target}{joint}{more}");
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
                self.header(name, value.to_owned());
            }
        }
        Ok(Parts {
            method: self.method.unwrap_or_else(|| method.to_owned()),
            target,
            host: None,
            headers: self.headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            body,
            is_http2: self.is_http2,
        })
    }
}
