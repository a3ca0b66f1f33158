//! Taking the addresses, before anything is announced.

use pingora_core::server::{Fds, ListenFds};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd,
    sync::Arc,
};

/// A listener whose address is taken. Clients can connect from now on; they are served once a service takes over.
#[derive(Debug)]
pub struct Bound {
    /// The listener's name.
    pub name: String,
    /// The address that the configuration says; its port may be 0.
    pub asked: SocketAddr,
    /// The address, with the port that the system gave for port 0.
    pub address: SocketAddr,
    socket: TcpListener,
}

impl Bound {
    /// A socket that another process has bound, for a listener that it knew by this name.
    ///
    /// # Errors
    /// Where it is no socket that could be served from.
    pub fn inherited(name: String, asked: SocketAddr, socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { name, asked, address, socket })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &TcpListener {
        &self.socket
    }

    /// The same socket once more. Its queue of connections lives on until both are gone.
    ///
    /// # Errors
    /// Where the process may open no more files.
    pub fn again(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { name: self.name.clone(), asked: self.asked, address: self.address, socket })
    }

    /// Whether it is what a listener needs. What port 0 was resolved to stays with the listener of that name.
    fn suits(&self, name: &str, asked: SocketAddr) -> bool {
        if asked.port() == 0 { self.asked == asked && self.name == name } else { self.address == asked }
    }
}

/// An address that could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("listener `{name}` cannot be bound to {address}: {source}; {remedy}")]
pub struct BindProblem {
    /// The listener's name.
    pub name: String,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What to do about it.
    pub remedy: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// Binds every listener, or none. What was `inherited` and suits one is its socket; the rest is let go.
///
/// Pingora would try for 30 seconds and then panic in a thread of its own, which leaves a process that is alive
/// and serves nothing. Its accept loops are given these sockets instead, see [`take_over`].
///
/// # Errors
/// The first address that cannot be taken; those taken before it are given back.
pub fn bind_all(listeners: &[(String, SocketAddr)], inherited: Vec<Bound>) -> Result<Vec<Bound>, BindProblem> {
    let mut inherited = inherited;
    let bound = |(name, asked): &(String, SocketAddr)| match inherited.iter().position(|had| had.suits(name, *asked)) {
        Some(place) => Ok(Bound { name: name.clone(), asked: *asked, ..inherited.swap_remove(place) }),
        None => bind(name, *asked),
    };
    listeners.iter().map(bound).collect()
}

fn bind(name: &str, address: SocketAddr) -> Result<Bound, BindProblem> {
    // The standard library sets SO_REUSEADDR, so a restart need not wait for old connections in TIME_WAIT; Pingora
    // raises the backlog to 65535 when it takes over, and sets TCP_NODELAY on what it accepts.
    let socket = TcpListener::bind(address).and_then(|socket| Bound::inherited(name.to_owned(), address, socket));
    socket.map_err(|source| BindProblem { name: name.to_owned(), address, remedy: remedy(&source), source })
}

fn remedy(fault: &io::Error) -> &'static str {
    match fault.kind() {
        io::ErrorKind::AddrInUse => {
            "another listener or process has this port (`ss -ltnp` says which; `[::]` takes IPv4 as well): stop it or choose another"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it or choose a higher port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address: use one that it has, or 0.0.0.0"
        }
        _ => "choose an address that this machine can listen on",
    }
}

/// Hands the sockets to the table from which a Pingora service takes them, under the string that the service's
/// endpoints are named by: the resolved address.
#[must_use]
pub fn take_over(bound: Vec<Bound>) -> ListenFds {
    let mut fds = Fds::new();
    for Bound { address, socket, .. } in bound {
        // From here on the service owns the socket; Pingora finds it by this string and does not bind again
        // (listeners/l4.rs, `ListenerEndpointBuilder::listen`).
        fds.add(address.to_string(), socket.into_raw_fd());
    }
    Arc::new(fds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(name: &str) -> (String, SocketAddr) {
        (name.to_owned(), "127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn port_0_is_resolved_and_every_socket_is_handed_over() {
        let bound = bind_all(&[any("a"), any("b")], Vec::new()).unwrap();
        let addresses: Vec<_> = bound.iter().map(|bound| bound.address).collect();
        assert!(addresses.iter().all(|address| address.port() != 0) && addresses[0] != addresses[1]);
        let fds = take_over(bound);
        assert!(addresses.iter().all(|address| fds.lock().get(&address.to_string()).is_some()));
    }

    #[test]
    fn what_is_inherited_and_suits_is_not_bound_again_and_the_rest_is_let_go() {
        let had = bind_all(&[any("a"), any("b"), any("c"), any("d")], Vec::new()).unwrap();
        let [a, b, c, d] = [0, 1, 2, 3].map(|place: usize| had[place].address);
        // By its name where the port is any, by its address where it is not, whatever its name was.
        let asked = [any("a"), ("other".to_owned(), b), any("new")];
        let bound = bind_all(&asked, had).unwrap();
        let addresses: Vec<_> = bound.iter().map(|bound| bound.address).collect();
        assert_eq!((addresses[0], addresses[1], bound[1].name.as_str()), (a, b, "other"));
        assert!(![a, b, c, d].contains(&addresses[2]));
        assert!([c, d].map(TcpListener::bind).iter().all(Result::is_ok));
    }

    #[test]
    fn an_address_in_use_is_named_with_its_remedy_and_the_others_are_given_back() {
        let taken = bind_all(&[any("first")], Vec::new()).unwrap();
        let free = bind_all(&[any("free")], Vec::new()).unwrap().remove(0).address;
        let problem = bind_all(&[("edge".into(), free), ("public".into(), taken[0].address)], Vec::new()).unwrap_err();
        let said = problem.to_string();
        assert!(said.contains("listener `public`") && said.contains(&taken[0].address.to_string()), "{said}");
        assert!(said.contains("another listener or process"), "{said}");
        assert!(TcpListener::bind(free).is_ok());
    }
}
