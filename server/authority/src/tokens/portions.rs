//! Disables many exposed tokens in short transactions, each of at most [`AT_ONCE`] tokens of one
//! workspace. No transaction holds locks that other transactions need for longer than that.

use domain::{
    audit_action::AuditAction,
    ids::{TokenId, UserId, WorkspaceId},
    token::Token,
};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    change::snapshot,
    children::{self, How},
    containment::standing_of,
};
use crate::{
    OpContext, ServiceError,
    audit::record_all,
    kernel::{Author, Change, Subject, Tenant},
    state::Inner,
    store::{
        invitations_open, limit_statements,
        secret_holders::{self, Sought},
        secret_stops, stops, tokens as store,
        tokens_change::StoppedBy,
    },
    transaction::Transaction,
};

/// The maximum number of tokens that one transaction disables.
pub(super) const AT_ONCE: usize = 500;

/// The author of a stop of many tokens.
#[derive(Clone, Debug)]
pub(crate) struct By {
    pub(crate) user: Option<UserId>,
    pub(crate) author: Author,
}

impl By {
    pub(crate) fn of(ctx: &OpContext) -> Self {
        Self { user: ctx.user_id(), author: Author::of(ctx) }
    }
}

impl Inner {
    /// Disables all exposed tokens that match `sought`. Returns how many it disabled. The caller
    /// must wait until all replicas have applied that.
    pub(crate) async fn disable_in_portions(
        &self,
        (by, ctx): (&By, &OpContext),
        sought: &Sought<'_>,
    ) -> Result<i64, ServiceError> {
        let sought = Sought { enabled: true, ..*sought };
        let mut disabled = 0;
        loop {
            let mut connection = self.connection().await?;
            let (work, now) = (Some(&*self.work), self.instant());
            let found = secret_holders::exposed(&mut connection, work, &sought, now).await?;
            drop(connection);
            let mut some = 0;
            for (workspace, ids) in by_workspace(&found) {
                let of = (workspace, &*ids);
                some += self.disable_these((by, Some(ctx)), &sought, of, None).await?;
            }
            disabled += some;
            // Repeat, because another caller may have enabled some of them meanwhile.
            if some == 0 {
                return Ok(disabled);
            }
        }
    }

    /// Disables those of the given tokens that are enabled and exposed once they are locked, in
    /// portions. With `ctx`, each transaction acts for that caller, who must still have all rights.
    /// Without it, the server itself works on a note until its turn is over.
    pub(super) async fn disable_these(
        &self,
        (by, ctx): (&By, Option<&OpContext>),
        sought: &Sought<'_>,
        (workspace, ids): (WorkspaceId, &[Uuid]),
        note: Option<(Uuid, Option<Instant>)>,
    ) -> Result<i64, ServiceError> {
        let mut disabled = 0;
        for ids in ids.chunks(AT_ONCE) {
            if let Some((note, _)) = note {
                // On a separate connection, because the note must not be locked while waiting for a
                // busy workspace.
                secret_stops::keep(&mut *self.connection().await?, note).await?;
            }
            let mut transaction = match ctx {
                Some(ctx) => self.begin_for(ctx, &[]).await?.0,
                None => self.begin().await?,
            };
            if let Some((_, Some(end))) = note {
                // The database must not continue with a statement that timed out here.
                limit_statements(&mut transaction, end - Instant::now()).await?;
            }
            disabled += disable_some(&mut transaction, by, sought, (workspace, ids)).await?;
            for stop in transaction.commit_part().await? {
                self.stop_descendants(&stop).await?;
            }
        }
        Ok(disabled)
    }

    /// Returns the current time with the database's precision.
    pub(crate) fn instant(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

/// Groups tokens by workspace.
pub(super) fn by_workspace(found: &[(WorkspaceId, TokenId)]) -> Vec<(WorkspaceId, Vec<Uuid>)> {
    let mut groups: Vec<(WorkspaceId, Vec<Uuid>)> = Vec::new();
    for (of, token) in found {
        match groups.last_mut() {
            Some((workspace, ids)) if workspace == of => ids.push(token.0),
            _ => groups.push((*of, vec![token.0])),
        }
    }
    groups
}

/// Disables those of the given tokens of a workspace that are enabled and exposed once they are
/// locked. Returns how many.
pub(super) async fn disable_some(
    transaction: &mut Transaction<'_>,
    by: &By,
    sought: &Sought<'_>,
    (workspace, ids): (WorkspaceId, &[Uuid]),
) -> Result<i64, ServiceError> {
    let now = transaction.inner().instant();
    let tenant = Tenant::of_stopped_token(workspace);
    let locked = stops::lock_enabled(transaction, tenant, ids).await?;
    let still = Sought { ids: Some(&locked), ..*sought };
    let work = Some(&*transaction.inner().work);
    let found = secret_holders::exposed(transaction, work, &still, now).await?;
    let ids: Vec<Uuid> = found.iter().map(|(_, token)| token.0).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let tokens = store::by_ids(transaction, tenant, &ids, now).await?;
    let record = |token: &Token| {
        let standing = standing_of(by.user, false, token.user.id);
        (token.id, StoppedBy { user: by.user, standing, token: None })
    };
    let stopped: Vec<_> = tokens.iter().map(record).collect();
    stops::disable(transaction, &stopped, now).await?;
    for id in &ids {
        transaction.affects(Subject::Token(TokenId(*id)), AuditAction::TokenDisable);
    }
    let after = |token: &Token| snapshot(&Token { enabled: false, ..token.clone() });
    let changes = tokens
        .iter()
        .map(|token| Change {
            workspace: Some(workspace),
            action: AuditAction::TokenDisable,
            subject_id: Some(token.id.0),
            subject_name: &token.name,
            before: Some(snapshot(token)),
            after: Some(after(token)),
        })
        .collect();
    let keys = transaction.inner().keys.clone();
    record_all(transaction, (keys.as_ref(), &by.author, now), workspace, changes).await?;
    invitations_open::end_of_tokens(transaction, tenant, &ids, now).await?;
    children::follow_some(transaction, (tenant, by), &ids, How::Disable).await?;
    Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX))
}
