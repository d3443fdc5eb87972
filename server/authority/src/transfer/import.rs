//! Import tokens that another system made.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use domain::{
    access::Permission, expiry, ids::TokenId, names::Slug, problem::FieldError, token::UserSummary,
};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Format, Transfer,
    rows::{self, Row},
};
use crate::{
    OpContext, ServiceError, TokenDraft,
    access::{self, Access},
    audit::{Change, record},
    keys::Digest,
    store::{
        catalogues, imports, policies,
        tokens::{self as store, NewToken},
    },
    tokens::{CheckedDraft, Rules, check_names, check_room, grantable, holder, rights, snapshot},
    workspaces::effective_policy,
};

/// Most rows of a file.
pub const ROWS_MAX: usize = 1_000;
/// Most mistakes that are told.
const ERRORS_MAX: usize = 100;
/// What a list shows instead of the ends of a secret that nobody here has seen.
const HINT: &str = "imported";

/// What an import did, or would do.
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
    /// Its id; none when nothing was changed.
    pub id: Option<TokenId>,
    /// Its name.
    pub name: String,
}

/// A row whose every value can be used.
struct Checked {
    user: UserSummary,
    draft: CheckedDraft,
    sha256: [u8; 32],
}

impl Transfer<'_> {
    /// Makes tokens of the rows of a file: of all of them, or of none. Caps, lifetimes and names are
    /// what policy says, as for every other token. A digest that is known here is refused, also that
    /// of a token which was deleted.
    ///
    /// # Errors
    /// `Invalid` with the fields `rows` and `rows[1].name`, rows counted from 1;
    /// `TokenLimitReached`.
    pub async fn import(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        format: Format,
        bytes: &[u8],
        dry_run: bool,
    ) -> Result<ImportReport, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise(&mut transaction, ctx, workspace, Permission::TokensWrite).await?;
        let rows = rows::read(format, bytes).map_err(few)?;
        let levels = policies::levels(&mut transaction, access.tenant()).await?;
        let policy = effective_policy(&levels);
        let catalogues = catalogues::all(&mut transaction).await?;
        let rights = rights(ctx, &access, &catalogues);
        let rules = Rules {
            policy: &policy,
            catalogues: &catalogues,
            grantable: grantable(ctx),
            rights: &rights,
            now: ctx.now,
        };
        let mut errors = Vec::new();
        let checked = check(&mut transaction, ctx, &access, &rules, &rows, &mut errors).await?;
        check_room(&mut transaction, &access, &levels, checked.len()).await?;
        if policy.unique_names {
            let names: Vec<&str> = rows.iter().map(|row| row.name.trim()).collect();
            for place in check_names(&mut transaction, &access, &names).await? {
                errors.push(of_row(place, "name", "is in use by another token of this workspace"));
            }
        }
        self.check_digests(&mut transaction, &rows, &mut errors).await?;
        if !errors.is_empty() {
            return Err(few(errors));
        }
        let mut ids = Vec::with_capacity(checked.len());
        for row in &checked {
            ids.push(self.insert(&mut transaction, ctx, &access, row).await?);
        }
        // The rows of the log come last: they lock the chain's end.
        let mut tokens = Vec::with_capacity(ids.len());
        for (index, id) in ids.into_iter().enumerate() {
            let token = store::by_id(&mut transaction, access.tenant(), id, ctx.now)
                .await?
                .ok_or(ServiceError::NotFound("token"))?;
            let change = Change {
                workspace: Some(access.workspace.id),
                action: "token.import",
                subject_id: Some(id.0),
                subject_name: &token.name,
                before: None,
                after: Some(snapshot(&token)),
            };
            if !dry_run {
                record(&mut transaction, ctx, change).await?;
            }
            tokens.push(ImportedToken {
                row: index + 1,
                id: (!dry_run).then_some(id),
                name: token.name,
            });
        }
        if !dry_run {
            transaction.commit().await?;
            self.inner.cache.made();
            self.inner.imports.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(ImportReport { dry_run, tokens })
    }

    /// Refuses digests that are known, under whichever pepper, and those that the file has twice.
    async fn check_digests(
        &self,
        connection: &mut PgConnection,
        rows: &[Row],
        errors: &mut Vec<FieldError>,
    ) -> Result<(), ServiceError> {
        let mut places: HashMap<[u8; 32], usize> = HashMap::new();
        let mut seen = HashSet::new();
        for (index, row) in rows.iter().enumerate() {
            let Some(sha256) = row.sha256() else { continue };
            if !seen.insert(sha256) {
                errors.push(of_row(index, "digest", "is that of a row before"));
            }
            for digest in self.inner.keys.digests_of_sha256(&sha256) {
                places.entry(digest.bytes).or_insert(index);
            }
        }
        let digests: Vec<Vec<u8>> = places.keys().map(|digest| digest.to_vec()).collect();
        for digest in imports::known(connection, &digests).await? {
            let place = <[u8; 32]>::try_from(digest).ok().and_then(|digest| places.get(&digest));
            if let Some(place) = place {
                let message = "is that of a token which is here already or was deleted";
                errors.push(of_row(*place, "digest", message));
            }
        }
        Ok(())
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        row: &Checked,
    ) -> Result<TokenId, ServiceError> {
        let id = TokenId(self.inner.uuid(ctx.now));
        let scopes: Vec<String> = row.draft.scopes.iter().map(ToString::to_string).collect();
        let token = NewToken {
            id,
            user: row.user.id,
            created_by: ctx.user_id(),
            name: row.draft.name.as_ref(),
            description: row.draft.description.as_ref(),
            scopes: &scopes,
            enabled: true,
            not_before: None,
            expires_at: row.draft.expires_at,
            ip_allow: &[],
            rate_limit: None,
            hint: HINT,
            recoverable: false,
            tags: &serde_json::json!({}),
            creation_key: None,
        };
        store::insert(connection, access.tenant(), &token, ctx.now).await?;
        store::insert_audiences(connection, id, &row.draft.audiences).await?;
        let secret: Uuid = self.inner.uuid(ctx.now);
        let digest: Digest = self.inner.keys.digest_of_sha256(&row.sha256);
        imports::insert(connection, secret, id, &digest, ctx.now).await.map_err(|error| {
            // Another import had it at the same moment.
            if error.violates("token_secrets_digest_unique") {
                ServiceError::invalid("rows", "have a digest that was imported a moment ago")
            } else {
                error.into()
            }
        })?;
        Ok(id)
    }
}

/// Checks every row and finds all mistakes.
async fn check(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    rules: &Rules<'_>,
    rows: &[Row],
    errors: &mut Vec<FieldError>,
) -> Result<Vec<Checked>, ServiceError> {
    let mut checked = Vec::with_capacity(rows.len());
    let mut owners: HashMap<Option<&str>, (Option<UserSummary>, Vec<FieldError>)> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
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
        let sha256 = row.sha256();
        if sha256.is_none() {
            let message = "must be a SHA-256 in 64 hexadecimal digits or in base64";
            errors.push(of_row(index, "digest", message));
        }
        let draft = TokenDraft {
            name: row.name.clone(),
            description: row.description.clone(),
            audiences: row.audiences.clone(),
            scopes: row.scopes.clone(),
            expiry: expiry::parse(row.expires_at.as_deref().unwrap_or_default()),
            ..TokenDraft::default()
        };
        let mut mistakes = Vec::new();
        let draft = draft.check(rules, &mut mistakes);
        errors.extend(mistakes.iter().map(|error| of_row(index, &error.field, &error.message)));
        if let (Some(user), Some(draft), Some(sha256)) = (user.clone(), draft, sha256) {
            checked.push(Checked { user, draft, sha256 });
        }
    }
    Ok(checked)
}

fn of_row(index: usize, field: &str, message: &str) -> FieldError {
    FieldError::new(format!("rows[{}].{field}", index + 1), message)
}

/// The first mistakes, in the order of the rows: a thousand of them help nobody.
fn few(mut errors: Vec<FieldError>) -> ServiceError {
    let row = |error: &FieldError| {
        let number = error.field.strip_prefix("rows[").and_then(|rest| rest.split(']').next());
        number.and_then(|number| number.parse::<usize>().ok()).unwrap_or_default()
    };
    errors.sort_by_key(row);
    let more = errors.len().saturating_sub(ERRORS_MAX);
    errors.truncate(ERRORS_MAX);
    if more > 0 {
        errors.push(FieldError::new("rows", format!("have {more} more mistakes")));
    }
    ServiceError::Invalid(errors)
}
