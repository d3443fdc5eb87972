//! Imports tokens that another system issued.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use domain::{
    access::Permission,
    audit_action::AuditAction,
    bounds::Bounds,
    expiry,
    grants::{Grants, Rights},
    ids::{TokenId, UserId},
    names::{Slug, TokenName},
    policy::Policy,
    problem::FieldError,
    scope_pattern::Steps,
    token::UserSummary,
};
use serde::Serialize;
use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

use super::{
    Format, Transfer,
    rows::{self, Row},
};
use crate::{
    OpContext, ServiceError, TokenDraft,
    access::{self, Access},
    audit::{record, record_all},
    facts::Presenter,
    kernel::{Actor, Author, Change, limits::COLLISIONS_MAX},
    keys::Digest,
    patterns::Patterns,
    store::{
        catalogues::{self, StoredCatalogue},
        imports,
        policies::{self, Levels},
        tokens::{self as store, NewToken},
        workspaces,
    },
    tokens::{
        CheckedDraft, Rules, STEPS_MAX, bounds, check_names, check_room, fix_bounds, grantable,
        has_room, holder, inherit, keep_holders, keep_room, parent, renewable, rights, snapshot,
    },
    work::{Heavy, Kind},
};

/// The maximum number of rows in a file.
pub const ROWS_MAX: usize = 1_000;
/// The maximum number of errors that are reported.
const ERRORS_MAX: usize = 100;
/// The maximum number of rows that a workspace can import within a day before they count as unknown
/// tokens.
pub(crate) const FREE_A_DAY: i64 = 20_000;
/// Rows that are checked before other tasks get their turn.
const AT_ONCE: usize = 50;
/// Audit rows that are written at a time.
const RECORDED_AT_ONCE: usize = 100;
/// The maximum number of steps to compare the scopes of all rows: some hundred milliseconds.
const FILE_STEPS: u32 = 50_000_000;
/// Shown in lists in place of the ends of a secret that Tessera has never seen.
const HINT: &str = "imported";

/// The result of an import or a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The tokens, in the order of the rows.
    pub tokens: Vec<ImportedToken>,
}

/// A token that was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportedToken {
    /// The row, counted from 1.
    pub row: usize,
    /// Its id; `None` when nothing was changed.
    pub id: Option<TokenId>,
    /// Its name.
    pub name: String,
}

/// A row whose values are all valid.
struct Checked {
    user: UserSummary,
    draft: CheckedDraft,
    sha256: [u8; 32],
}

impl Transfer<'_> {
    /// Refuses callers who may not import into this workspace, before their file is received.
    #[tracing::instrument(skip_all, fields(
        noun = "transfer", verb = "may_import",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn may_import(&self, ctx: &OpContext, workspace: &Slug) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        access::authorise(&mut connection, ctx, workspace, Permission::TokensWrite).await?;
        Ok(())
    }

    /// Creates tokens from the rows of a file: from all of them, or from none. Caps, lifetimes and
    /// names follow the policy, as for every other token. A digest that a token already has is
    /// refused, also if that token was deleted.
    ///
    /// An import reveals which secrets exist. So its rows count as unknown tokens, except for
    /// imported ones: up to 20,000 a day for each workspace. A digest of another workspace is
    /// refused only in a real import whose rows are valid otherwise, one row at a time, and a few
    /// times a day.
    ///
    /// # Errors
    ///
    /// `Invalid` with the fields `rows` and `rows[1].name`, rows counted from 1;
    /// `TokenLimitReached`; `TooManyUnknown`; `TooManyCollisions`.
    #[tracing::instrument(skip_all, fields(
        noun = "transfer", verb = "import",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn import(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        format: Format,
        bytes: &[u8],
        dry_run: bool,
    ) -> Result<ImportReport, ServiceError> {
        let (rules, rows) = {
            let mut connection = self.inner.connection().await?;
            let access =
                access::authorise(&mut connection, ctx, workspace, Permission::TokensWrite).await?;
            let rules = InForce::read(&mut connection, ctx, &access).await?;
            // Released: no connection is held while waiting for a processor.
            drop(connection);
            let rows = self.check_rows(ctx, &access, &rules, (format, bytes)).await?;
            (rules, rows)
        };
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, workspace, Permission::TokensWrite).await?;
        if InForce::read(&mut transaction, ctx, &access).await? != rules {
            // The rows were checked against other rules. This is rare enough to leave the retry to
            // the caller.
            return Err(ServiceError::Busy);
        }
        let InForce { levels, policy, .. } = &*rules;
        let mut errors = Vec::new();
        let checked = find_owners(&mut transaction, ctx, &access, &rows, &mut errors).await?;
        let rows: Vec<&Row> = rows.iter().map(|row| &row.row).collect();
        if dry_run {
            // Without a lock on which all creations of tokens in the workspace would wait.
            has_room(&mut transaction, &access, levels, checked.len()).await?;
        } else {
            check_room(&mut transaction, &access, levels, checked.len()).await?;
        }
        if policy.unique_names {
            let names: Vec<&str> = rows.iter().map(|row| row.name.trim()).collect();
            for place in check_names(&mut transaction, &access, &names).await? {
                errors.push(of_row(place, "name", "is in use by another token of this workspace"));
            }
        }
        let guesses = (Presenter::importing(ctx, access.workspace.id), rows.len());
        self.inner.unknown.take_many(guesses.0, guesses.1, self.inner.clock.elapsed())?;
        self.check_digests(&mut transaction, &access, &rows, &mut errors).await?;
        if !errors.is_empty() {
            return Err(few(errors));
        }
        if dry_run {
            let tokens = checked.iter().enumerate().map(|(index, row)| ImportedToken {
                row: index + 1,
                id: None,
                name: row.draft.name.to_string(),
            });
            return Ok(ImportReport { dry_run, tokens: tokens.collect() });
        }
        let collisions = self.collisions(&mut transaction, ctx, &access, &rows).await?;
        if let Some((place, _)) = collisions.first() {
            let after = serde_json::json!({ "row": place + 1 });
            self.note_collision(&mut transaction, ctx, &access, after).await?;
            transaction.commit().await?;
            return Err(few(collisions.into_iter().map(|(_, error)| error).collect()));
        }
        let free = self.free_rows(&mut transaction, ctx, &access, guesses.1).await?;
        let mut ids = Vec::with_capacity(checked.len());
        for row in &checked {
            ids.push(self.insert(&mut transaction, ctx, &access, row).await?);
        }
        for id in &ids {
            transaction.makes(*id);
        }
        // From here on, locks that others need are taken: first the end of the chain, then those
        // that all tenants share.
        record_imports(&mut transaction, ctx, &access, &ids).await?;
        keep_holders(&mut transaction, ctx, checked.iter().map(|row| row.user.id)).await?;
        keep_room(&mut transaction, levels).await?;
        transaction.commit().await?;
        let tokens = checked.into_iter().zip(ids).enumerate();
        let tokens = tokens
            .map(|(index, (row, id))| ImportedToken {
                row: index + 1,
                id: Some(id),
                name: row.draft.name.into(),
            })
            .collect();
        self.inner.unknown.give_back_many(guesses.0, free, self.inner.clock.elapsed());
        self.inner.cache.made();
        self.inner.imports.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(ImportReport { dry_run, tokens })
    }

    /// Refuses digests that this workspace already has, under any pepper, and digests that occur
    /// twice in the file.
    async fn check_digests(
        &self,
        connection: &mut PgConnection,
        access: &Access,
        rows: &[&Row],
        errors: &mut Vec<FieldError>,
    ) -> Result<(), ServiceError> {
        let mut seen = HashSet::new();
        for (index, row) in rows.iter().enumerate() {
            if row.sha256().is_some_and(|sha256| !seen.insert(sha256)) {
                errors.push(of_row(index, "digest", "is the same as in an earlier row"));
            }
        }
        let places = self.places(rows);
        let digests: Vec<Vec<u8>> = places.keys().cloned().collect();
        for digest in imports::known_here(connection, access.tenant(), &digests).await? {
            if let Some(place) = places.get(&digest) {
                let message = "belongs to an existing or deleted token of this workspace";
                errors.push(of_row(*place, "digest", message));
            }
        }
        Ok(())
    }

    /// Returns the digests of the rows under all peppers, each with the first row that has it.
    fn places(self, rows: &[&Row]) -> HashMap<Vec<u8>, usize> {
        let mut places = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            for digest in
                row.sha256().iter().flat_map(|sha256| self.inner.keys.digests_of_sha256(sha256))
            {
                places.entry(digest.bytes.to_vec()).or_insert(index);
            }
        }
        places
    }

    /// Finds the rows with the digest of a token of another workspace: only the first such row,
    /// except for the operator. Imports into a workspace run this step one after another, so that
    /// the number of collisions is exact.
    async fn collisions(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        rows: &[&Row],
    ) -> Result<Vec<(usize, FieldError)>, ServiceError> {
        workspaces::lock(connection, access.tenant()).await?;
        let operator = matches!(ctx.actor, Actor::Operator);
        let whose = (access.tenant(), person(ctx));
        let since = ctx.now - Duration::DAY;
        if !operator
            && let Some(at) =
                imports::collisions_since(connection, whose, COLLISIONS_MAX, since).await?
        {
            let wait = (at + Duration::DAY - ctx.now).whole_seconds();
            return Err(ServiceError::TooManyCollisions(wait.unsigned_abs() + 1));
        }
        let places = self.places(rows);
        let digests: Vec<Vec<u8>> = places.keys().cloned().collect();
        let known = imports::known_anywhere(connection, &digests).await?;
        let mut taken: Vec<usize> =
            known.iter().filter_map(|digest| places.get(digest).copied()).collect();
        taken.sort_unstable();
        taken.dedup();
        if !operator {
            taken.truncate(1);
        }
        let message = "belongs to a token of another workspace";
        Ok(taken.into_iter().map(|place| (place, of_row(place, "digest", message))).collect())
    }

    /// Records that an import named the digest of a token of another workspace.
    async fn note_collision(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        after: serde_json::Value,
    ) -> Result<(), ServiceError> {
        let whose = (self.inner.uuid(ctx.now), person(ctx));
        imports::note_collision(connection, access.tenant(), whose, ctx.now).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::TokenImportRefused,
            subject_id: None,
            subject_name: access.workspace.slug.as_ref(),
            before: None,
            after: Some(after),
        };
        record(connection, ctx, change).await
    }

    /// Counts the rows of an import towards the workspace's imports of the day. Returns how many of
    /// them do not count as guesses. The caller holds a lock on the row of the workspace.
    async fn free_rows(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        rows: usize,
    ) -> Result<usize, ServiceError> {
        if matches!(ctx.actor, Actor::Operator) {
            return Ok(rows);
        }
        let Ok(number @ 1..) = i64::try_from(rows) else { return Ok(0) };
        let day = (ctx.now - Duration::DAY, ctx.now);
        let imported = imports::count(connection, access.tenant(), number, day).await?;
        let beyond = (imported - FREE_A_DAY).clamp(0, number);
        Ok(rows - usize::try_from(beyond).unwrap_or(rows))
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        row: &Checked,
    ) -> Result<TokenId, ServiceError> {
        let id = TokenId(self.inner.uuid(ctx.now));
        let scopes = row.draft.scopes();
        let ip_allow: Vec<String> = row.draft.ip_allow.iter().map(ToString::to_string).collect();
        let token = NewToken {
            id,
            user: row.user.id,
            created_by: ctx.user_id(),
            name: row.draft.name.as_ref(),
            description: row.draft.description.as_ref(),
            scopes: &scopes,
            enabled: true,
            not_before: row.draft.not_before,
            expires_at: row.draft.expires_at,
            lifetime: renewable(ctx, row.draft.expires_at.map(|end| end - ctx.now)),
            ip_allow: &ip_allow,
            rate_limit: row.draft.rate_limit,
            hint: HINT,
            recoverable: false,
            tags: &serde_json::json!({}),
            creation_key: None,
            parent: parent(ctx),
            disabled: None,
        };
        if !store::insert(connection, access.tenant(), &token, ctx.now).await? {
            return Err(ServiceError::internal("a token without a creation key was not inserted"));
        }
        store::insert_audiences(connection, id, &row.draft.grants).await?;
        fix_bounds(connection, ctx, access, (id, row.user.id), &row.draft).await?;
        let secret: Uuid = self.inner.uuid(ctx.now);
        let digest: Digest = self.inner.keys.digest_of_sha256(&row.sha256);
        imports::insert(connection, secret, id, &digest, ctx.now).await.map_err(|error| {
            // Another import inserted the digest at the same moment.
            if error.violates("token_secrets_digest_unique") {
                ServiceError::invalid("rows", "have a digest that another import has just added")
            } else {
                error.into()
            }
        })?;
        Ok(id)
    }
}

/// Writes the audit rows, some at a time.
async fn record_imports(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    ids: &[TokenId],
) -> Result<(), ServiceError> {
    let author = (ctx.keys.as_ref(), &Author::of(ctx), ctx.now);
    for some in ids.chunks(RECORDED_AT_ONCE) {
        let uuids: Vec<Uuid> = some.iter().map(|id| id.0).collect();
        let tokens = store::by_ids(connection, access.tenant(), &uuids, ctx.now).await?;
        let tokens: HashMap<TokenId, _> =
            tokens.into_iter().map(|token| (token.id, token)).collect();
        let mut changes = Vec::with_capacity(some.len());
        for id in some {
            let token = tokens.get(id).ok_or(ServiceError::NotFound("token"))?;
            changes.push(Change {
                workspace: Some(access.workspace.id),
                action: AuditAction::TokenImport,
                subject_id: Some(id.0),
                subject_name: &token.name,
                before: None,
                after: Some(snapshot(token)),
            });
        }
        record_all(connection, author, access.workspace.id, changes).await?;
    }
    Ok(())
}

/// The rules that rows are checked against.
#[derive(PartialEq)]
struct InForce {
    levels: Levels,
    policy: Policy,
    catalogues: Vec<StoredCatalogue>,
    grants: Grants,
    /// The bounds of the calling token.
    bounds: Option<Bounds>,
}

impl InForce {
    async fn read(
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
    ) -> Result<Arc<Self>, ServiceError> {
        let levels = policies::levels(connection, access.tenant()).await?;
        let policy = levels.in_force();
        let catalogues = catalogues::all(connection).await?;
        let (grants, bounds) = (access.grants.clone(), bounds(ctx));
        Ok(Arc::new(Self { levels, policy, catalogues, grants, bounds }))
    }
}

/// A row, with the results of the checks that need no database.
struct ReadRow {
    row: Row,
    sha256: Option<[u8; 32]>,
    draft: Option<CheckedDraft>,
    mistakes: Vec<FieldError>,
}

impl Transfer<'_> {
    /// Reads and checks the rows of a file, some at a time, so that other tasks get their turns.
    async fn check_rows(
        &self,
        ctx: &OpContext,
        access: &Access,
        rules: &Arc<InForce>,
        (format, bytes): (Format, &[u8]),
    ) -> Result<Vec<ReadRow>, ServiceError> {
        let (work, tenant) = (&self.inner.work, access.workspace.id.0);
        let (bytes, of, in_force) = (bytes.to_vec(), ctx.clone(), Arc::clone(rules));
        let read = move |heavy: &Heavy| {
            let rows = rows::read(format, &bytes, heavy)?;
            let mut steps = Steps::new(STEPS_MAX);
            Ok((rows, rights(&of, &in_force.grants, &in_force.catalogues, &mut steps)))
        };
        let (mut rows, rights) = work.run(Kind::Import, tenant, read).await?.map_err(few)?;
        let (rights, mut steps) = (Arc::new(rights), FILE_STEPS);
        let mut checked = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let some: Vec<Row> = rows.drain(..rows.len().min(AT_ONCE)).collect();
            let (ctx, rules, rights) = (ctx.clone(), Arc::clone(rules), Arc::clone(&rights));
            let patterns = Arc::clone(&self.inner.patterns);
            let check = move |heavy: &Heavy| -> (Vec<ReadRow>, u32) {
                let check = |row| check(&ctx, (&rules, &rights), &patterns, row, &mut steps, heavy);
                (some.into_iter().map(check).collect(), steps)
            };
            let (some, left) = work.run(Kind::Import, tenant, check).await?;
            checked.extend(some);
            steps = left;
        }
        Ok(checked)
    }
}

/// Finds all mistakes of a row that can be found without the database. `file_steps` are the steps
/// that remain to compare the scopes of this row and the following ones.
fn check(
    ctx: &OpContext,
    (in_force, rights): (&InForce, &Rights),
    patterns: &Patterns,
    row: Row,
    file_steps: &mut u32,
    heavy: &Heavy,
) -> ReadRow {
    let rules = Rules {
        policy: &in_force.policy,
        catalogues: &in_force.catalogues,
        grantable: grantable(ctx),
        rights,
        now: ctx.now,
    };
    let wanted = TokenDraft {
        name: row.name.clone(),
        description: row.description.clone(),
        grants: row.grants.clone(),
        audiences: row.audiences.clone(),
        scopes: row.scopes.clone(),
        expiry: expiry::parse(row.expires_at.as_deref().unwrap_or_default()),
        ..TokenDraft::default()
    };
    let mut mistakes = Vec::new();
    if let Ok(name) = row.name.parse::<TokenName>()
        && let Err(error) = patterns.check_name(&in_force.policy, name.as_ref(), heavy)
    {
        mistakes.push(error);
    }
    let lent = STEPS_MAX.min(*file_steps);
    let mut steps = Steps::new(lent);
    let mut draft = wanted.check(&rules, &mut mistakes, &mut steps);
    *file_steps -= lent - steps.left();
    if let Some(checked) = &mut draft
        && let Err(beyond) = inherit(ctx, &wanted, checked)
    {
        mistakes.extend(beyond);
    }
    ReadRow { sha256: row.sha256(), row, draft, mistakes }
}

/// Finds the owner of each row, and collects all mistakes of all rows.
async fn find_owners(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    rows: &[ReadRow],
    errors: &mut Vec<FieldError>,
) -> Result<Vec<Checked>, ServiceError> {
    let mut checked = Vec::with_capacity(rows.len());
    let mut owners: HashMap<Option<&str>, (Option<UserSummary>, Vec<FieldError>)> = HashMap::new();
    for (index, ReadRow { row, sha256, draft, mistakes }) in rows.iter().enumerate() {
        let owner = row.owner.as_deref();
        let (user, wrong) = match owners.entry(owner) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut wrong = Vec::new();
                let user = holder(connection, ctx, access, owner, &mut wrong).await?;
                place.insert((user, wrong))
            }
        };
        errors.extend(wrong.iter().map(|error| of_row(index, "owner", &error.message)));
        if sha256.is_none() {
            let message = "must be a SHA-256 digest in 64 hexadecimal digits or in base64";
            errors.push(of_row(index, "digest", message));
        }
        errors.extend(mistakes.iter().map(|error| of_row(index, &error.field, &error.message)));
        if let (Some(user), Some(draft), Some(sha256)) = (user.clone(), draft.clone(), *sha256) {
            checked.push(Checked { user, draft, sha256 });
        }
    }
    Ok(checked)
}

/// Returns the person towards whom an import counts. An import by a token counts only towards its
/// workspace, so that the token does not use up the allowance of the person it acts as.
fn person(ctx: &OpContext) -> Option<UserId> {
    match &ctx.actor {
        Actor::User(visitor) => Some(visitor.user.id),
        _ => None,
    }
}

fn of_row(index: usize, field: &str, message: &str) -> FieldError {
    FieldError::new(format!("rows[{}].{field}", index + 1), message)
}

/// Keeps only the first mistakes, in the order of the rows: a thousand of them help no reader.
fn few(mut errors: Vec<FieldError>) -> ServiceError {
    let row = |error: &FieldError| {
        let number = error.field.strip_prefix("rows[").and_then(|rest| rest.split(']').next());
        number.and_then(|number| number.parse::<usize>().ok()).unwrap_or_default()
    };
    errors.sort_by_key(row);
    let more = errors.len().saturating_sub(ERRORS_MAX);
    errors.truncate(ERRORS_MAX);
    if more > 0 {
        errors.push(FieldError::new("rows", format!("have {more} more errors")));
    }
    ServiceError::Invalid(errors)
}
