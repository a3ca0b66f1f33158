//! A request as a line for curl, as browsers and runbooks have it.

mod data;
mod flags;
mod opening;
#[cfg(test)]
mod tests;
mod url;
mod words;

use crate::explain::Parts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use data::Kind;
use std::{error::Error, vec};
use url::UrlFault;
use words::WordFault;

/// What curl calls itself; which version will run is not known.
const USER_AGENT: &str = "curl/8.5.0";
/// What a browser's or runbook's line has at most.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads a file that the line names behind `@`; `-` is standard input.
type Read<'a> = dyn Fn(&[u8]) -> Result<Bytes, Box<dyn Error>> + 'a;

/// A line that gives no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CurlFault {
    /// It is a line for another program.
    #[error("{0}")]
    Opening(#[from] opening::OpeningFault),
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
    /// Two flags that curl does not take together.
    #[error(
        "the line for curl asks for HEAD with -I and for POST with data, which curl refuses: add -G or leave one out"
    )]
    TwoMethods,
    /// A header that is none.
    #[error("the line for curl has the header `{0}`, which has no colon")]
    Header(String),
    /// Headers in a file.
    #[error("the line for curl has its headers in a file, `{0}`: write them out")]
    HeaderFile(String),
    /// Cookies in a file.
    #[error("the line for curl has its cookies in a file, `{0}`: write them out, as `name=value`")]
    CookieFile(String),
    /// What must be text and is none.
    #[error("the value of `{0}` in the line for curl is not UTF-8")]
    NotText(String),
    /// A password that curl asks for.
    #[error("the line for curl has `{0}` without a password, for which curl asks: write `name:password`")]
    NoPassword(String),
    /// No URL, or more than one.
    #[error("the line for curl has {0} URLs, where one request has one")]
    Urls(usize),
    /// A URL that curl does not send.
    #[error("the line for curl has {0}")]
    Url(#[from] UrlFault),
}

/// The request of a line for curl.
#[derive(Debug)]
pub(super) struct Line {
    /// The request.
    pub(super) parts: Parts,
    /// The port that it goes to.
    pub(super) port: u16,
}

/// How HTTP/2 is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Http2 {
    /// In the handshake of TLS. Without TLS it is an offer to upgrade, which the gateway does not take up.
    Offered,
    /// From the first byte.
    PriorKnowledge,
}

/// What was gathered so far.
#[derive(Default)]
struct Gathered {
    method: Option<String>,
    urls: Vec<String>,
    /// Those without a value are taken away.
    headers: Vec<(String, Option<String>)>,
    cookies: Vec<String>,
    user: Option<String>,
    bearer: Option<String>,
    user_agent: Option<String>,
    referer: Option<String>,
    /// What is posted, where anything is, be it empty.
    data: Option<Vec<u8>>,
    query: Vec<String>,
    request_target: Option<String>,
    is_json: bool,
    is_query: bool,
    is_head: bool,
    http2: Option<Http2>,
    is_compressed: bool,
    is_path_as_is: bool,
    is_glob_off: bool,
    /// All words are URLs from here on.
    has_flags_behind: bool,
}

/// The request of a line for curl. `read` reads `@FILE`.
pub(super) fn parse(line: &[u8], read: &Read<'_>) -> Result<Line, Box<dyn Error>> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    opening::check(line).map_err(CurlFault::Opening)?;
    let mut words = words::split(line).map_err(CurlFault::Words)?.into_iter();
    let name = words.next().unwrap_or_default();
    if !opening::is_curl(&name) {
        return Err(CurlFault::Opening(opening::other(&name)).into());
    }
    let mut gathered = Gathered::default();
    while let Some(word) = words.next() {
        gathered.take(word, &mut words, read)?;
    }
    Ok(gathered.finish()?)
}

impl Gathered {
    fn take(
        &mut self,
        word: Vec<u8>,
        rest: &mut vec::IntoIter<Vec<u8>>,
        read: &Read<'_>,
    ) -> Result<(), Box<dyn Error>> {
        if !word.starts_with(b"-") || word == b"-" || self.has_flags_behind {
            self.urls.push(text("URL", word)?);
            return Ok(());
        }
        let (flag, attached) = flags::split(&word);
        if flags::is_ignored(&flag) || self.switch(&flag) {
            // `-sSL` is three of them.
            return attached.map_or(Ok(()), |more| self.take([b"-", more.as_slice()].concat(), rest, read));
        }
        if let Some(why) = flags::why_not(&flag) {
            return Err(CurlFault::Unfollowed(flag, why).into());
        }
        if flags::is_ignored_with_value(&flag) {
            attached.or_else(|| rest.next()).ok_or(CurlFault::Value(flag))?;
            return Ok(());
        }
        if !flags::HAVE_VALUES.contains(&flag.as_str()) {
            return Err(CurlFault::Flag(flag).into());
        }
        let value = attached.or_else(|| rest.next()).ok_or_else(|| CurlFault::Value(flag.clone()))?;
        self.take_value(&flag, value, read)
    }

    fn take_value(&mut self, flag: &str, value: Vec<u8>, read: &Read<'_>) -> Result<(), Box<dyn Error>> {
        let as_text = |value: Vec<u8>| text(flag, value);
        match flag {
            "-d" | "--data" | "--data-ascii" => self.post(&data::data(value, Kind::Text, read)?, b"&"),
            "--data-binary" => self.post(&data::data(value, Kind::Binary, read)?, b"&"),
            "--data-raw" => self.post(&data::data(value, Kind::Raw, read)?, b"&"),
            "--data-urlencode" => self.post(&data::escaped(&value, read)?, b"&"),
            "--json" => {
                self.is_json = true;
                self.post(&data::data(value, Kind::Binary, read)?, b"");
            }
            "--url-query" => self.query.push(as_text(data::query(&value, read)?.into())?),
            "-X" | "--request" => self.method = Some(as_text(value)?),
            "--url" => self.urls.push(as_text(value)?),
            "--request-target" => self.request_target = Some(as_text(value)?),
            "-H" | "--header" => self.headers.push(data::header(as_text(value)?)?),
            "-u" | "--user" => match as_text(value)? {
                user if user.contains(':') => self.user = Some(user),
                _ => return Err(CurlFault::NoPassword(flag.to_owned()).into()),
            },
            "--oauth2-bearer" => self.bearer = Some(as_text(value)?),
            "-b" | "--cookie" => match as_text(value)? {
                cookies if cookies.contains('=') => self.cookies.push(cookies),
                // No file at all.
                file if file.is_empty() => {}
                file => return Err(CurlFault::CookieFile(file).into()),
            },
            "-A" | "--user-agent" => self.user_agent = Some(as_text(value)?),
            // `;auto` speaks of redirects.
            _ => self.referer = Some(as_text(value)?.trim_end_matches(";auto").to_owned()),
        }
        Ok(())
    }

    fn switch(&mut self, flag: &str) -> bool {
        match flag {
            "-I" | "--head" => self.is_head = true,
            "-G" | "--get" => self.is_query = true,
            "--http2" => self.http2 = Some(Http2::Offered),
            "--http2-prior-knowledge" => self.http2 = Some(Http2::PriorKnowledge),
            "--http1.1" => self.http2 = None,
            "--compressed" => self.is_compressed = true,
            "--no-compressed" => self.is_compressed = false,
            "--path-as-is" => self.is_path_as_is = true,
            "-g" | "--globoff" => self.is_glob_off = true,
            "--" => self.has_flags_behind = true,
            _ => return false,
        }
        true
    }

    /// Adds to what is posted.
    fn post(&mut self, more: &[u8], joint: &[u8]) {
        match &mut self.data {
            Some(data) => data.extend([joint, more].concat()),
            none => *none = Some(more.to_owned()),
        }
    }

    fn finish(mut self) -> Result<Line, CurlFault> {
        let [url] = self.urls.as_slice() else { return Err(CurlFault::Urls(self.urls.len())) };
        let mut url = url::parse(url, self.is_path_as_is, self.is_glob_off)?;
        let mut data = self.data.take();
        if self.is_query {
            // curl has one of the two.
            if let Some(data) = data.take().filter(|data| !data.is_empty()) {
                self.query = vec![text("-G", data)?];
            }
        }
        self.query.iter().filter(|more| !more.is_empty()).for_each(|more| url.append(more));
        let method = match (self.is_head, &data) {
            (true, Some(_)) => return Err(CurlFault::TwoMethods),
            (true, None) => "HEAD",
            (false, Some(_)) => "POST",
            (false, None) => "GET",
        };
        self.add_defaults(&url, data.as_deref());
        let has_host = self.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("host") && value.is_some());
        // One that is taken away leaves the request without.
        let host = if has_host { None } else { Some(String::new()) };
        let parts = Parts {
            method: self.method.unwrap_or_else(|| method.to_owned()),
            target: self.request_target.unwrap_or_else(|| url.target()),
            host,
            headers: self.headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            body: data.map(Bytes::from).unwrap_or_default(),
            is_http2: self.http2.is_some_and(|how| url.is_https || how == Http2::PriorKnowledge),
        };
        Ok(Line { parts, port: url.port })
    }

    /// Adds the headers that curl sends of itself, each unless it was given or taken away.
    fn add_defaults(&mut self, url: &url::Url, data: Option<&[u8]>) {
        let form = data.map(|_| "application/x-www-form-urlencoded".to_owned());
        let json = || Some("application/json".to_owned());
        let is_chunked = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        let basic = self.user.take().or_else(|| url.userinfo.clone());
        let basic = basic.map(|user| format!("Basic {}", STANDARD.encode(user)));
        let not_empty = |value: &String| !value.is_empty();
        let defaults = [
            ("host", Some(url.authority.clone())),
            ("authorization", self.bearer.take().map(|bearer| format!("Bearer {bearer}")).or(basic)),
            ("user-agent", Some(self.user_agent.take().unwrap_or_else(|| USER_AGENT.to_owned())).filter(not_empty)),
            ("accept", if self.is_json { json() } else { Some("*/*".to_owned()) }),
            ("accept-encoding", self.is_compressed.then(|| "deflate, gzip, br, zstd".to_owned())),
            ("referer", self.referer.take().filter(not_empty)),
            ("cookie", Some(self.cookies.join(";")).filter(not_empty)),
            ("content-type", if self.is_json { json() } else { form }),
            ("content-length", data.filter(|_| !is_chunked).map(|data| data.len().to_string())),
        ];
        let mut hosts = 0;
        // Of several hosts curl sends the first.
        self.headers.retain(|(name, _)| {
            hosts += usize::from(name.eq_ignore_ascii_case("host"));
            !name.eq_ignore_ascii_case("host") || hosts == 1
        });
        for (name, value) in defaults {
            let is_given = self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
            if let Some(value) = value.filter(|_| !is_given) {
                self.headers.push((name.to_owned(), Some(value)));
            }
        }
    }
}

fn text(of: &str, value: Vec<u8>) -> Result<String, CurlFault> {
    String::from_utf8(value).map_err(|_| CurlFault::NotText(of.to_owned()))
}
