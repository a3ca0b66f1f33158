//! Which events a stream wants.

use super::seal::OWN;

/// More than any client has handlers for; each costs memory for as long as the stream is open.
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;

/// Which events a stream wants: those that it names, or all. What the gateway itself sends comes always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventTypes(Option<Box<[Box<str>]>>);

/// More or longer event types than a stream may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event_types: at most {NAMES_MAX} of 1 to {NAME_BYTES_MAX} bytes")]
pub struct EventTypesFault;

impl EventTypes {
    /// These; all where there is none.
    ///
    /// # Errors
    /// Where there are more than 64, one is empty, or one is longer than 128 bytes.
    pub fn new(names: Vec<String>) -> Result<Self, EventTypesFault> {
        if names.len() > NAMES_MAX || names.iter().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(EventTypesFault);
        }
        let names = Some(names).filter(|names| !names.is_empty());
        Ok(Self(names.map(|names| names.into_iter().map(Into::into).collect())))
    }

    pub(super) fn wants(&self, event_type: &str) -> bool {
        event_type.starts_with(OWN)
            || self.0.as_ref().is_none_or(|names| names.iter().any(|name| **name == *event_type))
    }
}
