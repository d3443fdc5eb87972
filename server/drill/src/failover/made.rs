//! The tokens of the drill, and their changes.

use std::{collections::HashMap, time::Duration};

use tokio::time::sleep;

use super::{cluster::Cluster, stage::Stage};
use crate::{
    Outcome,
    history::Moment,
    http::{self, Answer},
};

/// Longer than any switch takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a change is attempted, and the pause between attempts.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// A token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) text: String,
    /// When its creation was answered.
    pub(crate) made: Moment,
    /// The last change that was answered: when, and whether the token has been accepted since.
    pub(crate) changed: Option<(Moment, bool)>,
    /// Whether it was created in a history that was never guaranteed to be kept.
    pub(crate) is_exempt: bool,
}

impl Token {
    /// Reports whether the token is accepted according to the answered changes.
    pub(crate) fn is_accepted(&self) -> bool {
        self.changed.is_none_or(|(_, accepted)| accepted)
    }

    /// Returns when its last change was answered.
    pub(crate) fn answered(&self) -> Moment {
        self.changed.map_or(self.made, |(at, _)| at)
    }
}

/// The content of a database: the tokens, and whether it accepts them.
pub(crate) type Truth = HashMap<String, bool>;

/// Reads the content of a database.
pub(crate) async fn truth(cluster: &Cluster) -> Outcome<Truth> {
    let sql = "SELECT id || ' ' || (enabled AND deleted_at IS NULL) FROM tokens";
    let rows = cluster.database.run("drill", sql).await?;
    let read = |row: &String| {
        let (id, accepted) = row.split_once(' ')?;
        Some((id.to_owned(), accepted == "true"))
    };
    rows.iter().map(read).collect::<Option<_>>().ok_or_else(|| "rows of tokens".into())
}

/// A kind of change to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Enable,
    Disable,
    Delete,
}

impl Stage {
    /// Creates a token on this server. Returns `None` if the response was not a success.
    pub(crate) async fn try_make(&self, server: usize) -> Option<usize> {
        let number = self.next();
        let body = serde_json::json!({
            "name": format!("t{number}"), "audiences": ["default"], "scopes": ["rivers:run"],
            "expires_in_s": 86_400,
        });
        let path = "/api/v1/workspaces/workspace-1/tokens";
        let answer = self.manage(server, ("POST", path, &body.to_string())).await?;
        let (id, text) = (answer.text(&["token", "id"])?, answer.text(&["secret"])?);
        let token = self.ledger.borrow_mut().add();
        let made = self.now();
        let mut tokens = self.tokens.borrow_mut();
        tokens.push(Token { id, text, made, changed: None, is_exempt: false });
        Some(token)
    }

    /// Creates a token on this server, which must succeed.
    pub(crate) async fn make(&self, server: usize) -> Outcome<usize> {
        Ok(self.try_make(server).await.ok_or("cannot create a token")?)
    }

    /// Changes a token on this server. Returns whether the response was a success.
    pub(crate) async fn try_change(&self, server: usize, token: usize, change: Change) -> bool {
        let path = format!("/api/v1/tokens/{}", self.tokens.borrow()[token].id);
        let (method, path) = match change {
            Change::Enable => ("POST", path + "/enable"),
            Change::Disable => ("POST", path + "/disable"),
            Change::Delete => ("DELETE", path),
        };
        if change == Change::Enable {
            self.ledger.borrow_mut().widening(token, self.now());
        }
        let done = self.manage(server, (method, &path, "")).await.is_some();
        let now = self.now();
        let mut ledger = self.ledger.borrow_mut();
        match change {
            Change::Enable if !done => ledger.uncertain(token),
            Change::Enable => {}
            _ if !done => {}
            Change::Disable => ledger.narrowed(token, now, "it was disabled"),
            Change::Delete => ledger.narrowed(token, now, "it was deleted"),
        }
        if done {
            self.tokens.borrow_mut()[token].changed = Some((now, change == Change::Enable));
        }
        done
    }

    /// Changes a token on this server. Retries while the response is 503, as people do.
    pub(crate) async fn change(&self, server: usize, token: usize, change: Change) -> Outcome<()> {
        for _ in 0..ATTEMPTS {
            if self.try_change(server, token, change).await {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        Err(format!("{change:?} did not succeed").into())
    }

    async fn manage(
        &self,
        server: usize,
        (method, path, body): (&str, &str, &str),
    ) -> Option<Answer> {
        let address = self.servers[server].address()?;
        let request = http::request(method, path, &self.manager, body);
        let answer = http::call(address, &request, PATIENCE).await.ok()?;
        self.note_status(answer.status, || String::from_utf8_lossy(&answer.body).into_owned());
        answer.is_done().then_some(answer)
    }
}
