//! The addresses of a workspace's token pages.

use domain::ids::TokenId;

use super::place::Place;

/// Addresses below one workspace's list of tokens. Every page of a token keeps the place in the
/// list in its query, so that closing it leads back to the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    list: String,
}

impl Paths {
    /// The addresses of the workspace called `workspace` in the URL.
    pub fn new(workspace: &str) -> Self {
        Self { list: format!("/workspaces/{workspace}/settings/tokens") }
    }

    /// The list.
    pub fn list(&self, place: &Place) -> String {
        format!("{}{}", self.list, place.to_search())
    }

    /// The form for a new token.
    pub fn new_token(&self, place: &Place) -> String {
        format!("{}/new{}", self.list, place.from_start().to_search())
    }

    /// What that form is posted to.
    pub fn create(&self) -> String {
        format!("{}/new", self.list)
    }

    /// One token.
    pub fn token(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}{}", self.list, unmarked(place).to_search())
    }

    /// The question whether to delete it.
    pub fn delete(&self, id: TokenId, place: &Place) -> String {
        format!("{}/{id}/delete{}", self.list, unmarked(place).to_search())
    }

    /// What the answer is posted to.
    pub fn delete_action(&self, id: TokenId) -> String {
        format!("{}/{id}/delete", self.list)
    }
}

fn unmarked(place: &Place) -> Place {
    Place { created: None, ..place.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_a_token_keeps_the_place_but_not_the_mark() {
        let id = TokenId(uuid::Uuid::nil());
        let place = Place { q: "ci".into(), created: Some(id), ..Place::default() };
        let paths = Paths::new("workspace-1");
        assert_eq!(
            paths.token(id, &place),
            format!("/workspaces/workspace-1/settings/tokens/{id}?q=ci")
        );
        assert_eq!(paths.list(&Place::default()), "/workspaces/workspace-1/settings/tokens");
    }
}
