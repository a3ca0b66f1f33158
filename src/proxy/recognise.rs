//! What of a head is the gateway's own to say: who calls, and by which name of the host.

use super::{
    client_ip::client,
    context::RequestContext,
    forwarding::told,
    host::{join_cookies, needs_settling, settle},
};
use filters::{api::is_disguise, headers::FORWARDING};
use http::header::{COOKIE, HOST, VIA};
use pingora_http::RequestHeader;
use std::net::IpAddr;

/// Takes down who calls, whose connection comes from `peer`, and drops what only the gateway may say. What is one to HTTP
/// has one spelling from here on: the host, and cookies.
pub(crate) fn recognise(header: &mut RequestHeader, ctx: &mut RequestContext, peer: Option<IpAddr>) {
    ctx.received = header.version;
    if let Some(peer) = peer {
        let trusted = ctx.listener().map(|listener| listener.trusted_proxies.as_slice()).unwrap_or_default();
        let client = client(peer, &header.headers, trusted);
        let told = client.behind.and_then(|hop| told(&header.headers, hop, trusted));
        (ctx.client_ip, ctx.told) = (client.ip, told);
        ctx.is_behind_proxy = client.behind.is_some() && client.is_known;
    }
    let mut identity = Vec::new();
    let mut cookies = 0_usize;
    let mut is_unsettled = header.raw_path().first() != Some(&b'/');
    for (name, value) in &header.headers {
        ctx.brought_forwarding |= FORWARDING.contains(name);
        let is_disguised = || FORWARDING.iter().any(|known| is_disguise(name, known));
        if ctx.plan.identity_headers.covers(name) || is_disguised() {
            identity.push(name.clone());
        }
        if *name == COOKIE {
            cookies += 1;
        } else if *name == HOST {
            is_unsettled |= needs_settling(value.as_bytes());
        } else if *name == VIA {
            ctx.goes_round |= ctx.plan.via.as_ref().is_some_and(|via| via.is_in(value));
        }
    }
    for name in identity {
        header.remove_header(&name);
    }
    if cookies > 1 {
        join_cookies(header);
    }
    is_unsettled |= header.uri.authority().is_some_and(|authority| needs_settling(authority.as_str().as_bytes()));
    if is_unsettled {
        settle(header);
    }
}
