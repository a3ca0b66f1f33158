//! Who spends together: from key expressions to the text that is counted by.

use crate::api::{ConfigProblem, Exchange};
use http::HeaderName;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
};
use unicode_normalization::UnicodeNormalization as _;

const PARTS_MAX: usize = 8;
/// Longer text is counted by its hash, so that callers cannot fill the store with it.
const TEXT_BYTES_MAX: usize = 64;

/// The parts that a caller's key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    parts: Vec<Part>,
}

/// What must stand ahead of a budget, so that its key can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// A `body` filter with `json: true`.
    pub body: bool,
    /// A `session` filter.
    pub session: bool,
    /// An `envelope` filter.
    pub envelope: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    source: Source,
    is_trimmed: bool,
    is_lowered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// With how much of an IPv6 address is one caller, in bits.
    ClientIp(u32),
    SessionId,
    UserId,
    MessageType,
    Route,
    Header(HeaderName),
    Body(Vec<String>),
}

/// What an IPv6 caller holds at least: whoever has one address of it has them all.
const V6_PREFIX: u32 = 64;
/// The least that a registry hands out, so the most that one caller may hold.
const V6_PREFIX_MIN: u32 = 32;

/// The sources without a name of their own.
const PLAIN: [(&str, Source); 5] = [
    ("client.ip", Source::ClientIp(V6_PREFIX)),
    ("session.id", Source::SessionId),
    ("session.user_id", Source::UserId),
    ("message.type", Source::MessageType),
    ("route", Source::Route),
];

impl Key {
    /// Reads key expressions.
    ///
    /// # Errors
    /// Every problem, by JSON pointers from the budget.
    pub fn parse(expressions: &[String]) -> Result<Self, Vec<ConfigProblem>> {
        let whole = |what: &str, remedy: &str| {
            let (what, remedy) = (what.to_owned(), remedy.to_owned());
            Err(vec![ConfigProblem { pointer: "/key".to_owned(), what, remedy }])
        };
        if expressions.is_empty() {
            return whole("the key has no part", "say who spends together, such as [client.ip]; [route] is everybody");
        }
        if expressions.len() > PARTS_MAX {
            return whole("the key has more than 8 parts", "leave some out");
        }
        let (mut parts, mut problems) = (Vec::new(), Vec::new());
        for (index, expression) in expressions.iter().enumerate() {
            match Part::parse(expression) {
                Ok(part) => parts.push(part),
                Err((what, remedy)) => problems.push(ConfigProblem { pointer: format!("/key/{index}"), what, remedy }),
            }
        }
        if problems.is_empty() { Ok(Self { parts }) } else { Err(problems) }
    }

    /// What must stand ahead of a budget with this key.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let any = |is: fn(&Source) -> bool| self.parts.iter().any(|part| is(&part.source));
        Needs {
            body: any(|source| matches!(source, Source::Body(_))),
            session: any(|source| matches!(source, Source::SessionId | Source::UserId)),
            envelope: any(|source| matches!(source, Source::MessageType)),
        }
    }

    /// The text that this request is counted by: `rule`, and the parts. Two requests get the same text only
    /// if all their parts are the same, for each part says where it ends. Requests without one of the parts
    /// are all counted together: whoever leaves it out must not escape the budget.
    pub(super) fn of(&self, rule: &str, exchange: &Exchange<'_>) -> String {
        let mut key = String::with_capacity(rule.len() + 48);
        key.push_str(rule);
        for part in &self.parts {
            if part.write(exchange, &mut key).is_none() {
                key.truncate(rule.len());
                key.push('-');
                return key;
            }
        }
        key
    }
}

impl Part {
    fn parse(expression: &str) -> Result<Self, (String, String)> {
        let mut pieces = expression.split('|');
        let source = Source::parse(pieces.next().unwrap_or_default())?;
        let mut part = Self { source, is_trimmed: false, is_lowered: false };
        for change in pieces {
            if !matches!(part.source, Source::Header(_) | Source::Body(_)) {
                let what =
                    format!("«|{change}» in «{expression}» changes nothing: only headers and fields of the body vary");
                return Err((what, "leave it out".to_owned()));
            }
            match change {
                "trim" => part.is_trimmed = true,
                "lower" => part.is_lowered = true,
                _ => {
                    let what = format!("«|{change}» in «{expression}» is unknown");
                    return Err((what, "write |trim, |lower or |trim|lower".to_owned()));
                }
            }
        }
        Ok(part)
    }

    /// Adds this part's value, where the request has it.
    fn write(&self, exchange: &Exchange<'_>, key: &mut String) -> Option<()> {
        let facts = &*exchange.facts;
        let session = facts.session.as_deref();
        let value: Cow<'_, str> = match &self.source {
            Source::ClientIp(prefix) => return write_ip(exchange.head.client_ip, *prefix, key),
            Source::SessionId => session?.device_session_id.as_str().into(),
            Source::UserId => session?.user_id.as_str().into(),
            Source::MessageType => facts.command.decoded()?.message_type.as_str().into(),
            Source::Route => exchange.head.route.into(),
            Source::Header(name) => {
                let mut values = exchange.head.headers.get_all(name).iter();
                let value = std::str::from_utf8(values.next()?.as_bytes()).ok()?;
                // Of several values a backend may take any.
                values.next().is_none().then(|| value.into())?
            }
            Source::Body(path) => {
                let document = facts.json.as_ref()?;
                scalar(path.iter().try_fold(document, |value, field| only(value.as_object()?, field))?)?
            }
        };
        write_text(&self.changed(value), key)
    }

    fn changed<'a>(&self, value: Cow<'a, str>) -> Cow<'a, str> {
        let value = match value {
            Cow::Borrowed(text) if self.is_trimmed => Cow::Borrowed(text.trim_matches(is_blank)),
            Cow::Owned(text) if self.is_trimmed => Cow::Owned(text.trim_matches(is_blank).to_owned()),
            value => value,
        };
        if !self.is_lowered {
            return value;
        }
        if value.is_ascii() {
            return Cow::Owned(value.to_ascii_lowercase());
        }
        Cow::Owned(value.to_lowercase().nfc().collect())
    }
}

impl Source {
    fn parse(written: &str) -> Result<Self, (String, String)> {
        if let Some((_, source)) = PLAIN.into_iter().find(|(name, _)| *name == written) {
            return Ok(source);
        }
        if let Some(prefix) = written.strip_prefix("client.ip/") {
            let bits = prefix.parse().ok().filter(|bits| (V6_PREFIX_MIN..=128).contains(bits));
            let wrong = || (format!("«{written}» has no prefix of an IPv6 address"), "write client.ip/56".to_owned());
            return bits.map(Self::ClientIp).ok_or_else(wrong);
        }
        if let Some(name) = written.strip_prefix("header.") {
            return HeaderName::from_bytes(name.as_bytes())
                .map(Self::Header)
                .map_err(|_| (format!("«{written}» names no header"), "write it as in header.x-api-key".to_owned()));
        }
        if let Some(path) = written.strip_prefix("body.") {
            let fields: Vec<_> = path.split('.').map(str::to_owned).collect();
            if fields.iter().any(String::is_empty) {
                return Err((format!("«{written}» names no field"), "write it as in body.user.email".to_owned()));
            }
            return Ok(Self::Body(fields));
        }
        let names = PLAIN.iter().map(|(name, _)| *name).chain(["header.<name>", "body.<field>"]);
        let close = names.clone().map(|name| (strsim::jaro_winkler(written, name), name));
        let closest = close.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        let remedy = closest.map_or_else(
            || format!("write one of {}", names.collect::<Vec<_>>().join(", ")),
            |(_, name)| format!("did you mean {name}?"),
        );
        Err((format!("«{written}» is no part of a key"), remedy))
    }
}

/// The field, unless another of the object has the same name in another case: Go's encoding/json and .NET take either,
/// so a caller could show one value to the budget and another to the backend.
fn only<'v>(object: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    let folded = |name: &str| name.to_uppercase().to_lowercase();
    let is_like = |name: &&String| {
        if name.is_ascii() { name.eq_ignore_ascii_case(field) } else { folded(name) == folded(field) }
    };
    let mut alike = object.keys().filter(is_like);
    alike.next()?;
    if alike.next().is_some() { None } else { object.get(field) }
}

/// What any backend's way to trim takes off: white space of Unicode, with it the controls that Java, PHP and Python
/// take for it and the invisible characters that JavaScript and others do. More makes no way around a budget.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// A string, or a number in the one form that all its spellings have: `1`, `1.0` and `1e0` are one value to
/// a backend, and to many of them `"1"` too. Other values identify nobody.
fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), ..) => Some(integer.to_string().into()),
            (None, Some(integer), _) => Some(integer.to_string().into()),
            (None, None, Some(double)) => Some((double + 0.0).to_string().into()),
            (None, None, None) => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn write_ip(address: IpAddr, prefix: u32, key: &mut String) -> Option<()> {
    match address.to_canonical() {
        IpAddr::V4(v4) => write!(key, "|{v4}").ok(),
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or_default();
            write!(key, "|{}/{prefix}", Ipv6Addr::from_bits(network)).ok()
        }
    }
}

fn write_text(text: &str, key: &mut String) -> Option<()> {
    if text.len() <= TEXT_BYTES_MAX {
        return write!(key, "|{}={text}", text.len()).ok();
    }
    key.push_str("|#");
    Sha256::digest(text).iter().try_for_each(|byte| write!(key, "{byte:02x}")).ok()
}

#[cfg(test)]
mod tests;
