//! Changes: sent through a replica or with a command, and recorded in the history before and after.

use std::{rc::Rc, time::Duration};

use tokio::{process::Command, sync::mpsc, task::spawn_local, time::timeout};

use crate::{
    history::{Condition, Direction, Outcome},
    http::{self, Answer},
    random::Random,
    replica,
    tally::{QUIET, millis},
    world::{World, nanoseconds},
};

/// Longer than any disturbance.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often a change is attempted until it is answered.
const ATTEMPTS: usize = 6;

/// A change to make.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) direction: Direction,
    pub(crate) what: &'static str,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The credential, as header lines.
    pub(crate) headers: String,
    pub(crate) body: String,
    /// The same change on the command line, if there is such a command.
    pub(crate) command: Option<Vec<String>>,
}

/// The way in which a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Replica(usize),
    Command,
}

/// The result of a change.
#[derive(Debug)]
pub(crate) enum Made {
    /// 2xx.
    Done(Answer),
    /// 503, a reset or no response.
    Unknown,
    /// 4xx.
    Refused,
}

/// The replicas that may make a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Any, whatever disturbs it.
    Any,
    /// An undisturbed replica, if there is one: a widening change with an unknown outcome leaves
    /// its condition uncertain permanently.
    Undisturbed,
}

impl World {
    /// Chooses a route for a change.
    pub(crate) fn route(&self, random: &mut Random, choice: Choice) -> Route {
        let all: Vec<usize> = (0..self.replicas.len()).collect();
        let now = self.now();
        let of = |quiet| move |index: &usize| self.replicas[*index].trouble.quiet_since(now, quiet);
        let undisturbed: Vec<usize> =
            all.iter().copied().filter(of(nanoseconds(QUIET) / 4)).collect();
        let some = if choice == Choice::Any || undisturbed.is_empty() { all } else { undisturbed };
        random.pick(&some).map_or(Route::Command, |index| Route::Replica(*index))
    }

    /// Makes a change once.
    pub(crate) async fn make(&self, wish: &Wish, route: Route) -> Made {
        self.make_within(wish, route, PATIENCE).await
    }

    async fn make_within(&self, wish: &Wish, route: Route, patience: Duration) -> Made {
        let (name, replica) = match route {
            Route::Replica(index) => (self.replicas[index].name, Some(index)),
            Route::Command => ("a command", None),
        };
        let begin = self.now();
        let label = (wish.direction, wish.what, name);
        let id = self.history.borrow_mut().begin(label, &wish.conditions, begin);
        let made = match route {
            Route::Replica(index) => self.call(wish, index, patience).await,
            Route::Command => self.command(wish).await,
        };
        let end = self.now();
        let outcome = match &made {
            Made::Done(_) => Outcome::Done(end),
            Made::Unknown => Outcome::Open,
            Made::Refused => Outcome::Void,
        };
        self.history.borrow_mut().end(id, outcome);
        let disturbance = self.disturbance(begin, replica);
        let mut tally = self.tally.borrow_mut();
        tally.change(
            wish.what,
            match &made {
                Made::Done(_) => "answered",
                Made::Unknown => "unknown",
                Made::Refused => "refused",
            },
        );
        if wish.direction == Direction::Narrow && matches!(made, Made::Done(_)) {
            tally.revokes.entry(disturbance).or_default().push(millis(end - begin));
        }
        made
    }

    async fn call(&self, wish: &Wish, index: usize, patience: Duration) -> Made {
        let Some(address) = self.replicas[index].address() else { return Made::Unknown };
        let request = http::request(wish.method, &wish.path, &wish.headers, &wish.body);
        match http::call(address, &request, patience).await {
            Ok(answer) if answer.is_done() => Made::Done(answer),
            Ok(answer) if (400..500).contains(&answer.status) => {
                let detail = answer.text(&["detail"]).unwrap_or_default();
                let how = format!("refused: {} {detail:.90}", answer.status);
                self.tally.borrow_mut().change(wish.what, how);
                Made::Refused
            }
            Ok(answer) if answer.status == 503 => Made::Unknown,
            Ok(answer) => {
                self.tally.borrow_mut().change(wish.what, format!("status {}", answer.status));
                Made::Unknown
            }
            Err(_) => Made::Unknown,
        }
    }

    async fn command(&self, wish: &Wish) -> Made {
        let Some(arguments) = &wish.command else { return Made::Unknown };
        let mut command = Command::from(replica::command(&self.cli.binary));
        command
            .args(arguments)
            .arg("--database-url")
            .arg(&self.cli.database_url)
            .arg("--keys-file")
            .arg(&self.cli.keys)
            .arg("--data-dir")
            .arg(&self.cli.folder)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        match timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) if output.status.success() => {
                Made::Done(Answer { status: 200, head: String::new(), body: output.stdout })
            }
            Ok(Ok(output)) => {
                let line: String =
                    String::from_utf8_lossy(&output.stderr).trim().chars().take(80).collect();
                self.tally.borrow_mut().change("command failed", line);
                Made::Unknown
            }
            _ => Made::Unknown,
        }
    }

    /// Makes a change, and retries it elsewhere while its outcome is unknown, as people do who must
    /// revoke. The response to the last attempt counts.
    pub(crate) async fn insist(
        &self,
        wish: &Wish,
        (random, choice): (&mut Random, Choice),
        mut route: Route,
    ) -> Made {
        for _ in 1..ATTEMPTS {
            // Some callers give up early. The change may be committed without being in force
            // everywhere.
            let patience = if random.percent(40) { random.millis(50, 900) } else { PATIENCE };
            match self.make_within(wish, route, patience).await {
                Made::Unknown => {}
                made => return made,
            }
            tokio::time::sleep(random.millis(5, 100)).await;
            route = self.route(random, choice);
        }
        self.make(wish, route).await
    }

    /// Sends the same change through two routes at the same time. The first response counts, and
    /// the other is ignored.
    pub(crate) async fn twice(self: &Rc<Self>, wish: &Wish, routes: [Route; 2]) -> Made {
        let (sender, mut results) = mpsc::unbounded_channel();
        for route in routes {
            let (world, wish, sender) = (Rc::clone(self), wish.clone(), sender.clone());
            spawn_local(async move {
                // The receiver is gone if the other was faster.
                let _ = sender.send(world.make(&wish, route).await);
            });
        }
        drop(sender);
        let mut last = Made::Unknown;
        while let Some(made) = results.recv().await {
            last = made;
            if matches!(last, Made::Done(_)) {
                break;
            }
        }
        last
    }
}
