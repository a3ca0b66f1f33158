//! What the process tells whoever supervises it, in the words of systemd's `sd_notify(3)`.

use rustix::time::{ClockId, clock_gettime};
use std::{
    env,
    ffi::OsStr,
    fmt, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The status of a gateway that does what it is for.
pub(super) const SERVING: &str = "serving";

/// Something that a supervisor wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
    /// Requests are served.
    Ready,
    /// Until it is ready again, something else is taken up.
    Reloading,
    /// It ends.
    Stopping,
    /// The process that is to be supervised from here on.
    MainPid(u32),
    /// For people, in one line.
    Status(&'a str),
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => writeln!(f, "READY=1"),
            Self::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                // `Type=notify-reload` takes it for the answer to its signal by this time.
                writeln!(f, "RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
            }
            Self::Stopping => writeln!(f, "STOPPING=1"),
            Self::MainPid(pid) => writeln!(f, "MAINPID={pid}"),
            Self::Status(status) => writeln!(f, "STATUS={status}"),
        }
    }
}

/// Tells the supervisor, where there is one that wants to be told (`NOTIFY_SOCKET`).
pub(super) fn tell(states: &[State<'_>]) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, states) {
        tracing::warn!(%error, ?states, "the supervisor could not be told");
    }
}

fn send(socket: &OsStr, states: &[State<'_>]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let words: String = states.iter().map(ToString::to_string).collect();
    let sender = UnixDatagram::unbound()?;
    // A supervisor that does not read keeps nobody from serving.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(words.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(receiver: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = receiver.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn both_kinds_of_sockets_are_told_in_one_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), &[State::MainPid(7), State::Ready, State::Status("serving")]).unwrap();
        assert_eq!(told(&receiver), "MAINPID=7\nREADY=1\nSTATUS=serving\n");

        let name = format!("portcullis-{}", std::process::id());
        let receiver = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), &[State::Stopping]).unwrap();
        assert_eq!(told(&receiver), "STOPPING=1\n");
        assert!(send(folder.path().join("nobody").as_os_str(), &[State::Ready]).is_err());
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let told = State::Reloading.to_string();
        let since: u64 = told.trim().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(since > 0);
    }
}
