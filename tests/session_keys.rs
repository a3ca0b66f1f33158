//! What the backend says a device's key is decides which refusal a command gets: a text that is no key is the
//! backend's fault, a key that verifies nothing is the device's.

use crate::kit::{
    backend::{Backend, Reply},
    device::{KEY, command, device, edge_yaml, refused, send},
    gateway::Gateway,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis::client::{Codec, Protocol};

fn key(first: u8, middle: u8, last: u8) -> String {
    STANDARD.encode([&[first][..], &[middle; 30], &[last]].concat())
}

#[tokio::test]
async fn a_key_is_usable_or_unusable_or_none() {
    let good = STANDARD.encode(KEY.verifying_key().as_bytes());
    let (unavailable, invalid) =
        (Some(("unavailable", "SESSION_LOOKUP_UNAVAILABLE")), Some(("unauthenticated", "SIGNATURE_INVALID")));
    let cases = [
        ("the device's", good.clone(), None),
        ("another's", key(0x58, 0x66, 0x66), invalid),
        ("of small order", key(1, 0, 0), invalid),
        // Both can be decoded, and neither may verify anything.
        ("not canonical, y >= p", key(0xf0, 0xff, 0x7f), invalid),
        ("not canonical, a sign on x = 0", key(1, 0, 0x80), invalid),
        ("off the curve", key(2, 0, 0), unavailable),
        ("short", STANDARD.encode([1; 31]), unavailable),
        ("long", STANDARD.encode([1; 33]), unavailable),
        ("empty", String::new(), unavailable),
        ("no base64", "no key".to_owned(), unavailable),
        ("without padding", good.trim_end_matches('=').to_owned(), unavailable),
        ("hex", "ab".repeat(32), unavailable),
    ];
    let keys: Vec<_> = cases.iter().map(|(_, key, _)| key.clone()).collect();
    let backend = Backend::start(move |seen| {
        let Some((_, id)) = seen.target.split_once("/sessions/") else { return Reply::json(200, "{}") };
        let number: usize = id.strip_prefix("session-").unwrap().parse().unwrap();
        Reply::json(
            200,
            serde_json::json!({ "device_session_id": id, "user_id": "u", "status": "active", "client_public_key": keys[number] }),
        )
    });
    let gateway = Gateway::start(&edge_yaml(&backend));
    // Twice, because what is known of a key is kept.
    for (number, (what, _, refusal)) in cases.iter().enumerate().chain(cases.iter().enumerate()) {
        let request = device(&format!("session-{number}")).sign(&command("user.account.get", ""));
        let outcome = send(&gateway, (Protocol::Connect, Codec::Proto), &request).await;
        let Some((code, reason)) = refusal else {
            outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            continue;
        };
        let refused = refused(outcome);
        assert_eq!((refused.code.as_str(), refused.reason.as_deref()), (*code, Some(*reason)), "{what}");
    }
    assert_eq!(backend.seen_at("/api/v1/user").len(), 2);
}
