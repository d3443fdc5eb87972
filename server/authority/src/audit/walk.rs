//! Walks along a chain and finds every kind of damage. This module is pure: rows in, damage out.
//!
//! A row whose MAC doesn't match is damaged. The next row is checked against both the stored MAC of
//! the damaged row and its expected one, so that a single change is a single finding. At the end,
//! rows that don't match are tried at each other's positions: this distinguishes moved rows from
//! changed ones, and clears intact rows between them.

use uuid::Uuid;

use crate::{
    audit::Damage,
    kernel::{ChainedEvent, Head, Link, START},
    keys::Keys,
};

/// How many candidates for the previous MAC are tried after damaged rows.
const CANDIDATES: usize = 4;
/// How many rows are tried at each other's positions.
const SUSPECTS: usize = 16;

/// A row that doesn't match.
struct Suspect {
    row: ChainedEvent,
    /// The candidates for the previous MAC at its position.
    before: Vec<Vec<u8>>,
}

/// A walk along one chain. Its rows come in the order of their positions, then of their ids.
pub(super) struct Walk<'a> {
    keys: &'a Keys,
    chain: Uuid,
    head: Option<&'a Head>,
    /// The position of the previous row.
    last: i64,
    /// The candidates for the previous MAC of the next row. Empty after a gap, when the next row
    /// cannot be checked.
    before: Vec<Vec<u8>>,
    suspects: Vec<Suspect>,
    /// Whether the last rows match but are not covered by the head.
    beyond: bool,
    /// Whether the last row was damaged.
    damaged: bool,
    damage: Vec<Damage>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(keys: &'a Keys, chain: Uuid, head: Option<&'a Head>) -> Self {
        Self {
            keys,
            chain,
            head,
            last: 0,
            before: vec![START.to_vec()],
            suspects: Vec::new(),
            beyond: false,
            damaged: false,
            damage: Vec::new(),
        }
    }

    /// Checks the next row.
    pub(super) fn step(&mut self, row: &ChainedEvent) {
        let (chain, id) = (self.chain, row.event.id);
        let Some(link) = row.link.as_ref().filter(|link| link.chain == chain) else {
            self.damage.push(Damage::Unchained { id });
            return;
        };
        let seq = link.seq;
        if seq <= self.last {
            self.damage.push(Damage::Inserted { chain, seq, id });
            return;
        }
        if seq > self.last + 1 {
            self.damage.push(Damage::Missing { chain, from: self.last + 1, to: seq - 1 });
            self.before.clear();
        }
        self.last = seq;
        self.damaged = false;
        if self.keys.audit_mac(link.key_version, &[]).is_none() {
            self.unknown_key(link);
            self.before = vec![link.mac.clone()];
            return;
        }
        let beyond =
            self.head.is_some_and(|head| seq > head.seq && head.is_whole(self.keys) == Some(true));
        let should: Vec<Vec<u8>> = self
            .before
            .iter()
            .filter_map(|before| row.event.mac(self.keys, link.key_version, (chain, seq), before))
            .map(|mac| mac.to_vec())
            .collect();
        if should.is_empty() || should.contains(&link.mac) {
            self.beyond |= beyond;
            self.before = vec![link.mac.clone()];
            return;
        }
        self.damaged = true;
        if beyond {
            self.damage.push(Damage::Inserted { chain, seq, id });
        } else {
            self.damage.push(Damage::Changed { chain, seq, id });
            if self.suspects.len() < SUSPECTS {
                self.suspects.push(Suspect { row: row.clone(), before: self.before.clone() });
            }
        }
        self.before = std::iter::once(link.mac.clone()).chain(should).take(CANDIDATES).collect();
    }

    fn unknown_key(&mut self, link: &Link) {
        let (chain, seq, version) = (self.chain, link.seq, link.key_version);
        // Report one finding for the rows of a key, however many they are.
        if let Some(Damage::UnknownKey { version: known, to, .. }) = self.damage.last_mut()
            && *known == version
            && *to == seq - 1
        {
            *to = seq;
        } else {
            self.damage.push(Damage::UnknownKey { chain, version, from: seq, to: seq });
        }
    }

    /// Tries the rows that don't match at each other's positions.
    fn judge_suspects(&mut self) {
        let links = || self.suspects.iter().filter_map(|suspect| suspect.row.link.as_ref());
        let befores: Vec<&[u8]> = links()
            .map(|link| link.mac.as_slice())
            .chain(
                self.suspects.iter().flat_map(|suspect| suspect.before.iter().map(Vec::as_slice)),
            )
            .collect();
        let mut moved = Vec::new();
        let mut whole = Vec::new();
        for Suspect { row, .. } in &self.suspects {
            let Some(link) = &row.link else { continue };
            let fits = |seq: i64| {
                befores.iter().any(|before| {
                    let mac = row.event.mac(self.keys, link.key_version, (self.chain, seq), before);
                    mac.is_some_and(|mac| mac.as_slice() == link.mac)
                })
            };
            if fits(link.seq) {
                whole.push(link.seq);
            } else if links().any(|other| fits(other.seq)) {
                moved.push(link.seq);
            }
        }
        let chain = self.chain;
        for damage in &mut self.damage {
            if let Damage::Changed { seq, id, .. } = *damage
                && moved.contains(&seq)
            {
                *damage = Damage::Reordered { chain, seq, id };
            }
        }
        // If each of them matched on its own, that would not explain why they don't match together.
        if whole.len() < self.suspects.len() {
            self.damage.retain(
                |damage| !matches!(damage, Damage::Changed { seq, .. } if whole.contains(seq)),
            );
        }
    }

    /// Finishes the walk and returns the damage.
    pub(super) fn finish(mut self) -> Vec<Damage> {
        self.judge_suspects();
        let (chain, last) = (self.chain, self.last);
        let Some(head) = self.head else {
            self.damage.push(Damage::HeadMissing { chain });
            return self.damage;
        };
        match head.is_whole(self.keys) {
            None => self.damage.push(Damage::UnknownKey {
                chain,
                version: head.key_version,
                from: 0,
                to: 0,
            }),
            Some(false) => self.damage.push(Damage::HeadChanged { chain }),
            Some(true) if head.seq > last => {
                self.damage.push(Damage::TailCut { chain, from: last + 1, to: head.seq });
            }
            Some(true) if self.beyond => {
                self.damage.push(Damage::HeadOld { chain, seq: head.seq, last });
            }
            Some(true) if head.seq == last && !self.damaged && !self.before.contains(&head.mac) => {
                self.damage.push(Damage::HeadChanged { chain });
            }
            Some(true) => {}
        }
        self.damage
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;
    use time::{Duration, macros::datetime};

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::kernel::{Event, INSTANCE};

    #[derive(Clone, Debug, PartialEq)]
    struct Log {
        rows: Vec<ChainedEvent>,
        heads: Vec<Head>,
    }

    /// Verifies a log as PostgreSQL returns it: chain by chain, in the order of positions.
    fn verify(keys: &Keys, log: &Log, chains: &[Uuid]) -> Vec<Damage> {
        let mut rows: Vec<&ChainedEvent> = log.rows.iter().collect();
        rows.sort_by_key(|row| (row.link.as_ref().map(|link| link.seq), row.event.id));
        let mut chains = chains.to_vec();
        chains.extend(rows.iter().filter_map(|row| Some(row.link.as_ref()?.chain)));
        chains.sort();
        chains.dedup();
        let mut damage = Vec::new();
        for chain in chains {
            let head = log.heads.iter().find(|head| head.chain == chain);
            let mut walk = Walk::new(keys, chain, head);
            let of_chain =
                |row: &&&ChainedEvent| row.link.as_ref().is_some_and(|link| link.chain == chain);
            rows.iter().filter(of_chain).for_each(|row| walk.step(row));
            damage.extend(walk.finish());
        }
        let unchained = rows.iter().filter(|row| row.link.is_none());
        damage.extend(unchained.map(|row| Damage::Unchained { id: row.event.id }));
        damage
    }

    fn event(id: i64, workspace: Option<Uuid>) -> Event {
        Event {
            id,
            at: datetime!(2026-01-02 12:00 UTC) + Duration::microseconds(id * 1_234_567),
            workspace,
            actor_kind: "user".into(),
            actor_id: Some(Uuid::from_u128(7)),
            actor_name: "Ada".into(),
            action: "token.create".into(),
            subject_id: Some(Uuid::from_u128(id.unsigned_abs().into())),
            subject_name: format!("token {id}"),
            surface: "rest".into(),
            client_ip: (id % 2 == 0).then(|| "192.0.2.1".into()),
            request_id: format!("request {id}"),
            before: None,
            after: Some(json!({"name": "ci", "scopes": ["rivers:run"], "id": id})),
        }
    }

    /// Returns the interleaved rows of three chains.
    fn log(keys: &Keys, lengths: [usize; 3]) -> (Log, Vec<Uuid>) {
        let chains = [None, Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2))];
        let ids: Vec<Uuid> = chains.iter().map(|chain| chain.unwrap_or(INSTANCE)).collect();
        let mut heads: Vec<Head> =
            ids.iter().map(|chain| Head::start(keys, *chain).unwrap()).collect();
        let mut rows = Vec::new();
        let mut id = 0;
        for turn in 0..*lengths.iter().max().unwrap() {
            for (index, workspace) in
                chains.iter().enumerate().filter(|(index, _)| turn < lengths[*index])
            {
                id += 1;
                let event = event(id, *workspace);
                let (link, head) = event.after(keys, &heads[index]).unwrap();
                heads[index] = head;
                rows.push(ChainedEvent { event, link: Some(link) });
            }
        }
        (Log { rows, heads }, ids)
    }

    /// Returns the same positions of the same chains, written again after a backup was restored.
    fn another_past(keys: &Keys, whole: &Log) -> Log {
        let mut past = whole.clone();
        for head in &mut past.heads {
            let chain = head.chain;
            *head = Head::start(keys, chain).unwrap();
            for row in past.rows.iter_mut().filter(|row| row.event.chain() == chain) {
                row.event.subject_name.push_str(" anew");
                let (link, next) = row.event.after(keys, head).unwrap();
                (row.link, *head) = (Some(link), next);
            }
        }
        past
    }

    /// A deterministic pseudo-random generator.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
        }
    }

    /// Changes one column of one row.
    fn edit(row: &mut ChainedEvent, column: usize) {
        let event = &mut row.event;
        let other = |text: &mut String| text.push('x');
        match column {
            0 => event.id += 1_000,
            1 => event.at += Duration::microseconds(1),
            2 => event.workspace = Some(Uuid::from_u128(9)),
            3 => event.actor_kind = "token".into(),
            4 => event.actor_id = event.actor_id.xor(Some(Uuid::from_u128(8))),
            5 => other(&mut event.actor_name),
            6 => other(&mut event.action),
            7 => event.subject_id = None,
            8 => other(&mut event.subject_name),
            9 => event.surface.clear(),
            10 => event.client_ip = event.client_ip.take().xor(Some(String::new())),
            11 => other(&mut event.request_id),
            12 => event.before = Some(json!(null)),
            13 => event.after = None,
            14 => event.after.as_mut().unwrap()["name"] = json!("cj"),
            15 => row.link.as_mut().unwrap().mac[3] ^= 1,
            16 => row.link.as_mut().unwrap().seq += 1_000,
            _ => row.link.as_mut().unwrap().key_version += 1,
        }
    }

    fn tamper(log: &mut Log, past: &Log, dice: &mut Dice) -> &'static str {
        let (one, other) = (dice.roll(log.rows.len()), dice.roll(log.rows.len()));
        match dice.roll(13) {
            0..=2 => {
                edit(&mut log.rows[one], dice.roll(18));
                "edit"
            }
            3 => {
                log.rows.remove(one);
                "delete"
            }
            4 => {
                // Swap the positions with their MACs.
                let link = log.rows[one].link.clone();
                log.rows[one].link = std::mem::replace(&mut log.rows[other].link, link);
                "swapped positions"
            }
            5 => {
                let (a, b) = (log.rows[one].event.id, log.rows[other].event.id);
                let event = log.rows[one].event.clone();
                log.rows[one].event = std::mem::replace(&mut log.rows[other].event, event);
                (log.rows[one].event.id, log.rows[other].event.id) = (a, b);
                "swapped contents"
            }
            6 => {
                let chain = log.rows[one].event.chain();
                let ids: Vec<i64> = log
                    .rows
                    .iter()
                    .filter(|row| row.event.chain() == chain)
                    .map(|row| row.event.id)
                    .collect();
                let first = ids[dice.roll(ids.len())];
                log.rows.retain(|row| row.event.chain() != chain || row.event.id < first);
                "truncated tail"
            }
            7 => {
                let mut twin = log.rows[one].clone();
                twin.event.id = 10_000;
                if dice.roll(2) == 0 {
                    twin.link.as_mut().unwrap().seq = 10_000;
                }
                log.rows.push(twin);
                "duplicate"
            }
            8 => {
                let chain = log.rows[other].event.chain();
                let row = &mut log.rows[one];
                row.link.as_mut().unwrap().chain = chain;
                if dice.roll(2) == 0 {
                    row.event.workspace = Some(chain).filter(|chain| *chain != INSTANCE);
                }
                "moved to another chain"
            }
            9 => {
                log.rows[one].link = None;
                "removed from its chain"
            }
            10 => {
                let head = &mut log.heads[one % 3];
                match dice.roll(5) {
                    0 => head.seq += 1,
                    1 => head.seq -= 1,
                    2 => head.mac[0] ^= 1,
                    3 => head.seal[0] ^= 1,
                    _ => head.key_version += 1,
                }
                "changed end"
            }
            11 => {
                // The row's MAC matches the row and its position, but not the rows before and
                // after it.
                log.rows[one] = past.rows[one].clone();
                "genuine row from another past"
            }
            _ => {
                log.heads.remove(one % 3);
                "removed end"
            }
        }
    }

    #[test]
    fn all_of_10_000_tamperings_are_found_and_intact_logs_pass() {
        let keys = Keys::generate(&SystemEntropy);
        let mut dice = Dice(42);
        let mut tampered = 0;
        while tampered < 10_000 {
            let lengths = [1 + dice.roll(4), 1 + dice.roll(5), 1 + dice.roll(6)];
            let (whole, chains) = log(&keys, lengths);
            assert_eq!(verify(&keys, &whole, &chains), []);
            let past = another_past(&keys, &whole);
            assert_eq!(verify(&keys, &past, &chains), []);
            for _ in 0..20 {
                let mut log = whole.clone();
                let how = tamper(&mut log, &past, &mut dice);
                if log == whole {
                    continue;
                }
                assert_ne!(verify(&keys, &log, &chains), [], "{how}: {log:#?}");
                tampered += 1;
            }
        }
    }

    #[test]
    fn chain_continues_with_a_newer_key_and_still_needs_the_older_one() {
        let old = Keys::generate(&SystemEntropy);
        let (whole, chains) = log(&old, [2, 2, 2]);
        let newer = Keys::generate(&SystemEntropy).to_toml();
        let newer = newer.expose_secret().replace("version = 1\n", "version = 2\n");
        let both = format!("{}{newer}", old.to_toml().expose_secret());
        let (both, newer) = (Keys::from_toml(&both).unwrap(), Keys::from_toml(&newer).unwrap());
        let mut log = whole;
        let event = event(100, None);
        let (link, head) = event.after(&both, &log.heads[0]).unwrap();
        assert_eq!((link.key_version, head.key_version), (2, 2));
        log.rows.push(ChainedEvent { event, link: Some(link) });
        log.heads[0] = head;
        assert_eq!(verify(&both, &log, &chains), []);
        let lost = verify(&newer, &log, &chains);
        let unknown = Damage::UnknownKey { chain: INSTANCE, version: 1, from: 1, to: 2 };
        assert_eq!(lost[0], unknown);
        assert!(lost.iter().all(|damage| matches!(damage, Damage::UnknownKey { version: 1, .. })));
    }

    #[test]
    fn row_of_another_history_does_not_fit() {
        let keys = Keys::generate(&SystemEntropy);
        let (whole, chains) = log(&keys, [1, 6, 1]);
        let other = another_past(&keys, &whole);
        assert_eq!(verify(&keys, &other, &chains), []);
        for place in 0..whole.rows.len() {
            let mut mixed = whole.clone();
            mixed.rows[place] = other.rows[place].clone();
            assert_ne!(verify(&keys, &mixed, &chains), [], "{place}");
        }
    }

    #[test]
    fn each_kind_of_damage_is_reported_as_such() {
        let keys = Keys::generate(&SystemEntropy);
        let chain = Uuid::from_u128(1);
        let (whole, chains) = log(&keys, [1, 6, 1]);
        let found = |tamper: &dyn Fn(&mut Vec<ChainedEvent>, &mut Vec<Head>)| {
            let mut log = whole.clone();
            let (mut own, others): (Vec<_>, Vec<_>) =
                log.rows.into_iter().partition(|row| row.event.chain() == chain);
            tamper(&mut own, &mut log.heads);
            log.rows = own.into_iter().chain(others).collect();
            verify(&keys, &log, &chains)
        };
        let id = |place: usize| {
            let own = whole.rows.iter().filter(|row| row.event.chain() == chain);
            own.map(|row| row.event.id).nth(place - 1).unwrap()
        };
        assert_eq!(
            found(&|rows, _| rows[2].event.action = "token.delete".into()),
            [Damage::Changed { chain, seq: 3, id: id(3) }]
        );
        // Only the MAC is changed: the next row must not be reported.
        assert_eq!(
            found(&|rows, _| rows[2].link.as_mut().unwrap().mac[0] ^= 1),
            [Damage::Changed { chain, seq: 3, id: id(3) }]
        );
        assert_eq!(
            found(&|rows, _| drop(rows.drain(1..3))),
            [Damage::Missing { chain, from: 2, to: 3 }]
        );
        assert_eq!(
            found(&|rows, _| drop(rows.drain(4..))),
            [Damage::TailCut { chain, from: 5, to: 6 }]
        );
        assert_eq!(found(&|rows, _| rows.clear()), [Damage::TailCut { chain, from: 1, to: 6 }]);
        assert_eq!(found(&|_, heads| heads[1].seq = 7), [Damage::HeadChanged { chain }]);
        assert_eq!(found(&|_, heads| drop(heads.remove(1))), [Damage::HeadMissing { chain }]);
        assert_eq!(
            found(&|rows, _| rows[1].link = None),
            [Damage::Missing { chain, from: 2, to: 2 }, Damage::Unchained { id: id(2) }]
        );
        assert_eq!(
            found(&|rows, _| {
                let mut row = rows[5].clone();
                row.event.id = 100;
                row.link.as_mut().unwrap().seq = 7;
                rows.push(row);
            }),
            [Damage::Inserted { chain, seq: 7, id: 100 }]
        );
        let swapped = found(&|rows, _| {
            let first = rows[1].link.as_ref().unwrap().seq;
            rows[1].link.as_mut().unwrap().seq = rows[3].link.as_ref().unwrap().seq;
            rows[3].link.as_mut().unwrap().seq = first;
        });
        let reordered = |seq, place| Damage::Reordered { chain, seq, id: id(place) };
        assert_eq!(swapped, [reordered(2, 4), reordered(4, 2)]);
        assert_eq!(
            found(&|rows, _| rows[1..3].iter_mut().for_each(|row| row
                .link
                .as_mut()
                .unwrap()
                .key_version = 9)),
            [Damage::UnknownKey { chain, version: 9, from: 2, to: 3 }]
        );
        // An older end has a valid seal, but there are rows after it.
        let old = log(&keys, [1, 4, 1]).0.heads[1].clone();
        let old_end = found(&move |_, heads| heads[1] = old.clone());
        assert_eq!(old_end, [Damage::HeadOld { chain, seq: 4, last: 6 }]);
    }
}
