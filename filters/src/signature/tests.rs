use super::*;
use crate::{
    api::{CommandState, SessionStatus},
    fakes::{Request, command, parts, reason, session, unhex},
};
use ed25519_dalek::{Signer as _, SigningKey};
use proto::edge::v1::ExecuteCommandRequest;
use std::sync::Arc;

/// The order of the base point, little-endian: adding it to a signature's S keeps the equation but not the form.
const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn refused(command: ExecuteCommandRequest, key: Option<VerifyingKey>) -> Option<Reason> {
    let filter = Config {}.build(&parts()).unwrap();
    let mut request = Request::with_command(CommandState::Decoded(command.into()));
    request.facts.session = Some(Arc::new(crate::api::SessionRecord { key, ..session(SessionStatus::Active) }));
    reason(request.check_now(&*filter))
}

fn refused_with_vector_key(change: impl FnOnce(&mut ExecuteCommandRequest)) -> Option<Reason> {
    let mut command = command();
    change(&mut command);
    refused(command, session(SessionStatus::Active).key)
}

#[test]
fn the_contracts_vector_passes() {
    assert_eq!(refused_with_vector_key(|_| ()), None);
}

#[test]
fn every_signed_field_counts() {
    type Change = fn(&mut ExecuteCommandRequest);
    let changes: [Change; 7] = [
        |c| c.protocol_version.push('1'),
        |c| c.device_session_id.push('1'),
        |c| c.message_type.push('1'),
        |c| c.timestamp_ms += 1,
        |c| c.request_id.push('1'),
        |c| c.payload_hash = vec![0; 32].into(),
        |c| c.signature = vec![0; 64].into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(refused_with_vector_key(change), Some(Reason::SignatureInvalid), "case {index}");
    }
    let unsigned: [Change; 2] = [|c| c.trace_id.push('1'), |c| c.payload_bytes = vec![1].into()];
    for change in unsigned {
        assert_eq!(refused_with_vector_key(change), None);
    }
}

#[test]
fn a_signature_under_another_marker_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let command = command();
    let fields = RequestFields {
        protocol_version: &command.protocol_version,
        device_session_id: &command.device_session_id,
        message_type: &command.message_type,
        timestamp_ms: command.timestamp_ms,
        request_id: &command.request_id,
        payload_hash: &command.payload_hash,
    };
    for (marker, refusal) in [("edge-request-v1", None), ("edge-response-v1", Some(Reason::SignatureInvalid))] {
        let signature = key.sign(&fields.input(marker)).to_vec().into();
        let signed = ExecuteCommandRequest { signature, ..command.clone() };
        assert_eq!(refused(signed, Some(key.verifying_key())), refusal, "{marker}");
    }
}

#[test]
fn a_session_without_a_usable_key_verifies_nothing() {
    assert_eq!(refused(command(), None), Some(Reason::SignatureInvalid));
}

#[test]
fn a_signature_has_one_form() {
    let signature = command().signature;
    let s_plus_l = {
        let mut carry = 0;
        let sum = signature[32..].iter().zip(unhex(L)).map(|(a, b)| {
            let digit = u16::from(*a) + u16::from(b) + carry;
            carry = digit >> 8;
            digit as u8
        });
        [signature[..32].to_vec(), sum.collect()].concat()
    };
    // y = p + 1 and y = 1 are one point. As R it is of small order too, so both reasons refuse it.
    let r_not_canonical = [unhex(NOT_CANONICAL[0]), signature[32..].to_vec()].concat();
    for forged in [s_plus_l, r_not_canonical] {
        assert_eq!(refused_with_vector_key(|c| c.signature = forged.into()), Some(Reason::SignatureInvalid));
    }
}

/// With a key of small order, R = S·B verifies (as cofactorless Ed25519 is often implemented) for a message
/// whose hash happens to be a multiple of the key's order, and with the identity as the key for every message.
#[test]
fn a_key_of_small_order_signs_for_nobody() {
    let identity = VerifyingKey::from_bytes(&unhex(SMALL_ORDER[0]).try_into().unwrap()).unwrap();
    // S = 1 and R = B: R = S·B + h·A holds for A = identity and whatever h.
    let base_point = [&[0x58][..], &[0x66; 31]].concat();
    let one = [&[1][..], &[0; 31]].concat();
    let signature: bytes::Bytes = [base_point, one].concat().into();
    assert!(identity.verify_strict(b"", &Signature::from_slice(&signature).unwrap()).is_err());
    assert_eq!(
        refused(ExecuteCommandRequest { signature, ..command() }, Some(identity)),
        Some(Reason::SignatureInvalid)
    );
}

/// The eight points of small order in canonical form (Chalkias and others, "Taming the many EdDSAs", table 1).
const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
];

/// Encodings with y >= p, and with a sign bit on x = 0 (same table).
const NOT_CANONICAL: [&str; 8] = [
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    // y = p + 3: the only family that is neither canonical nor of small order.
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn unusable_keys_are_known_when_read() {
    for hex in SMALL_ORDER.iter().chain(&NOT_CANONICAL) {
        assert_eq!(parse_key(&STANDARD.encode(unhex(hex))), Ok(None), "{hex}");
    }
}

#[test]
fn keys_are_read_from_standard_base64() {
    let key = session(SessionStatus::Active).key.unwrap();
    let good = STANDARD.encode(key.as_bytes());
    assert_eq!(parse_key(&good), Ok(Some(key)));
    let off_curve = [&[2][..], &[0; 31]].concat();
    for (text, fault) in [
        (String::new(), KeyFault::Length(0)),
        (good.trim_end_matches('=').to_owned(), KeyFault::NotBase64),
        (format!("{good}\n"), KeyFault::NotBase64),
        (STANDARD.encode([0; 31]), KeyFault::Length(31)),
        (STANDARD.encode([0; 33]), KeyFault::Length(33)),
        (STANDARD.encode(off_curve), KeyFault::NotOnCurve),
    ] {
        assert_eq!(parse_key(&text), Err(fault), "{text}");
    }
}

#[test]
fn it_fails_without_a_session() {
    let filter = Config {}.build(&parts()).unwrap();
    let mut request = Request::with_command(CommandState::Decoded(command().into()));
    assert_eq!(reason(request.check_now(&*filter)), Some(Reason::Internal));
}
