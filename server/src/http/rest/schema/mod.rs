//! The bodies that the REST API sends: the only place that defines its JSON.
//!
//! Each type is built from the authority's own by `From`, so that a change there cannot change the
//! API by accident. Times are RFC 3339 in UTC.

mod account;
mod audience;
mod instance;
mod invitation;
mod member;
mod minted;
mod policy;
mod policy_preview;
mod problem;
mod roles;
mod scope;
mod session;
mod token;
mod transfer;
mod user;
mod verification;
mod workspace;

pub(crate) use account::{AccountBody, PasswordLinkBody};
pub(crate) use audience::{AudienceBody, AudienceListBody, AudienceText, RiskBody, ScopeText};
pub(crate) use instance::InstanceBody;
pub(crate) use invitation::{InvitationBody, InvitationListBody};
pub(crate) use member::{ChangedMemberBody, MemberBody, MemberListBody, StoppedBody};
pub(crate) use minted::MintedBody;
pub(crate) use policy::{PolicyBody, PolicyViewBody, PresetText, RulesBody};
pub(crate) use policy_preview::PreviewBody;
pub(crate) use problem::ProblemBody;
pub(crate) use roles::{InstanceRoleBody, UserKindBody, WorkspaceRoleBody};
pub(crate) use scope::{ChangesBody, RetiredBody, ScopeEntryBody, ScopeListBody};
pub(crate) use session::{EndedBody, SessionBody, SessionPageBody};
pub(crate) use token::{
    RateLimitBody, StateBody, TokenBody, TokenPageBody, UserBody, grants_schema, new_grants_schema,
    tags_schema,
};
pub(crate) use transfer::{AuditPageBody, ImportBody, UsageBody};
pub(crate) use user::{
    ChangedUserBody, CreatedUserBody, RemovedUserBody, UserPageBody, UserRecordBody,
};
pub(crate) use verification::{AnswersBody, VerificationBody, granted, names, write_answers};
pub(crate) use workspace::{WorkspaceListBody, WorkspaceOverviewBody};

fn texts<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}
