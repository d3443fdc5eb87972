//! Previews a change of policy.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use domain::{
    access::Permission,
    ids::{TokenId, WorkspaceId},
    policy::{Policy, PolicyRules, Reveal},
    policy_view::{Fit, Misfit, MisfitToken, PREVIEW_TOKENS, PolicyPreview, Rule},
};
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    patterns::Patterns,
    policies::{Opened, Policies, PolicyLevel, open, tenant},
    store::{
        policies::{self as store, FitRow, FitSearch, NameRules},
        tokens,
    },
    work::{Heavy, Kind},
};

/// Rows that are read at once.
const BATCH: i64 = 5_000;
/// Rows that are compared before other tasks get their turn.
const AT_ONCE: usize = 100;

/// The policy of each workspace.
type InForce = HashMap<WorkspaceId, Compiled>;

/// A policy with its patterns compiled.
struct Compiled {
    policy: Policy,
    patterns: Vec<Arc<regex::Regex>>,
}

impl Policies<'_> {
    /// Returns what would differ if these rules replaced all that the level sets, and which tokens
    /// would not fit. Tokens are named only to callers who may see them. Changes nothing.
    ///
    /// # Errors
    ///
    /// `Invalid` as for a change.
    #[tracing::instrument(skip_all, fields(
        noun = "policies", verb = "preview",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn preview(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
        rules: &PolicyRules,
    ) -> Result<PolicyPreview, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let opened = open(&mut connection, ctx, level, Permission::PolicyWrite).await?;
        let mut preview = compare(&opened, rules);
        if let Some(limit) = rules.max_tokens {
            let count = tokens::count(&mut connection, opened.tenant()).await?;
            preview.above_cap = (count - limit).max(0);
        }
        // Released: no connection is held while waiting for a processor, here and below.
        drop(connection);
        self.check(ctx, &opened, rules).await?;
        let policies = self.policies_after(ctx, &opened, rules).await?;
        self.fit(ctx, &opened, policies, &mut preview).await?;
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

impl Policies<'_> {
    /// Returns the policy that would be in force in each workspace that the level binds.
    async fn policies_after(
        &self,
        ctx: &OpContext,
        opened: &Opened,
        rules: &PolicyRules,
    ) -> Result<Arc<InForce>, ServiceError> {
        let levels = match &opened.access {
            Some(access) => {
                vec![(access.workspace.id, opened.instance.rules.clone(), rules.clone())]
            }
            None => store::of_all_workspaces(&mut *self.inner.connection().await?)
                .await?
                .into_iter()
                .map(|(id, own)| (id, rules.clone(), own))
                .collect(),
        };
        let patterns = Arc::clone(&self.inner.patterns);
        let compile = move |heavy: &Heavy| {
            let compiled = levels.into_iter().map(|(id, instance, workspace)| {
                (id, Compiled::of(Policy::in_force(&instance, &workspace), &patterns, heavy))
            });
            Arc::new(compiled.collect())
        };
        self.inner.work.run(Kind::Preview, tenant(ctx, opened), compile).await
    }

    /// Checks every token that has not expired and may not fit, some thousands at a time.
    async fn fit(
        &self,
        ctx: &OpContext,
        opened: &Opened,
        policies: Arc<InForce>,
        preview: &mut PolicyPreview,
    ) -> Result<(), ServiceError> {
        preview.misfits = Misfit::ALL.into_iter().map(|misfit| (misfit, 0)).collect();
        let search = search(&policies);
        let mut after = TokenId(Uuid::nil());
        loop {
            let mut connection = self.inner.connection().await?;
            let rows = store::tokens_to_fit(
                &mut connection,
                opened.tenant(),
                search,
                after,
                BATCH,
                ctx.now,
            )
            .await?;
            drop(connection);
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            let mut rows = rows.into_iter();
            loop {
                // Other tasks get their turns in between.
                let some: Vec<FitRow> = rows.by_ref().take(AT_ONCE).collect();
                if some.is_empty() {
                    break;
                }
                let policies = Arc::clone(&policies);
                let compare = move |heavy: &Heavy| misfits(some, &policies, heavy);
                let found = self.inner.work.run(Kind::Preview, tenant(ctx, opened), compare);
                for (row, reasons) in found.await? {
                    note(preview, row, reasons);
                }
            }
        }
    }
}

impl Compiled {
    fn of(policy: Policy, patterns: &Patterns, heavy: &Heavy) -> Self {
        let texts = policy.name_patterns.iter();
        let patterns = texts.filter_map(|text| patterns.get(text, heavy).ok()).collect();
        Self { policy, patterns }
    }
}

/// Returns the search for tokens that may not fit one of these policies.
fn search(policies: &InForce) -> FitSearch {
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

/// Returns the tokens that do not fit, each with the reasons.
fn misfits(rows: Vec<FitRow>, policies: &InForce, heavy: &Heavy) -> Vec<(FitRow, Vec<Misfit>)> {
    let rows = rows.into_iter().filter_map(|row| {
        // A workspace that was created in the meantime has no older tokens.
        let reasons = reasons(&row, policies.get(&row.workspace_id)?, heavy);
        (!reasons.is_empty()).then_some((row, reasons))
    });
    rows.collect()
}

fn note(preview: &mut PolicyPreview, row: FitRow, reasons: Vec<Misfit>) {
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

fn reasons(row: &FitRow, compiled: &Compiled, _: &Heavy) -> Vec<Misfit> {
    let fit = Fit {
        created_at: row.created_at,
        expires_at: row.expires_at,
        recoverable: row.recoverable,
        name_repeats: row.name_repeats,
        name_matches: compiled.patterns.iter().all(|pattern| pattern.is_match(&row.name)),
    };
    fit.misfits(&compiled.policy)
}
