//! Refusals in the log: failed sign-ins, failed authorisations, and throttling.
//!
//! A refusal changes nothing, so its row need not be in a transaction with anything. It waits in memory
//! and is written a moment later by a background task: what refuses never waits for the end of a chain.
//! A server that is killed loses the rows of the last two seconds.
//!
//! Anybody can cause refusals, so the rows are bounded. Callers that Tessera knows and strangers have separate
//! room, so that no stranger can hide what an insider tries. Within each, there is a bound for each kind and for
//! each caller; among strangers also for each account that somebody tries to sign in to. Refusals beyond that are
//! counted, and rows with the counts follow: one for each known caller, with the routes, and one for the rest.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::Mutex,
    time::Duration as Interval,
};

use domain::ids::WorkspaceId;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::record::{Change, record};
use crate::{
    Authority, ServiceError,
    authority::Inner,
    context::{Actor, OpContext, Surface},
    sessions::network,
};

/// How long a row waits at most before it is written.
const WRITE_EVERY: Interval = Interval::from_secs(2);
/// How long refusals are left out before a row says how many they were.
const SUMMARY_AFTER: Duration = Duration::minutes(1);
/// Rows of one caller, and about one account: 20 at once, then one a minute.
const PER_CALLER: Rate = Rate { burst: 20, every: Duration::minutes(1) };
/// Rows of a person with all the tokens that act for them: 40 at once, then two a minute.
const PER_PERSON: Rate = Rate { burst: 40, every: Duration::seconds(30) };
/// Rows of one kind, of strangers: 100 at once, then one every ten seconds. Known callers have as many again.
const PER_KIND: Rate = Rate { burst: 100, every: Duration::seconds(10) };
/// Rows of strangers that wait at most, as while the database is away. Those of known callers have as many again.
const WAITING_MAX: usize = 500;
/// Known callers that have a row of their own about what was left out, each time.
const LEFT_OUT_CALLERS_MAX: usize = 20;
/// Routes that such a row names.
const LEFT_OUT_ROUTES_MAX: usize = 10;
/// Rows of one transaction: as long as it lasts, changes wait for the end of the chain.
const STEP: usize = 20;
/// Most characters of what a caller gave.
const GIVEN_MAX: usize = 254;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The password is wrong, or there is no such account.
    SignIn,
    /// There were too many attempts to sign in.
    SignInThrottled,
    /// The caller may not do it, or may not know of it.
    Access,
    /// The token that the caller presented is not accepted.
    Credential,
    /// The caller made more calls than it may.
    Throttled,
}

impl RefusalKind {
    const ALL: [Self; 5] =
        [Self::SignIn, Self::SignInThrottled, Self::Access, Self::Credential, Self::Throttled];

    /// The action of the audit row.
    pub const fn action(self) -> &'static str {
        match self {
            Self::SignIn => "session.sign_in_failed",
            Self::SignInThrottled => "session.sign_in_throttled",
            Self::Access => "access.refused",
            Self::Credential => "access.credential_refused",
            Self::Throttled => "access.throttled",
        }
    }
}

/// Something that was refused, as the audit row shows it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What it is.
    pub kind: RefusalKind,
    /// What the caller wanted: the account as typed, or the method and the route. Shortened, and without
    /// control characters, when it is written.
    pub subject: String,
    /// The record that the request named, if it named one.
    pub subject_id: Option<Uuid>,
    /// Further facts, none of them secret.
    pub detail: Value,
}

/// The refusals that wait to be written.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    known: Room,
    strangers: Room,
    left_out: LeftOut,
}

/// The rows of one group of callers.
#[derive(Default)]
struct Room {
    waiting: VecDeque<Waiting>,
    kinds: HashMap<RefusalKind, Budget>,
    callers: HashMap<(RefusalKind, String), Budget>,
}

/// Counts the refusals that were left out of the log since the last rows about them.
#[derive(Default)]
struct LeftOut {
    since: Option<OffsetDateTime>,
    /// The refusals of known callers.
    callers: HashMap<String, OfCaller>,
    /// The refusals of strangers, and of known callers beyond [`LEFT_OUT_CALLERS_MAX`].
    others: HashMap<RefusalKind, u64>,
}

/// The refusals of one known caller that were left out.
struct OfCaller {
    /// The context of their last refusal.
    ctx: OpContext,
    kinds: HashMap<RefusalKind, u64>,
    routes: BTreeMap<String, u64>,
}

struct Waiting {
    ctx: OpContext,
    refusal: Refusal,
}

/// How many at once, and how long until there is one more.
#[derive(Clone, Copy)]
struct Rate {
    burst: i32,
    every: Duration,
}

/// What of a rate is used up: all of it is free again at this moment.
#[derive(Clone, Copy)]
struct Budget(OffsetDateTime);

impl Budget {
    fn after_one_more(self, rate: Rate, now: OffsetDateTime) -> Option<Self> {
        let free_at = self.0.max(now) + rate.every;
        (free_at <= now + rate.every * rate.burst).then_some(Self(free_at))
    }
}

impl Refusals {
    /// Keeps a refusal for the log, or counts it among those that are left out.
    pub(crate) fn note(&self, ctx: &OpContext, mut refusal: Refusal) {
        refusal.subject = given(&refusal.subject);
        let Ok(mut state) = self.0.lock() else { return };
        let state = &mut *state;
        let row = Waiting { ctx: ctx.clone(), refusal };
        if let Some(row) = state.room(ctx).take(row) {
            state.left_out.add(row);
        }
    }

    /// Takes rows to be written, and the rows about what was left out when they are due.
    fn take(&self, inner: &Inner, now: OffsetDateTime, closing: bool) -> Vec<Waiting> {
        let Ok(mut state) = self.0.lock() else { return Vec::new() };
        let State { known, strangers, left_out } = &mut *state;
        for room in [&mut *known, &mut *strangers] {
            room.callers.retain(|_, budget| budget.0 > now);
        }
        if left_out.since.is_some_and(|since| closing || since + SUMMARY_AFTER <= now) {
            known.waiting.extend(std::mem::take(left_out).rows(inner, now));
        }
        let mut rows = Vec::new();
        for room in [known, strangers] {
            let count = room.waiting.len().min(STEP - rows.len());
            rows.extend(room.waiting.drain(..count));
        }
        rows
    }

    /// Puts rows back that could not be written.
    fn put_back(&self, rows: Vec<Waiting>) {
        let Ok(mut state) = self.0.lock() else { return };
        for row in rows.into_iter().rev() {
            state.room(&row.ctx).waiting.push_front(row);
        }
    }
}

impl State {
    fn room(&mut self, ctx: &OpContext) -> &mut Room {
        if is_known(ctx) { &mut self.known } else { &mut self.strangers }
    }
}

impl Room {
    /// Takes a row if there is room for it, and gives it back otherwise.
    fn take(&mut self, row: Waiting) -> Option<Waiting> {
        let (kind, now) = (row.refusal.kind, row.ctx.now);
        let empty = Budget(now);
        let overall = self.kinds.get(&kind).unwrap_or(&empty).after_one_more(PER_KIND, now);
        let own = keys(&row).into_iter().map(|(key, rate)| {
            let key = (kind, key);
            let used = *self.callers.get(&key).unwrap_or(&empty);
            Some((key, used.after_one_more(rate, now)?))
        });
        let own: Option<Vec<_>> = own.collect();
        let (Some(overall), Some(own)) = (overall, own) else { return Some(row) };
        if self.waiting.len() >= WAITING_MAX {
            return Some(row);
        }
        self.kinds.insert(kind, overall);
        // As many as there are rows: what is left out leaves nothing behind here.
        self.callers.extend(own);
        self.waiting.push_back(row);
        None
    }
}

impl LeftOut {
    fn add(&mut self, Waiting { ctx, refusal }: Waiting) {
        self.since.get_or_insert(ctx.now);
        let (key, callers) = (caller(&ctx), self.callers.len());
        let kinds = match self.callers.entry(key) {
            Entry::Occupied(entry) => entry.into_mut().add(ctx, refusal.subject),
            Entry::Vacant(entry) if is_known(&ctx) && callers < LEFT_OUT_CALLERS_MAX => {
                let (kinds, routes) = (HashMap::new(), BTreeMap::new());
                let of_caller = OfCaller { ctx: ctx.clone(), kinds, routes };
                entry.insert(of_caller).add(ctx, refusal.subject)
            }
            Entry::Vacant(_) => &mut self.others,
        };
        *kinds.entry(refusal.kind).or_default() += 1;
    }

    fn rows(self, inner: &Inner, now: OffsetDateTime) -> Vec<Waiting> {
        let since = self.since.unwrap_or(now);
        let of_callers = self.callers.into_values().map(|OfCaller { ctx, kinds, routes }| {
            let mut row = summary(OpContext { now, ..ctx }, &kinds, since);
            row.refusal.detail["routes"] = json!(routes);
            row
        });
        let mut rows: Vec<_> = of_callers.collect();
        if !self.others.is_empty() {
            rows.push(summary(server(inner, now), &self.others, since));
        }
        rows
    }
}

impl OfCaller {
    fn add(&mut self, ctx: OpContext, route: String) -> &mut HashMap<RefusalKind, u64> {
        self.ctx = ctx;
        let more = self.routes.len() >= LEFT_OUT_ROUTES_MAX && !self.routes.contains_key(&route);
        *self.routes.entry(if more { "others".into() } else { route }).or_default() += 1;
        &mut self.kinds
    }
}

impl Authority {
    /// Notes that something was refused, for the audit log.
    pub fn note_refusal(&self, ctx: &OpContext, refusal: Refusal) {
        self.inner.refusals.note(ctx, refusal);
    }

    /// Writes the refusals that wait.
    pub async fn write_refusals(&self) -> Result<(), ServiceError> {
        self.write_waiting(false).await
    }

    /// Writes refusals until dropped.
    pub(crate) async fn run_refusals(&self) {
        let mut interval = tokio::time::interval(WRITE_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Err(error) = self.write_refusals().await {
                error.log("background");
            }
        }
    }

    /// Writes everything that waits, the counts of what was left out too.
    pub(crate) async fn close_refusals(&self) {
        if let Err(error) = self.write_waiting(true).await {
            error.log("close");
        }
    }

    async fn write_waiting(&self, closing: bool) -> Result<(), ServiceError> {
        loop {
            let rows = self.inner.refusals.take(&self.inner, self.now(), closing);
            if rows.is_empty() {
                return Ok(());
            }
            let written = self.write_step(&rows).await;
            if written.is_err() {
                self.inner.refusals.put_back(rows);
                return written;
            }
        }
    }

    /// Writes rows in one transaction: the instance's chain first, then workspaces in order of their ids.
    async fn write_step(&self, rows: &[Waiting]) -> Result<(), ServiceError> {
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_by_key(|row| workspace(&row.ctx).map(|workspace| workspace.0));
        let mut transaction = self.inner.begin().await?;
        for Waiting { ctx, refusal } in sorted {
            let change = Change {
                workspace: workspace(ctx),
                action: if refusal.detail.get(LEFT_OUT).is_some() {
                    "access.left_out"
                } else {
                    refusal.kind.action()
                },
                subject_id: refusal.subject_id,
                subject_name: &refusal.subject,
                before: None,
                after: Some(refusal.detail.clone()),
            };
            record(&mut transaction, ctx, change).await?;
        }
        transaction.commit().await
    }
}

/// The field of the row about what was left out.
const LEFT_OUT: &str = "left_out";

/// The row that says how many refusals were left out.
fn summary(ctx: OpContext, counts: &HashMap<RefusalKind, u64>, since: OffsetDateTime) -> Waiting {
    let total: u64 = counts.values().sum();
    let counts: serde_json::Map<String, Value> = RefusalKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind.action().to_owned(), json!(counts.get(&kind)?))))
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
    Waiting { ctx, refusal }
}

/// The context of the server itself.
fn server(inner: &Inner, now: OffsetDateTime) -> OpContext {
    OpContext {
        actor: Actor::Anonymous,
        surface: Surface::Server,
        request_id: "none".into(),
        session: None,
        client_ip: None,
        user_agent: None,
        now,
        keys: std::sync::Arc::clone(&inner.keys),
    }
}

/// The workspace in whose log a refusal belongs: a token's. People's are the instance's.
fn workspace(ctx: &OpContext) -> Option<WorkspaceId> {
    match &ctx.actor {
        Actor::Token(facts) => Some(facts.surroundings.workspace_id),
        Actor::Anonymous | Actor::Operator | Actor::User(_) | Actor::Restricted(_) => None,
    }
}

/// Whether Tessera knows who asks.
fn is_known(ctx: &OpContext) -> bool {
    !matches!(ctx.actor, Actor::Anonymous)
}

/// The budgets that a row counts against, besides that of its kind.
fn keys(row: &Waiting) -> Vec<(String, Rate)> {
    let mut keys = vec![(caller(&row.ctx), PER_CALLER)];
    match &row.ctx.actor {
        Actor::Token(facts) => keys.push((format!("person {}", facts.user_id()), PER_PERSON)),
        Actor::User(visitor) | Actor::Restricted(visitor) => {
            keys.push((format!("person {}", visitor.user.id), PER_PERSON));
        }
        // Others' guesses at an account use up nothing of its owner's.
        Actor::Anonymous
            if matches!(row.refusal.kind, RefusalKind::SignIn | RefusalKind::SignInThrottled) =>
        {
            keys.push((format!("account {}", row.refusal.subject.to_lowercase()), PER_CALLER));
        }
        Actor::Anonymous | Actor::Operator => {}
    }
    keys
}

/// What one caller is known by.
fn caller(ctx: &OpContext) -> String {
    match &ctx.actor {
        Actor::Token(facts) => facts.token_id.to_string(),
        Actor::User(visitor) | Actor::Restricted(visitor) => visitor.user.id.to_string(),
        Actor::Anonymous | Actor::Operator => network(ctx.client_ip),
    }
}

/// What a caller gave, as it may stand in the log: of bounded length, and without characters that would
/// change what is read around it.
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

/// Neither a control character nor one of Unicode's invisible ones that reorder, join or hide text.
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
    fn what_a_caller_gave_is_short_and_cannot_reorder_the_log() {
        assert_eq!(given("ada@example.com"), "ada@example.com");
        assert_eq!(given("a\r\nb\0c\u{1b}[2J"), "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}[2J");
        assert_eq!(given("a\u{202e}moc"), "a\u{fffd}moc");
        assert_eq!(given("é".repeat(254).as_str()).chars().count(), 254);
        assert_eq!(given(&"x".repeat(70_000)), format!("{}…", "x".repeat(254)));
    }

    #[test]
    fn budget_is_used_up_and_comes_back() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut budget = Budget(now);
        for _ in 0..PER_CALLER.burst {
            budget = budget.after_one_more(PER_CALLER, now).unwrap();
        }
        assert!(budget.after_one_more(PER_CALLER, now).is_none());
        assert!(budget.after_one_more(PER_CALLER, now + PER_CALLER.every).is_some());
    }
}
