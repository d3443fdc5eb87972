//! List users.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    token::Page,
    user::{USERS_LIMIT_MAX, User, UserQuery},
};

use super::Users;
use crate::{OpContext, ServiceError, store::users as store};

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
        let after = query.cursor.as_deref().map(decode).transpose()?;
        let mut connection = self.inner.connection().await?;
        let limit = usize::from(query.limit);
        // One more row shows whether there is a next page.
        let rows = i64::from(query.limit) + 1;
        let mut items = store::page(&mut connection, query, after.as_deref(), rows).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|user| encode(&user.summary.email));
        Ok(Page { items, next })
    }
}

/// Returns the cursor of the page after this address. Addresses are unique and never change.
fn encode(email: &str) -> String {
    URL_SAFE_NO_PAD.encode(email)
}

fn decode(text: &str) -> Result<String, ServiceError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    // A text in PostgreSQL cannot contain NUL.
    String::from_utf8(bytes)
        .ok()
        .filter(|email| !email.is_empty() && !email.contains('\0'))
        .ok_or_else(|| {
            ServiceError::invalid("cursor", "must be the `next` value of a page of this list")
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_any_cursor_never_panics(text in any::<String>()) {
            let _ = decode(&text);
        }

        #[test]
        fn cursor_survives_a_round_trip(email in "[a-zé@.]{1,40}") {
            prop_assert_eq!(decode(&encode(&email)).unwrap(), email);
        }
    }
}
