//! Limits the connections, in all and from one address.
//!
//! When no place is free, the longest idle connection is closed to make room, preferably one that
//! has sent no request. If the caller's own address has too many connections, only its own
//! connections are considered. A connection that is being answered is never closed, unless it only
//! waits for an unknown caller's body. If all connections are being answered, there is no place.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use tokio::task::AbortHandle;

use super::life::Life;
use crate::{limits::network, request::client_ip::Peer};

/// The limits of a set of places.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) all: usize,
    /// From one address.
    pub(crate) of_address: usize,
    /// The networks of proxies. A proxy carries many callers, so only the limit in all applies to
    /// it.
    pub(crate) proxies: Arc<[IpNet]>,
}

/// The places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<(Limits, Mutex<Taken>)>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// Connections by number, in the order in which they arrived.
    connections: BTreeMap<u64, Connection>,
    of: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Connection {
    address: Option<IpAddr>,
    life: Arc<Life>,
    task: Option<AbortHandle>,
}

/// A place, which is returned when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    life: Arc<Life>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new((limits, Mutex::default())))
    }

    /// Takes a place for this peer, if one is free or can be freed.
    pub(super) fn take(&self, peer: Peer) -> Option<Place> {
        let limits = &self.0.0;
        let address = match peer {
            Peer::Network(address) => Some(address.to_canonical())
                .filter(|address| !limits.proxies.iter().any(|proxy| proxy.contains(address)))
                .map(network),
            Peer::Local => None,
        };
        let mut taken = self.taken();
        if let Some(address) = address
            && taken.of.get(&address).is_some_and(|count| *count >= limits.of_address)
        {
            taken.make_room(|connection| connection.address == Some(address))?;
        }
        if taken.connections.len() >= limits.all {
            taken.make_room(|_| true)?;
        }
        let (number, life) = (taken.next, Arc::<Life>::default());
        taken.next += 1;
        if let Some(address) = address {
            *taken.of.entry(address).or_default() += 1;
        }
        let connection = Connection { address, life: Arc::clone(&life), task: None };
        taken.connections.insert(number, connection);
        Some(Place { places: self.clone(), number, life })
    }

    /// Closes the longest idle connection, so that its file becomes free. Returns its task, or
    /// `None` if no connection is idle.
    pub(super) fn end_longest_idle(&self) -> Option<AbortHandle> {
        let mut taken = self.taken();
        let number = taken.longest_idle(|_| true)?;
        taken.end(number)
    }

    /// Records the task that serves a connection, so that it can be aborted to make room.
    pub(super) fn served_by(&self, number: u64, task: AbortHandle) {
        if let Some(connection) = self.taken().connections.get_mut(&number) {
            connection.task = Some(task);
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes the longest idle connection among these.
    fn make_room(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let number = self.longest_idle(among)?;
        self.end(number);
        Some(())
    }

    /// Returns the number of the longest idle connection among these.
    fn longest_idle(&self, among: impl Fn(&Connection) -> bool) -> Option<u64> {
        let idle = self.connections.iter().filter(|(_, connection)| among(connection));
        let idle =
            idle.filter_map(|(number, connection)| Some((connection.life.idle_since()?, *number)));
        idle.min().map(|(_, number)| number)
    }

    /// Removes a connection, aborts its task and returns it, if it already has one.
    fn end(&mut self, number: u64) -> Option<AbortHandle> {
        let task = self.remove(number)?.task?;
        task.abort();
        Some(task)
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(address) = connection.address
            && let Some(count) = self.of.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&address);
            }
        }
        Some(connection)
    }
}

impl Place {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the activity of the connection with this place.
    pub(super) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::life;

    fn places(all: usize, of_address: usize) -> Places {
        let proxies = Arc::from(["10.9.0.0/16".parse().unwrap()]);
        Places::new(Limits { all, of_address, proxies })
    }

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    fn has(places: &Places, place: &Place) -> bool {
        places.taken().connections.contains_key(&place.number)
    }

    #[test]
    fn longest_idle_connection_is_closed_after_those_without_requests() {
        let places = places(3, 3);
        let [first, second, silent] =
            [1, 2, 3].map(|host| places.take(peer(&format!("192.0.2.{host}"))).unwrap());
        for place in [&second, &first] {
            life::tick();
            place.life.begin();
            place.life.end();
        }
        let fourth = places.take(peer("192.0.2.4")).unwrap();
        assert!(!has(&places, &silent) && has(&places, &second));
        fourth.life.begin();
        let _fifth = places.take(peer("192.0.2.5")).unwrap();
        assert!(!has(&places, &second) && has(&places, &first) && has(&places, &fourth));
    }

    #[test]
    fn busy_connections_are_never_closed() {
        let places = places(2, 2);
        let busy = [1, 2].map(|host| places.take(peer(&format!("192.0.2.{host}"))).unwrap());
        for place in &busy {
            place.life.begin();
        }
        assert!(places.take(peer("192.0.2.3")).is_none());
        busy[0].life.end();
        assert!(places.take(peer("192.0.2.3")).is_some());
        assert!(has(&places, &busy[1]));
    }

    #[test]
    fn address_limit_closes_only_its_own_connections_and_exempts_proxies() {
        let places = places(100, 2);
        let other = places.take(peer("192.0.2.9")).unwrap();
        let own = [(); 2].map(|()| places.take(peer("192.0.2.1")).unwrap());
        let third = places.take(peer("::ffff:192.0.2.1")).unwrap();
        assert!(has(&places, &other) && !has(&places, &own[0]) && has(&places, &own[1]));
        let proxied: Vec<_> = (0..5).map(|_| places.take(peer("10.9.1.1")).unwrap()).collect();
        assert!(proxied.iter().all(|place| has(&places, place)));
        let network: Vec<_> =
            (1..=3).map(|host| places.take(peer(&format!("2001:db8::{host}"))).unwrap()).collect();
        assert!(!has(&places, &network[0]));
        drop((other, own, third, proxied, network));
        assert!(places.taken().connections.is_empty() && places.taken().of.is_empty());
    }
}
