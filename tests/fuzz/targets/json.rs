//! JSON to protobuf and back: what is taken is said again, and once said it stays the same.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis::rpc::{
    Codec,
    transcode::{from_proto, to_proto},
};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::Value;
use std::sync::LazyLock;

static ITEM: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/services.binpb")).as_slice());
    pool.unwrap().get_message_by_name("test.v1.Item").unwrap()
});

/// How many bytes of protobuf one of JSON may become: `[1,1]` in a Struct is worst, where each digit becomes a message
/// with a double.
const GROWTH_MAX: usize = 16;

fn read(json: impl Into<Bytes>) -> Option<Bytes> {
    to_proto(json.into(), Codec::Json, &ITEM).ok()
}

fn write(proto: Bytes) -> Option<Value> {
    let json = from_proto(proto, Codec::Json, &ITEM).ok()?;
    Some(serde_json::from_slice(&json).unwrap())
}

fn again(said: &Value) -> Option<Value> {
    read(said.to_string()).and_then(write)
}

fuzz_target!(|input: &[u8]| {
    // What cannot begin JSON says that protobuf follows.
    let Some(proto) = input.strip_prefix(b"\0") else {
        let Some(proto) = read(input.to_vec()) else { return };
        assert!(proto.len() <= input.len() * GROWTH_MAX);
        let said = write(proto).unwrap();
        assert_eq!(again(&said), Some(said));
        return;
    };
    if let Some(said) = write(proto.to_vec().into()) {
        // JSON has no word for a path of a FieldMask with a comma in it: what was one is two from then on.
        let said = again(&said).unwrap();
        assert_eq!(again(&said), Some(said));
    }
});
