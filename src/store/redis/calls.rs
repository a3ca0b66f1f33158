//! Calls on a link, each within its deadline, and what their faults do to the link.

use super::{
    RedisStore,
    fault::{CallFault, LinkFault},
    link::Link,
    scripts::Script,
    wire::{self, Answer, Caller},
};
use filters::api::{Charge, Claim, Claimed, Receipt, ReplayClaim, ReplayKey};
use redis::{Cmd, Value, cmd};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

impl RedisStore {
    /// The link, or why there is none.
    pub(super) fn link_now(&self) -> Result<Arc<Link>, CallFault> {
        self.link.load_full().ok_or_else(|| {
            let fault = CallFault::Down(LinkFault::clone(&self.why_down.load()));
            self.metrics.called(fault.word());
            fault
        })
    }

    pub(super) async fn claim_on(&self, link: &Arc<Link>, claim: &Claim) -> Result<Claimed, CallFault> {
        let claimed = self.decide(link, claim, true).await;
        self.note(link, &claimed, |claimed| match claimed {
            Claimed::Granted(_) => "granted",
            Claimed::Replayed => "replayed",
            Claimed::Exhausted(_) => "exhausted",
        });
        claimed
    }

    pub(super) async fn look_on(&self, link: &Arc<Link>, replay: &ReplayClaim) -> Result<bool, CallFault> {
        let claimed = self.decide(link, &wire::only(replay), false).await;
        self.note(link, &claimed, |_| "looked");
        claimed.map(|claimed| claimed == Claimed::Replayed)
    }

    async fn decide(&self, link: &Link, claim: &Claim, is_claim: bool) -> Result<Claimed, CallFault> {
        let keep = claim.replay.as_ref().map_or(Duration::ZERO, |replay| self.keep(replay.keep));
        let caller = self.caller(link, keep);
        let arguments = |command: &mut Cmd| wire::write_claim(command, &self.keys, claim, is_claim, &caller);
        let Ok(_permit) = self.in_flight.try_acquire() else { return Err(CallFault::Crowded) };
        let mut answer = Answer::new(self.call(link, Script::Claim, &arguments).await?)?;
        let outcome = answer.integer()?;
        let said = answer.said()?;
        if let Some((fence, high_ms)) = &said.known {
            self.knowledge.learn(fence, *high_ms);
        }
        let charges = if is_claim { claim.charges.as_slice() } else { &[] };
        answer.claimed(outcome, &said, charges)
    }

    /// Tells the server that this instance lives and what it knows.
    pub(super) async fn heartbeat(&self, link: &Arc<Link>) -> Result<(), CallFault> {
        let beat = async {
            let caller = self.caller(link, self.keep(Duration::ZERO));
            let arguments = |command: &mut Cmd| wire::write_heartbeat(command, &self.keys, &caller, &self.instance);
            let mut answer = Answer::new(self.call(link, Script::Heartbeat, &arguments).await?)?;
            let said = answer.said()?;
            if let Some((fence, high_ms)) = &said.known {
                self.knowledge.learn(fence, *high_ms);
            }
            self.instances.store(answer.count()?, Relaxed);
            Ok(())
        };
        let beaten = beat.await;
        self.note(link, &beaten, |()| "heartbeat");
        beaten
    }

    fn caller<'a>(&self, link: &'a Link, keep: Duration) -> Caller<'a> {
        Caller { link, wall_ms: self.clock.unix_ms(), known: self.knowledge.get(), keep, hold: self.hold() }
    }

    async fn call(&self, link: &Link, script: Script, arguments: &impl Fn(&mut Cmd)) -> Result<Value, CallFault> {
        let _counted = self.metrics.in_flight();
        let begun = Instant::now();
        let answer = timeout(self.options.command_timeout, link.run(script, &self.scripts, arguments)).await;
        self.metrics.duration.observe(begun.elapsed().as_secs_f64());
        answer.unwrap_or(Err(CallFault::Late))
    }

    /// Counts a call, and takes the link down where its fault says that it is of no use.
    fn note<T>(&self, link: &Arc<Link>, answer: &Result<T, CallFault>, word: impl Fn(&T) -> &'static str) {
        let fault = match answer {
            Ok(answer) => {
                self.metrics.called(word(answer));
                return link.succeeded();
            }
            Err(fault) => fault,
        };
        self.metrics.called(fault.word());
        match fault {
            CallFault::Down(_) | CallFault::Crowded => {}
            // The driver ends by itself; until then, others would only wait for the same.
            CallFault::Broken(_) => self.take_down(link, LinkFault::Closed),
            CallFault::Misplaced(said) => self.take_down(link, LinkFault::Refused(said.clone())),
            CallFault::Forbidden(said) => {
                let (server, said) = (link.server.clone(), said.clone());
                self.take_down(link, LinkFault::Forbidden { server, said });
            }
            CallFault::Late | CallFault::NoScript | CallFault::Refused(_) | CallFault::Malformed => {
                let failures = link.failed();
                if failures >= self.options.failures {
                    self.take_down(link, LinkFault::Broken { failures, last: fault.to_string() });
                }
            }
        }
    }

    fn take_down(&self, link: &Arc<Link>, fault: LinkFault) {
        self.why_down.store(Arc::new(fault.clone()));
        self.unpublish(link);
        link.end(fault);
    }

    pub(super) fn release_later(&self, key: &ReplayKey) {
        let mut command = cmd("DEL");
        command.arg(self.keys.id(key));
        self.later("release", |link| async move { link.send(&command).await });
    }

    pub(super) fn refund_later(&self, charges: &[Charge], receipt: Receipt) {
        if charges.is_empty() {
            return;
        }
        let (keys, scripts, charges) = (self.keys.clone(), Arc::clone(&self.scripts), charges.to_vec());
        self.later("refund", |link| async move {
            let arguments = |command: &mut Cmd| wire::write_refund(command, &keys, &charges, receipt);
            link.run(Script::Refund, &scripts, &arguments).await
        });
    }

    /// Best effort: within the same bounds as a call that is waited for, or not at all.
    fn later<F>(&self, word: &'static str, call: impl FnOnce(Arc<Link>) -> F)
    where
        F: Future<Output = Result<Value, CallFault>> + Send + 'static,
    {
        let (Ok(runtime), Some(link)) = (Handle::try_current(), self.link.load_full()) else { return };
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else { return };
        let (metrics, counted) = (self.metrics.clone(), self.metrics.in_flight());
        let call = timeout(self.options.command_timeout, call(link));
        runtime.spawn(async move {
            let answer = call.await.unwrap_or(Err(CallFault::Late));
            metrics.called(answer.map_or_else(|fault| fault.word(), |_| word));
            drop((permit, counted));
        });
    }
}
