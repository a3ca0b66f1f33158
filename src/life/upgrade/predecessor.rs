//! The old process, as the new one sees it.

use super::link::{Link, Message};
use crate::listener::Bound;
use rustix::stdio::dup2_stdin;
use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};
use tokio::time::timeout;

/// Says to a process that its standard input is a link to the one whose place it takes.
pub(super) const VARIABLE: &str = "PORTCULLIS_UPGRADE";
/// An old process has all of this at hand.
const ANSWER: Duration = Duration::from_secs(10);
/// More than anybody reads.
const WHY_CHARS_MAX: usize = 8 << 10;

/// The end of a link that this process was started with.
#[derive(Debug)]
pub struct Inherited(OwnedFd);

impl Inherited {
    /// The link, where the process was started to take another one's place.
    ///
    /// # Errors
    /// Where there should be one and is none.
    pub fn find() -> io::Result<Option<Self>> {
        if env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let link = io::stdin().as_fd().try_clone_to_owned()?;
        // While another copy of it is open the old process would not see that this one has let go.
        dup2_stdin(File::open("/dev/null")?)?;
        Ok(Some(Self(link)))
    }

    /// Says why this process gives up, where there is no runtime yet.
    pub fn fail(self, why: &str) {
        // Where nobody hears it, stderr has it still.
        drop(serde_json::to_vec(&failed(why)).map(|message| UnixStream::from(self.0).write(&message)));
    }

    /// Takes up the link on the current runtime.
    ///
    /// # Errors
    /// Where it leads nowhere.
    pub async fn open(self) -> io::Result<Predecessor> {
        let link = Link::over(self.0)?;
        let sockets = answer(link.sockets()).await?;
        Ok(Predecessor { link, sockets })
    }
}

/// A process whose place this one takes. Dropped ahead of its end, that one serves on.
#[derive(Debug)]
pub struct Predecessor {
    link: Link,
    sockets: Vec<Bound>,
}

impl Predecessor {
    /// Its sockets; there are none a second time.
    pub(in crate::life) fn sockets(&mut self) -> Vec<Bound> {
        std::mem::take(&mut self.sockets)
    }

    /// Says that all is prepared, and waits until this process is to accept connections.
    pub(in crate::life) async fn ready(&self) -> io::Result<()> {
        self.link.send(&Message::Ready { pid: std::process::id() }).await?;
        match answer(self.link.next()).await? {
            Some(Message::Serve {}) => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says that connections are accepted, and waits until the feeds are free, however long that takes: two with one
    /// `gateway_client_id` would end each other. Answers with the positions up to which they were held; one that is not
    /// there begins anew.
    pub(in crate::life) async fn feeds(self) -> BTreeMap<String, String> {
        let told = answer(self.link.send(&Message::Serving {})).await;
        match (told, self.link.next().await) {
            (Ok(()), Ok(Some(Message::Feeds(feeds)))) => feeds,
            // It has ended, so that they are free all the same.
            _ => BTreeMap::new(),
        }
    }

    /// Says why this process gives up.
    pub async fn fail(&self, why: &str) {
        drop(answer(self.link.send(&failed(why))).await);
    }
}

fn failed(why: &str) -> Message {
    Message::Failed { why: why.chars().take(WHY_CHARS_MAX).collect() }
}

async fn answer<T>(answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ANSWER, answer).await.unwrap_or_else(|late| Err(late.into()))
}
