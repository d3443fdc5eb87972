//! Invitations to workspaces.

use domain::workspace::Invitation;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{UserBody, WorkspaceRoleBody, texts};

/// An invitation to a workspace that the person has not accepted yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(crate) struct InvitationBody {
    /// Its ID. Inviting the address again creates a new invitation and closes this one.
    id: Uuid,
    /// The workspace's slug.
    #[schema(example = "workspace-1")]
    workspace: String,
    /// The workspace's name.
    #[schema(example = "Workspace 1")]
    workspace_name: String,
    /// The invited address, whether or not a user of the instance has it.
    #[schema(example = "grace@example.com")]
    email: String,
    /// The role that the person gets.
    role: WorkspaceRoleBody,
    /// Patterns of the scopes that the person may put on tokens. Null means the role's
    /// default grants.
    #[schema(example = json!(["rivers:*"]))]
    grants: Option<Vec<String>>,
    /// The person who sent the invitation, or the owner of the token that sent it.
    invited_by: UserBody,
    /// The token that sent the invitation; null if a person did.
    token: Option<InvitingTokenBody>,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it expires: after seven days, or with the token that sent it.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.0,
            workspace: invitation.workspace.to_string(),
            workspace_name: invitation.workspace_name.to_string(),
            email: invitation.email,
            role: invitation.role.into(),
            grants: invitation.grants.map(texts),
            invited_by: invitation.invited_by.into(),
            token: invitation.token.map(|token| InvitingTokenBody {
                id: token.id.0,
                name: token.name,
                made_by: token.made_by.map(Into::into),
            }),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// A token that sent an invitation.
#[derive(Serialize, ToSchema)]
#[schema(as = InvitingToken)]
pub(crate) struct InvitingTokenBody {
    /// Its ID.
    id: Uuid,
    /// Its name.
    #[schema(example = "onboarding")]
    name: String,
    /// The person who created it, or who created the first token in the chain of tokens that led to
    /// it. Null for the command line.
    made_by: Option<UserBody>,
}

/// Invitations.
#[derive(Serialize, ToSchema)]
#[schema(as = InvitationList)]
pub(crate) struct InvitationListBody {
    /// All of them, newest first.
    items: Vec<InvitationBody>,
    /// Always null: the list has one page.
    next: Option<String>,
}

impl From<Vec<Invitation>> for InvitationListBody {
    fn from(invitations: Vec<Invitation>) -> Self {
        Self { items: invitations.into_iter().map(Into::into).collect(), next: None }
    }
}
