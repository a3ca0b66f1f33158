//! The new process, as the old one sees it.

use super::{
    Invocation,
    link::{Link, Message, is_end},
    predecessor::VARIABLE,
};
use crate::listener::Bound;
use std::{collections::BTreeMap, io, path::PathBuf, process::ExitStatus, time::Duration};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// All that is left to do when the new process is told to serve.
const SERVING: Duration = Duration::from_secs(5);
/// What a process that has let go of its link takes to end.
const ENDING: Duration = Duration::from_secs(2);

/// Why another process did not take this one's place. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeProblem {
    /// Its end would be that of the container.
    #[error("this process is the first of its container, which would end with it: start another container instead")]
    First,
    /// What else it does would end with it.
    #[error(
        "this process is more than a gateway, and what else it does would end with it: only `portcullis run` is upgraded"
    )]
    Embedded,
    /// The file cannot be started.
    #[error("{} cannot be started: {source}", program.display())]
    Spawn {
        /// The file.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new process says so.
    #[error("the new process gave up: {0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the new process ended ahead of serving: {0}")]
    Ended(ExitStatus),
    /// It took too long.
    #[error("the new process was not ready within {} s (`upgrade.deadline`)", .0.as_secs())]
    Late(Duration),
    /// It does not speak as a gateway does.
    #[error("the new process is none that takes over: {0}")]
    Link(#[from] io::Error),
    /// This process is to stop.
    #[error("the gateway stops")]
    Stopped,
}

/// A process that is to take this one's place. Killed where it is dropped ahead of [`Successor::release`].
pub(super) struct Successor {
    /// None once it was let go.
    child: Option<Child>,
    link: Link,
}

impl Successor {
    /// Starts it, and gives it the sockets.
    pub(super) async fn start(invocation: &Invocation, bound: &[Bound]) -> Result<Self, UpgradeProblem> {
        let (link, theirs) = Link::pair()?;
        let child = {
            let mut command = Command::from(invocation.command());
            command.env(VARIABLE, "1").stdin(theirs);
            // Its end of the link goes with the command: the process itself is to be the only one that has it.
            command.spawn()
        };
        let program = || invocation.program().to_owned();
        let child = child.map_err(|source| UpgradeProblem::Spawn { program: program(), source })?;
        let mut successor = Self { child: Some(child), link };
        match successor.link.send_sockets(bound).await {
            // It has ended already, and may have said why.
            Err(error) if is_end(&error) => {
                let last = successor.link.next().await?;
                Err(successor.no(last).await)
            }
            sent => Ok(sent.map(|()| successor)?),
        }
    }

    /// Waits until all is prepared there. Answers with the process that is to be supervised.
    pub(super) async fn ready(&mut self, deadline: Duration) -> Result<u32, UpgradeProblem> {
        match timeout(deadline, self.link.next()).await {
            Err(_) => Err(UpgradeProblem::Late(deadline)),
            Ok(message) => match message? {
                Some(Message::Ready { pid }) => Ok(pid),
                other => Err(self.no(other).await),
            },
        }
    }

    /// Has it accept connections. Both do when this returns.
    pub(super) async fn serve(&mut self) -> Result<(), UpgradeProblem> {
        self.link.send(&Message::Serve {}).await?;
        match timeout(SERVING, self.link.next()).await {
            Err(late) => Err(UpgradeProblem::Link(late.into())),
            Ok(message) => match message? {
                Some(Message::Serving {}) => Ok(()),
                other => Err(self.no(other).await),
            },
        }
    }

    /// Lets it go on alone. Its feeds go on after these positions.
    pub(super) async fn release(mut self, feeds: BTreeMap<String, String>) {
        if let Err(error) = self.link.send(&Message::Feeds(feeds)).await {
            tracing::error!(%error, "the new process does not hear where its feeds are to go on");
        }
        self.child = None;
    }

    async fn no(&mut self, message: Option<Message>) -> UpgradeProblem {
        match message {
            Some(Message::Failed { why }) => UpgradeProblem::Failed(why.trim_end().to_owned()),
            Some(_) => UpgradeProblem::Link(io::ErrorKind::InvalidData.into()),
            None => self.end().await,
        }
    }

    /// It has let go of its link.
    async fn end(&mut self) -> UpgradeProblem {
        match timeout(ENDING, wait(&mut self.child)).await {
            Ok(Ok(status)) => UpgradeProblem::Ended(status),
            Ok(Err(error)) => UpgradeProblem::Link(error),
            Err(_) => UpgradeProblem::Link(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Ends it, and waits until what it has bound is free. A gateway that it has started in turn ends by itself, as the
    /// link does. A process group would be ended whole, but would also keep from the new process, for good, what a
    /// terminal or a supervisor says to the group of the old one.
    pub(super) async fn failed(mut self, problem: UpgradeProblem) -> UpgradeProblem {
        if let Some(child) = &mut self.child {
            drop(child.start_kill());
        }
        drop(timeout(ENDING, wait(&mut self.child)).await);
        problem
    }
}

async fn wait(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // One that has ended cannot be killed.
            drop(child.start_kill());
        }
    }
}
