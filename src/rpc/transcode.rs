//! Messages in JSON to and from protobuf, by their descriptors (protobuf.dev/programming-guides/json).

use super::caller::Codec;
use crate::wire::{Code, Failure};
use bytes::Bytes;
use filters::api::Reason;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};

/// A caller's message as protobuf.
///
/// # Errors
/// `INVALID_ARGUMENT` where it is not this message in JSON. serde_json gives up at 128 levels.
pub fn to_proto(message: Bytes, codec: Codec, descriptor: &MessageDescriptor) -> Result<Bytes, Failure> {
    if codec == Codec::Proto {
        return Ok(message);
    }
    let invalid = |error: serde_json::Error| {
        let reason = Some(Reason::BodyInvalid);
        Failure { reason, ..Failure::new(Code::InvalidArgument, format!("the message cannot be read: {error}")) }
    };
    let mut json = serde_json::Deserializer::from_slice(&message);
    // Fields that are not known here are a newer client's.
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &options).map_err(invalid)?;
    json.end().map_err(invalid)?;
    Ok(read.encode_to_vec().into())
}

/// An upstream's message in the caller's codec.
///
/// # Errors
/// `INTERNAL` where it is not this message, or holds an `Any` that the descriptors do not know.
pub fn from_proto(message: Bytes, codec: Codec, descriptor: &MessageDescriptor) -> Result<Bytes, Failure> {
    if codec == Codec::Proto {
        return Ok(message);
    }
    let unusable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, message = descriptor.full_name(), "an answer cannot be written as JSON");
        let reason = Some(Reason::BackendUnavailable);
        Failure { reason, ..Failure::new(Code::Internal, "the answer cannot be written as JSON") }
    };
    let read = DynamicMessage::decode(descriptor.clone(), message).map_err(|error| unusable(&error))?;
    let written = serde_json::to_vec(&read).map_err(|error| unusable(&error))?;
    Ok(written.into())
}
