//! Names related to the place where a password is used, which an attacker knows.

use domain::ids::UserId;

use crate::{
    ServiceError,
    state::Inner,
    store::{instance, members},
};

impl Inner {
    /// Returns the name of the organisation, if there is one, and of a person's workspaces.
    pub(crate) async fn names_of_place(
        &self,
        person: Option<UserId>,
    ) -> Result<Vec<String>, ServiceError> {
        let mut connection = self.connection().await?;
        let mut names: Vec<String> = instance::name(&mut connection).await?.into_iter().collect();
        if let Some(person) = person {
            names.extend(members::names_of_workspaces(&mut connection, person).await?);
        }
        Ok(names)
    }
}
