//! The pool of connections to the database server that the follower is connected to.

use std::sync::Arc;

use sqlx::PgPool;

use crate::{kernel::chain, lease::History, store};

/// Returns the same pool, but with two checks: it accepts connections only to the follower's
/// server, and closes those that are older than the last change of the database's history.
pub(super) fn closing_what_is_before(pool: &PgPool, history: &Arc<History>) -> PgPool {
    let [at_connect, at_acquire, at_release] = std::array::from_fn(|_| Arc::clone(history));
    pool.options()
        .clone()
        .after_connect(move |connection, _| {
            let history = Arc::clone(&at_connect);
            Box::pin(async move {
                let epoch = history.epoch();
                store::configure(connection).await?;
                // A connection that was being opened when the history changed may lead to a primary
                // that was replaced, and its age counts from now.
                if history.mark().is_some() {
                    let found = store::history::mark(connection).await;
                    let found = found.map_err(|error| sqlx::Error::Protocol(chain(&error)))?;
                    if !history.agrees(found.as_ref()) {
                        return Err(sqlx::Error::Protocol(
                            "connected to a different database server".into(),
                        ));
                    }
                }
                if history.epoch() != epoch {
                    let why =
                        "the database's history changed while the connection was being opened";
                    return Err(sqlx::Error::Protocol(why.into()));
                }
                Ok(())
            })
        })
        .before_acquire(move |_, connection| {
            let is_current = !at_acquire.is_before(connection.age);
            Box::pin(async move { Ok(is_current) })
        })
        .after_release(move |_, connection| {
            let is_current = !at_release.is_before(connection.age);
            Box::pin(async move { Ok(is_current) })
        })
        .connect_lazy_with(pool.connect_options().as_ref().clone())
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::store::history::{Mark, mark};

    async fn mark_of(pool: &PgPool) -> Mark {
        let mut connection = pool.acquire().await.unwrap();
        mark(&mut connection).await.unwrap().unwrap()
    }

    /// Such a connection was being opened when the history changed, and reached the replaced
    /// primary.
    #[sqlx::test]
    async fn pool_accepts_only_connections_to_the_followers_server(pool: PgPool) {
        let history = Arc::new(History::new());
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().connect_lazy_with(options);
        let own = closing_what_is_before(&own, &history);
        let here = mark_of(&pool).await;
        history.begin(Some(Mark { timeline: "0000000F".into(), ..here.clone() }));
        tokio::select! {
            biased;
            _ = own.acquire() => panic!("the pool accepted a connection to another server"),
            () = history.suspected() => {}
        }
        history.begin(Some(here));
        assert!(own.acquire().await.is_ok());
    }
}
