//! Shared stores are kept connected for as long as a plan has them.

use crate::{plan::Plan, store::redis::RedisStore};
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The shared stores that are kept connected.
#[derive(Default)]
pub(super) struct Stores(Mutex<Vec<Connected>>);

struct Connected {
    store: Arc<RedisStore>,
    leave: watch::Sender<bool>,
}

impl Stores {
    /// Connects those of a plan that are not kept connected yet, and waits until each was tried once: the first
    /// command would find no store. One that is out of reach keeps nobody waiting longer.
    pub(super) async fn connect(&self, plan: &Plan) {
        let new: Vec<_> = plan.shared_stores().filter(|store| !self.has(store)).cloned().collect();
        for store in &new {
            let (leave, left) = watch::channel(false);
            tokio::spawn(Arc::clone(store).run(left));
            self.connected().push(Connected { store: Arc::clone(store), leave });
        }
        join_all(new.iter().map(|store| store.tried())).await;
    }

    /// Leaves those that a plan does not have.
    pub(super) fn leave_others(&self, plan: &Plan) {
        self.connected().retain(|connected| {
            let is_kept = plan.shared_stores().any(|store| Arc::ptr_eq(store, &connected.store));
            if !is_kept {
                connected.leave.send_replace(true);
            }
            is_kept
        });
    }

    /// Leaves all.
    pub(super) fn leave(&self) {
        for Connected { leave, .. } in self.connected().drain(..) {
            leave.send_replace(true);
        }
    }

    fn has(&self, store: &Arc<RedisStore>) -> bool {
        self.connected().iter().any(|connected| Arc::ptr_eq(&connected.store, store))
    }

    fn connected(&self) -> MutexGuard<'_, Vec<Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
