//! The workspace that a path belongs to, and the breadcrumb trail of a path.

use crate::{components::breadcrumbs::Crumb, fns::frame::Frame};

/// Returns the slug of the workspace in a path.
pub fn workspace_of(path: &str) -> Option<String> {
    let mut parts = segments(path);
    (parts.next() == Some("workspaces")).then(|| parts.next().map(decoded)).flatten()
}

/// Returns the breadcrumb trail of a path.
pub fn of(path: &str, frame: Option<&Frame>) -> Vec<Crumb> {
    let mut parts = segments(path);
    let outside = match path.trim_end_matches('/') {
        "/instance" => Some("Instance"),
        "/invitations" => Some("Invitations"),
        _ => None,
    };
    if let Some(name) = outside {
        return vec![link("Workspaces", "/workspaces".to_owned()), here(name)];
    }
    if path.trim_end_matches('/') == "/account/password" {
        return vec![here("Password")];
    }
    if parts.next() != Some("workspaces") {
        return vec![here("Not found")];
    }
    let Some(slug) = parts.next() else { return vec![here("Workspaces")] };
    let home = format!("/workspaces/{slug}");
    let slug = decoded(slug);
    let name = frame
        .and_then(|frame| frame.workspace(&slug))
        .map_or_else(|| slug.clone(), |card| card.workspace.name.to_string());
    let mut crumbs = vec![link("Workspaces", "/workspaces".to_owned())];
    let rest: Vec<&str> = parts.collect();
    let settings = format!("{home}/settings");
    let tokens = format!("{settings}/tokens");
    match rest.as_slice() {
        [] => crumbs.push(here(&name)),
        ["settings"] => crumbs.extend([link(&name, home), here("Settings")]),
        ["settings", "members"] => {
            crumbs.extend([link(&name, home), link("Settings", settings), here("Members")]);
        }
        ["settings", "tokens"] => {
            crumbs.extend([link(&name, home), link("Settings", settings), here("API Tokens")]);
        }
        ["settings", "tokens", below @ ..] => {
            let last = match below {
                ["new"] => "Add Token",
                [_, "edit"] => "Edit",
                [_, "rotate"] => "Rotate",
                [_, "reveal"] => "Show secret",
                [_, "disable"] => "Disable",
                [_, "delete"] => "Delete",
                _ => "Token",
            };
            crumbs.extend([
                link(&name, home),
                link("Settings", settings),
                link("API Tokens", tokens),
                here(last),
            ]);
        }
        _ => crumbs.extend([link(&name, home), here("Not found")]),
    }
    crumbs
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Decodes `@`, the only character of a slug that browsers may escape.
fn decoded(segment: &str) -> String {
    segment.replace("%40", "@")
}

fn link(name: &str, href: String) -> Crumb {
    Crumb { name: name.to_owned(), href: Some(href) }
}

fn here(name: &str) -> Crumb {
    Crumb { name: name.to_owned(), href: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(path: &str) -> String {
        let names: Vec<_> = of(path, None).into_iter().map(|crumb| crumb.name).collect();
        names.join(" > ")
    }

    #[test]
    fn every_page_has_its_breadcrumbs() {
        for (path, names) in [
            ("/workspaces", "Workspaces"),
            ("/workspaces/", "Workspaces"),
            ("/workspaces/child%40parent", "Workspaces > child@parent"),
            ("/workspaces/w/settings", "Workspaces > w > Settings"),
            ("/workspaces/w/settings/members", "Workspaces > w > Settings > Members"),
            ("/workspaces/w/settings/tokens", "Workspaces > w > Settings > API Tokens"),
            (
                "/workspaces/w/settings/tokens/new",
                "Workspaces > w > Settings > API Tokens > Add Token",
            ),
            (
                "/workspaces/w/settings/tokens/x/delete",
                "Workspaces > w > Settings > API Tokens > Delete",
            ),
            ("/workspaces/w/nowhere", "Workspaces > w > Not found"),
            ("/instance", "Workspaces > Instance"),
            ("/invitations", "Workspaces > Invitations"),
            ("/nowhere", "Not found"),
            ("/", "Not found"),
        ] {
            assert_eq!(way(path), names);
        }
    }

    #[test]
    fn last_crumb_is_not_a_link() {
        let crumbs = of("/workspaces/w/settings/tokens", None);
        assert!(crumbs.last().is_some_and(|crumb| crumb.href.is_none()));
        assert_eq!(crumbs[1].href.as_deref(), Some("/workspaces/w"));
    }

    #[test]
    fn workspace_is_the_second_path_segment() {
        assert_eq!(workspace_of("/workspaces"), None);
        assert_eq!(workspace_of("/instance/x"), None);
        assert_eq!(workspace_of("/workspaces/a%40b/settings").as_deref(), Some("a@b"));
    }
}
