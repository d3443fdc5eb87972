//! No change happens without its audit row. Every operation is tried on a log that rejects rows,
//! and again on one that accepts them.
//!
//! The last test fails if an action is not covered by a trial here. Add the missing trial.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::{cell::RefCell, collections::BTreeSet};

use crate::support::{OWNER, PASSWORD, World, draft, password, slug};
use authority::{
    Added, AudienceChange, BulkAction, Format, GrantsChange, LoadOptions, MemberChange, NewAdmin,
    NewAudience, NewMember, NewScope, NewUser, NewWorkspace, PasswordChange, PolicyLevel,
    RotationDraft, ScopeChange, ServiceError, SetupForm, SignIn, TokenDraft, TokenPatch,
    UserChange, catalogue_file::parse_toml, secret::SessionSecret,
};
use domain::{
    audit_action::AuditAction,
    decision::{DecisionCode, Demand},
    ids::UserId,
    policy::{PolicyRules, Reveal},
    preset::Preset,
    problem::ProblemCode,
    roles::{InstanceRole, UserKind, WorkspaceRole},
};
use sqlx::{AssertSqlSafe, PgPool};
use time::Duration;

const CATALOGUE: &str = r#"
audience = "billing"
name = "Invoices"
[[groups]]
name = "Invoices"
[[groups.scopes]]
name = "invoices:read"
description = "Read."
"#;

/// The operations that were tried, and the actions in their audit rows.
struct Trials<'a> {
    world: &'a World,
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Trials<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, told: RefCell::default() }
    }

    /// Tries a change that cannot be recorded, checks that nothing has changed, and then makes
    /// the change.
    async fn of_change<T>(
        &self,
        action: &str,
        operation: impl AsyncFn() -> Result<T, ServiceError>,
    ) -> T {
        let before = self.everything().await;
        self.log_takes_rows(false).await;
        match operation().await {
            Ok(_) => panic!("{action} was done without an audit row"),
            Err(error) => assert_eq!(error.code(), ProblemCode::Internal, "{action}: {error:?}"),
        }
        self.log_takes_rows(true).await;
        assert_eq!(self.everything().await, before, "{action} changed something");
        let rows = self.rows().await;
        let done = operation().await.unwrap_or_else(|error| panic!("{action}: {error:?}"));
        let told = self.rows().await.split_off(rows.len());
        assert!(told.iter().any(|told| told == action), "{action} wrote {told:?}");
        self.told.borrow_mut().extend(told);
        done
    }

    async fn log_takes_rows(&self, takes: bool) {
        self.world
            .execute(if takes {
                "ALTER TABLE audit_events DROP CONSTRAINT audit_full"
            } else {
                "ALTER TABLE audit_events ADD CONSTRAINT audit_full CHECK (false) NOT VALID"
            })
            .await;
    }

    /// Returns the actions of all rows, in order.
    async fn rows(&self) -> Vec<String> {
        let rows = sqlx::query_scalar("SELECT action FROM audit_events ORDER BY id");
        rows.fetch_all(&self.world.pool).await.unwrap()
    }

    /// Returns every row of every table, except the one that counts sign-in attempts, which count
    /// in any case.
    async fn everything(&self) -> Vec<(String, Vec<String>)> {
        let pool = &self.world.pool;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables
              WHERE schemaname = current_schema AND tablename <> 'sign_in_attempts' ORDER BY 1",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let mut everything = Vec::new();
        for table in tables {
            let rows = format!("SELECT t::text FROM {table} t ORDER BY 1");
            let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(pool).await.unwrap();
            everything.push((table, rows));
        }
        everything
    }
}

async fn trials_of_setup(trials: &Trials<'_>) {
    let world = trials.world;
    let setup = world.authority.setup();
    let link = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    let form = || SetupForm {
        organisation: "Example".into(),
        email: OWNER.into(),
        name: "Ada".into(),
        password: password(PASSWORD),
        workspace_name: "Workspace 1".into(),
        user_agent: None,
    };
    let found = async || world.authority.setup().complete(&world.anonymous(), &link, form()).await;
    trials.of_change("instance.set_up", found).await;
    let admin = || NewAdmin {
        email: "second@example.com".into(),
        name: None,
        password: password(PASSWORD),
    };
    let make = async || world.authority.setup().create_admin(&world.operator(), admin()).await;
    trials.of_change("user.create", make).await;
}

async fn trials_of_sessions(trials: &Trials<'_>) {
    let sessions = trials.world.authority.sessions();
    let ctx = trials.world.anonymous();
    let sign_in = || SignIn {
        email: OWNER.into(),
        password: password(PASSWORD),
        user_agent: None,
        known_browser: None,
    };
    let open = async || sessions.sign_in(&ctx, sign_in()).await;
    trials.of_change("session.sign_in", &open).await;
    let ada = trials.world.owner().await;
    let end_all = async || sessions.end_all(&ada, None).await;
    trials.of_change("session.end", end_all).await;
    let secret: SessionSecret = open().await.unwrap().secret;
    trials.of_change("session.sign_out", async || sessions.sign_out(&ctx, &secret).await).await;
}

async fn trials_of_people(trials: &Trials<'_>) {
    let world = trials.world;
    let ada = world.owner().await;
    let (users, workspaces) = (world.authority.users(), world.authority.workspaces());
    let made = || NewWorkspace { slug: Some("made".into()), name: "Made".into() };
    trials.of_change("workspace.create", async || workspaces.create(&ada, made()).await).await;
    let made = slug("made");
    let rename = async || workspaces.rename(&ada, &made, "Renamed", None).await;
    trials.of_change("workspace.rename", rename).await;

    let new = || NewUser {
        kind: UserKind::Person,
        email: "bob@example.com".into(),
        name: Some("Bob".into()),
        instance_role: InstanceRole::Member,
        password: Some(password(PASSWORD)),
    };
    let bob = trials.of_change("user.create", async || users.create(&ada, new()).await).await;
    let bob: UserId = bob.summary.id;
    let passwords = world.authority.passwords();
    let issue = async || passwords.issue_link(&ada, bob).await;
    let link = trials.of_change("user.password_link", issue).await;
    let chosen = password("tr0mbone ladder mist drums");
    let anybody = world.anonymous();
    let reset = async || passwords.redeem(&anybody, &link.secret, &chosen).await;
    trials.of_change("user.password_reset", reset).await;
    let own = || PasswordChange {
        current: password(PASSWORD),
        new: password("n7fjqx0vzkw2mhd"),
        known_browser: None,
    };
    let change = async || passwords.change(&ada, own()).await;
    trials.of_change("user.password_change", change).await;
    // Both sign in again below.
    let reset = "UPDATE users SET password_hash = second.password_hash FROM users second
                 WHERE second.email = 'second@example.com' AND users.email IN ('ada@example.com', 'bob@example.com')";
    world.execute(reset).await;
    let member =
        || NewMember { user: "bob@example.com".into(), role: WorkspaceRole::Member, grants: None };
    let add = async || workspaces.add_member(&ada, &made, member()).await;
    trials.of_change("member.add", add).await;
    let role = || MemberChange {
        role: Some(WorkspaceRole::Viewer),
        grants: GrantsChange::Patterns(vec!["rivers:read".into()]),
        ..MemberChange::default()
    };
    let change = async || workspaces.change_member(&ada, &made, bob, role(), None).await;
    trials.of_change("member.change", change).await;
    let remove = async || workspaces.remove_member(&ada, &made, bob, None).await;
    trials.of_change("member.remove", remove).await;
    trials_of_invitations(trials).await;
    trial_of_a_password_without_a_maker(trials).await;
    let stopped = || UserChange { enabled: Some(false), ..UserChange::default() };
    let change = async || users.change(&ada, bob, stopped(), None).await;
    trials.of_change("user.change", change).await;
    trials.of_change("user.remove", async || users.remove(&ada, bob, None).await).await;
}

async fn trial_of_a_password_without_a_maker(trials: &Trials<'_>) {
    let world = trials.world;
    let users = world.authority.users();
    let (ada, second) = (world.owner().await, world.signed_in("second@example.com").await);
    let new = NewUser {
        kind: UserKind::Person,
        email: "carl@example.com".into(),
        name: Some("Carl".into()),
        instance_role: InstanceRole::Member,
        password: Some(password(PASSWORD)),
    };
    let carl = users.create(&second, new).await.unwrap().summary.id;
    let owner = || UserChange { instance_role: Some(InstanceRole::Owner), ..UserChange::default() };
    let change = async || users.change(&ada, carl, owner(), None).await;
    trials.of_change("user.password_end", change).await;
}

async fn trials_of_invitations(trials: &Trials<'_>) {
    let world = trials.world;
    let home = slug("workspace-1");
    let lead = world.person("lead", Some(("workspace-1", "admin"))).await;
    let bob = world.signed_in("bob@example.com").await;
    let workspaces = world.authority.workspaces();
    let invite = async || {
        let (user, role) = ("bob@example.com".into(), WorkspaceRole::Member);
        match workspaces.add_member(&lead, &home, NewMember { user, role, grants: None }).await? {
            Added::Invited(invitation) => Ok(invitation.id),
            Added::Member(_) => panic!("added"),
        }
    };
    let invitations = world.authority.invitations();
    let id = trials.of_change("invitation.create", &invite).await;
    let revoke = async || invitations.revoke(&lead, &home, id).await;
    trials.of_change("invitation.revoke", revoke).await;
    let id = invite().await.unwrap();
    let decline = async || invitations.decline(&bob, id).await;
    trials.of_change("invitation.decline", decline).await;
    let id = invite().await.unwrap();
    let accept = async || invitations.accept(&bob, id).await;
    trials.of_change("invitation.accept", accept).await;
}

async fn trials_of_policies(trials: &Trials<'_>) {
    let world = trials.world;
    let ada = world.owner().await;
    let policies = world.authority.policies();
    for level in [PolicyLevel::Instance, PolicyLevel::Workspace(slug("workspace-1"))] {
        let preset = async || policies.apply_preset(&ada, &level, Preset::Devo, None).await;
        trials.of_change("policy.change", preset).await;
        let rules =
            || PolicyRules { reveal: Some(Reveal::RecoverableAllowed), ..PolicyRules::default() };
        let change = async || policies.change(&ada, &level, rules(), None).await;
        trials.of_change("policy.change", change).await;
    }
}

async fn trials_of_tokens(trials: &Trials<'_>) {
    let world = trials.world;
    let ada = world.owner().await;
    let (tokens, home) = (world.authority.tokens(), slug("workspace-1"));
    let new = || TokenDraft { recoverable: true.into(), ..draft(&["rivers:read"]) };
    let create = async || tokens.create(&ada, &home, new()).await;
    let minted = trials.of_change("token.create", create).await;
    let id = minted.token.id;
    let patch = || TokenPatch { name: Some("renamed".into()), ..TokenPatch::default() };
    let update = async || tokens.update(&ada, id, None, patch()).await;
    trials.of_change("token.update", update).await;
    trials.of_change("token.disable", async || tokens.disable(&ada, id, None).await).await;
    trials.of_change("token.enable", async || tokens.enable(&ada, id, None).await).await;
    trials.of_change("token.reveal", async || tokens.reveal(&ada, id, None).await).await;
    let copy = async || tokens.clone_of(&ada, id, None, "copy".into()).await;
    let copied = trials.of_change("token.create", copy).await;
    let grace = || RotationDraft { grace_s: Some(3_600), ..RotationDraft::default() };
    let rotate = async || tokens.rotate(&ada, id, None, grace()).await;
    trials.of_change("token.rotate", rotate).await;
    trials.of_change("token.grace_end", async || tokens.end_grace(&ada, id, None).await).await;
    let once = || RotationDraft { until_first_use: true, ..grace() };
    let newer = tokens.rotate(&ada, id, None, once()).await.unwrap();
    let first_use = async || {
        let (ctx, demand) = (world.anonymous(), Demand::default());
        world.authority.verification().decide(&ctx, newer.secret.expose(), &demand).await
    };
    trials.of_change("token.grace_end", first_use).await;
    trials.of_change("token.expire", async || tokens.expire(&ada, id, None).await).await;
    trials.of_change("token.delete", async || tokens.delete(&ada, id, None).await).await;

    let bearer = world.bearer(&copied).await;
    let rotate = async || tokens.rotate_self(&bearer, None, grace()).await;
    let newest = trials.of_change("token.rotate", rotate).await;
    let bearer = world.bearer(&newest).await;
    trials.of_change("token.delete", async || tokens.delete_self(&bearer, None).await).await;
    for (action, told) in [
        (BulkAction::Disable, "token.disable"),
        (BulkAction::Enable, "token.enable"),
        (BulkAction::Expire, "token.expire"),
        (BulkAction::Delete, "token.delete"),
    ] {
        let ids = [tokens.create(&ada, &home, new()).await.unwrap().token.id];
        if matches!(action, BulkAction::Enable) {
            tokens.disable(&ada, ids[0], None).await.unwrap();
        }
        let bulk = async || {
            let mut outcomes = tokens.bulk(&ada, &home, action, &ids).await?;
            outcomes.remove(0).outcome
        };
        trials.of_change(told, bulk).await;
    }
    let row = format!(r#"{{"digest":"{:064x}","name":"old","scopes":["rivers:run"]}}"#, 7);
    let transfer = world.authority.transfer();
    let import = async || transfer.import(&ada, &home, Format::Jsonl, row.as_bytes(), false).await;
    trials.of_change("token.import", import).await;
}

async fn trials_of_catalogues(trials: &Trials<'_>) {
    let world = trials.world;
    let ada = world.owner().await;
    let catalogues = world.authority.catalogues();
    let new =
        || NewAudience { slug: "billing".into(), name: "B".into(), description: String::new() };
    let create = async || catalogues.create_audience(&ada, new()).await;
    trials.of_change("audience.create", create).await;
    let billing = "billing".parse().unwrap();
    let named = || AudienceChange { name: Some("Billing".into()), ..AudienceChange::default() };
    let change = async || catalogues.change_audience(&ada, &billing, named(), None).await;
    trials.of_change("audience.update", change).await;
    let new = || NewScope { name: "invoices:pay".into(), group: "G".into(), ..NewScope::default() };
    let add = async || catalogues.add_scope(&ada, &billing, new(), None).await;
    trials.of_change("scope.create", add).await;
    let pay = "invoices:pay".parse().unwrap();
    let told = || ScopeChange { description: Some("Pay.".into()), ..ScopeChange::default() };
    let change = async || catalogues.change_scope(&ada, &billing, &pay, told(), None).await;
    trials.of_change("scope.update", change).await;
    let retire = async || catalogues.retire_scope(&ada, &billing, &pay, false, None).await;
    trials.of_change("scope.retire", retire).await;
    let unretire = async || catalogues.unretire_scope(&ada, &billing, &pay, None).await;
    trials.of_change("scope.unretire", unretire).await;
    let delete = async || catalogues.delete_scope(&ada, &billing, &pay, None).await;
    trials.of_change("scope.delete", delete).await;
    let new = || NewAudience { slug: "gone".into(), name: "G".into(), description: String::new() };
    catalogues.create_audience(&ada, new()).await.unwrap();
    let gone = "gone".parse().unwrap();
    let delete = async || catalogues.delete_audience(&ada, &gone, None).await;
    trials.of_change("audience.delete", delete).await;
    let load = async || {
        let catalogue = parse_toml(CATALOGUE).unwrap();
        catalogues.load(&ada, catalogue, LoadOptions::default()).await
    };
    trials.of_change("catalogue.load", load).await;
}

/// A replaced secret that is presented after its expiry is refused whether or not that can be
/// recorded. Its effect on the token waits until the log accepts the row.
async fn trial_of_reuse(trials: &Trials<'_>) {
    let world = trials.world;
    let minted = world.token("default", &["rivers:read"]).await;
    let ada = world.owner().await;
    let now = RotationDraft { grace_s: Some(0), ..RotationDraft::default() };
    world.authority.tokens().rotate(&ada, minted.token.id, None, now).await.unwrap();
    world.pass(Duration::hours(1));
    let present = async || {
        let (ctx, demand) = (world.anonymous(), Demand::default());
        let decision =
            world.authority.verification().decide(&ctx, minted.secret.expose(), &demand).await;
        assert!(!decision.is_ok_and(|decision| decision.code == DecisionCode::Valid));
    };
    let before = trials.everything().await;
    trials.log_takes_rows(false).await;
    present().await;
    trials.log_takes_rows(true).await;
    assert_eq!(trials.everything().await, before);
    let rows = trials.rows().await;
    present().await;
    let told = trials.rows().await.split_off(rows.len());
    assert_eq!(told, ["token.reuse"]);
    trials.told.borrow_mut().extend(told);
}

#[sqlx::test(migrations = false)]
async fn nothing_changes_without_its_audit_row(pool: PgPool) {
    let world = World::empty(pool).await;
    let trials = Trials::of(&world);
    trials_of_setup(&trials).await;
    trials_of_sessions(&trials).await;
    trials_of_people(&trials).await;
    trials_of_policies(&trials).await;
    Box::pin(trials_of_tokens(&trials)).await;
    trial_of_reuse(&trials).await;
    trials_of_catalogues(&trials).await;
    // Refusals change nothing, and their rows are written a moment later, at a limited rate. The
    // row of an import is written with the count that limits it, and the row of a guessed link
    // before the response.
    let is_refusal = |action: AuditAction| {
        matches!(
            action,
            AuditAction::SessionSignInFailed
                | AuditAction::SessionSignInThrottled
                | AuditAction::TokenImportRefused
                | AuditAction::UserPasswordResetRefused
                | AuditAction::AccessRefused
                | AuditAction::AccessCredentialRefused
                | AuditAction::AccessThrottled
                | AuditAction::AccessLeftOut
        )
    };
    let changes: BTreeSet<String> = AuditAction::ALL
        .iter()
        .filter(|action| !is_refusal(**action))
        .map(ToString::to_string)
        .collect();
    assert_eq!(trials.told.into_inner(), changes);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}
