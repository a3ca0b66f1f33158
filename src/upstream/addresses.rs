//! The socket addresses behind an endpoint's name.

use super::{
    fault::{FaultKind, Unreached},
    rest::Rest,
};
use pingora_timeout::timeout;
use std::{
    io, mem,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};
use tokio::{net::lookup_host, sync::watch};

/// How old the addresses of a name may be before it is looked up again, in the background and only while it is used.
const REFRESH: Duration = Duration::from_secs(5);
/// How long a name that has never resolved is not looked up again.
const RETRY: Duration = Duration::from_secs(1);
/// The most addresses of one name that are used.
const ADDRESSES_MAX: usize = 64;

/// A name and what it resolves to; or one address.
pub(super) enum Addresses {
    /// It was written as an address.
    Literal(SocketAddr),
    /// It has to be looked up.
    Name(Arc<Name>),
}

/// One address of a name. One that could not be connected to is left out for a while, unless all are.
struct Address {
    socket: SocketAddr,
    rest: Rest,
}

/// A name that is looked up.
pub(super) struct Name {
    host: String,
    port: u16,
    next: AtomicUsize,
    is_looked_up: AtomicBool,
    found: watch::Sender<Found>,
}

/// What look-ups of a name have found so far.
#[derive(Default)]
struct Found {
    addresses: Option<Arc<[Arc<Address>]>>,
    problem: Option<String>,
    at: Option<Instant>,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        match host.parse() {
            Ok(ip) => Self::Literal(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(Arc::new(Name {
                host: host.to_owned(),
                port,
                next: AtomicUsize::new(0),
                is_looked_up: AtomicBool::new(false),
                found: watch::Sender::default(),
            })),
        }
    }

    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Literal(address) => address.port(),
            Self::Name(name) => name.port,
        }
    }

    /// The addresses to try, one after the other. Only the first look-up of a name is waited for; a name that stops to
    /// resolve keeps the addresses that it had.
    ///
    /// # Errors
    /// Where the name has never resolved.
    pub(super) async fn candidates(&self) -> Result<Candidates, Unreached> {
        match self {
            Self::Literal(address) => Ok(Candidates(Left::One { address: *address, is_tried: false })),
            Self::Name(name) => {
                let all = name.addresses().await?;
                let start = name.next.fetch_add(1, Relaxed);
                Ok(Candidates(Left::Several { all, start, tried: 0, current: 0 }))
            }
        }
    }
}

impl Name {
    async fn addresses(self: &Arc<Self>) -> Result<Arc<[Arc<Address>]>, Unreached> {
        let (known, problem, at) = {
            let found = self.found.borrow();
            (found.addresses.clone(), found.problem.clone(), found.at)
        };
        let is_older = |than: Duration| at.is_none_or(|at| at.elapsed() >= than);
        if let Some(known) = known {
            if is_older(REFRESH) {
                self.look_up();
            }
            return Ok(known);
        }
        if !is_older(RETRY)
            && let Some(problem) = problem
        {
            return Err(Unreached::new(FaultKind::Dns, problem));
        }
        let mut found = self.found.subscribe();
        self.look_up();
        // The sender lives as long as this.
        let found =
            found.wait_for(|found| found.at != at).await.map_err(|gone| Unreached::new(FaultKind::Dns, gone))?;
        let unknown = || Unreached::new(FaultKind::Dns, found.problem.clone().unwrap_or_default());
        found.addresses.clone().ok_or_else(unknown)
    }

    /// Looks the name up in a task of its own, one at a time: a resolver that hangs holds one thread, however many wait.
    fn look_up(self: &Arc<Self>) {
        if self.is_looked_up.swap(true, AcqRel) {
            return;
        }
        let name = Arc::clone(self);
        tokio::spawn(async move {
            let looked_up = lookup_host((name.host.as_str(), name.port)).await;
            name.found.send_modify(|found| found.take(looked_up.map(Iterator::collect), &name.host));
            name.is_looked_up.store(false, Release);
        });
    }
}

impl Found {
    fn take(&mut self, looked_up: io::Result<Vec<SocketAddr>>, host: &str) {
        self.at = Some(Instant::now());
        let sockets = match looked_up {
            Ok(sockets) if sockets.is_empty() => Err(format!("{host} has no address")),
            Ok(sockets) => Ok(sockets),
            Err(error) => Err(format!("{host} does not resolve: {error}")),
        };
        match sockets {
            Err(problem) => self.problem = Some(problem),
            Ok(sockets) => {
                let mut all: Vec<Arc<Address>> = Vec::new();
                for socket in sockets {
                    if all.len() < ADDRESSES_MAX && all.iter().all(|known| known.socket != socket) {
                        all.push(self.known(socket));
                    }
                }
                (self.addresses, self.problem) = (Some(all.into()), None);
            }
        }
    }

    /// An address that was there before goes on resting.
    fn known(&self, socket: SocketAddr) -> Arc<Address> {
        let known = self.addresses.iter().flat_map(|all| all.iter()).find(|known| known.socket == socket);
        known.cloned().unwrap_or_else(|| Arc::new(Address { socket, rest: Rest::default() }))
    }
}

/// The addresses of an endpoint, each of which is given once: first those that do not rest, in turn.
pub struct Candidates(Left);

enum Left {
    One {
        address: SocketAddr,
        is_tried: bool,
    },
    /// `tried` has a bit for each; `current` is the place of the one that was given last.
    Several {
        all: Arc<[Arc<Address>]>,
        start: usize,
        tried: u64,
        current: usize,
    },
}

impl Candidates {
    /// Whether all were given.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        match &self.0 {
            Left::One { is_tried, .. } => *is_tried,
            Left::Several { all, tried, .. } => tried.count_ones() as usize >= all.len(),
        }
    }

    /// How many were not given yet.
    fn left(&self) -> u32 {
        match &self.0 {
            Left::One { is_tried, .. } => u32::from(!is_tried),
            Left::Several { all, tried, .. } => {
                u32::try_from(all.len()).unwrap_or(u32::MAX).saturating_sub(tried.count_ones())
            }
        }
    }

    /// The one that was given last could not be connected to.
    pub fn failed(&self) {
        if let Left::Several { all, current, .. } = &self.0
            && let Some(address) = all.get(*current)
        {
            address.rest.begin(Instant::now());
        }
    }

    /// The one that was given last was connected to.
    pub fn reached(&self) {
        if let Left::Several { all, current, .. } = &self.0
            && let Some(address) = all.get(*current)
        {
            address.rest.end();
        }
    }

    /// Connects to the first that takes a connection, all within `wait`.
    ///
    /// # Errors
    /// What went wrong with the last.
    pub(super) async fn connect<T, F>(
        mut self,
        wait: Duration,
        connect: impl Fn(SocketAddr) -> F,
    ) -> Result<T, Unreached>
    where
        F: Future<Output = io::Result<T>>,
    {
        let until = Instant::now() + wait;
        let mut why = Unreached::new(FaultKind::Dns, "no address");
        loop {
            let share = until.saturating_duration_since(Instant::now()) / self.left().max(1);
            let Some(address) = self.next() else { return Err(why) };
            why = match timeout(share, connect(address)).await {
                Ok(Ok(connected)) => {
                    self.reached();
                    return Ok(connected);
                }
                Ok(Err(error)) => Unreached::new(FaultKind::of_connect(&error), error),
                Err(_) => Unreached::new(FaultKind::Timeout, format!("no connection in {share:?}")),
            };
            self.failed();
        }
    }
}

impl Iterator for Candidates {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match &mut self.0 {
            Left::One { address, is_tried } => (!mem::replace(is_tried, true)).then_some(*address),
            Left::Several { all, start, tried, current } => {
                let is_left = |index: &usize| *tried & 1 << index == 0;
                let turns = || (0..all.len()).map(|turn| (*start).wrapping_add(turn) % all.len()).filter(is_left);
                let lets_through =
                    |index: &usize| all.get(*index).is_some_and(|address| address.rest.lets_through(Instant::now));
                let index = turns().find(lets_through).or_else(|| turns().next())?;
                let address = all.get(index)?.socket;
                *tried |= 1 << index;
                *current = index;
                Some(address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sockets: &[&str]) -> Vec<SocketAddr> {
        sockets.iter().map(|socket| socket.parse().unwrap()).collect()
    }

    fn candidates(found: &Found, start: usize) -> Candidates {
        let all = found.addresses.clone().unwrap();
        Candidates(Left::Several { all, start, tried: 0, current: 0 })
    }

    #[test]
    fn each_address_is_given_once_and_in_turn() {
        let mut name = Found::default();
        name.take(Ok(found(&["[::1]:1", "127.0.0.1:1", "127.0.0.1:1"])), "a");
        assert_eq!(candidates(&name, 0).collect::<Vec<_>>(), found(&["[::1]:1", "127.0.0.1:1"]));
        assert_eq!(candidates(&name, 1).collect::<Vec<_>>(), found(&["127.0.0.1:1", "[::1]:1"]));
        assert_eq!(candidates(&name, usize::MAX).count(), 2);
    }

    #[test]
    fn an_address_that_failed_is_given_last_until_it_is_reached() {
        let mut name = Found::default();
        name.take(Ok(found(&["[::1]:1", "127.0.0.1:1"])), "a");
        let mut first = candidates(&name, 0);
        first.next();
        first.failed();
        // It rests under a new answer of the resolver too.
        name.take(Ok(found(&["[::1]:1", "127.0.0.1:1"])), "a");
        let mut second = candidates(&name, 0);
        assert_eq!(second.next(), Some("127.0.0.1:1".parse().unwrap()));
        second.next();
        second.reached();
        assert_eq!(candidates(&name, 0).next(), Some("[::1]:1".parse().unwrap()));
    }

    #[test]
    fn a_name_that_stops_to_resolve_keeps_its_addresses() {
        let mut name = Found::default();
        name.take(Ok(found(&["127.0.0.1:1"])), "a");
        name.take(Err(io::Error::other("gone")), "a");
        name.take(Ok(Vec::new()), "a");
        assert_eq!(candidates(&name, 0).count(), 1);
        assert_eq!(name.problem.as_deref(), Some("a has no address"));
    }

    #[tokio::test]
    async fn a_name_is_connected_to_at_whichever_address_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = Addresses::new("localhost", port);
        for _ in 0..4 {
            let candidates = addresses.candidates().await.unwrap();
            candidates.connect(Duration::from_secs(10), tokio::net::TcpStream::connect).await.unwrap();
        }
        let nobody = Addresses::new("name.invalid", 1);
        for _ in 0..3 {
            assert_eq!(nobody.candidates().await.err().map(|why| why.fault), Some(FaultKind::Dns));
        }
    }
}
