//! What the REST API sends, spelled out: the one place where its JSON is fixed.
//!
//! Each type is made from the authority's own by `From`, so that a change there cannot change the
//! API by accident. Times are RFC 3339 in UTC.

mod audience;
mod member;
mod policy;
mod policy_preview;
mod problem;
mod roles;
mod token;
mod user;
mod verification;
mod workspace;

pub(crate) use audience::{AudienceListBody, AudienceText, ScopeText};
pub(crate) use member::{MemberBody, MemberListBody, StoppedBody};
pub(crate) use policy::{PolicyBody, PolicyViewBody, PresetText, RulesBody};
pub(crate) use policy_preview::PreviewBody;
pub(crate) use problem::ProblemBody;
pub(crate) use roles::{InstanceRoleBody, UserKindBody, WorkspaceRoleBody};
pub(crate) use token::{StateBody, TokenBody, TokenPageBody, UserBody, token_example};
pub(crate) use user::{ChangedUserBody, UserPageBody, UserRecordBody};
pub(crate) use verification::VerificationBody;
pub(crate) use workspace::{WorkspaceListBody, WorkspaceOverviewBody};

fn texts<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}
