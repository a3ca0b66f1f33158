//! From a place to the connection with its primary, checked.

use super::{
    dial::{Dialed, Dialer},
    fault::LinkFault,
    options::{Login, Place, RedisOptions},
};
use crate::config::source::RedisUrl;
use redis::{Value, cmd};

/// The longest list of Sentinels, nodes or slots that is gone through.
const LIST_MAX: usize = 16_384;

/// A server that may be used.
pub(super) struct Primary {
    pub(super) dialed: Dialed,
    /// Host and port.
    pub(super) server: String,
    /// What the server calls itself since its start.
    pub(super) run: String,
}

/// Finds the primary and connects to it.
pub(super) async fn primary(options: &RedisOptions, dialer: &Dialer) -> Result<Primary, LinkFault> {
    match &options.place {
        Place::Server(url) => checked(url, options, dialer).await,
        Place::Sentinel { sentinels, master, login } => {
            let mut said = Vec::new();
            for sentinel in sentinels {
                let named = async {
                    let named = named_by(sentinel, master, dialer).await?;
                    let Login { user, password } = login.clone();
                    let url = RedisUrl { user, password, ..named };
                    checked(&url, options, dialer).await
                };
                match named.await {
                    Ok(primary) => return Ok(primary),
                    Err(fault) => said.push(fault),
                }
            }
            Err(of_many(said))
        }
        Place::Cluster(seeds) => {
            let mut said = Vec::new();
            for seed in seeds {
                let owned = async {
                    let owner = owner_by(seed, &options.prefix, dialer).await?;
                    checked(&owner, options, dialer).await
                };
                match owned.await {
                    Ok(primary) => return Ok(primary),
                    Err(fault) => said.push(fault),
                }
            }
            Err(of_many(said))
        }
    }
}

/// What one says to be wrong with how it is set up is not to be hidden behind what others say.
fn of_many(mut said: Vec<LinkFault>) -> LinkFault {
    match said.iter().position(LinkFault::is_setup) {
        Some(place) => said.swap_remove(place),
        None => LinkFault::Nowhere(said.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// Whom a Sentinel says to be the primary.
async fn named_by(sentinel: &RedisUrl, master: &str, dialer: &Dialer) -> Result<RedisUrl, LinkFault> {
    let mut dialed = dialer.dial(sentinel).await?;
    let answer = dialed.ask(cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master)).await?;
    let Value::Array(address) = answer else {
        return Err(LinkFault::Nowhere(format!("{sentinel} knows no `{master}`")));
    };
    let [host, port] = address.as_slice() else { return Err(LinkFault::Malformed("SENTINEL")) };
    let host = text(host).filter(|host| !host.is_empty()).ok_or(LinkFault::Malformed("SENTINEL"))?;
    let port = text(port).and_then(|port| port.parse().ok()).ok_or(LinkFault::Malformed("SENTINEL"))?;
    Ok(RedisUrl { host, port, ..sentinel.clone() })
}

/// The node that has the slot of `prefix`.
async fn owner_by(seed: &RedisUrl, prefix: &str, dialer: &Dialer) -> Result<RedisUrl, LinkFault> {
    let mut dialed = dialer.dial(seed).await?;
    let slot = dialed.ask(cmd("CLUSTER").arg("KEYSLOT").arg(prefix)).await?;
    let Value::Int(slot) = slot else { return Err(LinkFault::Malformed("CLUSTER KEYSLOT")) };
    let answer = dialed.ask(cmd("CLUSTER").arg("SLOTS")).await?;
    let Value::Array(ranges) = answer else { return Err(LinkFault::Malformed("CLUSTER SLOTS")) };
    let owner = ranges.iter().take(LIST_MAX).find_map(|range| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = range.as_slice() else { return None };
        (*first..=*last).contains(&slot).then_some(node)
    });
    let Some([host, Value::Int(port), ..]) = owner.map(Vec::as_slice) else {
        return Err(LinkFault::Nowhere(format!("{seed} knows no node for slot {slot}")));
    };
    // A node that does not know its own address leaves it out: it is the one that was asked.
    let host = text(host).filter(|host| !host.is_empty()).unwrap_or_else(|| seed.host.clone());
    let port = u16::try_from(*port).map_err(|_| LinkFault::Malformed("CLUSTER SLOTS"))?;
    Ok(RedisUrl { host, port, ..seed.clone() })
}

/// Connects to a server, and makes sure that it is one to rely on.
async fn checked(url: &RedisUrl, options: &RedisOptions, dialer: &Dialer) -> Result<Primary, LinkFault> {
    let server = url.to_string();
    let mut dialed = dialer.dial(url).await?;
    // Says at once what ROLE and CONFIG GET say too, and is open to more users than these.
    let info = text(&dialed.ask(&cmd("INFO")).await?).ok_or(LinkFault::Malformed("INFO"))?;
    let field = |name: &str| field(&info, name);
    match (field("role"), field("loading").as_deref()) {
        (Some(role), None | Some("0")) if role == "master" => {}
        (Some(role), None | Some("0")) => return Err(LinkFault::NotPrimary { server, role: format!("a {role}") }),
        (Some(_), Some(_)) => return Err(LinkFault::NotPrimary { server, role: "loading its data".to_owned() }),
        (None, _) => return Err(LinkFault::Malformed("INFO")),
    }
    if field("maxmemory_policy").is_none() && !options.allow_eviction {
        tracing::warn!(server, "the server does not say whether it may drop keys when its memory is full");
    }
    eviction(&info, &server, options)?;
    let run = field("run_id").filter(|run| !run.is_empty()).ok_or(LinkFault::Malformed("INFO"))?;
    Ok(Primary { dialed, server, run })
}

/// Whether the server may drop keys when its memory is full, as `INFO` says.
///
/// # Errors
/// Where it may, and that is not allowed.
pub(super) fn eviction(info: &str, server: &str, options: &RedisOptions) -> Result<(), LinkFault> {
    match field(info, "maxmemory_policy") {
        // Not even `volatile-*`: every key of the store has a time to live.
        Some(policy) if policy != "noeviction" && !options.allow_eviction => {
            Err(LinkFault::Evicts { server: server.to_owned(), policy })
        }
        _ => Ok(()),
    }
}

fn field(info: &str, name: &str) -> Option<String> {
    info.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}
