//! What happens to a request: listener → path → route → chain → target.

use super::{
    Gateway,
    chain::run_chain,
    context::RequestContext,
    last_stop::{for_the_server, is_for_the_server, last_stop},
    recognise, reply,
};
use crate::{
    admin, edge,
    listener::{
        head::{HeadRefusal, check_h2},
        note_malformed,
    },
    plan::{
        PlannedListener, Route, Target,
        path::{CanonicalPath, PATH_BYTES_MAX},
        route::{Found, Lookup},
    },
    rpc,
};
use filters::{
    api::{Reason, Refusal},
    chain::Stop,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN},
};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::sync::Arc;

impl Gateway {
    /// Decides a request and, unless it is to be proxied, answers it. `Ok(true)` says that it was answered.
    ///
    /// Pingora allocates this future for every request. What a proxied request does not go through is boxed
    /// where it begins, so that it adds nothing to that.
    pub(super) async fn decide(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool> {
        self.see(session, ctx);
        if let Some(listener) = ctx.listener().filter(|listener| listener.is_admin) {
            if let Err(HeadRefusal { status, refusal }) = check_head(session.req_header(), listener) {
                return Box::pin(self.refuse_as(session, ctx, status, &refusal)).await;
            }
            return Box::pin(admin::answer(self, session, ctx)).await.map(|()| true);
        }
        self.activity.note(ctx.started);
        if ctx.is_behind_proxy
            && let Err(refusal) = self.count_client(ctx)
        {
            return Box::pin(self.refuse(session, ctx, &refusal)).await;
        }
        let route = match find_route(session.req_header(), ctx) {
            Ok(route) => route,
            Err(Unrouted::Refused(HeadRefusal { status, refusal })) => {
                if refusal.reason == Reason::RequestMalformed {
                    note_malformed();
                }
                return Box::pin(self.refuse_as(session, ctx, status, &refusal)).await;
            }
            Err(Unrouted::Answered(status)) => {
                reply::ensure_request_id(ctx);
                return Box::pin(reply::answer(session, ctx, status)).await.map(|()| true);
            }
        };
        ctx.route = Some(Arc::clone(&route).into());
        match &route.target {
            Target::Forward(_) => {
                // RFC 9110 section 15.2: HTTP/1.0 has no informational answers.
                let is_http10 = session.req_header().version == Version::HTTP_10;
                session.set_ignore_info_resp(is_http10);
                self.pass(session, ctx, &route).await
            }
            Target::Publish(keys) => Box::pin(self.publish(session, ctx, &route, keys)).await.map(|()| true),
            Target::Rpc(target) => Box::pin(rpc::serve(self, session, ctx, &route, target)).await.map(|()| true),
            Target::Commands(target) => {
                Box::pin(edge::serve_rpc(self, session, ctx, &route, target)).await.map(|()| true)
            }
            Target::WebSocket(target) => {
                Box::pin(edge::serve_websocket(self, session, ctx, &route, target)).await.map(|()| true)
            }
            Target::Sse(target) => Box::pin(edge::serve_sse(self, session, ctx, &route, target)).await.map(|()| true),
        }
    }

    /// Counts a request among those of its client, who shares its connection with others: the cap of connections holds
    /// nobody behind a proxy.
    fn count_client(&self, ctx: &mut RequestContext) -> std::result::Result<(), Refusal> {
        let slot = self.clients.admit(ctx.client_ip).map_err(|_| {
            let client_ip = ctx.client_ip;
            tracing::warn!(%client_ip, "a client behind a proxy has as many requests in flight as connections.per_ip");
            Refusal::because(Reason::BudgetExhausted, "too many requests of this client are in flight").retry_after(1)
        })?;
        if let Some(in_flight) = &mut ctx.in_flight {
            in_flight.hold(slot);
        }
        Ok(())
    }

    /// Takes down who calls and where, and drops what only the gateway may say.
    fn see(&self, session: &mut Session, ctx: &mut RequestContext) {
        let local = session.server_addr().and_then(|address| address.as_inet()).copied();
        let rules =
            local.and_then(|address| self.bindings.by_local_addr(&address)).and_then(|id| self.bindings.rules(id));
        let index = |name: &str| ctx.plan.listeners.iter().position(|listener| listener.name == name);
        ctx.listener = rules.and_then(|rules| index(&rules.name)).unwrap_or(usize::MAX);
        ctx.is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
        recognise(session.req_header_mut(), ctx, peer);
    }

    /// Runs a route's chain over a plain request. `Ok(true)` says that it was answered there.
    pub(super) async fn pass(&self, session: &mut Session, ctx: &mut RequestContext, route: &Route) -> Result<bool> {
        let outcome = run_chain(session, ctx, route).await?;
        ctx.chain_took = ctx.started.elapsed();
        match outcome.and_then(|()| last_stop(session.req_header(), ctx, route).map_or(Ok(()), Err)) {
            Ok(()) => Ok(false),
            Err(Stop::Refused(refusal)) => Box::pin(self.refuse(session, ctx, &refusal)).await,
            Err(Stop::Answered(status)) => Box::pin(reply::answer(session, ctx, status)).await.map(|()| true),
        }
    }

    /// Writes a refusal in the caller's protocol. Always `Ok(true)`, or the client has gone.
    pub(crate) async fn refuse(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
        refusal: &Refusal,
    ) -> Result<bool> {
        self.refuse_as(session, ctx, refusal.reason.http_status(), refusal).await
    }

    /// The same, with a status of its own.
    pub(crate) async fn refuse_as(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
        status: u16,
        refusal: &Refusal,
    ) -> Result<bool> {
        reply::ensure_request_id(ctx);
        if rpc::is_call(session.req_header(), ctx) {
            rpc::refuse(session, ctx, refusal).await?;
        } else {
            reply::refuse(session, ctx, status, refusal).await?;
        }
        Ok(true)
    }
}

/// What becomes of a request that goes to no route.
pub(crate) enum Unrouted {
    /// It is refused.
    Refused(HeadRefusal),
    /// It is answered with this status and what was noted for the answer.
    Answered(StatusCode),
}

impl<T: Into<HeadRefusal>> From<T> for Unrouted {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

/// Checks a head of HTTP/2. One of HTTP/1 has been checked before it got here.
fn check_head(header: &RequestHeader, listener: &PlannedListener) -> std::result::Result<(), HeadRefusal> {
    if header.version != Version::HTTP_2 {
        return Ok(());
    }
    check_h2(&header.method, &header.uri, &header.headers, listener.head)
}

/// The route of a request, by the listener that its context names.
pub(crate) fn find_route(
    header: &RequestHeader,
    ctx: &mut RequestContext,
) -> std::result::Result<Arc<Route>, Unrouted> {
    let found = search_route(header, ctx);
    if matches!(found, Err(Unrouted::Refused(_))) && header.headers.contains_key(ORIGIN) {
        admit_reader(header, ctx);
    }
    found
}

/// Lets a page read that its request has no route, where a route of its path has a `cors` filter that lets it call. A
/// path that is refused is looked for as it was sent.
fn admit_reader(header: &RequestHeader, ctx: &mut RequestContext) {
    let plan = Arc::clone(&ctx.plan);
    let Some(listener) = plan.listeners.get(ctx.listener) else { return };
    let path = match &ctx.path {
        Some(path) if plan.shut.covers(path) => return,
        Some(path) => Some(path.as_str()),
        None => std::str::from_utf8(raw_path(header.raw_path())).ok(),
    };
    let admits = |index: usize| {
        plan.routes.get(index).is_some_and(|route| route.chain.admit_reader(&header.headers, &mut ctx.facts))
    };
    if let Some(path) = path {
        listener.table.find_by_path(host(&header.uri, &header.headers), path, admits);
    }
}

fn search_route(header: &RequestHeader, ctx: &mut RequestContext) -> std::result::Result<Arc<Route>, Unrouted> {
    let unknown = || Unrouted::from(Refusal::new(Reason::RouteUnknown));
    let plan = Arc::clone(&ctx.plan);
    let listener = plan.listeners.get(ctx.listener).ok_or_else(unknown)?;
    check_head(header, listener)?;
    if ctx.goes_round {
        return Err(Refusal::new(Reason::LoopDetected).into());
    }
    if is_for_the_server(header) {
        return Err(Unrouted::Answered(for_the_server(&mut ctx.facts.downstream_headers)));
    }
    let path = raw_path(header.raw_path());
    if path.len() > PATH_BYTES_MAX {
        return Err(HeadRefusal::target_too_long().into());
    }
    let canonical = ctx.path.insert(CanonicalPath::parse(path)?);
    if plan.shut.covers(canonical) {
        return Err(unknown());
    }
    match listener.table.find(asked(header, canonical, &asked_method(&header.method, &header.headers))) {
        Found::Route(index) => {
            let route = plan.routes.get(index).ok_or_else(unknown)?;
            // A backend that answers it shows what the gateway has added to a request (RFC 9110 section 9.3.8).
            if header.method == Method::TRACE && route.matcher.methods.is_empty() {
                return Err(HeadRefusal::unserved("TRACE is not served here").into());
            }
            Ok(Arc::clone(route))
        }
        Found::Nothing => Err(unknown()),
        Found::Ambiguous(what) => Err(Refusal::because(Reason::RequestMalformed, what).into()),
        Found::OtherMethods(methods) => {
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            Err(Refusal { allow: Some(names.join(", ")), ..Refusal::new(Reason::MethodNotAllowed) }.into())
        }
    }
}

/// What of a request is matched; `method` is that of [`asked_method`].
pub(crate) fn asked<'a>(header: &'a RequestHeader, path: &'a CanonicalPath, method: &'a Method) -> Lookup<'a> {
    Lookup { host: host(&header.uri, &header.headers), path, method, headers: &header.headers }
}

/// The path of a request target in origin form or absolute form (RFC 9112 section 3.2).
fn raw_path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let path = target.get(..end).unwrap_or(target);
    let Some(scheme_end) = path.windows(3).position(|window| window == b"://") else { return path };
    let rest = path.get(scheme_end + 3..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'/') {
        Some(slash) if !path.starts_with(b"/") => rest.get(slash..).unwrap_or(b"/"),
        None if !path.starts_with(b"/") => b"/",
        _ => path,
    }
}

pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = uri.authority().map(http::uri::Authority::as_str);
    named.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default()
}

/// A preflight is routed as the request that it asks about, so that the route's own CORS filter answers it.
pub(crate) fn asked_method(method: &Method, headers: &HeaderMap) -> Method {
    let asked =
        headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes).and_then(|m| Method::from_bytes(m).ok());
    match asked {
        Some(asked) if *method == Method::OPTIONS && headers.contains_key(ORIGIN) => asked,
        _ => method.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_in_every_form_of_target() {
        for (target, path) in
            [("/a/b?c=/d", "/a/b"), ("http://h:1/a?x", "/a"), ("http://h", "/"), ("/a://b/c", "/a://b/c"), ("*", "*")]
        {
            assert_eq!(raw_path(target.as_bytes()), path.as_bytes(), "{target}");
        }
    }
}
