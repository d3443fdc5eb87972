//! Limits the streams of HTTP/2 in progress, for one address and in all.
//!
//! A connection has its own limit, but an address may have a thousand connections. A stream counts from its request's
//! head until the peer has taken the last byte of the answer: so long, the server keeps memory for it. Beyond a limit,
//! a stream is refused before anything of it is done (`REFUSED_STREAM`, RFC 9113 section 8.7): the client may
//! send the request again.
//!
//! No caller has more streams than it leaves to all others. With HTTP/1.1, the limits of connections are enough.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use ipnet::IpNet;

use crate::http::{client_ip::Peer, network};

/// Streams of all trusted proxies and of the Unix socket together; as many are kept for all other addresses together,
/// so that neither takes those of the other.
const ALL: usize = 32_768;
/// Streams of a trusted proxy, or of the Unix socket: they bring many callers.
const OF_PROXY: usize = 16_384;
/// Streams of any other address.
const OF_ADDRESS: usize = 4_096;

/// The streams of all callers.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    proxies: Arc<[IpNet]>,
    of_proxies: AtomicUsize,
    of_others: AtomicUsize,
    callers: Mutex<HashMap<Key, Weak<Caller>>>,
}

/// The address of a caller, or the Unix socket; and whether it brings many callers. One IPv6 network may have both.
type Key = (Option<IpAddr>, bool);

/// The streams of one address, or of the Unix socket, on all of its connections.
#[derive(Debug)]
pub(super) struct Caller {
    shared: Arc<Shared>,
    key: Key,
    count: AtomicUsize,
}

/// A stream that counts, until dropped.
#[derive(Debug)]
pub(super) struct Stream(Arc<Caller>);

impl Streams {
    /// Returns places for streams. Only the addresses of these proxies have the larger limit.
    pub(super) fn new(proxies: Arc<[IpNet]>) -> Self {
        Self(Arc::new(Shared {
            proxies,
            of_proxies: AtomicUsize::new(0),
            of_others: AtomicUsize::new(0),
            callers: Mutex::default(),
        }))
    }

    /// Returns the caller at the other end of a connection.
    pub(super) fn caller(&self, peer: Peer) -> Arc<Caller> {
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

impl Caller {
    /// Returns how many streams count.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts a stream; `None` when this caller, or all callers together, have too many.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Arc<Stream>> {
        // Counts first, so that two concurrent calls cannot both take the last place. Dropping the stream undoes it.
        let own = self.count.fetch_add(1, Ordering::Relaxed);
        let all = self.all().fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(Stream(Arc::clone(self)));
        let left = ALL.saturating_sub(all);
        let limit = if self.key.1 { OF_PROXY } else { OF_ADDRESS };
        (own < limit && own < left).then_some(stream)
    }

    /// Returns the number of streams of all callers of this kind.
    fn all(&self) -> &AtomicUsize {
        if self.key.1 { &self.shared.of_proxies } else { &self.shared.of_others }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.all().fetch_sub(1, Ordering::Relaxed);
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
    _stream: Arc<Stream>,
}

impl Piece {
    pub(super) const fn new(bytes: Bytes, stream: Arc<Stream>) -> Self {
        Self { bytes, _stream: stream }
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

    fn begin(caller: &Arc<Caller>, number: usize) -> Vec<Arc<Stream>> {
        (0..number).map_while(|_| caller.begin()).collect()
    }

    #[test]
    fn connections_of_one_address_share_its_streams_and_proxies_have_more() {
        let streams = Streams::new(Arc::from(["10.9.0.0/16".parse().unwrap()]));
        let one = streams.caller(peer("192.0.2.1"));
        let crowd = begin(&one, OF_ADDRESS);
        let again = streams.caller(peer("::ffff:192.0.2.1"));
        assert_eq!(crowd.len(), OF_ADDRESS);
        assert!(one.begin().is_none() && again.begin().is_none());
        assert!(streams.caller(peer("192.0.2.2")).begin().is_some());
        let network = [1, 2].map(|host| streams.caller(peer(&format!("2001:db8::{host}"))));
        assert!(Arc::ptr_eq(&network[0], &network[1]));
        drop(crowd);
        assert!(one.begin().is_some());
        for peer in [peer("10.9.1.1"), Peer::Local] {
            let caller = streams.caller(peer);
            assert_eq!(begin(&caller, ALL).len(), OF_PROXY);
        }
        drop((one, again, network));
        assert!(streams.0.callers().is_empty());
        for all in [&streams.0.of_proxies, &streams.0.of_others] {
            assert_eq!(all.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn nobody_has_more_than_is_left_to_others() {
        let streams = Streams::new(Arc::from(["2001:db8::7/128".parse().unwrap()]));
        let callers: Vec<_> =
            (0..40).map(|host| streams.caller(peer(&format!("192.0.2.{host}")))).collect();
        let crowd: Vec<_> = callers.iter().map(|caller| begin(caller, ALL)).collect();
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
        let [other, proxy] = [other, proxy].map(|peer| streams.caller(peer));
        assert_eq!(begin(&proxy, ALL).len(), OF_PROXY);
        assert!(begin(&other, ALL).len() < OF_ADDRESS);
    }

    #[test]
    fn value_of_a_header_keeps_its_stream_counted() {
        let caller = Streams::new(Arc::from([])).caller(peer("192.0.2.1"));
        let stream = caller.begin().unwrap();
        let value = counting(HeaderValue::from_static("an id"), stream);
        assert!(value == "an id" && value.is_sensitive());
        assert_eq!(caller.count.load(Ordering::Relaxed), 1);
        drop(value);
        assert_eq!(caller.count.load(Ordering::Relaxed), 0);
    }
}
