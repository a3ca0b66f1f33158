//! Upstreams out of their configuration.

use super::{
    BuildProblem, Plan,
    build::find,
    kept::{Kept, KeptParts, Origin, keep},
};
use crate::{
    client::Trust,
    config::{Loaded, source},
    upstream::{Upstream, UpstreamOptions, UpstreamTls},
};
use std::{collections::BTreeMap, sync::Arc};

/// Upstreams by name.
pub(super) type Upstreams = KeptParts<Upstream>;

/// The upstreams that are configured.
///
/// # Errors
/// Where an endpoint is none, or there is nobody to trust at it.
pub(super) fn upstreams(loaded: &Loaded, previous: Option<&Plan>) -> Result<Upstreams, BuildProblem> {
    let previous = previous.map(|plan| &plan.upstreams);
    let mut upstreams = BTreeMap::new();
    for (name, written) in &loaded.config.upstreams {
        let ca = written.tls.as_ref().and_then(|tls| tls.ca.as_ref()).map(|ca| loaded.content(ca));
        let origin = Origin::new(written, &[ca.unwrap_or_default()]);
        upstreams.insert(name.clone(), keep(previous, name, origin, || upstream(name, written, loaded))?);
    }
    Ok(upstreams)
}

fn upstream(name: &str, written: &source::Upstream, loaded: &Loaded) -> Result<Arc<Upstream>, BuildProblem> {
    let options = UpstreamOptions {
        connect: written.timeouts.connect.get(),
        read: written.timeouts.read.get(),
        write: written.timeouts.write.get(),
        request: written.timeouts.request.get(),
        idle_max: written.pool.idle,
        idle_timeout: written.pool.idle_timeout.get(),
        answer_bytes_max: usize::try_from(written.pool.answer_max.bytes()).unwrap_or(usize::MAX),
    };
    let upstream = Upstream::new(name, &written.endpoints, options)?;
    if !upstream.has_tls() {
        return Ok(Arc::new(upstream));
    }
    let tls = client_tls(loaded, written.tls.as_ref(), || format!("upstream `{name}`"))?;
    Ok(Arc::new(Upstream::with_tls(name, &written.endpoints, options, &tls)?))
}

/// How `user` speaks to its `https://` endpoints.
pub(super) fn client_tls(
    loaded: &Loaded,
    written: Option<&source::UpstreamTls>,
    user: impl FnOnce() -> String,
) -> Result<UpstreamTls, BuildProblem> {
    let trust = match written.and_then(|tls| tls.ca.as_ref()) {
        Some(ca) => Trust::in_file(&loaded.resolve(ca)),
        None => Trust::of_the_system(),
    };
    let trust = trust.map_err(|fault| BuildProblem::Trust { user: user(), fault })?;
    Ok(UpstreamTls::new(&trust, written.and_then(|tls| tls.server_name.as_deref()))?)
}

/// An upstream that `user` may speak to in cleartext.
pub(super) fn cleartext<'a>(
    upstreams: &'a Upstreams,
    name: &str,
    user: impl Fn() -> String,
) -> Result<&'a Kept<Upstream>, BuildProblem> {
    let upstream = find(upstreams, name, "upstream", &user)?;
    if upstream.part.has_tls() {
        return Err(BuildProblem::Cleartext { user: user(), upstream: name.to_owned() });
    }
    Ok(upstream)
}
