//! Sessions of streams that were kept, asked for where they are looked up in another way now.

use super::{Exit, Open};
use crate::events::hub::EndReason;
use filters::{
    api::Session,
    session::{Directory, Standing},
};
use futures_util::{StreamExt as _, stream};
use std::sync::Arc;

/// So many look-ups at once: the backend has commands to serve.
const AT_ONCE: usize = 16;

/// A stream whose session has to be asked for.
pub(super) struct Doubtful {
    session: Session,
    sessions: Arc<Directory>,
    exit: Exit,
}

impl Doubtful {
    /// None of a stream without a session, or on a route that looks none up.
    pub(super) fn new(open: &Open) -> Option<Self> {
        let (session, sessions) = (open.session.clone()?, open.route.sessions.clone()?);
        Some(Self { session, sessions, exit: open.exit.clone() })
    }

    /// Asks for all of them.
    pub(super) async fn all(doubtful: Vec<Self>) {
        stream::iter(doubtful).for_each_concurrent(AT_ONCE, Self::ask).await;
    }

    async fn ask(self) {
        let is_good = match self.sessions.standing(&self.session.device_session_id).await {
            Ok(Standing::Active(session, _)) => session.user_id == self.session.user_id,
            Ok(Standing::Revoked | Standing::Unknown) => false,
            // Out of reach says nothing against it: a new stream would be refused, but none is ended for that.
            Err(_) => true,
        };
        if !is_good {
            self.exit.end(EndReason::SessionRevoked);
        }
    }
}
