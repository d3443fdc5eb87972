//! Shares of the connection pool, so that a caller who sends many requests does not keep others
//! from the database.
//!
//! A surface reports for whom a request is answered ([`Holder`]). The connections of all requests
//! of one party are at most half of the pool at a time. Further requests wait, and are refused when
//! they wait too long:
//!
//! | caller | parties |
//! |---|---|
//! | a token | the token, and its workspace |
//! | an owner or administrator of the instance | the person |
//! | another person | the person, and a workspace that they are a member of: the one that the request concerns, else the oldest one; people without a workspace together |
//!
//! So no request counts towards a workspace with which its caller has nothing to do, and all
//! callers of a workspace together have half of the pool, whatever the path names. All parties
//! leave a fifth to unauthenticated callers, who may be signing in. A request that holds a
//! connection gets another one without waiting.
//!
//! Requests of unauthenticated callers share half of the pool, too, and those from one address half
//! of that. A request counts as unauthenticated until its caller is known.

use std::{
    net::IpAddr,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::ids::{TokenId, UserId, WorkspaceId};
use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::{
    ServiceError,
    kernel::{About, Actor},
    queue::{Place, Queue},
    turns::{Turn, Turns},
};

/// How long a request waits for a connection from its parties' shares.
const PATIENCE: Duration = Duration::from_secs(3);

tokio::task_local! {
    static CURRENT: Holder;
}

/// The caller for whom a request is answered, and what the request concerns.
#[derive(Clone, Debug, Default)]
pub struct Holder(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    who: OnceLock<Who>,
    /// An unauthenticated caller, as which the request counts until `who` is known.
    stranger: Option<Stranger>,
    concern: Mutex<Concern>,
    connections: AtomicUsize,
}

/// An authenticated caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Operator,
    Token(TokenId, WorkspaceId),
    Manager(UserId),
    Person(UserId),
}

/// An unauthenticated caller, with its address if known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stranger(Option<IpAddr>);

#[derive(Debug, Default)]
struct Concern {
    about: About,
    /// The party of a person, once it was looked up.
    party: Option<Party>,
}

/// The parties that have a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Operator,
    Person(UserId),
    Token(TokenId),
    /// The tokens of a workspace, and its members.
    Workspace(WorkspaceId),
    /// People without a workspace.
    Nowhere,
}

impl Holder {
    /// Returns the holder of a request from this address. It counts as unauthenticated until its
    /// caller is identified. An IPv6 network counts as one address.
    pub fn at(address: Option<IpAddr>) -> Self {
        let stranger = Some(Stranger(address));
        Self(Arc::new(Request { stranger, ..Request::default() }))
    }

    /// Returns a holder that counts towards a person only, whatever the request concerns.
    pub(crate) fn of_person(person: UserId) -> Self {
        let holder = Self::default();
        let _ = holder.0.who.set(Who::Manager(person));
        holder
    }

    /// Returns the holder of the request that this task answers, or a new holder without a caller
    /// elsewhere.
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Records the caller. Only the first call has an effect.
    pub fn identify(&self, caller: &Actor) {
        let who = match caller {
            Actor::Anonymous => return,
            Actor::Operator => Who::Operator,
            Actor::Token(facts) => Who::Token(facts.token_id, facts.surroundings.workspace_id),
            Actor::User(visitor) | Actor::Restricted(visitor) => {
                let manages = visitor.is_instance_admin();
                if manages { Who::Manager(visitor.user.id) } else { Who::Person(visitor.user.id) }
            }
        };
        let _ = self.0.who.set(who);
    }

    /// Records the workspace that the request concerns. If the caller is a person and a member of
    /// it, the request counts towards it from now on.
    pub fn concerns(&self, about: About) {
        let mut concern = self.concern();
        if concern.about != about {
            *concern = Concern { about, party: None };
        }
    }

    /// Returns the person whose party is still unknown, and what their request concerns.
    pub(crate) fn person_without_party(&self) -> Option<(UserId, About)> {
        let Some(Who::Person(user)) = self.0.who.get() else { return None };
        let concern = self.concern();
        (!self.has_connection() && concern.party.is_none()).then(|| (*user, concern.about.clone()))
    }

    /// Records the party of a person.
    pub(crate) fn belongs_to(&self, party: Party) {
        self.concern().party = Some(party);
    }

    fn concern(&self) -> MutexGuard<'_, Concern> {
        self.0.concern.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the parties of an authenticated caller. The party of a person must have been looked
    /// up.
    fn parties(&self) -> Option<(Party, Option<Party>)> {
        Some(match *self.0.who.get()? {
            Who::Operator => (Party::Operator, None),
            Who::Token(token, workspace) => {
                (Party::Token(token), Some(Party::Workspace(workspace)))
            }
            Who::Manager(user) => (Party::Person(user), None),
            Who::Person(user) => (Party::Person(user), self.concern().party),
        })
    }

    fn has_connection(&self) -> bool {
        self.0.connections.load(Ordering::Relaxed) > 0
    }

    /// Runs work in a separate task, for the holder of this request. The task continues when the
    /// client disconnects.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        work: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        match tokio::spawn(Self::current().scope(work).in_current_span()).await {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The server is shutting down.
                Err(_) => Err(ServiceError::Busy),
            },
        }
    }

    /// Runs work for this holder.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

/// The shares of all parties, and of unauthenticated callers.
pub(crate) struct Shares {
    known: Arc<Queue<Party>>,
    strangers: Turns<Stranger>,
}

/// A part of a share, returned when dropped.
pub(crate) struct Share {
    holder: Option<Holder>,
    _waited: Option<Waited>,
}

/// The places that a request has waited for.
enum Waited {
    Known(#[expect(dead_code, reason = "released on drop")] Place<Party>),
    Stranger(#[expect(dead_code, reason = "released on drop")] Turn),
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            holder.0.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Shares {
    /// Returns the shares of a pool with this many connections.
    pub(crate) fn new(connections: u32) -> Self {
        let all = connections as usize;
        let half = all / 2;
        Self { known: Queue::new(all - all / 5, half), strangers: Turns::new(half, half / 2) }
    }

    /// Takes a part of a holder's shares. The server's own work needs none.
    pub(crate) async fn take(&self, holder: Holder) -> Result<Share, ServiceError> {
        if holder.0.who.get().is_none() && holder.0.stranger.is_none() {
            return Ok(Share { holder: None, _waited: None });
        }
        let waited = if holder.has_connection() {
            None
        } else {
            let waited = timeout(PATIENCE, self.wait(&holder)).await;
            Some(waited.ok().flatten().ok_or(ServiceError::Busy)?)
        };
        holder.0.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Share { holder: Some(holder), _waited: waited })
    }

    /// Waits for the places of a holder. Returns `None` when too many requests wait already.
    async fn wait(&self, holder: &Holder) -> Option<Waited> {
        match holder.parties() {
            Some(parties) => Some(Waited::Known(self.known.take(parties).await?)),
            None => Some(Waited::Stranger(self.strangers.take(holder.0.stranger?).await?)),
        }
    }
}

/// A connection of the pool, with the part of a share that it takes.
pub(crate) struct Shared {
    connection: PoolConnection<Postgres>,
    _share: Share,
}

impl Shared {
    pub(crate) fn new(connection: PoolConnection<Postgres>, share: Share) -> Self {
        Self { connection, _share: share }
    }
}

impl Deref for Shared {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn of(who: Who) -> Holder {
        let holder = Holder::at(None);
        holder.0.who.set(who).unwrap();
        holder
    }

    fn holder(id: u128) -> Holder {
        of(Who::Manager(UserId(Uuid::from_u128(id))))
    }

    #[tokio::test]
    async fn party_gets_at_most_half_of_the_connections() {
        let shares = Shares::new(4);
        let first = shares.take(holder(1)).await.unwrap();
        let _second = shares.take(holder(1)).await.unwrap();
        let third = shares.take(holder(1)).await;
        assert!(matches!(third, Err(ServiceError::Busy)));
        shares.take(holder(2)).await.unwrap();
        shares.take(Holder::default()).await.unwrap();
        drop(first);
        shares.take(holder(1)).await.unwrap();
    }

    #[tokio::test]
    async fn request_with_a_connection_gets_another_immediately() {
        let shares = Shares::new(2);
        let request = holder(1);
        let first = shares.take(request.clone()).await.unwrap();
        let second = shares.take(request.clone()).await.unwrap();
        assert!(shares.take(holder(1)).await.is_err());
        drop((first, second));
        assert!(shares.take(holder(1)).await.is_ok());
    }

    #[tokio::test]
    async fn strangers_share_half_and_one_address_gets_half_of_that() {
        let shares = Shares::new(8);
        let from = |host: u8| Holder::at(Some([192, 0, 2, host].into()));
        let mut taken = Vec::new();
        for host in [1, 1, 2, 2] {
            taken.push(shares.take(from(host)).await.unwrap());
        }
        let waits = |host| shares.take(from(host)).now_or_never().is_none();
        assert!(waits(1) && waits(3));
        // An authenticated caller takes nothing from that share, and waits for no other request.
        let known = from(1);
        known.0.who.set(Who::Operator).unwrap();
        shares.take(known).await.unwrap();
        shares.take(Holder::default()).await.unwrap();
        taken.pop();
        assert!(waits(1), "the address has used its part");
        shares.take(from(3)).await.unwrap();
    }

    #[tokio::test]
    async fn tokens_and_members_of_a_workspace_share_half() {
        let shares = Shares::new(10);
        let workspace = |id| WorkspaceId(Uuid::from_u128(id));
        let token = |id| of(Who::Token(TokenId(Uuid::from_u128(7)), workspace(id)));
        let member = |id, of_workspace| {
            let member = of(Who::Person(UserId(Uuid::from_u128(id))));
            member.concern().party = Some(of_workspace);
            member
        };
        let mut held = Vec::new();
        for id in 1..=5 {
            let home = Party::Workspace(workspace(1));
            let one = if id % 2 == 0 { token(1) } else { member(id, home) };
            held.push(shares.take(one).await.unwrap());
        }
        let waits = |holder| shares.take(holder).now_or_never().is_none();
        assert!(waits(token(1)) && waits(member(9, Party::Workspace(workspace(1)))));
        held.push(shares.take(member(1, Party::Nowhere)).await.unwrap());
        held.push(shares.take(token(2)).await.unwrap());
        // A sign-in still gets through, whatever the other callers do.
        held.push(shares.take(holder(4)).await.unwrap());
        assert!(waits(holder(6)));
        shares.take(Holder::at(None)).await.unwrap();
    }
}
