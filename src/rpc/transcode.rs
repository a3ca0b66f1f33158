//! Messages in JSON to and from protobuf, by their descriptors (protobuf.dev/programming-guides/json).

use super::caller::Codec;
use crate::wire::{Code, Failure};
use bytes::Bytes;
use filters::api::Reason;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};

/// How much of what is wrong with a message is told.
const SAID_CHARACTERS_MAX: usize = 300;

/// A caller's message as protobuf.
///
/// # Errors
/// `INVALID_ARGUMENT` where it is not this message in JSON. serde_json gives up at 128 levels.
pub fn to_proto(message: Bytes, codec: Codec, descriptor: &MessageDescriptor) -> Result<Bytes, Failure> {
    if codec == Codec::Proto {
        return Ok(message);
    }
    let invalid = |error: serde_json::Error| {
        // It may repeat what was sent, at any length.
        let said: String = error.to_string().chars().take(SAID_CHARACTERS_MAX).collect();
        let reason = Some(Reason::BodyInvalid);
        Failure { reason, ..Failure::new(Code::InvalidArgument, format!("the message cannot be read: {said}")) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost_reflect::DescriptorPool;
    use serde_json::{Map, Value};
    use std::sync::LazyLock;

    static ITEM: LazyLock<MessageDescriptor> = LazyLock::new(|| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kit");
        let set = protox::compile(["services.proto"], [folder]).unwrap();
        DescriptorPool::from_file_descriptor_set(set).unwrap().get_message_by_name("test.v1.Item").unwrap()
    });

    /// A JSON value of this message takes no more in protobuf than so many times its own length: `[1,1]` in a Struct
    /// is worst, where each digit becomes a message with a double.
    const GROWTH_MAX: usize = 16;

    fn read(json: impl Into<Bytes>) -> Option<Bytes> {
        to_proto(json.into(), Codec::Json, &ITEM).ok()
    }

    fn write(proto: Bytes) -> Option<Value> {
        let json = from_proto(proto, Codec::Json, &ITEM).ok()?;
        Some(serde_json::from_slice(&json).unwrap())
    }

    const KEYS: &str = "name number data item items numbers kind any structure at forTime for_time mask wrapped ratio \
                        first second @type value";

    fn key() -> impl Strategy<Value = String> {
        let known: Vec<&str> = KEYS.split(' ').collect();
        prop_oneof![8 => prop::sample::select(known).prop_map(str::to_owned), 1 => ".{0,3}"]
    }

    /// The first is empty.
    const TEXTS: &str = " 1 -0 NaN Infinity 1e400 9223372036854775808 2026-01-01T00:00:00Z 9999-12-31T23:59:60Z \
                         0000-00-00T00:00:00Z 1s -315576000001s 0.0000000001s AA== _- aB,c.dE a,,b KIND_ONE / \
                         type.googleapis.com/test.v1.Item type.googleapis.com/google.protobuf.Duration";

    fn leaf() -> impl Strategy<Value = Value> {
        let texts: Vec<&str> = TEXTS.split(' ').collect();
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::sample::select(texts).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ]
    }

    fn object() -> impl Strategy<Value = Value> {
        let value = leaf().prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key(), inner), 0..6).prop_map(|fields| Value::Object(Map::from_iter(fields))),
            ]
        });
        prop::collection::vec((key(), value), 0..4).prop_map(|fields| Value::Object(Map::from_iter(fields)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_json_says_is_said_again(sent in object()) {
            let sent = sent.to_string();
            let Some(proto) = read(sent.clone()) else { return Ok(()) };
            prop_assert!(proto.len() <= sent.len() * GROWTH_MAX, "{} of {sent}", proto.len());
            let said = write(proto).ok_or_else(|| TestCaseError::fail(format!("{sent} is not written")))?;
            let again = read(said.to_string()).and_then(write);
            prop_assert_eq!(Some(&said), again.as_ref(), "{}", sent);
        }

        #[test]
        fn what_an_upstream_says_is_said_again_or_refused(fields in prop::collection::vec(field(), 0..6)) {
            let Some(said) = write(fields.concat().into()) else { return Ok(()) };
            let again = read(said.to_string()).and_then(write);
            prop_assert_eq!(Some(&said), again.as_ref());
        }

        #[test]
        fn no_bytes_do_any_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,100}") {
            read(bytes.clone());
            read(text);
            write(bytes.into());
        }
    }

    #[test]
    fn a_number_is_not_its_neighbour() {
        let sent = r#"{"structure":{"name":-4.574606127585389e+207}}"#;
        let said = write(read(sent).unwrap()).unwrap();
        assert_eq!(said["structure"]["name"].as_f64(), Some(-4.574606127585389e+207));
    }

    /// A field of the message with anything in it, and sometimes the wrong type.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX), Just(i64::MAX as u64)];
        let varint = |number: u64| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(number, &mut bytes);
            bytes
        };
        let scalar = (1..18_u64, number).prop_map(move |(tag, number)| [varint(tag << 3), varint(number)].concat());
        let fixed =
            (1..18_u64, any::<[u8; 8]>()).prop_map(move |(tag, bytes)| [varint(tag << 3 | 1), bytes.to_vec()].concat());
        let bytes = prop::collection::vec(any::<u8>(), 0..20).boxed();
        let inner = prop_oneof![2 => prop::collection::vec(prop_oneof![scalar, fixed], 0..4).prop_map(|all| all.concat()), 1 => bytes];
        inner.prop_recursive(4, 30, 3, move |inner| {
            (1..18_u64, inner)
                .prop_map(move |(tag, inner)| [varint(tag << 3 | 2), varint(inner.len() as u64), inner].concat())
        })
    }
}
