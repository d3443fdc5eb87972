//! Room that many parties share: for the bytes of bodies, or for requests of
//! unauthenticated clients.
//!
//! A party, such as an address or a workspace's tokens, has only a limited part of it, and never
//! more than it leaves to all others. However much a few parties want, some room remains for the
//! next one.
//!
//! If there is no room, a guest that only waits for its peer gives way. It is a guest of the party
//! that has the most, and among its guests the one with the slowest peer. A party never takes room
//! from one that has less. So peers that send nothing keep room only while no other party wants it,
//! and a slow peer is served as long as there is room.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

/// The rate in bytes per second at which a peer does not count as slow.
const USUAL: u32 = 16 * 1024;
/// How long a peer may pause after it has sent or read something, at most, before it counts
/// as slow.
const REST: Duration = Duration::from_secs(1);

/// The room.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    each: usize,
    opened: Instant,
    taken: Mutex<Taken>,
}

/// A party that has a part of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// A workspace's tokens, or a person.
    Holder(Uuid),
    /// The address of an unauthenticated client, or its network.
    Address(IpAddr),
    /// All unauthenticated clients whose address is unknown. Only the total limits them.
    Unknown,
}

impl Party {
    /// Returns the party of an unauthenticated client at this address.
    pub(super) fn stranger(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Unknown, |address| Self::Address(network(address)))
    }
}

/// Returns the address by which a client counts: its host, or its network of hosts with IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The room that is taken. Both orders are kept up to date, so that finding the guest that gives
/// way does not require a search under the lock.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    next: u64,
    of: HashMap<Party, Part>,
    /// The parties with a guest that can give way, the party that has the most first.
    order: BTreeMap<Rank, Party>,
}

/// The size of a party's part, and its slowest guest.
type Rank = (Reverse<usize>, Duration, u64);

/// The part of a party.
#[derive(Debug, Default)]
struct Part {
    sum: usize,
    guests: BTreeMap<u64, Guest>,
    /// The guests that can give way, the slowest first. The number is the order of arrival.
    waiting: BTreeSet<(Duration, u64)>,
    rank: Option<Rank>,
}

#[derive(Debug)]
struct Guest {
    units: usize,
    /// The time up to which its peer has sent or read enough.
    served_until: Duration,
    /// Whether it only waits for its peer, and can give way.
    waits: bool,
    things: Arc<Things>,
}

/// The contents of a guest.
#[derive(Debug, Default)]
struct Things {
    /// The bytes of a body that have arrived. They are dropped as soon as the guest gives way.
    bytes: Mutex<Vec<u8>>,
    is_gone: AtomicBool,
    told: Notify,
}

impl Things {
    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A part of the room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Room,
    party: Party,
    number: u64,
    things: Arc<Things>,
}

/// The signal that a seat gave way. It keeps no room.
#[derive(Debug)]
pub(super) struct Leaving(Arc<Things>);

impl Room {
    /// Returns room for `all` units, of which one party gets at most `each`.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Inner { all, each, opened: Instant::now(), taken: Mutex::default() }))
    }

    /// Returns a seat that has nothing yet, and waits for its peer.
    pub(super) fn seat(&self, party: Party) -> Seat {
        let things = Arc::<Things>::default();
        let served_until = self.now();
        // A guest that has nothing does not give way.
        let guest = Guest { units: 0, served_until, waits: true, things: Arc::clone(&things) };
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.of.entry(party).or_default().guests.insert(number, guest);
        drop(taken);
        Seat { room: self.clone(), party, number, things }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.opened.elapsed()
    }
}

impl Seat {
    /// Takes more.
    ///
    /// # Errors
    /// `Full`, also for a seat that gave way.
    pub(super) fn take(&self, units: usize) -> Result<(), Full> {
        let mut taken = self.room.taken();
        self.make_room(&mut taken, units)?;
        taken.change(self.party, self.number, |guest| guest.units += units);
        Ok(())
    }

    /// Takes more without making another guest give way.
    ///
    /// # Errors
    /// `Full`, also for a seat that gave way.
    pub(super) fn take_free(&self, units: usize) -> Result<(), Full> {
        let mut taken = self.room.taken();
        if !self.has_room(&taken, units)? {
            return Err(Full);
        }
        taken.change(self.party, self.number, |guest| guest.units += units);
        Ok(())
    }

    /// Gives units back.
    pub(super) fn give_back(&self, units: usize) {
        self.change(|guest| guest.units = guest.units.saturating_sub(units));
    }

    /// Takes more in any case. If no guest can give way, the room is exceeded, and later guests
    /// have less.
    pub(super) fn take_in_any_case(&self, units: usize) {
        let mut taken = self.room.taken();
        let _ = self.make_room(&mut taken, units);
        taken.change(self.party, self.number, |guest| guest.units += units);
    }

    /// Makes other guests give way until there is room.
    fn make_room(&self, taken: &mut Taken, units: usize) -> Result<(), Full> {
        while !self.has_room(taken, units)? {
            let mine = self.sum_with(taken, units)?;
            let victim = taken.slowest_of_others(self.party, mine).filter(|_| self.has_part(mine));
            let victim = victim.or_else(|| taken.slowest_of(self.party, self.number));
            let (party, number) = victim.ok_or(Full)?;
            taken.give_way(party, number);
        }
        Ok(())
    }

    fn has_room(&self, taken: &Taken, units: usize) -> Result<bool, Full> {
        let mine = self.sum_with(taken, units)?;
        let left = self.room.0.all.checked_sub(taken.all + units);
        Ok(self.has_part(mine) && left.is_some_and(|left| mine <= left))
    }

    /// Returns the size of its party's part with these units added.
    fn sum_with(&self, taken: &Taken, units: usize) -> Result<usize, Full> {
        let part = taken.of.get(&self.party).filter(|_| !self.is_gone()).ok_or(Full)?;
        Ok(part.sum + units)
    }

    /// Whether a party may have this many units.
    fn has_part(&self, units: usize) -> bool {
        units <= self.room.0.each || self.party == Party::Unknown
    }

    /// Records that the peer sent or read this many bytes.
    pub(super) fn moved(&self, bytes: usize) {
        let now = self.room.now();
        let enough = Duration::from_secs(1) / USUAL * u32::try_from(bytes).unwrap_or(u32::MAX);
        self.change(|guest| {
            guest.served_until = guest.served_until.saturating_add(enough).min(now + REST);
        });
    }

    /// Waits for the server from now on, and does not give way.
    pub(super) fn work(&self) {
        self.change(|guest| guest.waits = false);
    }

    /// Waits for the peer from now on.
    pub(super) fn wait(&self) {
        let now = self.room.now();
        self.change(|guest| {
            if !guest.waits {
                guest.waits = true;
                guest.served_until = now;
            }
        });
    }

    /// Appends to its bytes, with capacity for `room` bytes. Their units have been taken before.
    ///
    /// # Errors
    /// `Full` for a seat that gave way.
    pub(super) fn write(&self, data: &[u8], room: usize) -> Result<(), Full> {
        let mut bytes = self.things.bytes();
        if self.is_gone() {
            return Err(Full);
        }
        let more = room.saturating_sub(bytes.len());
        bytes.reserve_exact(more);
        bytes.extend_from_slice(data);
        Ok(())
    }

    /// Returns its bytes, and does not give way any more.
    ///
    /// # Errors
    /// `Full` for a seat that gave way.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Full> {
        self.work();
        let mut bytes = self.things.bytes();
        if self.is_gone() { Err(Full) } else { Ok(std::mem::take(&mut *bytes)) }
    }

    /// Whether it gave way: it has nothing, and can take nothing.
    pub(super) fn is_gone(&self) -> bool {
        self.things.is_gone()
    }

    /// Resolves when it gives way. Only one task at a time may wait for it.
    pub(super) async fn gave_way(&self) {
        self.leaving().gave_way().await;
    }

    /// Returns the signal that it gave way, which outlives the seat.
    pub(super) fn leaving(&self) -> Leaving {
        Leaving(Arc::clone(&self.things))
    }

    fn change(&self, change: impl FnOnce(&mut Guest)) {
        self.room.taken().change(self.party, self.number, change);
    }
}

impl Leaving {
    /// Resolves when the seat gives way. Only one task at a time may wait for it.
    pub(super) async fn gave_way(&self) {
        while !self.0.is_gone() {
            self.0.told.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken().remove(self.party, self.number);
    }
}

impl Taken {
    /// Returns the other party that has the most, at least `least`, with its slowest guest. If
    /// several parties have the same, it is the one with the slowest guest.
    fn slowest_of_others(&self, party: Party, least: usize) -> Option<(Party, u64)> {
        let ((Reverse(sum), _, number), other) =
            self.order.iter().find(|(_, other)| **other != party)?;
        (*sum >= least).then_some((*other, *number))
    }

    /// Returns the slowest guest of a party other than `except`.
    fn slowest_of(&self, party: Party, except: u64) -> Option<(Party, u64)> {
        let waiting = &self.of.get(&party)?.waiting;
        let (_, number) = waiting.iter().find(|(_, number)| *number != except)?;
        Some((party, *number))
    }

    fn give_way(&mut self, party: Party, number: u64) {
        if let Some(Guest { things, .. }) = self.remove(party, number) {
            let mut bytes = things.bytes();
            things.is_gone.store(true, Ordering::Release);
            *bytes = Vec::new();
            things.told.notify_one();
        }
    }

    fn change(&mut self, party: Party, number: u64, change: impl FnOnce(&mut Guest)) {
        let Some(part) = self.of.get_mut(&party) else { return };
        let Some(guest) = part.guests.get_mut(&number) else { return };
        let (before, units) = (guest.slowness(), guest.units);
        change(guest);
        let (after, now) = (guest.slowness(), guest.units);
        part.sum = part.sum - units + now;
        self.all = self.all - units + now;
        if before != after {
            if let Some(before) = before {
                part.waiting.remove(&(before, number));
            }
            if let Some(after) = after {
                part.waiting.insert((after, number));
            }
        }
        self.rank(party);
    }

    fn remove(&mut self, party: Party, number: u64) -> Option<Guest> {
        let part = self.of.get_mut(&party)?;
        let guest = part.guests.remove(&number)?;
        part.sum -= guest.units;
        self.all -= guest.units;
        if let Some(slowness) = guest.slowness() {
            part.waiting.remove(&(slowness, number));
        }
        self.rank(party);
        if self.of.get(&party).is_some_and(|part| part.guests.is_empty()) {
            self.of.remove(&party);
        }
        Some(guest)
    }

    /// Moves a changed party to its position in the order.
    fn rank(&mut self, party: Party) {
        let Some(part) = self.of.get_mut(&party) else { return };
        let slowest = part.waiting.first();
        let rank = slowest.map(|(slowness, number)| (Reverse(part.sum), *slowness, *number));
        if rank == part.rank {
            return;
        }
        if let Some(before) = std::mem::replace(&mut part.rank, rank) {
            self.order.remove(&before);
        }
        if let Some(rank) = rank {
            self.order.insert(rank, party);
        }
    }
}

impl Guest {
    /// Returns its position among the guests that can give way: those that wait and have something.
    const fn slowness(&self) -> Option<Duration> {
        if self.waits && self.units > 0 { Some(self.served_until) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn holder(number: u128) -> Party {
        Party::Holder(Uuid::from_u128(number))
    }

    /// A seat of this party with this many units.
    fn seat(room: &Room, party: Party, units: usize) -> Result<Seat, Full> {
        let seat = room.seat(party);
        seat.take(units)?;
        Ok(seat)
    }

    /// A seat that waits for the server.
    fn busy(room: &Room, party: Party, units: usize) -> Result<Seat, Full> {
        let seat = seat(room, party, units)?;
        seat.work();
        Ok(seat)
    }

    #[tokio::test]
    async fn party_gets_at_most_its_limit_and_half_of_the_free_room() {
        let room = Room::new(100, 40);
        let first = busy(&room, holder(1), 40).unwrap();
        assert_eq!(first.take(1), Err(Full));
        let second = busy(&room, holder(2), 30).unwrap();
        assert_eq!(second.take(1), Err(Full), "the party would use more than it leaves free");
        let _third = busy(&room, holder(3), 15).unwrap();
        assert_eq!(first.take(1), Err(Full));
        let _fourth = busy(&room, holder(4), 7).unwrap();
        assert!(busy(&room, holder(5), 5).is_err());
        let _fifth = busy(&room, holder(5), 4).unwrap();
        drop(first);
        second.take(5).unwrap();
    }

    #[tokio::test]
    async fn unknown_addresses_have_no_limit_of_their_own() {
        let room = Room::new(100, 10);
        assert!(busy(&room, Party::stranger(Some([192, 0, 2, 1].into())), 11).is_err());
        busy(&room, Party::stranger(None), 50).unwrap();
        assert!(busy(&room, Party::stranger(None), 51).is_err());
    }

    #[tokio::test]
    async fn dropped_seats_free_all_room() {
        let room = Room::new(100, 100);
        let seats: Vec<_> = (0..5).map(|number| seat(&room, holder(number), 8)).collect();
        drop(seats);
        let taken = room.taken();
        assert!(taken.of.is_empty() && taken.all == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn slowest_seat_of_the_largest_party_is_evicted() {
        let room = Room::new(110, 110);
        let few = seat(&room, holder(1), 30).unwrap();
        let many: Vec<_> = (0..4).map(|_| seat(&room, holder(2), 10).unwrap()).collect();
        many[0].write(b"some", 4).unwrap();
        // A burst counts for only a moment.
        many[1].moved(1_000_000);
        for _ in 0..5 {
            advance(Duration::from_secs(1)).await;
            for steady in [&many[2], &many[3], &few] {
                steady.moved(20_000);
            }
        }
        let _newcomer = seat(&room, holder(3), 25).unwrap();
        assert!(many[0].is_gone() && !many[1].is_gone() && !few.is_gone());
        many[0].gave_way().await;
        assert_eq!(many[0].bytes(), Err(Full));
        assert_eq!(many[0].take(1), Err(Full));
        let _another = seat(&room, holder(4), 14).unwrap();
        assert!(many[1].is_gone() && !many[2].is_gone() && !few.is_gone());
    }

    #[tokio::test]
    async fn largest_party_evicts_its_own_seats() {
        let room = Room::new(100, 100);
        let other = seat(&room, holder(2), 30).unwrap();
        let own = [(); 3].map(|()| seat(&room, holder(1), 11).unwrap());
        let newcomer = seat(&room, holder(1), 11).unwrap();
        assert!(own[0].is_gone() && !own[1].is_gone() && !newcomer.is_gone() && !other.is_gone());
        // Only guests that wait for their peer give way.
        own[1].work();
        own[2].work();
        newcomer.work();
        assert!(seat(&room, holder(1), 30).is_err());
        newcomer.wait();
        seat(&room, holder(1), 11).unwrap();
        assert!(newcomer.is_gone() && !own[1].is_gone());
    }

    #[tokio::test]
    async fn one_of_many_small_parties_is_evicted_for_a_new_party() {
        let room = Room::new(10, 5);
        let crowd: Vec<_> = (0..30).map(|number| seat(&room, holder(number), 1)).collect();
        let crowd: Vec<_> = crowd.into_iter().map(Result::unwrap).collect();
        assert!(crowd[0].is_gone() && !crowd[29].is_gone());
        assert!(seat(&room, holder(99), 2).is_err(), "no other party uses as much");
        assert!(!crowd[29].is_gone());
    }

    #[tokio::test]
    async fn no_party_is_limited_while_there_is_room() {
        let room = Room::new(100, 20);
        let slow = seat(&room, holder(1), 20).unwrap();
        slow.write(b"half", 8).unwrap();
        for number in 2..50 {
            seat(&room, holder(number), 20).unwrap();
        }
        slow.write(b"more", 8).unwrap();
        assert_eq!(slow.bytes().unwrap(), b"halfmore");
    }

    #[tokio::test]
    async fn forced_take_succeeds_and_is_recovered_by_the_next_seat() {
        let room = Room::new(100, 50);
        let few: Vec<_> = (0..7).map(|number| seat(&room, holder(number), 12).unwrap()).collect();
        let more = room.seat(holder(99));
        assert_eq!(more.take(40), Err(Full));
        more.take_in_any_case(40);
        assert!(!more.is_gone() && few.iter().all(|seat| !seat.is_gone()));
        let next = seat(&room, holder(98), 12).unwrap();
        assert!(more.is_gone() && !next.is_gone());
        assert!(few.iter().filter(|seat| seat.is_gone()).count() <= 1);
    }

    /// The orders equal the result of a search among all guests, whatever happened before.
    #[tokio::test(start_paused = true)]
    async fn eviction_order_equals_a_full_search() {
        let room = Room::new(300, 120);
        let mut seats: Vec<Seat> = Vec::new();
        let mut random = 7_u64;
        let mut below = |limit: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(random >> 33).unwrap() % limit
        };
        for _ in 0..3_000 {
            let at = below(seats.len().max(1));
            match (below(7), seats.get(at)) {
                (0 | 1, _) | (_, None) => {
                    let new = room.seat(holder(below(5) as u128));
                    let _ = new.take(below(30));
                    seats.push(new);
                }
                (2, Some(seat)) => seat.moved(below(40_000)),
                (3, Some(seat)) => seat.work(),
                (4, Some(seat)) => seat.wait(),
                (5, Some(seat)) => {
                    let _ = seat.take(below(10));
                    seat.give_back(below(5));
                }
                (_, Some(_)) => drop(seats.swap_remove(at)),
            }
            advance(Duration::from_millis(below(300) as u64)).await;
            let taken = room.taken();
            assert_eq!(taken.all, taken.of.values().map(|part| part.sum).sum::<usize>());
            let mut found = Vec::new();
            for (party, part) in &taken.of {
                let guests = part.guests.values();
                assert_eq!(part.sum, guests.map(|guest| guest.units).sum::<usize>());
                let waiting =
                    part.guests.iter().filter(|(_, guest)| guest.waits && guest.units > 0);
                let slowest = waiting.map(|(number, guest)| (guest.served_until, *number)).min();
                found.extend(
                    slowest.map(|(until, number)| ((Reverse(part.sum), until, number), *party)),
                );
            }
            found.sort_by_key(|(rank, _)| *rank);
            assert!(taken.order.iter().map(|(rank, party)| (*rank, *party)).eq(found));
        }
    }

    #[test]
    fn addresses_of_an_ipv6_network_count_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
