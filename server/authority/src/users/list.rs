//! List users.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    token::Page,
    user::{USERS_LIMIT_MAX, User, UserQuery},
};

use super::Users;
use crate::{OpContext, ServiceError, kernel::cursor, store::users as store};

/// The maximum length of a search text, in characters. It is longer than any text that it is
/// compared with.
const SEARCH_MAX: usize = 256;

impl Users<'_> {
    /// Returns a page of the instance's users, sorted by address, without removed ones.
    ///
    /// # Errors
    /// `Invalid` with the fields `q`, `limit`, `cursor`.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(
        &self,
        ctx: &OpContext,
        query: &UserQuery,
    ) -> Result<Page<User>, ServiceError> {
        ctx.manages_instance()?;
        if query.q.contains('\0') || query.q.chars().count() > SEARCH_MAX {
            let message =
                format!("must have at most {SEARCH_MAX} characters and must not contain NUL");
            return Err(ServiceError::invalid("q", message));
        }
        if query.limit == 0 || query.limit > USERS_LIMIT_MAX {
            let message = format!("must be 1 to {USERS_LIMIT_MAX}");
            return Err(ServiceError::invalid("limit", message));
        }
        let after = cursor::position::<After>(query.cursor.as_deref())
            .map_err(|error| ServiceError::Invalid(vec![error]))?;
        let mut connection = self.inner.connection().await?;
        // One more row shows whether there is a next page.
        let rows = i64::from(query.limit) + 1;
        let after = after.as_ref().map(|After(email)| email.as_str());
        let rows = store::page(&mut connection, query, after, rows).await?;
        let cursor = |user: &User| After(user.summary.email.clone()).to_string();
        Ok(cursor::page(rows, query.limit, cursor))
    }
}

/// The position after the user with this address. Addresses are unique and never change.
#[derive(Debug, PartialEq, Eq)]
struct After(String);

impl std::fmt::Display for After {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl std::str::FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        let email = String::from_utf8(bytes).map_err(drop)?;
        // A text in PostgreSQL cannot contain NUL.
        if email.is_empty() || email.contains('\0') { Err(()) } else { Ok(Self(email)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_any_cursor_never_panics(text in any::<String>()) {
            let _ = text.parse::<After>();
        }

        #[test]
        fn cursor_survives_a_round_trip(email in "[a-zé@.]{1,40}") {
            let after = After(email);
            prop_assert_eq!(after.to_string().parse::<After>().unwrap(), after);
        }
    }
}
