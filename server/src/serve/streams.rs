//! Limits the HTTP/2 streams in progress, for one address and in all.
//!
//! Each connection has its own limit, but an address may have a thousand connections. A stream
//! counts from its request's head until the peer has taken the last byte of the response, because
//! the server uses memory for it until then. Beyond a limit, a stream is refused before any of it
//! is processed (`REFUSED_STREAM`, RFC 9113 section 8.7), so the client may retry the request.
//!
//! No caller has more streams than it leaves to all others. When there is no room, connections with
//! unread responses are closed if they have at least 16 of them, or if at least half of their
//! streams are unread: a few slow responses end nothing that is in progress. The caller with the
//! most unread responses loses a connection first, but only if it has more of them than the
//! newcomer. A caller at its own limit loses one of its own connections. A connection also closes
//! when a response waits for too long ([`unsent`](super::unsent)). For HTTP/1.1, the limits on
//! connections are enough.
//!
//! Requests do not search for these connections. A separate thread ranks them once a second while
//! streams are scarce.

use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    net::IpAddr,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use ipnet::IpNet;

use super::unsent::{Since, Taken, Unsent};
use crate::{limits::network, request::client_ip::Peer};

/// Streams of all trusted proxies and of the Unix socket together. The same number is reserved for
/// all other addresses together, so that neither group takes the other's streams.
const ALL: usize = 32_768;
/// Streams of one trusted proxy or of the Unix socket, each of which carries many callers.
const OF_PROXY: usize = 16_384;
/// Streams of any other address.
const OF_ADDRESS: usize = 4_096;
/// A newcomer frees the limit divided by this number, if that many streams are unread, so that the
/// next newcomers find room.
const PART: usize = 128;
/// The maximum number of connections that a newcomer examines.
const LOOKS: usize = 100;
/// The number of connections to rank before other threads may take the lock.
const SLICE: usize = 256;

/// The streams of all callers.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    proxies: Arc<[IpNet]>,
    of_proxies: Crowd,
    of_others: Crowd,
    callers: Mutex<HashMap<Key, Weak<Caller>>>,
}

/// The network of a caller, or `None` for the Unix socket, and whether it carries many callers. One
/// IPv6 network may have both kinds.
type Key = (Option<IpAddr>, bool);

/// Callers who share a limit.
#[derive(Debug)]
struct Crowd {
    limit: usize,
    of_each: usize,
    count: AtomicUsize,
    /// The streams of connections that are closing.
    leaving: AtomicUsize,
    /// Whether a stream was refused since the last ranking.
    is_short: AtomicBool,
    connections: Mutex<Connections>,
}

/// The connections of a crowd.
#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Open>,
    ranking: Ranking,
}

/// An open connection.
#[derive(Clone, Debug)]
struct Open {
    key: Key,
    unsent: Arc<Unsent>,
    /// The streams of its caller's connections that are closing.
    leaving: Arc<AtomicUsize>,
}

/// The callers and connections with unread responses, as of the last ranking. Connections that
/// close are removed.
#[derive(Debug, Default)]
struct Ranking {
    /// The caller with the most unread responses first.
    order: BinaryHeap<(usize, Key)>,
    callers: HashMap<Key, Ranked>,
}

/// The unread responses of a caller, and its connections: the connection with the most first.
#[derive(Debug, Default)]
struct Ranked {
    sum: usize,
    connections: BinaryHeap<(usize, u64)>,
}

/// The streams of one address or of the Unix socket, on all of its connections.
#[derive(Debug)]
struct Caller {
    shared: Arc<Shared>,
    key: Key,
    count: AtomicUsize,
    /// The streams of its connections that are closing.
    leaving: Arc<AtomicUsize>,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    caller: Arc<Caller>,
    number: u64,
    unsent: Arc<Unsent>,
}

/// A stream, which counts until it is dropped.
#[derive(Debug)]
pub(super) struct Stream {
    connection: Arc<Connection>,
    since: Since,
}

impl Streams {
    /// Creates the counts with the default limits. The larger limit applies only to the addresses
    /// of these proxies.
    pub(super) fn new(proxies: Arc<[IpNet]>) -> Self {
        Self::of(proxies, ALL, OF_PROXY, OF_ADDRESS)
    }

    /// Creates the counts with the same limit for all kinds of callers.
    #[cfg(test)]
    pub(super) fn with(proxies: Arc<[IpNet]>, limit: usize) -> Self {
        Self::of(proxies, limit, limit, limit)
    }

    fn of(proxies: Arc<[IpNet]>, limit: usize, of_proxy: usize, of_address: usize) -> Self {
        Self(Arc::new(Shared {
            proxies,
            of_proxies: Crowd::new(limit, of_proxy),
            of_others: Crowd::new(limit, of_address),
            callers: Mutex::default(),
        }))
    }

    /// Returns the streams of a new connection of this peer.
    pub(super) fn connect(&self, peer: Peer) -> Arc<Connection> {
        let caller = self.caller(peer);
        let unsent = Arc::<Unsent>::default();
        let (key, leaving) = (caller.key, Arc::clone(&caller.leaving));
        let number = caller.crowd().enter(Open { key, unsent: Arc::clone(&unsent), leaving });
        Arc::new(Connection { caller, number, unsent })
    }

    /// Reports whether streams are scarce, so that connections have to be ranked.
    pub(super) fn are_short(&self) -> bool {
        self.crowds().iter().any(|crowd| crowd.is_short())
    }

    /// Ranks connections by their unread responses, for callers who need room. Takes milliseconds
    /// with many connections.
    pub(super) fn rank(&self) {
        for crowd in self.crowds().into_iter().filter(|crowd| crowd.is_short()) {
            crowd.rank();
        }
    }

    fn crowds(&self) -> [&Crowd; 2] {
        [&self.0.of_proxies, &self.0.of_others]
    }

    /// Returns the caller at the other end of a connection.
    fn caller(&self, peer: Peer) -> Arc<Caller> {
        let shared = &self.0;
        let key = match peer {
            Peer::Local => (None, true),
            Peer::Network(address) => {
                let address = address.to_canonical();
                let is_proxy = shared.proxies.iter().any(|proxy| proxy.contains(&address));
                (Some(network(address)), is_proxy)
            }
        };
        let mut callers = shared.callers();
        // This must not be the last reference: dropping it here would wait for the lock that is
        // held.
        if let Some(caller) = callers.get(&key).and_then(Weak::upgrade) {
            return caller;
        }
        let (count, leaving) = (AtomicUsize::new(0), Arc::default());
        let caller = Arc::new(Caller { shared: Arc::clone(shared), key, count, leaving });
        callers.insert(key, Arc::downgrade(&caller));
        caller
    }
}

impl Shared {
    fn callers(&self) -> MutexGuard<'_, HashMap<Key, Weak<Caller>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    fn new(limit: usize, of_each: usize) -> Self {
        Self {
            limit,
            of_each,
            count: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            is_short: AtomicBool::new(false),
            connections: Mutex::default(),
        }
    }

    fn is_short(&self) -> bool {
        let is_half_full = self.count.load(Ordering::Relaxed) >= self.limit / 2;
        is_half_full || self.is_short.load(Ordering::Relaxed)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, open: Open) -> u64 {
        let mut connections = self.connections();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, open);
        number
    }

    /// Makes room for a stream of a caller with `own` other streams, out of `all` others, by
    /// closing connections: one of its own if it is at its limit, and connections of callers with
    /// more unread responses. Reports whether there is room.
    fn make_room(&self, connection: &Connection, own: usize, all: usize) -> bool {
        let caller = &connection.caller;
        let mut connections = self.connections();
        let of_each = self.of_each + caller.leaving.load(Ordering::Relaxed);
        let mut has_room = own < of_each;
        if !has_room {
            let freed = connections.end_one_of(caller.key, connection.number);
            self.leaving.fetch_add(freed, Ordering::Relaxed);
            has_room = freed > 0;
        }
        // The room of connections that are closing counts as free already.
        let limit = self.limit + self.leaving.load(Ordering::Relaxed);
        if has_room && own >= limit.saturating_sub(all) {
            let freed = connections.end_those_of_others(caller.key, (self.limit / PART).max(1));
            self.leaving.fetch_add(freed, Ordering::Relaxed);
            has_room = freed > 0;
        }
        if !has_room {
            self.is_short.store(true, Ordering::Relaxed);
        }
        has_room
    }

    fn rank(&self) {
        self.is_short.store(false, Ordering::Relaxed);
        let mut ranking = Ranking::default();
        let mut after = Bound::Unbounded;
        loop {
            let slice: Vec<_> = {
                let connections = self.connections();
                let slice = connections.open.range((after, Bound::Unbounded)).take(SLICE);
                slice.map(|(number, open)| (*number, open.clone())).collect()
            };
            let Some((last, _)) = slice.last() else { break };
            after = Bound::Excluded(*last);
            for (number, Open { key, unsent, .. }) in slice {
                let unread = unsent.unread();
                if unread > 0 && unsent.leaving() == 0 {
                    let ranked = ranking.callers.entry(key).or_default();
                    ranked.sum += unread;
                    ranked.connections.push((unread, number));
                }
            }
        }
        ranking.order = ranking.callers.iter().map(|(key, ranked)| (ranked.sum, *key)).collect();
        // Drops the old ranking after releasing the lock.
        let _old = std::mem::replace(&mut self.connections().ranking, ranking);
    }
}

impl Connections {
    /// Closes a connection if it still has unread responses, and returns their number.
    fn end(&self, number: u64) -> usize {
        let Some(Open { unsent, leaving, .. }) = self.open.get(&number) else { return 0 };
        let unread = if unsent.leaving() > 0 { 0 } else { unsent.unread() };
        if unread > 0 {
            leaving.fetch_add(unread, Ordering::Relaxed);
            unsent.leave(unread);
        }
        unread
    }

    /// Closes the connection of this caller with the most unread responses, except the requesting
    /// connection. Returns the number of these responses.
    fn end_one_of(&mut self, key: Key, asks: u64) -> usize {
        let mut kept = None;
        let mut freed = 0;
        for _ in 0..LOOKS {
            let Some(ranked) = self.ranking.callers.get_mut(&key) else { break };
            let Some((unread, number)) = ranked.connections.pop() else { break };
            if number == asks {
                kept = Some((unread, number));
                continue;
            }
            ranked.sum -= unread;
            freed = self.end(number);
            if freed > 0 {
                break;
            }
        }
        if let Some(ranked) = self.ranking.callers.get_mut(&key) {
            ranked.connections.extend(kept);
        }
        freed
    }

    /// Closes connections that have `wanted` unread responses together. It starts with the caller
    /// that has the most, as long as that is more than this caller has, and with the connection of
    /// that caller that has the most. Returns the number of these responses.
    fn end_those_of_others(&mut self, key: Key, wanted: usize) -> usize {
        let own = self.ranking.callers.get(&key).map_or(0, |ranked| ranked.sum);
        let mut freed = 0;
        for _ in 0..LOOKS {
            if freed >= wanted || self.ranking.order.peek().is_none_or(|(sum, _)| *sum <= own) {
                break;
            }
            let Some((sum, other)) = self.ranking.order.pop() else { break };
            let Some(ranked) = self.ranking.callers.get_mut(&other) else { continue };
            // This caller may have given up one of its own connections in the meantime.
            if ranked.sum == sum
                && let Some((unread, number)) = ranked.connections.pop()
            {
                ranked.sum -= unread;
                freed += self.end(number);
            }
            let left = self.ranking.callers.get(&other).map_or(0, |ranked| ranked.sum);
            if left > 0 {
                self.ranking.order.push((left, other));
            }
        }
        freed
    }
}

impl Caller {
    /// Returns the crowd that this caller shares a limit with.
    fn crowd(&self) -> &Crowd {
        if self.key.1 { &self.shared.of_proxies } else { &self.shared.of_others }
    }
}

impl Connection {
    /// Returns the number of streams of this connection's caller.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.caller.count.load(Ordering::Relaxed)
    }

    /// Returns the connection's responses that wait for the peer.
    pub(super) fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    /// Counts a stream. Returns `None` if this caller, or all callers together, have too many.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Arc<Stream>> {
        let (caller, crowd) = (&self.caller, self.caller.crowd());
        // Counts first, so that two concurrent calls cannot both take the last place. Dropping the
        // stream reverts the count.
        let own = caller.count.fetch_add(1, Ordering::Relaxed);
        let all = crowd.count.fetch_add(1, Ordering::Relaxed);
        self.unsent.enter();
        let stream = Arc::new(Stream { connection: Arc::clone(self), since: Since::default() });
        let has_room = own < crowd.of_each && own < crowd.limit.saturating_sub(all)
            || crowd.make_room(self, own, all);
        has_room.then_some(stream)
    }
}

impl Stream {
    /// Marks the response as waiting for the peer: the response, or its next part, is ready.
    pub(super) fn waits(&self) {
        self.since.waits(&self.connection.unsent);
    }

    /// Marks the response as not waiting for the peer: its next part is being produced.
    pub(super) fn works(&self) {
        self.since.works(&self.connection.unsent);
    }

    fn moved(&self) {
        self.since.moved(&self.connection.unsent);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.since.ends(&self.connection.unsent);
        self.connection.unsent.exit();
        let caller = &self.connection.caller;
        caller.count.fetch_sub(1, Ordering::Relaxed);
        caller.crowd().count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let crowd = self.caller.crowd();
        let left = crowd.connections().open.remove(&self.number);
        // None of its streams exist any more.
        if let Some(Open { unsent, leaving, .. }) = left {
            crowd.leaving.fetch_sub(unsent.leaving(), Ordering::Relaxed);
            leaving.fetch_sub(unsent.leaving(), Ordering::Relaxed);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut callers = self.shared.callers();
        // A new connection may have replaced this entry in the meantime.
        if callers.get(&self.key).is_some_and(|caller| caller.strong_count() == 0) {
            callers.remove(&self.key);
        }
    }
}

/// A piece of a response. Its stream counts until all of it is sent.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    taken: Taken,
    stream: Arc<Stream>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes, stream: Arc<Stream>) -> Self {
        Self { bytes, taken: Taken::default(), stream }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if self.taken.add(count) || self.bytes.is_empty() {
            self.stream.moved();
        }
    }
}

/// A header value that keeps its stream counted until the head is sent: in a response without a
/// body, nothing else is dropped at that time.
struct Counted {
    value: HeaderValue,
    _stream: Arc<Stream>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.value.as_bytes()
    }
}

/// Returns the same value, which keeps the stream counted. Marks it as sensitive to keep it out of
/// the header table (RFC 7541 section 7.1.3), which would keep the stream counted. For this, the
/// value must differ from response to response.
pub(super) fn counting(value: HeaderValue, stream: Arc<Stream>) -> HeaderValue {
    let bytes = Bytes::from_owner(Counted { value: value.clone(), _stream: stream });
    let mut counted = HeaderValue::from_maybe_shared(bytes).unwrap_or(value);
    counted.set_sensitive(true);
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::life;

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    fn begin(connection: &Arc<Connection>, number: usize) -> Vec<Arc<Stream>> {
        (0..number).map_while(|_| connection.begin()).collect()
    }

    /// Begins streams whose responses are not read.
    fn unread(connection: &Arc<Connection>, number: usize) -> Vec<Arc<Stream>> {
        let streams = begin(connection, number);
        assert_eq!(streams.len(), number);
        for stream in &streams {
            stream.waits();
        }
        streams
    }

    /// Waits until waiting responses are unread, and ranks them.
    fn rank(streams: &Streams) {
        for _ in 0..4 {
            life::tick();
        }
        for crowd in streams.crowds() {
            crowd.rank();
        }
    }

    #[test]
    fn connections_of_an_address_share_its_streams_and_proxies_get_more() {
        let streams = Streams::new(Arc::from(["10.9.0.0/16".parse().unwrap()]));
        let one = streams.connect(peer("192.0.2.1"));
        let crowd = begin(&one, OF_ADDRESS);
        let again = streams.connect(peer("::ffff:192.0.2.1"));
        assert_eq!(crowd.len(), OF_ADDRESS);
        assert!(one.begin().is_none() && again.begin().is_none());
        assert!(streams.connect(peer("192.0.2.2")).begin().is_some());
        let network = [1, 2].map(|host| streams.connect(peer(&format!("2001:db8::{host}"))));
        assert!(Arc::ptr_eq(&network[0].caller, &network[1].caller));
        drop(crowd);
        assert!(one.begin().is_some());
        for peer in [peer("10.9.1.1"), Peer::Local] {
            let connection = streams.connect(peer);
            assert_eq!(begin(&connection, ALL).len(), OF_PROXY);
        }
        drop((one, again, network));
        assert!(streams.0.callers().is_empty());
        for crowd in [&streams.0.of_proxies, &streams.0.of_others] {
            assert_eq!(crowd.count.load(Ordering::Relaxed), 0);
            assert!(crowd.connections().open.is_empty());
        }
    }

    #[test]
    fn caller_leaves_streams_to_other_callers() {
        let streams = Streams::new(Arc::from(["2001:db8::7/128".parse().unwrap()]));
        let connections: Vec<_> =
            (0..40).map(|host| streams.connect(peer(&format!("192.0.2.{host}")))).collect();
        let crowd: Vec<_> = connections.iter().map(|connection| begin(connection, ALL)).collect();
        let counts: Vec<_> = crowd.iter().map(Vec::len).collect();
        assert!(counts.iter().sum::<usize>() <= ALL);
        assert_eq!(counts[0], OF_ADDRESS);
        let mut last = usize::MAX;
        for count in counts.iter().take(12) {
            assert!(*count > 0 && *count <= last);
            last = *count;
        }
        // A proxy in the network of another address has its own streams, whichever connects first.
        let (other, proxy) = (peer("2001:db8::8"), peer("2001:db8::7"));
        let [other, proxy] = [other, proxy].map(|peer| streams.connect(peer));
        assert_eq!(begin(&proxy, ALL).len(), OF_PROXY);
        assert!(begin(&other, ALL).len() < OF_ADDRESS);
    }

    #[test]
    fn connection_with_most_unread_responses_of_the_largest_caller_closes() {
        let streams = Streams::with(Arc::from([]), 16);
        let of = |host: u8| streams.connect(peer(&format!("192.0.2.{host}")));
        let [one, again, other, newcomer] = [of(1), of(1), of(2), of(3)];
        let mut kept = vec![unread(&one, 2), unread(&again, 3), begin(&again, 1)];
        kept.push(unread(&other, 4));
        kept.push(begin(&newcomer, 3));
        let leaving = || [&one, &again, &other, &newcomer].map(|one| one.unsent().leaving());
        assert!(newcomer.begin().is_none(), "responses in progress do not count as unread");
        rank(&streams);
        assert_eq!(leaving(), [0; 4]);
        kept.push(begin(&newcomer, 1));
        assert_eq!(leaving(), [0, 3, 0, 0]);
        assert_eq!(kept.last().map(Vec::len), Some(1));
        // The closing connection's streams count until it is gone, but their room is free.
        kept.push(begin(&of(4), 2));
        assert_eq!((leaving(), kept.last().map(Vec::len)), ([0, 3, 0, 0], Some(2)));
        // A caller in need gets the room of unread responses, however many streams it has in
        // progress.
        kept.push(begin(&newcomer, 1));
        assert_eq!((leaving(), kept.last().map(Vec::len)), ([0, 3, 4, 0], Some(1)));
        drop((kept, one, again, other, newcomer));
        assert_eq!(streams.0.of_others.leaving.load(Ordering::Relaxed), 0);
        assert!(streams.0.callers().is_empty());
    }

    #[test]
    fn callers_with_fewer_unread_responses_or_who_read_lose_nothing() {
        let streams = Streams::with(Arc::from([]), 8);
        let of = |host: u8| streams.connect(peer(&format!("192.0.2.{host}")));
        let (busy, few, many) = (of(1), of(2), of(3));
        let _answered = begin(&busy, 4);
        let _unread = [unread(&few, 1), unread(&many, 2)];
        rank(&streams);
        let leaving = || [&busy, &few, &many].map(|one| one.unsent().leaving());
        assert!(many.begin().is_none());
        assert_eq!(leaving(), [0; 3]);
        assert!(few.begin().is_some());
        assert_eq!(leaving(), [0, 0, 2]);
    }

    #[test]
    fn address_at_its_limit_loses_its_own_unread_connections() {
        let streams = Streams::of(Arc::from([]), 100, 10, 10);
        let of = |host: u8| streams.connect(peer(&format!("192.0.2.{host}")));
        let [other, one, again, asks] = [of(1), of(2), of(2), of(2)];
        let mut kept =
            vec![unread(&other, 9), unread(&one, 2), unread(&again, 3), unread(&asks, 5)];
        assert!(asks.begin().is_none() && streams.are_short());
        rank(&streams);
        let more = begin(&asks, 6);
        assert_eq!([&other, &one, &again, &asks].map(|one| one.unsent().leaving()), [0, 2, 3, 0]);
        assert_eq!(more.len(), 5);
        kept.push(more);
        drop((kept, one, again, asks));
        assert!(begin(&of(2), 11).len() == 10, "closed connections no longer count");
    }

    /// A request examines few connections, however many exist.
    #[test]
    fn crowd_of_small_callers_yields_to_callers_who_read() {
        let streams = Streams::with(Arc::from([]), 2_000);
        let crowd: Vec<_> = (0..1_000_u32)
            .map(|host| streams.connect(Peer::Network(std::net::Ipv4Addr::from(host).into())))
            .collect();
        let kept: Vec<_> = crowd.iter().map(|one| unread(one, 1)).collect();
        let newcomer = streams.connect(peer("192.0.2.1"));
        let mut own = begin(&newcomer, 2_000);
        assert_eq!(own.len(), 500);
        rank(&streams);
        own.extend(begin(&newcomer, 10));
        assert_eq!(own.len(), 510);
        let leaving = crowd.iter().filter(|one| one.unsent().leaving() > 0).count();
        assert!((1..=2 * LOOKS).contains(&leaving), "{leaving}");
        drop(kept);
    }

    #[test]
    fn header_value_keeps_its_stream_counted() {
        let connection = Streams::new(Arc::from([])).connect(peer("192.0.2.1"));
        let stream = connection.begin().unwrap();
        let value = counting(HeaderValue::from_static("an id"), stream);
        assert!(value == "an id" && value.is_sensitive());
        assert_eq!(connection.count(), 1);
        drop(value);
        assert_eq!(connection.count(), 0);
    }
}
