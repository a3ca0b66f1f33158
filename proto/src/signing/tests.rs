use super::*;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

pub(super) fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

const VECTOR_INPUT: &str = "0f656467652d726571756573742d76310276310973657373696f6e2d31\
                            10757365722e6163636f756e742e6765740000018bcfe56800057265712d31\
                            20e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const VECTOR_SIGNATURE: &str = "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588\
                                c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f";
const VECTOR_KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

#[test]
fn the_contracts_vector_1() {
    let hash = Sha256::digest(b"");
    let fields = RequestFields {
        protocol_version: "v1",
        device_session_id: "session-1",
        message_type: "user.account.get",
        timestamp_ms: 1_700_000_000_000,
        request_id: "req-1",
        payload_hash: &hash,
    };
    let input = fields.input(&Markers::default().request);
    assert_eq!(input, unhex(VECTOR_INPUT));
    let seed: Vec<u8> = (0..32).collect();
    let key = SigningKey::from_bytes(&seed.try_into().unwrap());
    assert_eq!(key.sign(&input).to_vec(), unhex(VECTOR_SIGNATURE));
    assert_eq!(key.verifying_key().to_bytes().to_vec(), unhex(VECTOR_KEY));
    let public = VerifyingKey::from_bytes(&unhex(VECTOR_KEY).try_into().unwrap()).unwrap();
    public.verify_strict(&input, &Signature::from_slice(&unhex(VECTOR_SIGNATURE)).unwrap()).unwrap();
}

#[test]
fn lengths_are_varints_in_their_shortest_form() {
    for (length, prefix) in [
        (0, &[0][..]),
        (1, &[1]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (16_383, &[0xff, 0x7f]),
        (16_384, &[0x80, 0x80, 0x01]),
    ] {
        let mut input = Input(Vec::new());
        input.bytes(&vec![b'x'; length]);
        assert_eq!(input.0.split_at(prefix.len()).0, prefix, "{length}");
        assert_eq!(input.0.len(), prefix.len() + length);
    }
}

#[test]
fn an_int64_is_big_endian() {
    for (value, bytes) in
        [(0, [0; 8]), (1, [0, 0, 0, 0, 0, 0, 0, 1]), (-1, [0xff; 8]), (i64::MIN, [0x80, 0, 0, 0, 0, 0, 0, 0])]
    {
        let mut input = Input(Vec::new());
        input.int64(value);
        assert_eq!(input.0, bytes);
    }
}

/// The signed fields, owned: some texts, a time and a hash.
type Fields<const N: usize> = ([String; N], i64, Vec<u8>);

fn request((texts, timestamp_ms, payload_hash): &Fields<4>, marker: &str) -> Vec<u8> {
    let [protocol_version, device_session_id, message_type, request_id] = texts;
    let timestamp_ms = *timestamp_ms;
    RequestFields { protocol_version, device_session_id, message_type, timestamp_ms, request_id, payload_hash }
        .input(marker)
}

fn response((texts, timestamp_ms, payload_hash): &Fields<4>, marker: &str) -> Vec<u8> {
    let [protocol_version, device_session_id, request_id, result_code] = texts;
    let timestamp_ms = *timestamp_ms;
    ResponseFields { protocol_version, device_session_id, request_id, timestamp_ms, result_code, payload_hash }
        .input(marker)
}

fn event((texts, timestamp_ms, payload_hash): &Fields<6>, marker: &str) -> Vec<u8> {
    let [protocol_version, event_id, event_type, request_id, subject, position] = texts;
    let timestamp_ms = *timestamp_ms;
    EventFields { protocol_version, event_id, event_type, timestamp_ms, request_id, subject, position, payload_hash }
        .input(marker)
}

/// Fields that are apt to run into each other: short, of few letters, with bytes that look like lengths.
fn fields<const N: usize>() -> impl Strategy<Value = Fields<N>> {
    let text = "[ab\\x00-\\x03]{0,4}|.{0,140}";
    (proptest::array::uniform(text), prop_oneof![0_i64..3, any::<i64>()], proptest::collection::vec(0_u8..4, 0..4))
}

/// The same fields with a letter moved from one to the next: what an encoding without lengths would not tell.
fn shifted<const N: usize>((mut texts, timestamp_ms, hash): Fields<N>, at: usize) -> Option<Fields<N>> {
    let moved = texts[at].pop()?;
    texts[at + 1].insert(0, moved);
    Some((texts, timestamp_ms, hash))
}

proptest! {
    #[test]
    fn different_fields_give_different_inputs(a in fields(), b in fields(), at in 0_usize..3) {
        prop_assert_eq!(request(&a, "m") == request(&b, "m"), a == b);
        prop_assert_eq!(response(&a, "m") == response(&b, "m"), a == b);
        if let Some(shifted) = shifted(a.clone(), at) {
            prop_assert_ne!(request(&a, "m"), request(&shifted, "m"));
            prop_assert_ne!(response(&a, "m"), response(&shifted, "m"));
        }
    }

    #[test]
    fn different_events_give_different_inputs(a in fields(), b in fields(), at in 0_usize..5) {
        prop_assert_eq!(event(&a, "m") == event(&b, "m"), a == b);
        if let Some(shifted) = shifted(a.clone(), at) {
            prop_assert_ne!(event(&a, "m"), event(&shifted, "m"));
        }
    }

    #[test]
    fn no_kind_is_another(a in fields(), b in fields(), c in fields()) {
        let markers = Markers::default();
        let inputs = [request(&a, &markers.request), response(&b, &markers.response), event(&c, &markers.event)];
        prop_assert_ne!(&inputs[0], &inputs[1]);
        prop_assert_ne!(&inputs[0], &inputs[2]);
        prop_assert_ne!(&inputs[1], &inputs[2]);
        prop_assert_ne!(&inputs[0], &request(&a, &markers.event));
    }
}
