//! Checks the command's fields, ahead of everything that believes them.
//!
//! Behind it every field has its shape: ids that can be logged and put into a URL, a hash and a signature of
//! the right length, a version and a message_type that are served. So no later filter, no store and no
//! backend sees a field of a hostile size or alphabet. `timestamp_ms` is left to `freshness`.
//!
//! It can always decide. On a route that carries no commands it fails (`INTERNAL`); the configuration's
//! checks rule that out.
//!
//! ```yaml
//! - envelope: { protocol_versions: [v1] }
//! ```

use crate::api::{
    BodyNeed, BuildFault, Check, CommandState, ConfigProblem, Configured, Exchange, Filter, Halt, Outcome, Parts,
    Reason, Refusal, Step,
};
use proto::edge::v1::ExecuteCommandRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const ID_BYTES_MAX: usize = 128;
const VERSION_BYTES_MAX: usize = 16;
const TRACE_ID_BYTES_MAX: usize = 128;
const HASH_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// Checks the command's fields.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The values of `protocol_version` that are served.
    pub protocol_versions: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { protocol_versions: vec!["v1".to_owned()] }
    }
}

impl Configured for Config {
    const NAME: &'static str = "envelope";
    const ONCE: bool = true;

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.protocol_versions.is_empty() {
            problems.push(ConfigProblem {
                pointer: "/protocol_versions".to_owned(),
                what: "no version is served, so every command would be refused".to_owned(),
                remedy: "write [v1], or leave it out".to_owned(),
            });
        }
        for (index, version) in self.protocol_versions.iter().enumerate() {
            if version.is_empty() || version.len() > VERSION_BYTES_MAX {
                problems.push(ConfigProblem {
                    pointer: format!("/protocol_versions/{index}"),
                    what: format!("«{version}» can be no version: it has not 1 to {VERSION_BYTES_MAX} bytes"),
                    remedy: "write a version such as v1".to_owned(),
                });
            }
        }
        problems
    }

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(Envelope { protocol_versions: self.protocol_versions.clone() }))
    }
}

struct Envelope {
    protocol_versions: Vec<String>,
}

impl Filter for Envelope {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    /// A command is decoded from the whole body. How long that may be is the listener's limit.
    fn body_need(&self) -> Option<BodyNeed> {
        Some(BodyNeed { bytes_max: u64::MAX })
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(self.judge(exchange))
    }
}

impl Envelope {
    fn judge(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let command = match &mut exchange.facts.command {
            CommandState::None => return Err(Halt::misplaced(Config::NAME)),
            CommandState::Undecodable(what) => {
                return Err(Refusal::because(Reason::EnvelopeInvalid, std::mem::take(what)).into());
            }
            CommandState::Decoded(command) => command,
        };
        if let Some(wrong) = malformed(command) {
            return Err(Refusal::because(Reason::EnvelopeInvalid, wrong).into());
        }
        if !self.protocol_versions.contains(&command.protocol_version) {
            return Err(Refusal::new(Reason::ProtocolVersionUnsupported).into());
        }
        if !exchange.message_types.is_some_and(|types| types.is_routed(&command.message_type)) {
            return Err(Refusal::new(Reason::MessageTypeUnknown).into());
        }
        if command.trace_id.len() > TRACE_ID_BYTES_MAX {
            Arc::make_mut(command).trace_id.clear();
        }
        Ok(())
    }
}

/// What is wrong with the fields, if anything is.
fn malformed(command: &ExecuteCommandRequest) -> Option<&'static str> {
    let is_id = |id: &str| (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let is_type = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let message_type = &command.message_type;
    let rules = [
        (
            (1..=VERSION_BYTES_MAX).contains(&command.protocol_version.len()),
            "protocol_version must have 1 to 16 characters",
        ),
        (is_id(&command.device_session_id), "device_session_id must be 1 to 128 visible ASCII characters"),
        (
            (1..=ID_BYTES_MAX).contains(&message_type.len()) && message_type.bytes().all(is_type),
            "message_type must be 1 to 128 of a-z, 0-9, dot, underscore and hyphen",
        ),
        (is_id(&command.request_id), "request_id must be 1 to 128 visible ASCII characters"),
        (command.payload_hash.len() == HASH_BYTES, "payload_hash must have 32 bytes"),
        (command.signature.len() == SIGNATURE_BYTES, "signature must have 64 bytes"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, wrong)| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Request, command, parts, reason};
    use proptest::prelude::*;

    fn outcome(command: CommandState) -> (Outcome, CommandState) {
        let filter = Config::default().build(&parts()).unwrap();
        let mut request = Request::with_command(command);
        let outcome = request.check_now(&*filter);
        (outcome, std::mem::take(&mut request.facts.command))
    }

    fn refused(change: impl FnOnce(&mut ExecuteCommandRequest)) -> Option<Reason> {
        let mut command = command();
        change(&mut command);
        reason(outcome(CommandState::Decoded(Arc::new(command))).0)
    }

    #[test]
    fn fields_are_held_to_their_shapes() {
        type Change = fn(&mut ExecuteCommandRequest);
        let invalid: [Change; 19] = [
            |c| c.protocol_version.clear(),
            |c| c.protocol_version = "v".repeat(17),
            |c| c.device_session_id.clear(),
            |c| c.device_session_id = "s".repeat(129),
            |c| c.device_session_id = "a b".to_owned(),
            |c| c.device_session_id = "a\u{7f}".to_owned(),
            |c| c.device_session_id = "ä".to_owned(),
            |c| c.message_type.clear(),
            |c| c.message_type = "m".repeat(129),
            |c| c.message_type = "User.get".to_owned(),
            |c| c.message_type = "user/get".to_owned(),
            |c| c.request_id.clear(),
            |c| c.request_id = "r".repeat(129),
            |c| c.request_id = "a\nb".to_owned(),
            |c| c.payload_hash.clear(),
            |c| c.payload_hash = vec![0; 33].into(),
            |c| c.signature.clear(),
            |c| c.signature = vec![0; 63].into(),
            |c| c.signature = vec![0; 65].into(),
        ];
        for (index, change) in invalid.into_iter().enumerate() {
            assert_eq!(refused(change), Some(Reason::EnvelopeInvalid), "case {index}");
        }
        let valid: [Change; 5] = [
            |_| (),
            |c| c.device_session_id = "!".repeat(128),
            |c| c.request_id = "~".repeat(128),
            |c| c.timestamp_ms = 0,
            |c| c.payload_bytes = vec![0; 1 << 20].into(),
        ];
        for (index, change) in valid.into_iter().enumerate() {
            assert_eq!(refused(change), None, "case {index}");
        }
    }

    #[test]
    fn the_order_is_fields_then_version_then_type() {
        let wrong_version = |c: &mut ExecuteCommandRequest| c.protocol_version = "v2".to_owned();
        let wrong_type = |c: &mut ExecuteCommandRequest| c.message_type = "no.such".to_owned();
        assert_eq!(refused(wrong_type), Some(Reason::MessageTypeUnknown));
        let both = |c: &mut ExecuteCommandRequest| (wrong_version(c), wrong_type(c)).0;
        assert_eq!(refused(both), Some(Reason::ProtocolVersionUnsupported));
        let all = |c: &mut ExecuteCommandRequest| (both(c), c.signature.clear()).0;
        assert_eq!(refused(all), Some(Reason::EnvelopeInvalid));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let (outcome, _) = outcome(CommandState::Undecodable("not protobuf".to_owned()));
        assert_eq!(outcome, Err(Refusal::because(Reason::EnvelopeInvalid, "not protobuf").into()));
        let (outcome, _) = super::tests::outcome(CommandState::None);
        assert!(matches!(outcome, Err(Halt::Faulted(refusal)) if refusal.reason == Reason::Internal));
    }

    #[test]
    fn a_long_trace_id_is_dropped() {
        for (bytes, kept) in [(128, 128), (129, 0)] {
            let command = ExecuteCommandRequest { trace_id: "t".repeat(bytes), ..command() };
            let (outcome, state) = outcome(CommandState::Decoded(Arc::new(command)));
            assert_eq!(outcome, Ok(()));
            assert_eq!(state.decoded().unwrap().trace_id.len(), kept);
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_its_shape(
            ids in proptest::array::uniform4(".{0,130}|[a-z0-9.]{1,8}|v1|user\\.get"),
            timestamp_ms: i64,
            hash in proptest::collection::vec(any::<u8>(), 0..40),
            is_signed: bool,
        ) {
            let [protocol_version, device_session_id, message_type, request_id] = ids;
            let signature = vec![7; if is_signed { SIGNATURE_BYTES } else { 3 }].into();
            let command = ExecuteCommandRequest {
                protocol_version, device_session_id, message_type, request_id, timestamp_ms, signature,
                payload_hash: hash.into(), ..ExecuteCommandRequest::default()
            };
            let (outcome, state) = outcome(CommandState::Decoded(Arc::new(command)));
            if outcome.is_ok() {
                let command = state.decoded().unwrap();
                prop_assert_eq!(malformed(command), None);
                prop_assert_eq!(command.protocol_version.as_str(), "v1");
            }
        }
    }
}
