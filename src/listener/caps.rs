//! How many connections are open: in all, and from one address.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// Accepting threads seldom meet on one of so many locks.
const SHARDS: usize = 16;

/// Counts open connections and turns away what is over a cap. Memory is bounded by the connections themselves: an
/// address without one is forgotten.
#[derive(Debug)]
pub struct Caps {
    max: usize,
    per_ip: usize,
    open: AtomicUsize,
    shed_total: AtomicU64,
    shed_per_ip: AtomicU64,
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// As many connections as may be are open.
    Total,
    /// As many as one address may have are open from it.
    PerIp,
}

/// One open connection. It is counted for as long as this lives.
#[derive(Debug)]
pub struct Slot {
    caps: Arc<Caps>,
    /// Whose it is; nobody's where it counts in all alone.
    key: Option<IpAddr>,
}

impl Caps {
    /// At most `max` connections, and at most `per_ip` from one IPv4 address or IPv6 /64.
    #[must_use]
    pub fn new(max: usize, per_ip: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            per_ip,
            open: AtomicUsize::new(0),
            shed_total: AtomicU64::new(0),
            shed_per_ip: AtomicU64::new(0),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// Counts a connection from `peer`.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Slot, Shed> {
        self.admit_one()?;
        let key = network(peer);
        let admitted = {
            let mut shard = self.shard(key);
            let of_key = shard.entry(key).or_insert(0);
            let admitted = *of_key < self.per_ip;
            if admitted {
                *of_key += 1;
            } else if *of_key == 0 {
                shard.remove(&key);
            }
            admitted
        };
        if admitted {
            return Ok(Slot { caps: Arc::clone(self), key: Some(key) });
        }
        self.open.fetch_sub(1, Relaxed);
        self.shed_per_ip.fetch_add(1, Relaxed);
        Err(Shed::PerIp)
    }

    /// Counts a connection of somebody who speaks for many.
    ///
    /// # Errors
    /// Where as many as may be are open.
    pub fn admit_proxy(self: &Arc<Self>) -> Result<Slot, Shed> {
        self.admit_one()?;
        Ok(Slot { caps: Arc::clone(self), key: None })
    }

    fn admit_one(&self) -> Result<(), Shed> {
        let counted = self.open.fetch_update(Relaxed, Relaxed, |open| (open < self.max).then_some(open + 1));
        counted.map(drop).map_err(|_| {
            self.shed_total.fetch_add(1, Relaxed);
            Shed::Total
        })
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Connections turned away so far, by cap.
    #[must_use]
    pub fn shed(&self, cap: Shed) -> u64 {
        match cap {
            Shed::Total => self.shed_total.load(Relaxed),
            Shed::PerIp => self.shed_per_ip.load(Relaxed),
        }
    }

    fn shard(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let [first, ..] = &self.shards;
        // A count is whole at every step, so a panic elsewhere leaves nothing half done.
        self.shards.get(at).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut shard = self.caps.shard(key);
            if let Some(of_key) = shard.get_mut(&key) {
                *of_key -= 1;
                if *of_key == 0 {
                    shard.remove(&key);
                }
            }
        }
        self.caps.open.fetch_sub(1, Relaxed);
    }
}

/// Who is counted as one: a single IPv6 client commands a whole /64 (RFC 6177), so its addresses count together.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_taken_until_it_is_dropped_and_nothing_is_remembered_after() {
        let caps = Caps::new(3, 2);
        let admit = |peer: &str| caps.admit(peer.parse().unwrap());
        let first = admit("10.0.0.1").unwrap();
        let second = admit("::ffff:10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.1").unwrap_err(), Shed::PerIp);
        let third = admit("10.0.0.2").unwrap();
        assert_eq!(admit("10.0.0.3").unwrap_err(), Shed::Total);
        assert_eq!((caps.open(), caps.shed(Shed::Total), caps.shed(Shed::PerIp)), (3, 1, 1));
        drop(first);
        let again = admit("10.0.0.1").unwrap();
        drop((second, third, again));
        assert_eq!(caps.open(), 0);
        assert!(caps.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let caps = Caps::new(10, 1);
        let _held = caps.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert_eq!(caps.admit("2001:db8:0:1:ffff::2".parse().unwrap()).unwrap_err(), Shed::PerIp);
        assert!(caps.admit("2001:db8:0:2::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn one_who_speaks_for_many_is_held_by_the_cap_over_all_alone() {
        let caps = Caps::new(3, 1);
        let held: Vec<Slot> = (0..3).map(|_| caps.admit_proxy().unwrap()).collect();
        assert_eq!(caps.admit_proxy().unwrap_err(), Shed::Total);
        drop(held);
        assert_eq!(caps.open(), 0);
    }

    #[test]
    fn a_cap_of_nothing_admits_nobody_and_keeps_nothing() {
        let caps = Caps::new(10, 0);
        assert_eq!(caps.admit("10.0.0.1".parse().unwrap()).unwrap_err(), Shed::PerIp);
        assert!(caps.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn the_cap_holds_under_a_race() {
        let caps = Caps::new(100, 100);
        let admitted: usize = std::thread::scope(|scope| {
            let rush = || (0..60).filter_map(|_| caps.admit("10.0.0.1".parse().unwrap()).ok()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(rush)).collect();
            let slots: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            slots.iter().map(Vec::len).sum()
        });
        assert_eq!((admitted, caps.open()), (100, 0));
    }
}
