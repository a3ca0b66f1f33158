//! What this instance knows of what was accepted.

use std::sync::{Arc, Mutex, PoisonError};

/// The highest timestamp that is known to have been accepted by any instance, and the fence under which the store
/// was last seen to account for it: every id up to it is then in the store's memory, or behind its epoch.
///
/// A store that was emptied, restarted or replaced makes a new fence, and cannot know what the memory before it
/// held. It is told both, and moves its epoch over what was learned under another fence than its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) fence: Arc<str>,
    pub(super) high_ms: i64,
}

/// Shared by all calls.
#[derive(Debug, Default)]
pub(super) struct Knowledge(Mutex<Known>);

impl Knowledge {
    pub(super) fn get(&self) -> Known {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what an answer said.
    pub(super) fn learn(&self, fence: &str, high_ms: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known.fence == *fence {
            known.high_ms = known.high_ms.max(high_ms);
        } else if high_ms >= known.high_ms {
            // Everything known is within what is accounted for under that fence. Otherwise the answer was on its
            // way when more was learned, which has yet to be told there.
            *known = Known { fence: fence.into(), high_ms };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_elsewhere_stays_to_be_told() {
        let knowledge = Knowledge::default();
        let check = |fence: &str, high_ms, expected: (&str, i64)| {
            knowledge.learn(fence, high_ms);
            assert_eq!(knowledge.get(), Known { fence: expected.0.into(), high_ms: expected.1 });
        };
        check("a", 10, ("a", 10));
        check("a", 7, ("a", 10));
        check("b", 9, ("a", 10));
        check("b", 10, ("b", 10));
        // An answer from under the old fence that comes late: the new one has to be told.
        check("a", 12, ("a", 12));
        check("b", 10, ("a", 12));
        check("b", 12, ("b", 12));
    }
}
