//! The byte strings that are signed.
//!
//! Each input is a domain marker followed by the signed fields in a fixed order. Strings and bytes carry
//! their length as a shortest-form LEB128 varint; an int64 is 8 bytes big-endian. The encoding is therefore
//! injective: two different field lists never give the same input. Verifiers build the input from decoded
//! fields; nothing here parses one.

use crate::edge::v1::Event;

/// The domain markers. An estate whose clients sign with other markers configures its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// Ahead of a request's fields, for both RPCs.
    pub request: String,
    /// Ahead of a response's fields.
    pub response: String,
    /// Ahead of an event's fields.
    pub event: String,
}

impl Default for Markers {
    fn default() -> Self {
        Self {
            request: "edge-request-v1".to_owned(),
            response: "edge-response-v1".to_owned(),
            event: "edge-event-v1".to_owned(),
        }
    }
}

/// The signed fields of a command or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFields<'a> {
    /// As on the wire.
    pub protocol_version: &'a str,
    /// The device session whose key signs.
    pub device_session_id: &'a str,
    /// The command's name.
    pub message_type: &'a str,
    /// Client clock, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Unique in the device session.
    pub request_id: &'a str,
    /// SHA-256 of the payload.
    pub payload_hash: &'a [u8],
}

/// The signed fields of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseFields<'a> {
    /// As on the wire.
    pub protocol_version: &'a str,
    /// Of the request that is answered; not a field of the response message.
    pub device_session_id: &'a str,
    /// Echo of the request's.
    pub request_id: &'a str,
    /// Gateway clock, Unix milliseconds.
    pub timestamp_ms: i64,
    /// `ok`, or the backend's error code.
    pub result_code: &'a str,
    /// SHA-256 of the payload.
    pub payload_hash: &'a [u8],
}

/// The signed fields of an event. None of them says who receives it, so one signature serves every stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFields<'a> {
    /// As on the wire.
    pub protocol_version: &'a str,
    /// Unique among events.
    pub event_id: &'a str,
    /// The event's name.
    pub event_type: &'a str,
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// Of the command that caused it; empty where there is none.
    pub request_id: &'a str,
    /// The user that it is addressed to; empty for everybody.
    pub subject: &'a str,
    /// Where it stands in the feed.
    pub position: &'a str,
    /// SHA-256 of the payload.
    pub payload_hash: &'a [u8],
}

impl RequestFields<'_> {
    /// The bytes that a client signs.
    #[must_use]
    pub fn input(&self, marker: &str) -> Vec<u8> {
        let mut input = Input::with(marker);
        input.bytes(self.protocol_version.as_bytes());
        input.bytes(self.device_session_id.as_bytes());
        input.bytes(self.message_type.as_bytes());
        input.int64(self.timestamp_ms);
        input.bytes(self.request_id.as_bytes());
        input.bytes(self.payload_hash);
        input.0
    }
}

impl ResponseFields<'_> {
    /// The bytes that the gateway signs.
    #[must_use]
    pub fn input(&self, marker: &str) -> Vec<u8> {
        let mut input = Input::with(marker);
        input.bytes(self.protocol_version.as_bytes());
        input.bytes(self.device_session_id.as_bytes());
        input.bytes(self.request_id.as_bytes());
        input.int64(self.timestamp_ms);
        input.bytes(self.result_code.as_bytes());
        input.bytes(self.payload_hash);
        input.0
    }
}

impl<'a> From<&'a Event> for EventFields<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            protocol_version: &event.protocol_version,
            event_id: &event.event_id,
            event_type: &event.event_type,
            timestamp_ms: event.timestamp_ms,
            request_id: &event.request_id,
            subject: &event.subject,
            position: &event.position,
            payload_hash: &event.payload_hash,
        }
    }
}

impl EventFields<'_> {
    /// The bytes that the gateway signs.
    #[must_use]
    pub fn input(&self, marker: &str) -> Vec<u8> {
        let mut input = Input::with(marker);
        input.bytes(self.protocol_version.as_bytes());
        input.bytes(self.event_id.as_bytes());
        input.bytes(self.event_type.as_bytes());
        input.int64(self.timestamp_ms);
        input.bytes(self.request_id.as_bytes());
        input.bytes(self.subject.as_bytes());
        input.bytes(self.position.as_bytes());
        input.bytes(self.payload_hash);
        input.0
    }
}

struct Input(Vec<u8>);

impl Input {
    fn with(marker: &str) -> Self {
        let mut input = Self(Vec::with_capacity(192));
        input.bytes(marker.as_bytes());
        input
    }

    fn bytes(&mut self, field: &[u8]) {
        let mut length = field.len();
        while length >= 0x80 {
            self.0.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(field);
    }

    fn int64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
