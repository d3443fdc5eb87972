//! The addresses of a workspace's token pages.

use domain::{ids::TokenId, token::Token};

use super::place::{Place, escape};

/// The addresses below one workspace's list of tokens. Every page about a token keeps the place in
/// the list in its query, so that closing the page leads back to the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    list: String,
}

impl Paths {
    /// Creates the addresses of the workspace whose slug is `workspace`.
    pub fn new(workspace: &str) -> Self {
        Self { list: format!("/workspaces/{workspace}/settings/tokens") }
    }

    /// Returns the address of the list.
    pub fn list(&self, place: &Place) -> String {
        format!("{}{}", self.list, place.to_search())
    }

    /// Returns the address of the form for a new token.
    pub fn new_token(&self, place: &Place) -> String {
        format!("{}/new{}", self.list, place.from_start().to_search())
    }

    /// Returns the path that this form posts to.
    pub fn create(&self) -> String {
        format!("{}/new", self.list)
    }

    /// Returns the address of one token.
    pub fn token(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}{}", self.list, unmarked(place).to_search())
    }

    /// Returns the address of the confirmation before deleting a token.
    pub fn delete(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/delete{}", self.list, unmarked(place).to_search())
    }

    /// Returns the path that this confirmation posts to.
    pub fn delete_action(&self, id: TokenId) -> String {
        self.action(id, "delete")
    }

    /// Returns the address of the form that changes a token.
    pub fn edit(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/edit{}", self.list, unmarked(place).to_search())
    }

    /// Returns the address of the form that rotates a token.
    pub fn rotate(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/rotate{}", self.list, unmarked(place).to_search())
    }

    /// Returns the address of the confirmation before disabling a token.
    pub fn disable(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/disable{}", self.list, unmarked(place).to_search())
    }

    /// Returns the address of the confirmation before showing a token's secret again.
    pub fn reveal(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/reveal{}", self.list, unmarked(place).to_search())
    }

    /// Returns the path that a form about a token posts to: `edit`, `rotate`, `enable`, `disable`,
    /// `end-grace`, `reveal` or `delete`.
    pub fn action(&self, id: TokenId, what: &str) -> String {
        format!("{}/{id}/{what}", self.list)
    }

    /// Returns the address of the form for a new token, prefilled with the values of this one.
    pub fn copy(&self, token: &Token) -> String {
        let mut link = format!("{}/new?", self.list);
        let mut push = |name: &str, value: &str| {
            if !link.ends_with('?') {
                link.push('&');
            }
            link.push_str(name);
            link.push('=');
            escape(value, &mut link);
        };
        push("name", &format!("{} (copy)", token.name));
        if !token.description.to_string().is_empty() {
            push("description", token.description.as_ref());
        }
        push("user", &token.user.id.to_string());
        for audience in &token.audiences {
            push("audience", audience.as_ref());
        }
        for (audience, scope) in token.grants.pairs() {
            push("scope", &format!("{audience}/{scope}"));
        }
        if !token.ip_allow.is_empty() {
            let ranges: Vec<_> = token.ip_allow.iter().map(ToString::to_string).collect();
            push("ip_allow", &ranges.join(", "));
        }
        if let Some(limit) = token.rate_limit {
            push("rate_limit", &limit.to_string());
        }
        link
    }
}

fn unmarked(place: &Place) -> Place {
    Place { created: None, ..place.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tokens::{place::pairs, tests::token};

    #[test]
    fn token_page_keeps_the_list_position_but_not_the_highlight() {
        let id = TokenId(uuid::Uuid::nil());
        let place = Place { q: "ci".into(), created: Some(id), ..Place::default() };
        let paths = Paths::new("workspace-1");
        assert_eq!(
            paths.token(id, &place),
            format!("/workspaces/workspace-1/settings/tokens/{id}?q=ci")
        );
        assert_eq!(paths.list(&Place::default()), "/workspaces/workspace-1/settings/tokens");
    }

    #[test]
    fn copy_link_prefills_the_form() {
        let mut token = token("ci & <b>");
        token.rate_limit = "600/60s".parse().ok();
        let link = Paths::new("workspace-1").copy(&token);
        let (path, query) = link.split_once('?').unwrap();
        assert_eq!(path, "/workspaces/workspace-1/settings/tokens/new");
        let pairs: Vec<_> = pairs(query).collect();
        assert!(pairs.contains(&("name".into(), "ci & <b> (copy)".into())));
        assert!(pairs.contains(&("scope".into(), "default/rivers:run".into())));
        assert!(pairs.contains(&("rate_limit".into(), "600/60s".into())));
        assert!(pairs.contains(&("user".into(), token.user.id.to_string())));
    }
}
