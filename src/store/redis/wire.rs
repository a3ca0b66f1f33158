//! Claims as arguments of a script, and its answers as what they mean.

use super::{fault::CallFault, knowledge::Known, link::Link};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use filters::api::{Charge, Claim, Claimed, Exhausted, Grant, RateState, Receipt, ReplayClaim, ReplayKey};
use redis::{Cmd, Value};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Doubles, the only numbers of the scripts, are exact up to here: 285 years of microseconds.
const EXACT_MAX: u64 = 1 << 53;
/// So that a moment and a window are exact together.
const WINDOW_MAX: u64 = EXACT_MAX / 4;

/// Names of keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    pub(super) state: String,
    pub(super) instances: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), state: format!("{prefix}state"), instances: format!("{prefix}instances") }
    }

    /// Where an id is reserved: under half of the SHA-256 of a session and a request id. Who finds two with the
    /// same half has burnt an id of its own, since the session is in it.
    pub(super) fn id(&self, key: &ReplayKey) -> String {
        let mut hash = Sha256::new();
        // The length keeps `a`, `bc` and `ab`, `c` apart.
        hash.update((key.device_session_id.len() as u64).to_be_bytes());
        hash.update(&key.device_session_id);
        hash.update(&key.request_id);
        self.named('r', &hash.finalize())
    }

    /// Where a charge is counted. Hashed: callers choose parts of it, and their addresses are nobody's business.
    pub(super) fn window(&self, charge: &Charge) -> String {
        self.named('b', &Sha256::digest(&charge.key))
    }

    fn named(&self, kind: char, digest: &[u8]) -> String {
        let half = digest.first_chunk::<16>().unwrap_or(&[0; 16]);
        format!("{}{kind}:{}", self.prefix, URL_SAFE_NO_PAD.encode(half))
    }
}

/// Who asks, and what it knows: the part that `caller_at` reads.
pub(super) struct Caller<'a> {
    pub(super) link: &'a Link,
    pub(super) wall_ms: i64,
    pub(super) known: Known,
    pub(super) keep: Duration,
    pub(super) hold: Duration,
}

impl Caller<'_> {
    fn write(&self, command: &mut Cmd) {
        command.arg(&self.link.run).arg(&self.link.nonce).arg(self.wall_ms);
        command.arg(&*self.known.fence).arg(self.known.high_ms).arg(millis(self.keep)).arg(millis(self.hold));
    }
}

/// The arguments of `claim.lua`.
pub(super) fn write_claim(command: &mut Cmd, keys: &Keys, claim: &Claim, is_claim: bool, caller: &Caller<'_>) {
    command.arg(claim.charges.len() + if claim.replay.is_some() { 2 } else { 0 });
    for charge in &claim.charges {
        command.arg(keys.window(charge));
    }
    if let Some(replay) = &claim.replay {
        command.arg(&keys.state).arg(keys.id(&replay.key));
    }
    command.arg(claim.charges.len()).arg(u8::from(is_claim));
    for charge in &claim.charges {
        command.arg(charge.limit.min(EXACT_MAX)).arg(micros(charge.window).min(WINDOW_MAX));
        command.arg(charge.cost.min(EXACT_MAX)).arg(u8::from(charge.is_observed));
    }
    if let Some(replay) = &claim.replay {
        caller.write(command);
        command.arg(replay.timestamp_ms).arg(millis(replay.keep));
    }
}

/// A claim that only looks.
pub(super) fn only(replay: &ReplayClaim) -> Claim {
    Claim { replay: Some(replay.clone()), charges: Vec::new() }
}

/// The arguments of `refund.lua`.
pub(super) fn write_refund(command: &mut Cmd, keys: &Keys, charges: &[Charge], receipt: Receipt) {
    command.arg(charges.len());
    for charge in charges {
        command.arg(keys.window(charge));
    }
    command.arg(micros(receipt.0));
    for charge in charges {
        command.arg(charge.cost.min(EXACT_MAX));
    }
}

/// The arguments of `heartbeat.lua`.
pub(super) fn write_heartbeat(command: &mut Cmd, keys: &Keys, caller: &Caller<'_>, instance: &str) {
    command.arg(2).arg(&keys.state).arg(&keys.instances);
    caller.write(command);
    command.arg(instance);
}

/// An answer, read from its beginning.
pub(super) struct Answer(std::vec::IntoIter<Value>);

/// What every answer begins with, behind its first number.
pub(super) struct Said {
    /// The server's clock.
    pub(super) now: Duration,
    /// The fence, and the highest timestamp known there; none where the state was not looked at.
    pub(super) known: Option<(String, i64)>,
}

impl Answer {
    pub(super) fn new(value: Value) -> Result<Self, CallFault> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(CallFault::Malformed),
        }
    }

    pub(super) fn integer(&mut self) -> Result<i64, CallFault> {
        match self.0.next() {
            Some(Value::Int(integer)) => Ok(integer),
            _ => Err(CallFault::Malformed),
        }
    }

    pub(super) fn count(&mut self) -> Result<u64, CallFault> {
        u64::try_from(self.integer()?).map_err(|_| CallFault::Malformed)
    }

    pub(super) fn said(&mut self) -> Result<Said, CallFault> {
        let now = Duration::from_micros(self.count()?);
        let fence = match self.0.next() {
            Some(Value::BulkString(fence)) => Some(String::from_utf8(fence).map_err(|_| CallFault::Malformed)?),
            Some(Value::Nil) => None,
            _ => return Err(CallFault::Malformed),
        };
        let high_ms = self.integer()?;
        Ok(Said { now, known: fence.map(|fence| (fence, high_ms)) })
    }

    /// The rest of what `claim.lua` says, behind its outcome.
    pub(super) fn claimed(mut self, outcome: i64, said: &Said, charges: &[Charge]) -> Result<Claimed, CallFault> {
        match outcome {
            0 => {
                let mut grant =
                    Grant { rates: Vec::with_capacity(charges.len()), over: vec![], receipt: Receipt(said.now) };
                for (place, charge) in charges.iter().enumerate() {
                    grant.rates.push(self.rate(charge)?);
                    if self.count()? == 1 {
                        grant.over.push(place);
                    }
                }
                Ok(Claimed::Granted(grant))
            }
            1 => Ok(Claimed::Replayed),
            2 => {
                let place = usize::try_from(self.count()?).ok().and_then(|place| place.checked_sub(1));
                let place = place.ok_or(CallFault::Malformed)?;
                let rate = self.rate(charges.get(place).ok_or(CallFault::Malformed)?)?;
                Ok(Claimed::Exhausted(Exhausted { charge: place, rate, retry_after_seconds: self.count()?.max(1) }))
            }
            _ => Err(CallFault::Malformed),
        }
    }

    fn rate(&mut self, charge: &Charge) -> Result<RateState, CallFault> {
        Ok(RateState { limit: charge.limit, remaining: self.count()?, reset_seconds: self.count()? })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Rounded up: an id is kept no shorter than was asked.
fn millis(duration: Duration) -> u64 {
    micros(duration).min(WINDOW_MAX).div_ceil(1000)
}
