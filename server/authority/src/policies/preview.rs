//! What a change of policy would mean.

use std::collections::{BTreeMap, HashMap};

use domain::{
    access::Permission,
    ids::{TokenId, WorkspaceId},
    policy::{Policy, PolicyRules, Reveal},
    policy_view::{Fit, Misfit, MisfitToken, PREVIEW_TOKENS, PolicyPreview, Rule},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Opened, Policies, PolicyLevel, check::check, open, pattern};
use crate::{
    OpContext, ServiceError,
    store::{
        policies::{self as store, FitRow, FitSearch, NameRules},
        tokens,
    },
};

/// Rows of one reading.
const BATCH: i64 = 5_000;

/// A policy with its patterns compiled.
struct Compiled {
    policy: Policy,
    patterns: Vec<regex::Regex>,
}

impl Policies<'_> {
    /// What would differ if these rules were in place of all that the level sets, and which tokens
    /// would not fit. Tokens are named only to those who may see them. Changes nothing.
    ///
    /// # Errors
    /// `Invalid` as a change.
    pub async fn preview(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
        rules: &PolicyRules,
    ) -> Result<PolicyPreview, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let opened = open(&mut connection, ctx, level, Permission::PolicyWrite).await?;
        check(rules)?;
        let mut preview = compare(&opened, rules);
        if let Some(limit) = rules.max_tokens {
            let count = tokens::count(&mut connection, opened.tenant()).await?;
            preview.above_cap = (count - limit).max(0);
        }
        let policies = policies_after(&mut connection, &opened, rules).await?;
        fit(&mut connection, &opened, &policies, &mut preview, ctx.now).await?;
        let sees = opened
            .access
            .as_ref()
            .is_none_or(|access| access.permissions.allows(Permission::TokensRead));
        if !sees {
            preview.tokens.clear();
        }
        Ok(preview)
    }
}

fn compare(opened: &Opened, rules: &PolicyRules) -> PolicyPreview {
    let in_force = |rules: &PolicyRules| {
        let (instance, workspace) = opened.with(rules);
        Policy::in_force(&instance, &workspace)
    };
    let (before, after) = (in_force(&opened.own().rules), in_force(rules));
    let changed = Rule::ALL.iter().copied().filter(|rule| !rule.is_same(&before, &after)).collect();
    PolicyPreview {
        workspace: opened.access.as_ref().map(|access| access.workspace.slug.clone()),
        before,
        after,
        changed,
        misfits: BTreeMap::new(),
        unfit: 0,
        above_cap: 0,
        tokens: Vec::new(),
        audiences: Vec::new(),
        version: opened.own().version,
    }
}

/// The policy that would be in force in each workspace that the level binds.
async fn policies_after(
    connection: &mut PgConnection,
    opened: &Opened,
    rules: &PolicyRules,
) -> Result<HashMap<WorkspaceId, Compiled>, ServiceError> {
    let levels = match &opened.access {
        Some(access) => vec![(access.workspace.id, opened.instance.rules.clone(), rules.clone())],
        None => store::of_all_workspaces(connection)
            .await?
            .into_iter()
            .map(|(id, own)| (id, rules.clone(), own))
            .collect(),
    };
    let compiled = levels.into_iter().map(|(id, instance, workspace)| {
        let policy = Policy::in_force(&instance, &workspace);
        let patterns =
            policy.name_patterns.iter().filter_map(|text| pattern::compile(text).ok()).collect();
        (id, Compiled { policy, patterns })
    });
    Ok(compiled.collect())
}

/// What a token must be so that any of these policies can mind it.
fn search(policies: &HashMap<WorkspaceId, Compiled>) -> FitSearch {
    let any = |minds: fn(&Compiled) -> bool| policies.values().any(minds);
    let names = if any(|compiled| compiled.policy.unique_names) {
        NameRules::Unique
    } else if any(|compiled| !compiled.patterns.is_empty()) {
        NameRules::Patterns
    } else {
        NameRules::Nothing
    };
    FitSearch {
        names,
        endless: any(|compiled| !compiled.policy.permits_never()),
        recoverable: any(|compiled| compiled.policy.reveal == Reveal::Once),
        longer_than_s: policies.values().filter_map(|compiled| compiled.policy.max_ttl_s).min(),
    }
}

/// Looks at every token that has not ended and may not fit, some thousands at a time.
async fn fit(
    connection: &mut PgConnection,
    opened: &Opened,
    policies: &HashMap<WorkspaceId, Compiled>,
    preview: &mut PolicyPreview,
    now: OffsetDateTime,
) -> Result<(), ServiceError> {
    preview.misfits = Misfit::ALL.into_iter().map(|misfit| (misfit, 0)).collect();
    let search = search(policies);
    let mut after = TokenId(Uuid::nil());
    loop {
        let rows =
            store::tokens_to_fit(connection, opened.tenant(), search, after, BATCH, now).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        for row in rows {
            // A workspace that was made in the meantime has no token that is older.
            let Some(compiled) = policies.get(&row.workspace_id) else { continue };
            let reasons = reasons(&row, compiled);
            if reasons.is_empty() {
                continue;
            }
            preview.unfit += 1;
            for reason in &reasons {
                *preview.misfits.entry(*reason).or_default() += 1;
            }
            if preview.tokens.len() < PREVIEW_TOKENS {
                preview.tokens.push(MisfitToken {
                    id: row.id,
                    name: row.name,
                    workspace: row.workspace,
                    user: row.user,
                    reasons,
                });
            }
        }
    }
}

fn reasons(row: &FitRow, compiled: &Compiled) -> Vec<Misfit> {
    let fit = Fit {
        created_at: row.created_at,
        expires_at: row.expires_at,
        recoverable: row.recoverable,
        name_repeats: row.name_repeats,
        name_matches: compiled.patterns.iter().all(|pattern| pattern.is_match(&row.name)),
    };
    fit.misfits(&compiled.policy)
}
