//! What a configuration needs beside itself to work: listeners that let its bodies in, folders, certificates that hold.

use super::{
    super::{
        nearest::quoted,
        placed::Placed,
        source::{AccessLogTarget, Route},
        tree::join,
    },
    Checks,
};
use chrono::{DateTime, SecondsFormat};
use filters::{cors, table::FilterConfig};
use rustls::pki_types::CertificateDer;
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};
use x509_parser::parse_x509_certificate;

/// Who renews certificates by hand is told so many seconds ahead of their end.
const SOON: i64 = 7 * 86_400;
/// What pages that call by Connect or gRPC-Web send, beside what every page may (Fetch standard, CORS-safelisted headers).
const RPC_HEADERS: &[&str] =
    &["content-type", "connect-protocol-version", "connect-timeout-ms", "x-grpc-web", "grpc-timeout", "x-user-agent"];
/// What pages that call by gRPC-Web read.
const RPC_EXPOSED: &[&str] = &["grpc-status", "grpc-message", "grpc-status-details-bin"];

impl Checks<'_> {
    /// Warns of filters of a route that do less than they seem to.
    pub(super) fn effect(&mut self, index: usize, route: &Route, placed: &[Placed<'_>]) {
        for placed in placed {
            let pointer = placed.pointer(index);
            match placed.filter {
                FilterConfig::body(body) => self.body_limit(&format!("{pointer}/body/max"), route, body.max),
                FilterConfig::cors(cors) if route.rpc.is_some() || route.commands.is_some() => {
                    self.browsers(&format!("{pointer}/cors"), route, cors);
                }
                _ => {}
            }
        }
    }

    /// A listener refuses a body ahead of any filter.
    fn body_limit(&mut self, pointer: &str, route: &Route, max: filters::api::units::Size) {
        let config = self.config;
        let reached = config.listeners.iter().filter(|(name, listener)| match &route.r#match.listener {
            Some(only) => only == *name,
            None => !listener.admin,
        });
        // A route may come to several, and one that lets them in is enough.
        let Some((name, listener)) = reached.max_by_key(|(_, listener)| listener.limits.body) else { return };
        if listener.limits.body < max {
            let limit = format!("{}/limits/body", join("/listeners", name));
            let least = match self.is_from_outside(&limit) {
                true => String::new(),
                false => format!(": {}", listener.limits.body),
            };
            let what = format!(
                "no body of «{max}» comes as far as this: the listener `{name}` has a lower `limits.body`{least}"
            );
            self.warning(pointer, what, format!("raise `limits.body` of the listener `{name}`, or lower this"));
        }
    }

    /// What pages need for calls of this route, and may not send or read.
    fn browsers(&mut self, pointer: &str, route: &Route, cors: &cors::Config) {
        let lacking = |allowed: &[String], needed: &'static [&str]| -> Vec<&'static str> {
            let is_any = !cors.credentials && allowed.iter().any(|name| name == "*");
            let is_there = |name: &&str| is_any || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
            needed.iter().filter(|name| !is_there(name)).copied().collect()
        };
        for (list, does, lacking) in [
            ("headers", "send", lacking(&cors.headers, RPC_HEADERS)),
            ("expose", "read", lacking(&cors.expose, RPC_EXPOSED)),
        ] {
            if !lacking.is_empty() {
                let what = format!(
                    "pages that call the route `{}` by Connect or gRPC-Web {does} {}, which is not allowed here",
                    route.name,
                    quoted(&lacking)
                );
                let remedy = format!("add {}, or leave `{list}` out: the default has them", lacking.join(", "));
                self.warning(format_args!("{pointer}/{list}"), what, remedy);
            }
        }
    }

    /// The folder of the access log, which is not made.
    pub(super) fn access_log(&mut self) {
        let AccessLogTarget::File(path) = &self.config.observe.access_log.to else { return };
        let path = self.outside.base_dir.join(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if self.outside.has_secrets && !folder.is_dir() {
            let what = format!("there is no folder for the access log «{}»", path.display());
            self.error("/observe/access_log/to/file", what, format!("make it: «mkdir -p {}»", folder.display()));
        }
    }

    /// Warns of certificates that clients will not take, now or soon.
    pub(super) fn validity(&mut self, pointer: &str, path: &Path, chain: &[CertificateDer<'_>]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        for certificate in chain {
            let Ok((_, certificate)) = parse_x509_certificate(certificate) else { continue };
            let validity = certificate.validity();
            let (begins, ends) = (validity.not_before.timestamp(), validity.not_after.timestamp());
            let (what, when) = match (now < begins, ends - now) {
                (true, _) => ("is not valid before", begins),
                (false, ..0) => ("has ended on", ends),
                // One for some days is renewed by a machine, at a part of its time.
                (false, left) if left < SOON && left < (ends - begins) / 4 => ("ends on", ends),
                (false, _) => continue,
            };
            let date = DateTime::from_timestamp(when, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true);
            let what = format!("a certificate in «{}» {what} {date}", path.display());
            return self.warning(pointer, what, "put a new one there; a running gateway takes it up by itself");
        }
    }
}
