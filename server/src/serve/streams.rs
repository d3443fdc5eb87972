//! Limits the streams of HTTP/2 in progress, for one address and in all.
//!
//! A connection has its own limit, but an address may have a thousand connections. A stream counts from its request's
//! head until the peer has taken the last byte of the answer: so long, the server keeps memory for it. Beyond a limit,
//! a stream is refused before anything of it is done (`REFUSED_STREAM`, RFC 9113 section 8.7): the client may
//! send the request again.
//!
//! No caller has more streams than it leaves to all others. When there is no room, connections with unread answers end,
//! first of the caller who has the most, if that is more than the one that wants a stream has itself. A connection also
//! ends when an answer waits for too long ([`unsent`](super::unsent)). With HTTP/1.1, the limits of connections are
//! enough.

use std::{
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use ipnet::IpNet;

use super::{
    life,
    unsent::{Since, Taken, Unsent},
};
use crate::http::{client_ip::Peer, network};

/// Streams of all trusted proxies and of the Unix socket together; as many are kept for all other addresses together,
/// so that neither takes those of the other.
const ALL: usize = 32_768;
/// Streams of a trusted proxy, or of the Unix socket: they bring many callers.
const OF_PROXY: usize = 16_384;
/// Streams of any other address.
const OF_ADDRESS: usize = 4_096;
/// A search makes room for this part of all streams, if there are so many unread ones, so that the next ones need no
/// search.
const PART: usize = 128;

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

/// The address of a caller, or the Unix socket; and whether it brings many callers. One IPv6 network may have both.
type Key = (Option<IpAddr>, bool);

/// Callers who share a limit.
#[derive(Debug)]
struct Crowd {
    limit: usize,
    of_each: usize,
    count: AtomicUsize,
    /// Those of connections that are ending.
    leaving: AtomicUsize,
    connections: Mutex<Connections>,
}

/// The connections of a crowd.
#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, (Key, Arc<Unsent>)>,
    /// The second in which a search found nothing, and for how many streams of the one that wanted more.
    in_vain: (u32, usize),
}

/// The streams of one address, or of the Unix socket, on all of its connections.
#[derive(Debug)]
struct Caller {
    shared: Arc<Shared>,
    key: Key,
    count: AtomicUsize,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    caller: Arc<Caller>,
    number: u64,
    unsent: Arc<Unsent>,
}

/// A stream that counts, until dropped.
#[derive(Debug)]
pub(super) struct Stream {
    connection: Arc<Connection>,
    since: Since,
}

impl Streams {
    /// Returns places for streams. Only the addresses of these proxies have the larger limit.
    pub(super) fn new(proxies: Arc<[IpNet]>) -> Self {
        Self::of(proxies, ALL, OF_PROXY, OF_ADDRESS)
    }

    /// Returns places for so many streams of each kind of callers.
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
        let number = caller.crowd().enter(caller.key, Arc::clone(&unsent));
        Arc::new(Connection { caller, number, unsent })
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
        // Never dropped here: that would wait for the lock that is held.
        if let Some(caller) = callers.get(&key).and_then(Weak::upgrade) {
            return caller;
        }
        let count = AtomicUsize::new(0);
        let caller = Arc::new(Caller { shared: Arc::clone(shared), key, count });
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
            connections: Mutex::default(),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, key: Key, unsent: Arc<Unsent>) -> u64 {
        let mut connections = self.connections();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, (key, unsent));
        number
    }

    /// Makes room for a caller who has so many streams, by ending connections of callers who have more unread answers
    /// than that. Reports whether there is room now.
    fn make_room(&self, key: Key, own: usize) -> bool {
        let mut connections = self.connections();
        let limit = self.limit + self.leaving.load(Ordering::Relaxed);
        // The room of connections that are ending is free already.
        if own < limit.saturating_sub(self.count.load(Ordering::Relaxed)) {
            return true;
        }
        let now = life::ticks();
        let (second, least) = connections.in_vain;
        if second == now && own >= least {
            return false;
        }
        let freed = connections.end_those_of_others(key, own, (self.limit / PART).max(1));
        if freed == 0 {
            connections.in_vain = (now, own);
        }
        self.leaving.fetch_add(freed, Ordering::Relaxed);
        freed > 0
    }
}

impl Connections {
    /// Ends connections with so many unread answers together: first of the caller who has the most, as long as that is
    /// more than `own`, and of this caller's the one that has the most. Returns the number of these answers.
    fn end_those_of_others(&self, key: Key, own: usize, wanted: usize) -> usize {
        let mut callers: HashMap<Key, (usize, BinaryHeap<(usize, u64)>)> = HashMap::new();
        for (number, (other, unsent)) in &self.open {
            let unread = unsent.count();
            if *other != key && unread > 0 && unsent.leaving() == 0 {
                let (sum, connections) = callers.entry(*other).or_default();
                *sum += unread;
                connections.push((unread, *number));
            }
        }
        let mut order: BinaryHeap<(usize, Key)> =
            callers.iter().map(|(other, (sum, _))| (*sum, *other)).collect();
        let mut freed = 0;
        while freed < wanted
            && let Some((sum, other)) = order.pop().filter(|(sum, _)| *sum > own)
            && let Some((unread, number)) =
                callers.get_mut(&other).and_then(|(_, connections)| connections.pop())
        {
            if let Some((_, unsent)) = self.open.get(&number) {
                unsent.leave(unread);
            }
            freed += unread;
            order.push((sum - unread, other));
        }
        freed
    }
}

impl Caller {
    /// Returns those with whom it shares a limit.
    fn crowd(&self) -> &Crowd {
        if self.key.1 { &self.shared.of_proxies } else { &self.shared.of_others }
    }
}

impl Connection {
    /// Returns how many streams of its caller count.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.caller.count.load(Ordering::Relaxed)
    }

    /// Returns its answers that wait for the peer.
    pub(super) fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    /// Counts a stream; `None` when this caller has too many, or all callers together.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Arc<Stream>> {
        let (caller, crowd) = (&self.caller, self.caller.crowd());
        // Counts first, so that two concurrent calls cannot both take the last place. Dropping the stream undoes it.
        let own = caller.count.fetch_add(1, Ordering::Relaxed);
        let all = crowd.count.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(Stream { connection: Arc::clone(self), since: Since::default() });
        let has_room = own < crowd.of_each
            && (own < crowd.limit.saturating_sub(all) || crowd.make_room(caller.key, own));
        has_room.then_some(stream)
    }
}

impl Stream {
    /// Waits for the peer from now on: the answer, or the next part of it, is there.
    pub(super) fn waits(&self) {
        self.since.waits(&self.connection.unsent);
    }

    /// Does not wait for the peer: the next part of the answer is being made.
    pub(super) fn works(&self) {
        self.since.works(&self.connection.unsent);
    }

    fn moved(&self) {
        self.since.moved(&self.connection.unsent);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.works();
        let caller = &self.connection.caller;
        caller.count.fetch_sub(1, Ordering::Relaxed);
        caller.crowd().count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let crowd = self.caller.crowd();
        let left = crowd.connections().open.remove(&self.number);
        // All of its streams are gone.
        if let Some((_, unsent)) = left {
            crowd.leaving.fetch_sub(unsent.leaving(), Ordering::Relaxed);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut callers = self.shared.callers();
        // A new connection may have come meanwhile.
        if callers.get(&self.key).is_some_and(|caller| caller.strong_count() == 0) {
            callers.remove(&self.key);
        }
    }
}

/// A piece of an answer. Its stream counts until all of it was sent.
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
        if self.taken.add(count) {
            self.stream.moved();
        }
    }
}

/// A header's value that keeps its stream counted until the head was sent: an answer without a body has nothing else
/// that is dropped then.
struct Counted {
    value: HeaderValue,
    _stream: Arc<Stream>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.value.as_bytes()
    }
}

/// Returns the same value, which keeps the stream counted. It must differ from answer to answer: it is not put into the
/// table of headers (RFC 7541 section 7.1.3), which would keep it.
pub(super) fn counting(value: HeaderValue, stream: Arc<Stream>) -> HeaderValue {
    let bytes = Bytes::from_owner(Counted { value: value.clone(), _stream: stream });
    let mut counted = HeaderValue::from_maybe_shared(bytes).unwrap_or(value);
    counted.set_sensitive(true);
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::Network(text.parse().unwrap())
    }

    fn begin(connection: &Arc<Connection>, number: usize) -> Vec<Arc<Stream>> {
        (0..number).map_while(|_| connection.begin()).collect()
    }

    /// Streams whose answers are not read.
    fn unread(connection: &Arc<Connection>, number: usize) -> Vec<Arc<Stream>> {
        let streams = begin(connection, number);
        assert_eq!(streams.len(), number);
        for stream in &streams {
            stream.waits();
        }
        streams
    }

    #[test]
    fn connections_of_one_address_share_its_streams_and_proxies_have_more() {
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
    fn nobody_has_more_than_is_left_to_others() {
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
        // A proxy in the network of another address has its own, whichever of them comes first.
        let (other, proxy) = (peer("2001:db8::8"), peer("2001:db8::7"));
        let [other, proxy] = [other, proxy].map(|peer| streams.connect(peer));
        assert_eq!(begin(&proxy, ALL).len(), OF_PROXY);
        assert!(begin(&other, ALL).len() < OF_ADDRESS);
    }

    #[test]
    fn connection_with_the_most_unread_answers_of_the_caller_who_has_the_most_makes_room() {
        let streams = Streams::with(Arc::from([]), 16);
        let of = |host: u8| streams.connect(peer(&format!("192.0.2.{host}")));
        let [one, again, other, newcomer] = [of(1), of(1), of(2), of(3)];
        let mut kept = vec![unread(&one, 2), unread(&again, 3), begin(&again, 1)];
        kept.push(unread(&other, 4));
        kept.push(begin(&newcomer, 3));
        let leaving = || [&one, &again, &other, &newcomer].map(|one| one.unsent().leaving());
        assert_eq!(leaving(), [0; 4]);
        // It leaves no more than it has.
        kept.extend(newcomer.begin().map(|stream| vec![stream]));
        assert_eq!(leaving(), [0, 3, 0, 0]);
        assert!(newcomer.begin().is_none(), "nobody else has more that is unread");
        // What the connection had counts until it is gone, but its room is free.
        assert_eq!(begin(&of(4), 2).len(), 2);
        assert_eq!(leaving(), [0, 3, 0, 0]);
        drop((kept, one, again, other, newcomer));
        assert_eq!(streams.0.of_others.leaving.load(Ordering::Relaxed), 0);
        assert!(streams.0.callers().is_empty());
    }

    #[test]
    fn caller_takes_nothing_from_one_who_has_less_or_whose_answers_are_taken() {
        let streams = Streams::with(Arc::from([]), 8);
        let of = |host: u8| streams.connect(peer(&format!("192.0.2.{host}")));
        let (busy, few) = (of(1), of(2));
        let _answered = begin(&busy, 4);
        let _unread = unread(&few, 2);
        let newcomer = of(3);
        let own = begin(&newcomer, 8);
        // The last one is of the room that the two unread answers had.
        assert_eq!(own.len(), 2);
        assert!(busy.unsent().leaving() == 0 && few.unsent().leaving() == 2);
    }

    #[test]
    fn value_of_a_header_keeps_its_stream_counted() {
        let connection = Streams::new(Arc::from([])).connect(peer("192.0.2.1"));
        let stream = connection.begin().unwrap();
        let value = counting(HeaderValue::from_static("an id"), stream);
        assert!(value == "an id" && value.is_sensitive());
        assert_eq!(connection.count(), 1);
        drop(value);
        assert_eq!(connection.count(), 0);
    }
}
