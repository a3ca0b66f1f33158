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

impl HeaderEdit {
    /// Makes the change.
    pub fn apply_to(self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value)),
            Self::Append(name, value) => drop(headers.append(name, value)),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// Whether a backend may take `name` for `known`, which it is not.
#[must_use]
pub fn is_disguise(name: &HeaderName, known: &HeaderName) -> bool {
    let (name, known) = (name.as_str(), known.as_str());
    // Nearly every name has another length.
    name.len() == known.len() && name != known && name.bytes().map(folded).eq(known.bytes().map(folded))
}

/// A byte of a header's name as such backends read it.
#[must_use]
pub fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
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

    /// Makes the changes to a request. What only looks like a name that is set or removed goes as well: CGI, WSGI and PHP
    /// backends read `X_Tenant` and `X-Tenant` as one variable (RFC 3875 section 4.1.18).
    pub fn apply_to_request(&self, headers: &mut HeaderMap) {
        let is_taken_for = |name: &HeaderName| {
            self.0.iter().any(|edit| match edit {
                HeaderEdit::Set(known, _) | HeaderEdit::Remove(known) => is_disguise(name, known),
                HeaderEdit::Append(..) => false,
            })
        };
        let disguised: Vec<HeaderName> = headers.keys().filter(|name| is_taken_for(name)).cloned().collect();
        for name in disguised {
            headers.remove(name);
        }
        self.apply_to(headers);
    }

    /// Makes the changes.
    pub fn apply_to(&self, headers: &mut HeaderMap) {
        for edit in &self.0 {
            edit.clone().apply_to(headers);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_spelling_stays_of_what_a_request_loses() {
        let mut edits = HeaderEdits::default();
        edits.remove(HeaderName::from_static("x-tenant"));
        edits.set(HeaderName::from_static("x-by"), HeaderValue::from_static("gateway"));
        edits.append(HeaderName::from_static("x-also"), HeaderValue::from_static("1"));
        let mut headers = HeaderMap::new();
        for name in ["x-tenant", "x_tenant", "x.tenant", "x-tenants", "x_by", "x_also", "x-other"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("client"));
        }
        edits.apply_to_request(&mut headers);
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        let client = "client";
        let expected =
            [("x-also", "1"), ("x-by", "gateway"), ("x-other", client), ("x-tenants", client), ("x_also", client)];
        assert_eq!(left, expected);
    }
}
