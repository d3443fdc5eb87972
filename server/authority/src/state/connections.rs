//! Connections of the pool, within the shares of their holders.

use domain::ids::UserId;

use crate::{
    ServiceError,
    kernel::About,
    shares::{Holder, Party, Share},
    state::Inner,
    store::members,
};

impl Inner {
    /// Takes a part of the shares of the current holder.
    ///
    /// # Errors
    ///
    /// `Busy` when the wait timed out.
    pub(crate) async fn share(&self) -> Result<Share, ServiceError> {
        let holder = Holder::current();
        if let Some((user, about)) = holder.person_without_party() {
            let party = self.party_of(&holder, user, &about).await?;
            holder.belongs_to(party);
        }
        self.shares.take(holder).await
    }

    /// Looks up whether a person is a member of the workspace that their request concerns. The
    /// connection for this query counts only towards the person, and is returned before the request
    /// waits for its own connection.
    async fn party_of(
        &self,
        holder: &Holder,
        user: UserId,
        about: &About,
    ) -> Result<Party, ServiceError> {
        let _share = self.shares.take(holder.clone()).await?;
        let mut connection = self.pool.acquire().await?;
        let workspace = members::workspace_of(&mut connection, user, about).await?;
        Ok(workspace.map_or(Party::Nowhere, Party::Workspace))
    }
}
