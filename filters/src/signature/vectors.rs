//! The requests of `proto/vectors`, as the filter gets them: the key from the session look-up, the rest from the wire.

use super::*;
use crate::{
    api::{CommandState, SessionStatus},
    fakes::{Request, parts, reason, session, unhex},
};
use proto::edge::v1::ExecuteCommandRequest;
use serde_json::Value;
use std::{fs, path::Path, sync::Arc};

fn requests() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["vectors"].take();
    let documents = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).map(read);
    let vectors = documents.flat_map(|vectors| vectors.as_array().unwrap().clone());
    vectors.filter(|vector| vector["kind"] == "request").collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn command(vector: &Value) -> ExecuteCommandRequest {
    let fields = &vector["fields"];
    ExecuteCommandRequest {
        protocol_version: text(&fields["protocol_version"]),
        device_session_id: text(&fields["device_session_id"]),
        message_type: text(&fields["message_type"]),
        timestamp_ms: text(&fields["timestamp_ms"]).parse().unwrap(),
        request_id: text(&fields["request_id"]),
        payload_hash: unhex(&text(&fields["payload_hash"])).into(),
        signature: unhex(&text(&vector["signature"])).into(),
        ..Default::default()
    }
}

#[test]
fn requests_pass_where_their_vector_is_valid() {
    let vectors = requests();
    assert!(vectors.len() >= 200, "{}", vectors.len());
    for vector in vectors {
        let name = &vector["name"];
        let key = parse_key(&STANDARD.encode(unhex(&text(&vector["public_key"])))).ok().flatten();
        let breaks_key = vector["faults"].as_array().unwrap().iter().any(|fault| text(fault).starts_with("key_"));
        assert_eq!(key.is_none(), breaks_key, "{name}");
        let mut parts = parts();
        parts.markers.request = text(&vector["marker"]);
        let mut request = Request::with_command(CommandState::Decoded(command(&vector).into()));
        request.facts.session = Some(Arc::new(crate::api::SessionRecord { key, ..session(SessionStatus::Active) }));
        let refused = reason(request.check_now(&*Config {}.build(&parts).unwrap()));
        let expected = (vector["valid"] == false).then_some(Reason::SignatureInvalid);
        assert_eq!(refused, expected, "{name}");
    }
}
