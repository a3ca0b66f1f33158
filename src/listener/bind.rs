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
    /// The address, with the port that the system gave for port 0.
    pub address: SocketAddr,
    socket: TcpListener,
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

/// Binds every listener, or none.
///
/// Pingora would try for 30 seconds and then panic in a thread of its own, which leaves a process that is alive
/// and serves nothing. Its accept loops are given these sockets instead, see [`take_over`].
///
/// # Errors
/// The first address that cannot be taken; those taken before it are given back.
pub fn bind_all(listeners: &[(String, SocketAddr)]) -> Result<Vec<Bound>, BindProblem> {
    listeners.iter().map(|(name, address)| bind(name, *address)).collect()
}

fn bind(name: &str, address: SocketAddr) -> Result<Bound, BindProblem> {
    // The standard library sets SO_REUSEADDR, so a restart need not wait for old connections in TIME_WAIT; Pingora
    // raises the backlog to 65535 when it takes over, and sets TCP_NODELAY on what it accepts.
    let socket = TcpListener::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Bound { name: name.to_owned(), address, socket })
    });
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
        let bound = bind_all(&[any("a"), any("b")]).unwrap();
        let addresses: Vec<_> = bound.iter().map(|bound| bound.address).collect();
        assert!(addresses.iter().all(|address| address.port() != 0) && addresses[0] != addresses[1]);
        let fds = take_over(bound);
        assert!(addresses.iter().all(|address| fds.lock().get(&address.to_string()).is_some()));
    }

    #[test]
    fn an_address_in_use_is_named_with_its_remedy_and_the_others_are_given_back() {
        let taken = bind_all(&[any("first")]).unwrap();
        let free = bind_all(&[any("free")]).unwrap().remove(0).address;
        let problem = bind_all(&[("edge".into(), free), ("public".into(), taken[0].address)]).unwrap_err();
        let said = problem.to_string();
        assert!(said.contains("listener `public`") && said.contains(&taken[0].address.to_string()), "{said}");
        assert!(said.contains("another listener or process"), "{said}");
        assert!(TcpListener::bind(free).is_ok());
    }
}
