//! Server functions, which read the data for pages. They never change anything. There is one per
//! file. They are called in-process during server rendering, and over HTTP (POST, JSON) once the
//! page is hydrated.
//!
//! To add one: add a file here with `#[server(prefix = "/console/fn", …)]`. Its first line
//! calls `request::signed_in`.

pub mod account;
pub mod frame;
pub mod instance;
pub mod invitations;
#[cfg_attr(feature = "ssr", expect(clippy::unused_async, reason = "server functions are async"))]
pub mod notice;
pub mod overview;
pub mod settings;
pub mod setup;
pub mod tokens_form;
pub mod tokens_list;
pub mod tokens_show;
pub mod workspaces;

/// Parses a workspace's slug from a path. Reports an invalid slug as "not found".
#[cfg(feature = "ssr")]
pub(crate) fn slug(text: &str) -> Result<domain::names::Slug, crate::problem::ConsoleError> {
    use domain::problem::{Problem, ProblemCode};

    let slug: domain::names::Slug = text.parse().map_err(|_| {
        crate::request::tell(Problem::new(ProblemCode::NotFound, "Workspace not found."))
    })?;
    // The path of a server function does not name the workspace, so it is recorded here.
    authority::Holder::current().concerns(authority::About::Workspace(slug.clone()));
    Ok(slug)
}
