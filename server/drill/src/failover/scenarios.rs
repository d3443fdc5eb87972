//! The scenarios: what happens to the database.

use std::{pin::Pin, process::Stdio, rc::Rc, time::Duration};

use tokio::time::sleep;

use super::{
    cluster::Cluster,
    ledger::SERVERS,
    made::{Change, truth},
    stage::{LEASE, Said, Stage, Switch},
    writers::Writers,
};
use crate::{
    Outcome,
    history::Moment,
    setup,
    world::{Cli, nanoseconds},
};

type Running<'a> = Pin<Box<dyn Future<Output = Outcome<()>> + 'a>>;
type Scenario = for<'a> fn(&'a Rc<Stage>) -> Running<'a>;

/// All scenarios by name.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("asynchronous standby that lacks commits", |stage| Box::pin(lost(stage))),
    ("server paused during the promotion", |stage| Box::pin(paused(stage))),
    ("asynchronous standby, promoted under load", |stage| Box::pin(loaded(stage, false))),
    ("synchronous standby, promoted under load", |stage| Box::pin(loaded(stage, true))),
    ("old primary still runs, synchronous", |stage| Box::pin(fenced_by_replication(stage))),
    ("old primary still runs, asynchronous and not fenced", |stage| Box::pin(not_fenced(stage))),
    ("backup started in place of the database", |stage| Box::pin(backup(stage))),
    ("dump restored behind running servers", |stage| Box::pin(dump(stage))),
];

/// How long writers write before and after a promotion.
const LOAD: Duration = Duration::from_secs(2);

/// Tokens whose last change the standby lacks, and others.
struct Cast {
    /// Created, and its creation is lost.
    ghost: usize,
    /// Disabled, then enabled, and the enabling is lost.
    enabled: usize,
    /// Disabled, and the disabling is lost: only the new history accepts it.
    sign: usize,
    /// Deleted, in both histories.
    deleted: usize,
    /// Not used before the failover.
    unused: usize,
}

/// Creates the tokens and waits until both servers have loaded them. `keep` runs before the changes
/// that will be lost.
async fn cast(stage: &Stage, keep: impl AsyncFnOnce() -> Outcome<()>) -> Outcome<Cast> {
    stage.begin();
    let [enabled, sign, deleted, unused] =
        [stage.make(0).await?, stage.make(1).await?, stage.make(0).await?, stage.make(1).await?];
    stage.hide(Some(unused));
    stage.change(0, enabled, Change::Disable).await?;
    stage.change(1, deleted, Change::Delete).await?;
    keep().await?;
    let ghost = stage.make(1).await?;
    stage.change(0, enabled, Change::Enable).await?;
    stage.change(1, sign, Change::Disable).await?;
    for server in 0..SERVERS {
        for (token, wanted) in [(ghost, Said::Valid), (enabled, Said::Valid), (sign, Said::Refused)]
        {
            stage.until(server, token, wanted).await?;
        }
    }
    stage.watch(sign);
    Ok(Cast { ghost, enabled, sign, deleted, unused })
}

/// Returns when a lease that was renewed until this moment expires.
fn lease_from(moment: Moment) -> [Moment; SERVERS] {
    [moment + nanoseconds(LEASE); SERVERS]
}

async fn lost(stage: &Rc<Stage>) -> Outcome<()> {
    let standby = stage.standby().await?;
    let primary = stage.primary();
    let cast = cast(stage, async || {
        standby.caught_up(&primary).await?;
        standby.cut_off().await
    })
    .await?;
    drop(primary);
    let crashed = stage.crash().await?;
    let switch = stage.promote(&standby).await?;
    let primary = stage.direct_all(standby).await;
    expect(&switch, stage, &cast)?;
    // The uses of the ghost are still to be written, together with this one.
    stage.hide(None);
    stage.settle(&switch, lease_from(crashed), false).await?;
    used(stage, &primary, cast.unused).await
}

/// Checks that the new history is what the scenario needs.
fn expect(switch: &Switch, stage: &Stage, cast: &Cast) -> Outcome<()> {
    let holds = |token: usize| switch.truth.get(&stage.tokens.borrow()[token].id).copied();
    let found = [cast.ghost, cast.enabled, cast.sign, cast.deleted].map(holds);
    if found == [None, Some(false), Some(true), Some(false)] {
        return Ok(());
    }
    Err(format!("the new history contains {found:?}").into())
}

/// Waits until the last use of a token is written.
async fn used(stage: &Stage, primary: &Cluster, token: usize) -> Outcome<()> {
    if stage.is_control() {
        return Ok(());
    }
    let id = stage.tokens.borrow()[token].id.clone();
    let sql = format!("SELECT last_used_at IS NOT NULL FROM tokens WHERE id = '{id}'");
    primary.wait_for("drill", &sql, "t").await?;
    stage.note("uses of other tokens were written together with those of a lost token".to_owned());
    Ok(())
}

/// The old primary keeps running, and the paused server keeps its connections to it.
async fn paused(stage: &Rc<Stage>) -> Outcome<()> {
    let standby = stage.standby().await?;
    let old = stage.primary();
    let cast = cast(stage, async || {
        standby.caught_up(&old).await?;
        standby.cut_off().await
    })
    .await?;
    stage.servers[0].stop()?;
    let stopped = stage.now();
    let switch = stage.promote(&standby).await?;
    stage.direct(0, &standby, false).await;
    stage.direct(1, &standby, true).await;
    stage.become_primary(standby);
    stage.sign_of(1).await?;
    // The new history answers, while the other server is silent.
    stage.change(1, cast.sign, Change::Delete).await?;
    let over = Duration::from_nanos(stage.now() - stopped);
    sleep((LEASE + Duration::from_millis(500)).saturating_sub(over)).await;
    let resumed = stage.now();
    stage.servers[0].resume()?;
    stage.hide(None);
    let left = [resumed, switch.done + nanoseconds(LEASE)];
    let settled = stage.settle(&switch, left, false).await;
    drop(old);
    settled
}

async fn loaded(stage: &Rc<Stage>, synchronous: bool) -> Outcome<()> {
    let standby = stage.standby().await?;
    if synchronous {
        stage.primary().set("synchronous_standby_names", "'*'").await?;
    }
    stage.begin();
    let writers = Writers::start(stage);
    sleep(LOAD).await;
    let crashed = stage.crash().await?;
    let switch = stage.promote(&standby).await?;
    stage.direct_all(standby).await;
    sleep(LOAD * 2).await;
    writers.stop().await;
    stage.settle(&switch, lease_from(crashed), synchronous).await
}

/// The old primary waits for its standby, so it commits nothing and a server there has no lease.
async fn fenced_by_replication(stage: &Rc<Stage>) -> Outcome<()> {
    let standby = stage.standby().await?;
    let old = stage.primary();
    old.set("synchronous_standby_names", "'*'").await?;
    stage.begin();
    let (kept, deleted) = (stage.make(0).await?, stage.make(1).await?);
    for server in 0..SERVERS {
        stage.until(server, kept, Said::Valid).await?;
        stage.until(server, deleted, Said::Valid).await?;
    }
    let switch = stage.promote(&standby).await?;
    let silent = switch.done + nanoseconds(LEASE);
    stage.direct(1, &standby, true).await;
    stage.become_primary(standby);
    stage.until(1, kept, Said::Valid).await?;
    stage.change(1, deleted, Change::Delete).await?;
    sleep(LEASE * 2).await;
    let moved = stage.now();
    for token in [kept, deleted] {
        let forbidden = ([silent, Moment::MAX], moved);
        let why = "its database commits nothing, so it has no lease";
        stage.ledger.borrow_mut().forbid(token, forbidden, why);
    }
    let primary = stage.primary();
    stage.direct(0, &primary, true).await;
    let settled = stage.settle(&switch, [moved; SERVERS], true).await;
    drop(old);
    settled
}

/// Nothing is guaranteed for a server that reaches only the old primary. When its proxy switches to
/// the new one, it must detect this by itself although its connections are not cut.
async fn not_fenced(stage: &Rc<Stage>) -> Outcome<()> {
    let standby = stage.standby().await?;
    let old = stage.primary();
    warned(stage, &old).await?;
    let cast = cast(stage, async || {
        standby.caught_up(&old).await?;
        standby.cut_off().await
    })
    .await?;
    let switch = stage.promote(&standby).await?;
    stage.direct(1, &standby, true).await;
    stage.become_primary(standby);
    stage.sign_of(1).await?;
    let astray = stage.make(0).await?;
    stage.exempt(astray);
    stage.until(0, astray, Said::Valid).await?;
    let primary = stage.primary();
    stage.direct(0, &primary, false).await;
    stage.sign_of(0).await?;
    stage.change(1, cast.sign, Change::Delete).await?;
    stage.hide(None);
    let left = [Moment::MAX, switch.done + nanoseconds(LEASE)];
    let settled = stage.settle(&switch, left, false).await;
    drop(old);
    settled
}

/// Checks that `tessera doctor` reports that the standby is asynchronous.
async fn warned(stage: &Stage, primary: &Cluster) -> Outcome<()> {
    let cli = Cli { database_url: primary.database.url("drill"), ..stage.cli.clone() };
    let mut command = tokio::process::Command::from(setup::tessera(&cli, &["doctor"]));
    let output = command.stdin(Stdio::null()).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("all standbys are asynchronous") {
        stage.wrong(format!("`tessera doctor` does not warn of the asynchronous standby: {said}"));
    }
    Ok(())
}

/// The same cluster on the same timeline, restored from an earlier backup.
async fn backup(stage: &Rc<Stage>) -> Outcome<()> {
    let primary = stage.primary();
    let mut copy = None;
    let cast = cast(stage, async || {
        copy = Some(primary.copy(stage.home(), false).await?);
        Ok(())
    })
    .await?;
    let copy = copy.ok_or("the copy is missing")?;
    stage.cut().await;
    primary.stop().await?;
    let stopped = stage.now();
    drop(primary);
    copy.start().await?;
    let switch = Switch { promoted: stopped, done: stage.now(), truth: truth(&copy).await? };
    stage.direct_all(copy).await;
    expect(&switch, stage, &cast)?;
    stage.hide(None);
    stage.settle(&switch, lease_from(stopped), false).await
}

/// The same running server, whose tables are replaced.
async fn dump(stage: &Rc<Stage>) -> Outcome<()> {
    let primary = stage.primary();
    let file = primary.home().join("dump.sql").display().to_string();
    let file_of = format!("--file={file}");
    let cast = cast(stage, async || {
        primary.client("pg_dump", &["--clean", "--if-exists", "--no-owner", &file_of]).await
    })
    .await?;
    let promoted = stage.now();
    let psql =
        ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", &file_of];
    let mut tries = 0;
    // PostgreSQL may resolve a deadlock in favour of the servers' statements.
    while let Err(error) = primary.client("psql", &psql).await {
        tries += 1;
        if tries == 5 {
            return Err(error);
        }
    }
    let switch = Switch { promoted, done: stage.now(), truth: truth(&primary).await? };
    expect(&switch, stage, &cast)?;
    stage.hide(None);
    stage.settle(&switch, lease_from(switch.done), false).await
}
