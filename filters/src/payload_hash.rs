//! Holds the payload against its hash.
//!
//! The signature covers the hash and not the payload itself, so this is what ties the payload to the
//! signature: without it anybody on the way could exchange the payload of a signed command. It runs ahead of
//! `signature` because it is the cheaper of the two.
//!
//! It can always decide.
//!
//! ```yaml
//! - payload_hash
//! ```

use crate::api::{BuildFault, Check, Configured, Exchange, Filter, Halt, Outcome, Parts, Reason, Refusal, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Holds the payload against its hash. There is nothing to configure.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

impl Configured for Config {
    const NAME: &'static str = "payload_hash";
    const AFTER: &'static [&'static str] = &["envelope", "session"];
    const ONCE: bool = true;

    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Ok(Box::new(PayloadHash))
    }
}

struct PayloadHash;

impl Filter for PayloadHash {
    fn name(&self) -> &'static str {
        Config::NAME
    }

    fn check<'f, 'x: 'f>(&'f self, exchange: &'f mut Exchange<'x>) -> Check<'f> {
        Step::Ready(judge(exchange))
    }
}

fn judge(exchange: &Exchange<'_>) -> Outcome {
    let command = exchange.facts.command.decoded().ok_or_else(|| Halt::misplaced(Config::NAME))?;
    // Both sides are the caller's own, so the comparison gives nothing away by its time.
    if Sha256::digest(&command.payload_bytes)[..] == command.payload_hash[..] {
        Ok(())
    } else {
        Err(Refusal::new(Reason::PayloadHashMismatch).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::CommandState,
        fakes::{Request, command, parts, reason},
    };
    use proto::edge::v1::ExecuteCommandRequest;

    fn refused(payload: &'static [u8], hashed: &[u8]) -> Option<Reason> {
        let payload_hash = Sha256::digest(hashed).to_vec().into();
        let command = ExecuteCommandRequest { payload_bytes: payload.into(), payload_hash, ..command() };
        let filter = Config {}.build(&parts()).unwrap();
        reason(Request::with_command(CommandState::Decoded(command.into())).check_now(&*filter))
    }

    #[test]
    fn only_the_hashed_payload_passes() {
        for (payload, hashed, refusal) in [
            (&b""[..], &b""[..], None),
            (b"{}", b"{}", None),
            (b"{}", b"{ }", Some(Reason::PayloadHashMismatch)),
            (b"", b"{}", Some(Reason::PayloadHashMismatch)),
            (b"{}", b"", Some(Reason::PayloadHashMismatch)),
        ] {
            assert_eq!(refused(payload, hashed), refusal, "{payload:?} {hashed:?}");
        }
    }

    #[test]
    fn it_fails_without_a_command() {
        let filter = Config {}.build(&parts()).unwrap();
        assert_eq!(reason(Request::get("/").check_now(&*filter)), Some(Reason::Internal));
    }
}
