//! Records refusals in the log: failed sign-ins, failed authorisations, and throttling.
//!
//! A refusal changes nothing, so its row needs no transaction in common with anything else. It
//! waits in memory, and a background task writes it a moment later, so that a refusal never waits
//! for the end of a chain. A server that is killed loses the rows of the last two seconds.
//!
//! Each chain has its own transaction, which soon gives up (`background/refusals.rs`): while the
//! chain of one workspace is busy, the rows of the others are written, and no request waits for
//! their chains.
//!
//! Any caller can cause refusals, so the number of rows is limited. The tokens of each workspace,
//! all people, and all anonymous callers have separate rooms, so that neither an anonymous caller
//! nor another tenant can hide what an insider tries. Each room has a limit for each kind of
//! refusal and for each caller. The room of anonymous callers also has one for each account that
//! they try to sign in to. Each person also has a share of their own, which other callers in the
//! room cannot use up. Refusals beyond the limits are counted, and rows with the counts follow: one
//! for each person, with the routes, and one for the rest.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use domain::{
    audit_action::AuditAction,
    ids::{UserId, WorkspaceId},
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    kernel::{Actor, OpContext, Surface, network},
    keys::Keys,
};

/// How long refusals are left out before a row reports their number.
const SUMMARY_AFTER: Duration = Duration::minutes(1);
/// The limit of one caller, and of sign-ins to one account: 20 at once, then one a minute.
const PER_CALLER: Rate = Rate { burst: 20, every: Duration::minutes(1) };
/// The limit of a person together with all tokens that act as them: 40 at once, then two a minute.
const PER_PERSON: Rate = Rate { burst: 40, every: Duration::seconds(30) };
/// The limit of one kind in one room: 100 at once, then one every ten seconds.
const PER_KIND: Rate = Rate { burst: 100, every: Duration::seconds(10) };
/// The rows of one kind that a person has in a room even if [`PER_KIND`] is used up.
const SHARE: Rate = Rate { burst: 10, every: Duration::minutes(5) };
/// The maximum number of waiting rows of one room, for example while the database is unavailable.
const WAITING_MAX: usize = 500;
/// The maximum number of people of one room that get a row of their own in a summary.
const LEFT_OUT_ROWS_MAX: usize = 20;
/// The maximum number of people of one room whose refusals are counted separately.
const LEFT_OUT_PEOPLE_MAX: usize = 1_000;
/// The maximum number of further people that the row about the rest names.
const LEFT_OUT_NAMED_MAX: usize = 100;
/// The maximum number of routes, and of tokens, that a row about a person names.
const LEFT_OUT_ROUTES_MAX: usize = 10;
/// The maximum number of rows per transaction: while it runs, changes wait for the end of
/// the chain.
const STEP: usize = 20;
/// The maximum length of texts from a caller, in characters.
const GIVEN_MAX: usize = 254;

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The password is wrong, or the account doesn't exist.
    SignIn,
    /// There were too many attempts to sign in.
    SignInThrottled,
    /// The caller may not do it, or may not know that it exists.
    Access,
    /// The presented token is not accepted.
    Credential,
    /// The caller exceeded its rate limit.
    Throttled,
}

impl RefusalKind {
    const ALL: [Self; 5] =
        [Self::SignIn, Self::SignInThrottled, Self::Access, Self::Credential, Self::Throttled];

    /// Returns the action of the audit row.
    pub const fn action(self) -> AuditAction {
        match self {
            Self::SignIn => AuditAction::SessionSignInFailed,
            Self::SignInThrottled => AuditAction::SessionSignInThrottled,
            Self::Access => AuditAction::AccessRefused,
            Self::Credential => AuditAction::AccessCredentialRefused,
            Self::Throttled => AuditAction::AccessThrottled,
        }
    }
}

/// A refusal, as its audit row shows it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The kind.
    pub kind: RefusalKind,
    /// The target of the request: the account as typed, or the method and the route. It is
    /// shortened, and control characters are replaced, when it is written.
    pub subject: String,
    /// The id of the record in the request, if any.
    pub subject_id: Option<Uuid>,
    /// Further facts, without secrets.
    pub detail: Value,
}

/// The refusals that wait to be written.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    rooms: HashMap<Tenancy, Room>,
    /// The chains that were busy in the last run.
    busy: HashSet<Chain>,
}

/// The workspace whose log has the rows. `None` is the instance's log.
pub(crate) type Chain = Option<WorkspaceId>;

/// Callers who share a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tenancy {
    Strangers,
    /// Signed-in people. Their refusals are in the instance's log.
    People,
    /// The tokens of a workspace. Their refusals are in its log.
    Tokens(WorkspaceId),
}

/// The rows of one group of callers.
#[derive(Default)]
struct Room {
    waiting: VecDeque<Waiting>,
    kinds: HashMap<RefusalKind, Budget>,
    callers: HashMap<(RefusalKind, String), Budget>,
    left_out: LeftOut,
}

/// The counts of the refusals of a room that were left out of the log since the last rows
/// about them.
#[derive(Default)]
struct LeftOut {
    since: Option<OffsetDateTime>,
    people: HashMap<UserId, OfPerson>,
    /// The refusals of anonymous callers, and of people beyond [`LEFT_OUT_PEOPLE_MAX`].
    others: Counts,
}

type Counts = HashMap<RefusalKind, u64>;

/// The left-out refusals of one person, including those of the tokens that act as them.
struct OfPerson {
    /// The context of the last refusal.
    ctx: OpContext,
    kinds: Counts,
    routes: BTreeMap<String, u64>,
    tokens: BTreeMap<String, u64>,
}

/// A refusal that waits to be written.
pub(crate) struct Waiting {
    tenancy: Tenancy,
    pub(crate) ctx: OpContext,
    pub(crate) refusal: Refusal,
}

impl Waiting {
    /// Returns the chain that the row belongs to.
    pub(crate) const fn chain(&self) -> Chain {
        self.tenancy.chain()
    }
}

/// A rate: the size of a burst, and the interval at which one more is allowed.
#[derive(Clone, Copy)]
struct Rate {
    burst: i32,
    every: Duration,
}

/// The used part of a rate. The rate is fully available again at this moment.
#[derive(Clone, Copy)]
struct Budget(OffsetDateTime);

impl Budget {
    fn after_one_more(self, rate: Rate, now: OffsetDateTime) -> Option<Self> {
        let free_at = self.0.max(now) + rate.every;
        (free_at <= now + rate.every * rate.burst).then_some(Self(free_at))
    }
}

impl Tenancy {
    fn of(ctx: &OpContext) -> Self {
        match &ctx.actor {
            Actor::Token(facts) => Self::Tokens(facts.surroundings.workspace_id),
            Actor::User(_) | Actor::Restricted(_) | Actor::Operator => Self::People,
            Actor::Anonymous => Self::Strangers,
        }
    }

    const fn chain(self) -> Chain {
        match self {
            Self::Tokens(workspace) => Some(workspace),
            Self::Strangers | Self::People => None,
        }
    }
}

impl Refusals {
    /// Keeps a refusal for the log, or counts it as left out.
    pub(crate) fn note(&self, ctx: &OpContext, mut refusal: Refusal) {
        refusal.subject = given(&refusal.subject);
        let Ok(mut state) = self.0.lock() else { return };
        // Rows don't contain the user agent, which may be long.
        let ctx = OpContext { user_agent: None, ..ctx.clone() };
        let row = Waiting { tenancy: Tenancy::of(&ctx), ctx, refusal };
        let room = state.room(row.tenancy);
        if let Some(row) = room.take(row) {
            room.left_out.add(row);
        }
    }

    /// Takes rows to write, and the rows about left-out refusals when they are due. The rows of
    /// busy chains stay.
    pub(crate) fn take(
        &self,
        keys: &Arc<Keys>,
        now: OffsetDateTime,
        closing: bool,
        busy: &HashSet<Chain>,
    ) -> Vec<Waiting> {
        let Ok(mut state) = self.0.lock() else { return Vec::new() };
        let rooms = &mut state.rooms;
        for (tenancy, room) in rooms.iter_mut() {
            room.callers.retain(|_, budget| budget.0 > now);
            room.kinds.retain(|_, budget| budget.0 > now);
            if room.left_out.since.is_some_and(|since| closing || since + SUMMARY_AFTER <= now) {
                let left_out = std::mem::take(&mut room.left_out);
                room.waiting.extend(left_out.rows(keys, *tenancy, now));
            }
        }
        rooms.retain(|_, room| !room.is_unused());
        let mut rooms: Vec<&mut Room> = rooms
            .iter_mut()
            .filter(|(tenancy, room)| !room.waiting.is_empty() && !busy.contains(&tenancy.chain()))
            .map(|(_, room)| room)
            .collect();
        let mut rows = Vec::new();
        // Rooms take turns.
        while rows.len() < STEP && rooms.iter().any(|room| !room.waiting.is_empty()) {
            let next = rooms.iter_mut().filter_map(|room| room.waiting.pop_front());
            rows.extend(next.take(STEP - rows.len()));
        }
        rows
    }

    /// Returns the chains that were busy in the last run, and clears the record.
    pub(crate) fn take_busy(&self) -> HashSet<Chain> {
        self.0.lock().map(|mut state| std::mem::take(&mut state.busy)).unwrap_or_default()
    }

    pub(crate) fn note_busy(&self, busy: HashSet<Chain>) {
        if let Ok(mut state) = self.0.lock() {
            state.busy = busy;
        }
    }

    /// Puts back rows that could not be written.
    pub(crate) fn put_back(&self, rows: Vec<Waiting>) {
        let Ok(mut state) = self.0.lock() else { return };
        for row in rows.into_iter().rev() {
            state.room(row.tenancy).waiting.push_front(row);
        }
    }
}

impl State {
    fn room(&mut self, tenancy: Tenancy) -> &mut Room {
        self.rooms.entry(tenancy).or_default()
    }
}

impl Room {
    /// Takes a row if the limits allow it, and returns it otherwise.
    fn take(&mut self, row: Waiting) -> Option<Waiting> {
        if self.waiting.len() >= WAITING_MAX {
            return Some(row);
        }
        let (kind, now) = (row.refusal.kind, row.ctx.now);
        let empty = Budget(now);
        let used = |key: String, rate: Rate| {
            let key = (kind, key);
            let used = *self.callers.get(&key).unwrap_or(&empty);
            Some((key, used.after_one_more(rate, now)?))
        };
        let own: Option<Vec<_>> =
            keys(&row).into_iter().map(|(key, rate)| used(key, rate)).collect();
        let Some(mut own) = own else { return Some(row) };
        let share = person(&row.ctx).and_then(|person| used(format!("share {person}"), SHARE));
        if let Some(share) = share {
            own.push(share);
        } else {
            let overall = self.kinds.get(&kind).unwrap_or(&empty).after_one_more(PER_KIND, now);
            let Some(overall) = overall else { return Some(row) };
            self.kinds.insert(kind, overall);
        }
        // Only rows that are kept use up a limit, so the map stays as small as the number of rows.
        self.callers.extend(own);
        self.waiting.push_back(row);
        None
    }

    fn is_unused(&self) -> bool {
        self.waiting.is_empty()
            && self.kinds.is_empty()
            && self.callers.is_empty()
            && self.left_out.since.is_none()
    }
}

impl LeftOut {
    fn add(&mut self, Waiting { ctx, refusal, .. }: Waiting) {
        self.since.get_or_insert(ctx.now);
        let has_room = self.people.len() < LEFT_OUT_PEOPLE_MAX;
        let of_person = match person(&ctx) {
            Some(person) if has_room => {
                let (kinds, routes, tokens) = (Counts::new(), BTreeMap::new(), BTreeMap::new());
                let new = OfPerson { ctx: ctx.clone(), kinds, routes, tokens };
                Some(self.people.entry(person).or_insert(new))
            }
            Some(person) => self.people.get_mut(&person),
            None => None,
        };
        let kinds = match of_person {
            Some(of_person) => {
                if matches!(ctx.actor, Actor::Token(_)) {
                    count(&mut of_person.tokens, caller(&ctx));
                }
                count(&mut of_person.routes, refusal.subject);
                of_person.ctx = ctx;
                &mut of_person.kinds
            }
            None => &mut self.others,
        };
        *kinds.entry(refusal.kind).or_default() += 1;
    }

    /// Creates the rows. People with the fewest refusals come first, so that a person who causes
    /// many cannot hide the others.
    fn rows(self, keys: &Arc<Keys>, tenancy: Tenancy, now: OffsetDateTime) -> Vec<Waiting> {
        let since = self.since.unwrap_or(now);
        let total = |of_person: &OfPerson| of_person.kinds.values().sum::<u64>();
        let mut people: Vec<_> = self.people.into_iter().collect();
        people.sort_by_key(|(person, of_person)| (total(of_person), person.0));
        let rest = people.split_off(people.len().min(LEFT_OUT_ROWS_MAX));
        let of_people = people.into_iter().map(|(_, OfPerson { ctx, kinds, routes, tokens })| {
            let mut row = summary(tenancy, OpContext { now, ..ctx }, &kinds, since);
            row.refusal.detail["routes"] = json!(routes);
            if !tokens.is_empty() {
                row.refusal.detail["tokens"] = json!(tokens);
            }
            row
        });
        let mut rows: Vec<_> = of_people.collect();
        let mut others = self.others;
        let mut named = BTreeMap::new();
        for (person, of_person) in rest {
            if named.len() < LEFT_OUT_NAMED_MAX {
                named.insert(person.to_string(), total(&of_person));
            }
            for (kind, number) in of_person.kinds {
                *others.entry(kind).or_default() += number;
            }
        }
        if !others.is_empty() {
            let mut row = summary(tenancy, server(keys, now), &others, since);
            if !named.is_empty() {
                row.refusal.detail["people"] = json!(named);
            }
            rows.push(row);
        }
        rows
    }
}

/// Counts `what` once more, by name as long as there are few names.
fn count(counts: &mut BTreeMap<String, u64>, what: String) {
    let is_more = counts.len() >= LEFT_OUT_ROUTES_MAX && !counts.contains_key(&what);
    *counts.entry(if is_more { "others".into() } else { what }).or_default() += 1;
}

/// The field of the row about left-out refusals.
pub(crate) const LEFT_OUT: &str = "left_out";

/// Creates the row that reports how many refusals were left out.
fn summary(tenancy: Tenancy, ctx: OpContext, counts: &Counts, since: OffsetDateTime) -> Waiting {
    let total: u64 = counts.values().sum();
    let counts: serde_json::Map<String, Value> = RefusalKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind.action().to_string(), json!(counts.get(&kind)?))))
        .collect();
    let refusal = Refusal {
        kind: RefusalKind::Access,
        subject: format!("{total} refusals"),
        subject_id: None,
        detail: json!({
            LEFT_OUT: counts,
            "since": since.unix_timestamp(),
            "until": ctx.now.unix_timestamp(),
        }),
    };
    Waiting { tenancy, ctx, refusal }
}

/// Returns the context of the server itself.
fn server(keys: &Arc<Keys>, now: OffsetDateTime) -> OpContext {
    OpContext {
        actor: Actor::Anonymous,
        surface: Surface::Server,
        request_id: "none".into(),
        session: None,
        client_ip: None,
        user_agent: None,
        now,
        keys: Arc::clone(keys),
    }
}

/// Returns the calling person, or the one that the calling token acts as.
fn person(ctx: &OpContext) -> Option<UserId> {
    match &ctx.actor {
        Actor::Token(facts) => Some(facts.user_id()),
        Actor::User(visitor) | Actor::Restricted(visitor) => Some(visitor.user.id),
        Actor::Anonymous | Actor::Operator => None,
    }
}

/// Returns the limits that a row counts against, in addition to that of its kind.
fn keys(row: &Waiting) -> Vec<(String, Rate)> {
    let mut keys = vec![(caller(&row.ctx), PER_CALLER)];
    if let Some(person) = person(&row.ctx) {
        keys.push((format!("person {person}"), PER_PERSON));
    }
    let is_sign_in = matches!(row.refusal.kind, RefusalKind::SignIn | RefusalKind::SignInThrottled);
    // Guesses of anonymous callers at an account use up nothing of its owner's limits.
    if is_sign_in && row.tenancy == Tenancy::Strangers {
        keys.push((format!("account {}", row.refusal.subject.to_lowercase()), PER_CALLER));
    }
    keys
}

/// Returns the key that identifies one caller.
fn caller(ctx: &OpContext) -> String {
    match &ctx.actor {
        Actor::Token(facts) => facts.token_id.to_string(),
        Actor::User(visitor) | Actor::Restricted(visitor) => visitor.user.id.to_string(),
        Actor::Anonymous | Actor::Operator => network(ctx.client_ip),
    }
}

/// Returns a caller's text as it appears in the log: with limited length, and without characters
/// that would change how the text around it is read.
fn given(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(GIVEN_MAX)
        .map(|character| if is_harmless(character) { character } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(GIVEN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns whether a character is neither a control character nor one of Unicode's invisible
/// characters that reorder, join or hide text.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_caller_is_shortened_and_cannot_reorder_the_log() {
        assert_eq!(given("ada@example.com"), "ada@example.com");
        assert_eq!(given("a\r\nb\0c\u{1b}[2J"), "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}[2J");
        assert_eq!(given("a\u{202e}moc"), "a\u{fffd}moc");
        assert_eq!(given("é".repeat(254).as_str()).chars().count(), 254);
        assert_eq!(given(&"x".repeat(70_000)), format!("{}…", "x".repeat(254)));
    }

    #[test]
    fn budget_is_used_up_and_refills() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut budget = Budget(now);
        for _ in 0..PER_CALLER.burst {
            budget = budget.after_one_more(PER_CALLER, now).unwrap();
        }
        assert!(budget.after_one_more(PER_CALLER, now).is_none());
        assert!(budget.after_one_more(PER_CALLER, now + PER_CALLER.every).is_some());
    }
}
