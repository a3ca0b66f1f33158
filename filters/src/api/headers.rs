//! Header changes that filters ask for. Filters never touch the headers themselves: the proxy applies the
//! edits where the request is forwarded and where the answer is written.

use http::{HeaderMap, HeaderName, HeaderValue};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replaces every value of the name.
    Set(HeaderName, HeaderValue),
    /// Adds a value beside those that are there.
    Append(HeaderName, HeaderValue),
    /// Removes every value of the name.
    Remove(HeaderName),
}

/// Changes in the order in which they are to be applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits(Vec<HeaderEdit>);

impl HeaderEdits {
    /// Replaces every value of `name`.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push(HeaderEdit::Set(name, value));
    }

    /// Adds a value beside those that are there.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push(HeaderEdit::Append(name, value));
    }

    /// Removes every value of `name`.
    pub fn remove(&mut self, name: HeaderName) {
        self.0.push(HeaderEdit::Remove(name));
    }

    /// Adds all of another's changes behind these.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// Makes the changes.
    pub fn apply_to(&self, headers: &mut HeaderMap) {
        for edit in &self.0 {
            match edit {
                HeaderEdit::Set(name, value) => drop(headers.insert(name.clone(), value.clone())),
                HeaderEdit::Append(name, value) => drop(headers.append(name.clone(), value.clone())),
                HeaderEdit::Remove(name) => drop(headers.remove(name)),
            }
        }
    }

    /// The changes, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &HeaderEdit> {
        self.0.iter()
    }

    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
