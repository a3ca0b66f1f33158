//! Parts that outlive their plan: the next one takes them over where it has the same.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What a part was made from. Two parts of the same origin can stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin([u8; 32]);

impl Origin {
    /// From what the operator wrote, and what is beside it: the content of files, secrets, what it is built on.
    pub(super) fn new(written: &impl Serialize, beside: &[impl AsRef<[u8]>]) -> Self {
        let mut digest = Sha256::new();
        // What was read from YAML can be written as JSON.
        let written = serde_json::to_vec(written).unwrap_or_default();
        for bytes in std::iter::once(written.as_slice()).chain(beside.iter().map(AsRef::as_ref)) {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Display for Origin {
    /// Enough of it to tell revisions apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AsRef<[u8]> for Origin {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A part, and what it was made from.
pub struct Kept<T: ?Sized> {
    pub(super) origin: Origin,
    /// The part.
    pub part: Arc<T>,
}

impl<T: ?Sized> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { origin: self.origin, part: Arc::clone(&self.part) }
    }
}

/// Parts by their names in the configuration.
pub type KeptParts<T> = BTreeMap<String, Kept<T>>;

/// The part of this name out of `previous`, where it has the same origin, else a new one.
pub(super) fn keep<T: ?Sized, E>(
    previous: Option<&KeptParts<T>>,
    name: &str,
    origin: Origin,
    make: impl FnOnce() -> Result<Arc<T>, E>,
) -> Result<Kept<T>, E> {
    match previous.and_then(|parts| parts.get(name)).filter(|kept| kept.origin == origin) {
        Some(kept) => Ok(kept.clone()),
        None => Ok(Kept { origin, part: make()? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn a_part_is_taken_over_where_nothing_of_it_has_changed() {
        let none: &[&str] = &[];
        let made = |previous: Option<&KeptParts<u8>>, name: &str, origin: Origin, value: u8| {
            keep(previous, name, origin, || Ok::<_, Infallible>(Arc::new(value))).unwrap_or_else(|never| match never {})
        };
        let first = made(None, "a", Origin::new(&"x", none), 1);
        let parts = KeptParts::from([("a".to_owned(), first)]);
        for (name, origin, expected) in [
            ("a", Origin::new(&"x", none), 1),
            ("b", Origin::new(&"x", none), 2),
            ("a", Origin::new(&"y", none), 2),
            ("a", Origin::new(&"x", &["file"]), 2),
        ] {
            assert_eq!(*made(Some(&parts), name, origin, 2).part, expected, "{name} {origin:?}");
        }
        assert_ne!(Origin::new(&"x", &["ab", "c"]), Origin::new(&"x", &["a", "bc"]));
    }
}
