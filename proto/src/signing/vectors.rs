//! Every vector of `proto/vectors`, whose README says what they have and which rules they break.

use super::{EventFields, RequestFields, ResponseFields, tests::unhex};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The order of the base point, little-endian (RFC 8032 section 5.1).
const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// What a verifier that is not strict does not look at.
const STRICT_ONLY: [&str; 3] = ["key_not_canonical", "key_small_order", "r_small_order"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    kind: String,
    marker: String,
    fields: BTreeMap<String, String>,
    input: String,
    public_key: String,
    signature: String,
    valid: bool,
    faults: BTreeSet<String>,
}

impl Vector {
    fn text(&self, field: &str) -> &str {
        &self.fields[field]
    }

    fn built_input(&self) -> Vec<u8> {
        let payload_hash = unhex(self.text("payload_hash"));
        let (protocol_version, request_id) = (self.text("protocol_version"), self.text("request_id"));
        let timestamp_ms = self.text("timestamp_ms").parse().unwrap();
        let payload_hash = payload_hash.as_slice();
        match self.kind.as_str() {
            "request" => {
                let (device_session_id, message_type) = (self.text("device_session_id"), self.text("message_type"));
                RequestFields {
                    protocol_version,
                    device_session_id,
                    message_type,
                    timestamp_ms,
                    request_id,
                    payload_hash,
                }
                .input(&self.marker)
            }
            "response" => {
                let (device_session_id, result_code) = (self.text("device_session_id"), self.text("result_code"));
                ResponseFields {
                    protocol_version,
                    device_session_id,
                    request_id,
                    timestamp_ms,
                    result_code,
                    payload_hash,
                }
                .input(&self.marker)
            }
            "event" => EventFields {
                protocol_version,
                event_id: self.text("event_id"),
                event_type: self.text("event_type"),
                timestamp_ms,
                request_id,
                subject: self.text("subject"),
                position: self.text("position"),
                payload_hash,
            }
            .input(&self.marker),
            other => panic!("{}: {other} is no kind", self.name),
        }
    }

    fn lists_only(&self, among: &[&str]) -> bool {
        self.faults.iter().all(|fault| among.contains(&fault.as_str()))
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path| serde_json::from_slice::<File>(&fs::read(path).unwrap()).unwrap().vectors;
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).flat_map(read).collect()
}

/// A point, with what is wrong with it added to `faults`.
fn point(name: &str, bytes: [u8; 32], faults: &mut BTreeSet<String>) -> Option<VerifyingKey> {
    let Ok(point) = VerifyingKey::from_bytes(&bytes) else {
        faults.insert(format!("{name}_off_curve"));
        return None;
    };
    if point.to_edwards().compress().to_bytes() != bytes {
        faults.insert(format!("{name}_not_canonical"));
    }
    if point.is_weak() {
        faults.insert(format!("{name}_small_order"));
    }
    Some(point)
}

/// Every rule that the form of a key and a signature breaks, and the two points.
fn of_form(public_key: &[u8], signature: &[u8]) -> (BTreeSet<String>, Option<VerifyingKey>, Option<VerifyingKey>) {
    let mut faults = BTreeSet::new();
    let key = match public_key.try_into() {
        Ok(bytes) => point("key", bytes, &mut faults),
        Err(_) => {
            faults.insert("key_length".to_owned());
            None
        }
    };
    let r = match signature.split_first_chunk::<32>().filter(|(_, s)| s.len() == 32) {
        Some((r, s)) => {
            if s.iter().rev().ge(unhex(L).iter().rev()) {
                faults.insert("s_out_of_range".to_owned());
            }
            point("r", *r, &mut faults)
        }
        None => {
            faults.insert("signature_length".to_owned());
            None
        }
    };
    (faults, key, r)
}

#[test]
fn there_are_vectors_of_every_kind_with_names_of_their_own() {
    let vectors = vectors();
    let names: BTreeSet<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), vectors.len());
    for kind in ["request", "response", "event"] {
        for valid in [true, false] {
            let count = vectors.iter().filter(|vector| vector.kind == kind && vector.valid == valid).count();
            assert!(count >= 50, "{count} {kind} vectors with valid {valid}");
        }
    }
    assert!(vectors.iter().all(|vector| vector.valid == vector.faults.is_empty()));
}

#[test]
fn the_fields_give_the_input() {
    for vector in vectors() {
        assert!(vector.built_input() == unhex(&vector.input), "{}", vector.name);
    }
}

#[test]
fn strict_verification_takes_the_valid_ones_and_no_other() {
    for vector in vectors() {
        let (public_key, signature) = (unhex(&vector.public_key), unhex(&vector.signature));
        let key = public_key.try_into().ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let holds = key.zip(Signature::from_slice(&signature).ok()).is_some_and(|(key, signature)| {
            let input = vector.built_input();
            // Else the rule that a vector lists would not be what refuses it.
            let is_taken_otherwise = key.verify(&input, &signature).is_ok();
            assert_eq!(is_taken_otherwise, vector.lists_only(&STRICT_ONLY), "{}", vector.name);
            key.verify_strict(&input, &signature).is_ok()
        });
        assert_eq!(holds, vector.valid, "{}", vector.name);
    }
}

#[test]
fn each_vector_breaks_the_rules_that_it_lists() {
    for mut vector in vectors() {
        let (found, key, r) = of_form(&unhex(&vector.public_key), &unhex(&vector.signature));
        let fails = vector.faults.remove("equation");
        let fails_without_cofactor = vector.faults.remove("torsion");
        assert_eq!(found, vector.faults, "{}", vector.name);
        assert!(!fails || !fails_without_cofactor, "{}", vector.name);
        if fails_without_cofactor {
            let points = [key.unwrap(), r.unwrap()];
            assert!(points.iter().any(|point| !point.to_edwards().is_torsion_free()), "{}", vector.name);
        }
    }
}
