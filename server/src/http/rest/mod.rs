//! The REST API, version 1: one operation per file.
//!
//! There are two routers, because they stand behind different layers: `managing` for people and
//! programs that manage tokens, and `asking` for the calls that services make on every request of
//! their own. `asking` bypasses the log and looks up a session only if the request has no token.

mod accept_invitation;
mod add_member;
mod apply_preset;
mod audiences;
mod bulk_tokens;
mod change_member;
mod change_password;
mod change_policy;
mod change_user;
mod change_workspace;
mod children_query;
mod clone_token;
mod create_token;
mod create_user;
mod create_workspace;
mod decline_invitation;
mod delete_self;
mod delete_token;
mod disable_token;
mod enable_token;
mod end_grace;
mod end_session;
mod end_sessions;
mod errors;
mod expire_token;
mod export;
mod export_tokens;
mod import_tokens;
mod known_secrets;
mod list_audit;
mod list_invitations;
mod list_members;
mod list_own_invitations;
mod list_sessions;
mod list_tokens;
mod list_users;
mod list_workspaces;
mod preview_policy;
mod remove_member;
mod remove_user;
mod reset_password;
mod reveal_token;
mod revoke_invitation;
mod rotate_self;
mod rotate_token;
pub(crate) mod schema;
mod show_account;
mod show_instance;
mod show_member;
mod show_policy;
mod show_self;
mod show_session;
mod show_token;
mod show_usage;
mod show_user;
mod show_workspace;
mod tagged;
mod update_token;
mod verify;
mod verify_many;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use errors::reusable_responses;
pub(crate) use verify::PATH as VERIFY_PATH;

use super::AppState;

/// Returns the routes that manage tokens.
pub(crate) fn managing() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_tokens::list_tokens, create_token::create_token))
        .routes(routes!(bulk_tokens::bulk_tokens))
        .routes(routes!(
            show_token::show_token,
            update_token::update_token,
            delete_token::delete_token
        ))
        .routes(routes!(enable_token::enable_token))
        .routes(routes!(disable_token::disable_token))
        .routes(routes!(expire_token::expire_token))
        .routes(routes!(rotate_token::rotate_token))
        .routes(routes!(end_grace::end_grace))
        .routes(routes!(reveal_token::reveal_token))
        .routes(routes!(clone_token::clone_token))
        .routes(routes!(show_self::show_self, delete_self::delete_self))
        .routes(routes!(rotate_self::rotate_self))
        .routes(routes!(import_tokens::import_tokens))
        .routes(routes!(export_tokens::export_tokens))
        .routes(routes!(show_usage::show_usage))
        .routes(routes!(list_audit::list_workspace_audit))
        .routes(routes!(list_audit::list_audit))
        .routes(routes!(show_instance::show_instance))
        .routes(routes!(list_workspaces::list_workspaces, create_workspace::create_workspace))
        .routes(routes!(show_workspace::show_workspace, change_workspace::change_workspace))
        .merge(people())
        .merge(policies())
        .merge(audiences::router())
}

/// Returns the routes for the instance's users, the caller's account, sessions, members of
/// workspaces, and invitations.
fn people() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_users::list_users, create_user::create_user))
        .routes(routes!(show_user::show_user, change_user::change_user, remove_user::remove_user))
        .routes(routes!(reset_password::reset_password))
        .routes(routes!(show_account::show_account))
        .routes(routes!(change_password::change_password))
        .routes(routes!(list_sessions::list_sessions, end_sessions::end_sessions))
        .routes(routes!(show_session::show_session, end_session::end_session))
        .routes(routes!(list_members::list_members, add_member::add_member))
        .routes(routes!(
            show_member::show_member,
            change_member::change_member,
            remove_member::remove_member
        ))
        .routes(routes!(list_invitations::list_invitations))
        .routes(routes!(revoke_invitation::revoke_invitation))
        .routes(routes!(list_own_invitations::list_own_invitations))
        .routes(routes!(accept_invitation::accept_invitation))
        .routes(routes!(decline_invitation::decline_invitation))
}

/// Returns the routes for policies.
fn policies() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(show_policy::show_instance_policy, change_policy::change_instance_policy))
        .routes(routes!(preview_policy::preview_instance_policy))
        .routes(routes!(apply_preset::apply_instance_preset))
        .routes(routes!(show_policy::show_policy, change_policy::change_policy))
        .routes(routes!(preview_policy::preview_policy))
        .routes(routes!(apply_preset::apply_preset))
}

/// Returns the routes that verify tokens.
pub(crate) fn asking() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(verify::verify))
        .routes(routes!(verify_many::verify_many))
}
