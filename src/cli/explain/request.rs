//! The request that is explained, out of the command line.

use super::{
    super::call::{file, payload},
    curl,
};
use crate::{
    config::Loaded,
    explain::{Command, Given, Parts, Request, Signer, with_crlf},
};
use std::{
    error::Error,
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr},
    os::unix::ffi::OsStrExt as _,
};

/// An address of nobody (RFC 5737): what no network of a configuration trusts.
const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The device session of commands that are made up.
const SESSION: &str = "explained";

/// The request, in one of four ways.
#[derive(Debug, clap::Args)]
pub(super) struct RequestArgs {
    /// A file that holds the request as it is on the wire; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["curl", "command", "method", "header", "data", "http2"])]
    request: Option<String>,
    /// The lines of that file end in LF, as an editor writes them, and stand for lines that end in CR LF
    #[arg(long, requires = "request")]
    crlf: bool,
    /// The request as a line for curl; @FILE has it in a file, - is standard input: a line full of quotes is pasted there
    #[arg(long, value_name = "LINE", allow_hyphen_values = true,
          conflicts_with_all = ["command", "method", "header", "data", "http2"])]
    curl: Option<String>,
    /// A command of a device that is made up: its message_type
    #[arg(long, value_name = "TYPE")]
    command: Option<String>,
    /// The listener that it comes to; else the one of the URL's port, or the only one
    #[arg(long)]
    listener: Option<String>,
    /// The method; GET, or POST where there is a body
    #[arg(short = 'X', long)]
    method: Option<String>,
    /// A header, as `name: value`
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// The body, or the payload of a command: text, @FILE, or - for standard input
    #[arg(short = 'd', long, value_name = "BODY")]
    data: Option<String>,
    /// The address that it comes from
    #[arg(long, value_name = "IP", default_value_t = SOMEBODY)]
    from: IpAddr,
    /// It comes over HTTP/2
    #[arg(long)]
    http2: bool,
}

impl RequestArgs {
    /// The request, and the answer to the lookup of its session where that is made up.
    /// `target` is its path or URL, where that is how it is given.
    pub(super) fn read(
        &self,
        target: Option<&str>,
        loaded: &Loaded,
        at_ms: i64,
    ) -> Result<(Request, Option<Given>), Box<dyn Error>> {
        if let Some(message_type) = &self.command {
            return self.command(message_type, loaded, at_ms);
        }
        if let Some(file) = &self.request {
            let from = if file == "-" { "-".to_owned() } else { format!("@{file}") };
            let bytes = payload(&from)?;
            let wire = if self.crlf { with_crlf(&bytes) } else { bytes };
            return Ok((Request::raw(&self.listener(loaded, None)?, self.from, wire)?, None));
        }
        let (parts, port) = match &self.curl {
            Some(given) => {
                let curl::Line { parts, port } = curl_line(given)?;
                (parts, Some(port))
            }
            None => {
                let parts = self.parts(target.ok_or("give a PATH, --request, --curl, --command or --id")?)?;
                let port = port(&parts.target);
                (parts, port)
            }
        };
        let listener = self.listener(loaded, port)?;
        Ok((Request::new(&listener, self.from, parts)?, None))
    }

    /// Whether the request is told by something else than its path or URL.
    pub(super) fn is_told_otherwise(&self) -> bool {
        self.request.is_some() || self.curl.is_some() || self.command.is_some()
    }

    /// Whether any of it comes over standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        [&self.request, &self.curl, &self.data].into_iter().any(|given| given.as_deref() == Some("-"))
    }

    fn parts(&self, target: &str) -> Result<Parts, Box<dyn Error>> {
        let body = self.data.as_deref().map(payload).transpose()?;
        let method = if body.is_some() { "POST" } else { "GET" };
        Ok(Parts {
            method: self.method.clone().unwrap_or_else(|| method.to_owned()),
            target: target.to_owned(),
            host: None,
            headers: self.headers()?,
            body: body.unwrap_or_default(),
            is_http2: self.http2,
        })
    }

    fn headers(&self) -> Result<Vec<(String, String)>, Box<dyn Error>> {
        let pair = |line: &String| {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("`{line}` is no header: write `name: value`"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        self.header.iter().map(pair).collect()
    }

    fn command(
        &self,
        message_type: &str,
        loaded: &Loaded,
        at_ms: i64,
    ) -> Result<(Request, Option<Given>), Box<dyn Error>> {
        let signer = Signer::new(loaded.config.signing.as_ref());
        let command = Command {
            session: SESSION.to_owned(),
            message_type: message_type.to_owned(),
            payload: self.data.as_deref().map(payload).transpose()?.unwrap_or_default(),
            request_id: "explained-1".to_owned(),
            timestamp_ms: at_ms,
            headers: self.headers()?,
            is_forged: false,
        };
        let listener = match self.listener.as_deref().or_else(|| loaded.config.command_listener()) {
            Some(listener) => listener.to_owned(),
            None => self.listener(loaded, None)?,
        };
        let request = signer.request(&listener, self.from, &command)?;
        Ok((request, Some(signer.session(SESSION, "somebody", "active"))))
    }

    fn listener(&self, loaded: &Loaded, port: Option<u16>) -> Result<String, String> {
        let listeners = || loaded.config.listeners.iter().filter(|(_, listener)| !listener.admin);
        let names: Vec<&str> = listeners().map(|(name, _)| name.as_str()).collect();
        if let Some(name) = &self.listener {
            return match loaded.config.listeners.contains_key(name) {
                true => Ok(name.clone()),
                false => Err(format!("there is no listener `{name}`; there are {}", names.join(", "))),
            };
        }
        let of_port = port.and_then(|port| listeners().find(|(_, listener)| listener.bind.port() == port));
        match (of_port, names.as_slice()) {
            (Some((name, _)), _) => Ok(name.clone()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, _) => Err(format!("say which listener it comes to, with --listener: {}", names.join(", "))),
        }
    }
}

/// The request of a line for curl, which is given as `payload` takes it.
fn curl_line(given: &str) -> Result<curl::Line, Box<dyn Error>> {
    let line = payload(given)?;
    if line.len() > curl::LINE_BYTES_MAX {
        return Err("no line for curl is over 1 MiB".into());
    }
    curl::parse(&line, &|named| match named {
        b"-" if given == "-" => Err("the line for curl comes over standard input, and so cannot its data".into()),
        b"-" => payload("-"),
        named => file(OsStr::from_bytes(named)),
    })
}

/// The port that a URL names.
fn port(target: &str) -> Option<u16> {
    let (_, rest) = target.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}
