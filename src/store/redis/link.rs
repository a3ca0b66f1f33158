//! A connection in use.

use super::{
    dial::Driver,
    fault::{CallFault, LinkFault},
    locate::Primary,
    scripts::{Script, Scripts},
};
use redis::{Cmd, Value, aio::MultiplexedConnection, cmd};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::sync::watch;

/// A connection in use: to one start of one server.
pub(super) struct Link {
    connection: MultiplexedConnection,
    shas: Mutex<[String; Script::ALL.len()]>,
    /// Host and port.
    pub(super) server: String,
    /// What the server calls itself since its start.
    pub(super) run: String,
    /// Like that of no other link.
    pub(super) nonce: String,
    failures_in_a_row: AtomicU32,
    end: watch::Sender<Option<LinkFault>>,
}

impl Link {
    /// Loads the scripts; the link is ready then.
    pub(super) async fn open(primary: Primary, scripts: &Scripts) -> Result<(Self, Driver), LinkFault> {
        let Primary { mut dialed, server, run } = primary;
        let mut shas = [const { String::new() }; Script::ALL.len()];
        for (script, sha) in Script::ALL.iter().zip(&mut shas) {
            let answer = dialed.ask(cmd("SCRIPT").arg("LOAD").arg(script.text(scripts))).await?;
            *sha = loaded(answer).ok_or(LinkFault::Malformed("SCRIPT LOAD"))?;
        }
        let link = Self {
            connection: dialed.connection,
            shas: Mutex::new(shas),
            server,
            run,
            nonce: format!("{:016x}-", fastrand::u64(..)),
            failures_in_a_row: AtomicU32::new(0),
            end: watch::Sender::new(None),
        };
        Ok((link, dialed.driver))
    }

    /// Runs a script. Where the server has forgotten it, it is loaded again.
    pub(super) async fn run(
        &self,
        script: Script,
        scripts: &Scripts,
        arguments: &impl Fn(&mut Cmd),
    ) -> Result<Value, CallFault> {
        match self.run_loaded(script, arguments).await {
            Err(CallFault::NoScript) => {
                let answer = self.send(cmd("SCRIPT").arg("LOAD").arg(script.text(scripts))).await?;
                let sha = loaded(answer).ok_or(CallFault::Malformed)?;
                if let Some(known) = self.shas.lock().unwrap_or_else(PoisonError::into_inner).get_mut(script as usize) {
                    *known = sha;
                }
                self.run_loaded(script, arguments).await
            }
            answer => answer,
        }
    }

    async fn run_loaded(&self, script: Script, arguments: &impl Fn(&mut Cmd)) -> Result<Value, CallFault> {
        let mut command = cmd("EVALSHA");
        let sha = self.shas.lock().unwrap_or_else(PoisonError::into_inner).get(script as usize).cloned();
        command.arg(sha.unwrap_or_default());
        arguments(&mut command);
        self.send(&command).await
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, CallFault> {
        let answer = self.connection.clone().send_packed_command(command).await;
        answer.and_then(Value::extract_error).map_err(|error| CallFault::of(&error))
    }

    /// Notes that a call went well.
    pub(super) fn succeeded(&self) {
        self.failures_in_a_row.store(0, Relaxed);
    }

    /// Notes that a call failed, and says how many did so in a row.
    pub(super) fn failed(&self) -> u32 {
        self.failures_in_a_row.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Ends it, unless that was done before.
    pub(super) fn end(&self, fault: LinkFault) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert(fault);
            is_first
        });
    }

    /// Waits until it was ended.
    pub(super) async fn ended(&self) -> LinkFault {
        let mut end = self.end.subscribe();
        // It is not closed while `self` has the sender.
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        ended.unwrap_or(LinkFault::Closed)
    }
}

fn loaded(answer: Value) -> Option<String> {
    match answer {
        Value::BulkString(sha) => String::from_utf8(sha).ok(),
        _ => None,
    }
}
