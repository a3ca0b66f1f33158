//! Allows and denies client addresses.
//!
//! For routes that only known networks may call, and to shut out a source of abuse. The address is the
//! client's own (taken from forwarding headers only where the peer is a trusted proxy); an IPv4 address that
//! arrives as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address, so that no rule is passed by spelling. An IPv4
//! address is in no IPv6 network, `::/0` included.
//!
//! It can always decide.
//!
//! ```yaml
//! - ip: { allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.9.9.9] }
//! ```

use crate::api::{BuildFault, Check, ConfigProblem, Configured, Exchange, Filter, Parts, Reason, Refusal, Step};
use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Allows and denies client addresses.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Networks (`10.0.0.0/8`) and addresses that may call. Without any, every address may that is not denied.
    pub allow: Vec<String>,
    /// Networks and addresses that may not call, whatever `allow` says.
    pub deny: Vec<String>,
}

impl Configured for Config {
    const NAME: &'static str = "ip";

    fn problems(&self) -> Vec<ConfigProblem> {
        if self.allow.is_empty() && self.deny.is_empty() {
            let remedy = "name networks in `allow` or in `deny`, or leave the filter out".to_owned();
            return vec![ConfigProblem { pointer: String::new(), what: "no address is decided on".to_owned(), remedy }];
        }
        let lists = [("allow", &self.allow), ("deny", &self.deny)];
        let entries = lists.iter().flat_map(|(list, entries)| entries.iter().enumerate().map(move |e| (list, e)));
        entries
            .filter_map(|(list, (index, entry))| {
                let (what, remedy) = network(entry).err()?;
                Some(ConfigProblem { pointer: format!("/{list}/{index}"), what, remedy })
            })
            .collect()
    }

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        let read = |entries: &[String]| entries.iter().map(|entry| network(entry)).collect::<Result<Vec<_>, _>>();
        let fault = |(what, _)| BuildFault { filter: Self::NAME, what };
        Ok(Box::new(Ip { allow: read(&self.allow).map_err(fault)?, deny: read(&self.deny).map_err(fault)? }))
    }
}

/// A network or an address as an operator writes it, or what is wrong and what to write instead.
fn network(written: &str) -> Result<IpNet, (String, String)> {
    let net = written.parse().or_else(|_| written.parse().map(|address: IpAddr| IpNet::from(address)));
    let net: IpNet = net.map_err(|_| {
        let remedy = "write an address such as 192.0.2.1, or a network such as 10.0.0.0/8 or 2001:db8::/32";
        (format!("«{written}» is no address and no network"), remedy.to_owned())
    })?;
    if net != net.trunc() {
        let what = format!("«{written}» has bits set behind its prefix");
        return Err((what, format!("write «{}», or «{}» for the one address", net.trunc(), net.addr())));
    }
    Ok(unmapped(net))
}

/// An IPv4 network that is written in IPv6's mapped form, as IPv4: addresses are compared in that form.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let prefix = v6.prefix_len().checked_sub(96);
    let v4 = prefix.zip(v6.addr().to_ipv4_mapped()).and_then(|(prefix, address)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(net, IpNet::V4)
}

struct Ip {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl Filter for Ip {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        let address = exchange.head.client_ip.to_canonical();
        let is_in = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        let is_allowed = (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny);
        Step::Ready(if is_allowed { Ok(()) } else { Err(Refusal::new(Reason::AddressForbidden).into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Request, parts, reason};

    fn config(allow: &[&str], deny: &[&str]) -> Config {
        let owned = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect();
        Config { allow: owned(allow), deny: owned(deny) }
    }

    #[tokio::test]
    async fn deny_wins_and_spelling_does_not_matter() {
        for (allow, deny, address, is_allowed) in [
            (&["10.0.0.0/8"][..], &[][..], "10.1.2.3", true),
            (&["10.0.0.0/8"], &[], "11.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.2.3"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &[], "::ffff:10.1.2.3", true),
            (&[], &["10.0.0.0/8"], "::ffff:10.1.2.3", false),
            (&[], &["::ffff:10.0.0.0/104"], "10.1.2.3", false),
            (&["::ffff:10.0.0.1"], &[], "10.0.0.1", true),
            (&[], &["10.0.0.0/8"], "11.0.0.1", true),
            (&["2001:db8::/32"], &[], "2001:db8:1::1", true),
            (&["2001:db8::/32"], &[], "2001:db9::1", false),
            (&["::/0"], &[], "10.0.0.1", false),
            (&["0.0.0.0/0", "::/0"], &["::1"], "10.0.0.1", true),
        ] {
            let filter = config(allow, deny).build(&parts()).unwrap();
            let mut request = Request { client_ip: address.parse().unwrap(), ..Request::get("/") };
            let refused = reason(request.check(&*filter).await);
            assert_eq!(refused, (!is_allowed).then_some(Reason::AddressForbidden), "{allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn problems_say_what_to_write() {
        for (allow, deny, pointer, remedy) in [
            (&[][..], &[][..], "", "leave the filter out"),
            (&["10.0.0.0/33"], &[], "/allow/0", "such as 10.0.0.0/8"),
            (&["10.0.0.1/8"], &[], "/allow/0", "write «10.0.0.0/8», or «10.0.0.1»"),
            (&["10.0.0.0/8"], &["::1", "localhost"], "/deny/1", "write an address"),
        ] {
            let problems = config(allow, deny).problems();
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].pointer, pointer);
            assert!(problems[0].remedy.contains(remedy), "{problems:?}");
        }
    }
}
