//! Settings → API Tokens: the list, and the panels over it.
//!
//! - [`list`] with [`toolbar`], [`table`], [`row`], [`status`] and [`empty`]. The URL holds the
//!   reader's place in the list: [`place`].
//! - [`create`] with [`form`], its `fields` and its `summary`. The form's values: [`draft`].
//! - [`show`], [`update`], [`rotate`], [`reveal`], [`disable`] and [`delete`] are about [`one`]
//!   token; [`actions`] links to them. Their addresses: [`paths`].
//!
//! To add a panel: add a file here, an address in [`paths`], and a route in [`crate::app`].

pub mod actions;
pub mod create;
pub mod delete;
pub mod disable;
pub mod draft;
pub mod empty;
pub mod fields;
pub mod form;
pub mod list;
pub mod one;
pub mod paths;
pub mod place;
pub mod problem;
pub mod reveal;
pub mod rotate;
pub mod row;
pub mod show;
pub mod status;
pub mod summary;
pub mod table;
pub mod toolbar;
pub mod update;

pub use create::TokenCreatePage;
pub use delete::TokenDeletePage;
pub use disable::TokenDisablePage;
pub use list::TokensPage;
pub use reveal::TokenRevealPage;
pub use rotate::TokenRotatePage;
pub use show::TokenViewPage;
pub use update::TokenEditPage;

#[cfg(test)]
pub(crate) mod tests {
    //! Fixtures for the tests of these pages.

    use std::collections::BTreeSet;

    use domain::{
        access::TokenReach,
        ids::{TokenId, UserId, WorkspaceId},
        names::Description,
        policy::Policy,
        roles::{InstanceRole, UserKind, WorkspaceRole},
        session::Visitor,
        tags::Tags,
        token::{Token, TokenState, UserSummary},
        workspace::{Member, TokenCounts, Workspace, WorkspaceOverview},
    };
    use time::macros::datetime;
    use uuid::Uuid;

    use crate::{
        fns::tokens_form::TokenForm,
        forms::scope_tree::model::tests::{catalogue, chosen},
    };

    fn user(number: u128, name: &str) -> UserSummary {
        UserSummary {
            id: UserId(Uuid::from_u128(number)),
            email: format!("{}@example.org", name.to_lowercase()),
            name: name.to_owned(),
        }
    }

    /// An active token owned by Ada that never expires.
    pub(crate) fn token(name: &str) -> Token {
        Token {
            id: TokenId(Uuid::from_u128(7)),
            num: 7,
            workspace: "workspace-1".parse().unwrap(),
            name: name.to_owned(),
            description: Description::default(),
            user: user(1, "Ada"),
            created_by: Some(user(1, "Ada")),
            grants: chosen(&["rivers:run"]),
            parent: None,
            audiences: vec!["default".parse().unwrap()],
            scopes: vec!["rivers:run".parse().unwrap()],
            enabled: true,
            disabled_by: None,
            ended_by: None,
            active: true,
            state: TokenState::Active,
            hint: "tsr_…a1B2".to_owned(),
            recoverable: false,
            not_before: None,
            expires_at: None,
            ip_allow: vec![],
            rate_limit: None,
            tags: Tags::default(),
            grace_until: None,
            older_hint: None,
            rotated_at: None,
            reused_at: None,
            last_used_at: None,
            last_used_ip: None,
            last_used_agent: None,
            created_at: datetime!(2026-01-01 00:00 UTC),
            updated_at: datetime!(2026-01-01 00:00 UTC),
            version: 1,
        }
    }

    /// The form for Ada, who can also choose one service account.
    pub(crate) fn form(policy: Policy) -> TokenForm {
        TokenForm {
            now: datetime!(2026-01-02 10:00 UTC),
            overview: WorkspaceOverview {
                workspace: Workspace {
                    id: WorkspaceId(Uuid::nil()),
                    slug: "workspace-1".parse().unwrap(),
                    name: "Workspace 1".parse().unwrap(),
                    created_at: datetime!(2026-01-01 00:00 UTC),
                    version: 1,
                },
                policy,
                role: Some(WorkspaceRole::Admin),
                reach: TokenReach::All,
                counts: TokenCounts::default(),
                quota: None,
            },
            visitor: Visitor { user: user(1, "Ada"), instance_role: InstanceRole::Owner },
            members: vec![Member {
                user: user(2, "Bot"),
                kind: UserKind::Service,
                enabled: true,
                role: WorkspaceRole::Member,
                grants: None,
                tokens: 0,
                created_at: datetime!(2026-01-01 00:00 UTC),
                version: 1,
            }],
            catalogues: vec![catalogue()],
            withheld: BTreeSet::new(),
            creation_key: Uuid::from_u128(9),
        }
    }
}
