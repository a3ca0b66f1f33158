//! What two processes say to each other while one takes the place of the other.

use crate::listener::Bound;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, OwnedFd},
};
use tokio::{io::Interest, net::UnixStream};

/// The kernel takes no more at once (`SCM_MAX_FD` in `net/scm.h`).
const SOCKETS_MAX: usize = 253;
const SOCKETS_SPACE: usize = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));
/// Room for the longest names of so many sockets.
const MESSAGE_BYTES_MAX: usize = 128 << 10;

/// One message, in the order in which they go. Other versions of the gateway read them: what is there keeps its
/// meaning, and what is unknown is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// To the new process: what the sockets are that come with it.
    Sockets(Vec<Named>),
    /// To the old one: all is prepared, and no connection was accepted.
    Ready {
        /// The process that is to be supervised from here on.
        pid: u32,
    },
    /// To the old one: this process gives up.
    Failed {
        /// Why.
        why: String,
    },
    /// To the new one: accept.
    Serve {},
    /// To the old one: connections are accepted.
    Serving {},
    /// To the new one: the feeds are free, and were held up to these positions.
    Feeds(BTreeMap<String, String>),
}

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    name: String,
    /// What the configuration says; the port may be 0.
    asked: SocketAddr,
}

/// One end of the connection between both. It keeps messages apart, and its end is told by the kernel, whatever a
/// process died of.
#[derive(Debug)]
pub(super) struct Link(UnixStream);

impl Link {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::over(ours)?, theirs))
    }

    /// Over a socket that was one end of [`Link::pair`].
    pub(super) fn over(socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self)
    }

    pub(super) async fn send(&self, message: &Message) -> io::Result<()> {
        self.send_with(message, &[]).await
    }

    /// Sends the sockets of all listeners.
    pub(super) async fn send_sockets(&self, bound: &[Bound]) -> io::Result<()> {
        if bound.len() > SOCKETS_MAX {
            return Err(io::Error::other(format!("at most {SOCKETS_MAX} listeners can be handed over")));
        }
        let named = |bound: &Bound| Named { name: bound.name.clone(), asked: bound.asked };
        self.send_with(&Message::Sockets(bound.iter().map(named).collect()), bound).await
    }

    async fn send_with(&self, message: &Message, bound: &[Bound]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let sockets: Vec<_> = bound.iter().map(|bound| bound.socket().as_fd()).collect();
        let send = || {
            let mut space = [MaybeUninit::uninit(); SOCKETS_SPACE];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).map_err(io::Error::from)
        };
        self.0.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// The next message; none where the other process has ended or let go.
    pub(super) async fn next(&self) -> io::Result<Option<Message>> {
        Ok(self.next_with_sockets().await?.map(|(message, _)| message))
    }

    async fn next_with_sockets(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let receive = || {
            let mut space = [MaybeUninit::uninit(); SOCKETS_SPACE];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut receive =
                || recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
            let received = match receive() {
                // Said once of a peer that has ended without reading everything, ahead of its own last words.
                Err(Errno::CONNRESET) => receive()?,
                received => received?,
            };
            if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let sockets = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            Ok((received.bytes, sockets.flatten().collect::<Vec<_>>()))
        };
        let (length, sockets) = self.0.async_io(Interest::READABLE, receive).await?;
        bytes.truncate(length);
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&bytes)?, sockets)))
    }

    /// The sockets of all listeners, as the other process had them.
    pub(super) async fn sockets(&self) -> io::Result<Vec<Bound>> {
        let Some((Message::Sockets(named), sockets)) = self.next_with_sockets().await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let bound =
            |(named, socket): (Named, OwnedFd)| Bound::inherited(named.name, named.asked, TcpListener::from(socket));
        named.into_iter().zip(sockets).map(bound).collect()
    }
}

/// Whether it says no more than that the other process has ended; its last words may still be there.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::bind_all;

    #[tokio::test]
    async fn messages_stay_apart_and_sockets_stay_open() {
        let (ours, theirs) = Link::pair().unwrap();
        let theirs = Link::over(theirs).unwrap();
        let asked = ["a", "b"].map(|name| (name.to_owned(), "127.0.0.1:0".parse().unwrap()));
        let bound = bind_all(&asked, Vec::new()).unwrap();
        let addresses: Vec<_> = bound.iter().map(|bound| bound.address).collect();
        let feeds = Message::Feeds(BTreeMap::from([("player".to_owned(), "c9".to_owned())]));
        ours.send_sockets(&bound).await.unwrap();
        ours.send(&Message::Serve {}).await.unwrap();
        ours.send(&feeds).await.unwrap();
        drop((ours, bound));
        let sockets = theirs.sockets().await.unwrap();
        let got: Vec<_> =
            sockets.iter().map(|bound| (bound.name.as_str(), bound.asked.port(), bound.address)).collect();
        assert_eq!(got, [("a", 0, addresses[0]), ("b", 0, addresses[1])]);
        assert!(addresses.iter().all(|address| std::net::TcpStream::connect(address).is_ok()));
        assert_eq!(theirs.next().await.unwrap(), Some(Message::Serve {}));
        assert_eq!(theirs.next().await.unwrap(), Some(feeds));
        assert_eq!(theirs.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_last_words_of_who_has_not_listened_are_heard() {
        let (ours, theirs) = Link::pair().unwrap();
        let theirs = Link::over(theirs).unwrap();
        let last = Message::Failed { why: "no reason".to_owned() };
        ours.send(&Message::Serve {}).await.unwrap();
        theirs.send(&last).await.unwrap();
        drop(theirs);
        assert!(is_end(&ours.send(&Message::Serve {}).await.unwrap_err()));
        assert_eq!(ours.next().await.unwrap(), Some(last));
        assert_eq!(ours.next().await.unwrap(), None);
    }
}
