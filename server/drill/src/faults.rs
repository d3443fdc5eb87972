//! Faults of a replica: chosen at random, for a random time, repeatedly, with calm in between.

use std::{rc::Rc, time::Duration};

use tokio::time::sleep;

use crate::{
    Outcome,
    proxy::Way,
    random::Random,
    replica::{Away, Replica},
    tally::millis,
    world::{World, nanoseconds},
};

/// The duration of trouble, and of the calm that follows for all replicas at once: long enough that
/// for a part of it, each replica must work normally.
const TROUBLE: Duration = Duration::from_secs(14);
const CALM: Duration = Duration::from_secs(8);
/// After its database was away for this long, a replica has lost its lease.
const LONG: Duration = Duration::from_millis(2_500);

/// A fault of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// SIGSTOP, later SIGCONT.
    Stop,
    /// The proxy is cut.
    Cut,
    /// The cable is unplugged, if the replica has one.
    Unplug,
    /// The proxy is frozen, in both directions or only for responses.
    Freeze,
    FreezeAnswers,
    Delay,
    /// The replica is paused, and its connections are gone when it resumes.
    StopAndCut,
    /// The database's responses arrive after a pause that was longer than a lease.
    FreezeAndStop,
    /// PostgreSQL terminates the replica's listening connections, or all of them.
    EndListeners,
    EndBackends,
    /// SIGKILL, and a later start.
    Kill,
}

const FAULTS: [(Fault, &str); 11] = [
    (Fault::Stop, "stopped and continued"),
    (Fault::Cut, "database cut"),
    (Fault::Freeze, "database frozen"),
    (Fault::FreezeAnswers, "database's answers frozen"),
    (Fault::Delay, "database delayed"),
    (Fault::StopAndCut, "cut while stopped"),
    (Fault::FreezeAndStop, "stopped while answers were frozen"),
    (Fault::EndListeners, "listeners terminated"),
    (Fault::EndBackends, "all connections terminated"),
    (Fault::Kill, "killed and restarted"),
    // This is the last one, because it is left out without namespaces.
    (Fault::Unplug, "cable unplugged"),
];

/// Disturbs one replica forever.
pub(crate) async fn disturb_forever(
    world: Rc<World>,
    index: usize,
    mut random: Random,
) -> Outcome<()> {
    loop {
        sleep(random.millis(300, 4_500)).await;
        let replica = &world.replicas[index];
        if replica.has_ended()? {
            return Err(format!("replica {} exited: {}", replica.name, replica.log_end()).into());
        }
        let period = nanoseconds(TROUBLE + CALM);
        let at = Duration::from_nanos(world.now() % period);
        let Some(left) = TROUBLE.checked_sub(at) else {
            sleep((TROUBLE + CALM).saturating_sub(at)).await;
            continue;
        };
        let faults = &FAULTS[..FAULTS.len() - usize::from(replica.namespace.is_none())];
        let Some((fault, name)) = random.pick(faults).copied() else { continue };
        // Mostly short, sometimes longer than a lease.
        let (least, most) = if random.percent(35) { (1_500, 4_500) } else { (60, 1_000) };
        let time = random.millis(least, most).min(left);
        *world.tally.borrow_mut().disturbances.entry(name).or_default() += 1;
        replica.trouble.begin();
        apply(&world, index, (fault, time), &mut random).await?;
        replica.trouble.end(world.now());
    }
}

async fn apply(
    world: &World,
    index: usize,
    (fault, time): (Fault, Duration),
    random: &mut Random,
) -> Outcome<()> {
    let replica = &world.replicas[index];
    match fault {
        Fault::Stop => {
            replica.stop()?;
            sleep(time).await;
            replica.resume()?;
        }
        Fault::Cut => away(world, index, Some(Way::Cut), time).await?,
        Fault::Unplug => away(world, index, None, time).await?,
        Fault::Freeze => away(world, index, Some(Way::Frozen), time).await?,
        Fault::FreezeAnswers => away(world, index, Some(Way::AnswersFrozen), time).await?,
        Fault::Delay => {
            replica.proxy.set(Way::Delayed(random.millis(5, 250)));
            sleep(time).await;
            replica.proxy.set(Way::Open);
        }
        Fault::StopAndCut => {
            replica.stop()?;
            sleep(time / 2).await;
            replica.proxy.set(Way::Cut);
            sleep(time / 4).await;
            replica.resume()?;
            sleep(time / 4).await;
            replica.proxy.set(Way::Open);
        }
        Fault::FreezeAndStop => {
            replica.proxy.set(Way::AnswersFrozen);
            sleep(time / 4).await;
            replica.stop()?;
            sleep(time / 2).await;
            // Either may come first.
            if random.percent(50) {
                replica.proxy.set(Way::Open);
                sleep(time / 4).await;
                replica.resume()?;
            } else {
                replica.resume()?;
                sleep(time / 4).await;
                replica.proxy.set(Way::Open);
            }
        }
        Fault::EndListeners => end(world, index, " AND query ILIKE 'listen%'").await?,
        Fault::EndBackends => end(world, index, "").await?,
        Fault::Kill => {
            replica.kill();
            sleep(time).await;
            replica.start().await?;
        }
    }
    Ok(())
}

/// Keeps the database away for a time, with the proxy or, if `way` is `None`, with the cable, and
/// records the replica's answers during this time.
async fn away(world: &World, index: usize, way: Option<Way>, time: Duration) -> Outcome<()> {
    let replica = &world.replicas[index];
    set(replica, way, false).await?;
    replica.trouble.away.set(Some(Away { since: world.now(), ..Away::default() }));
    sleep(time).await;
    let away = replica.trouble.away.take();
    replica.trouble.back.set(Some(world.now()));
    set(replica, way.map(|_| Way::Open), true).await?;
    if let Some(away) = away
        && time > LONG
    {
        let mut tally = world.tally.borrow_mut();
        let after = |moment: u64| millis(moment - away.since);
        tally.first_refusals.extend(away.first_refusal.map(after));
        tally.last_accepts.extend(away.last_accept.map(after));
    }
    Ok(())
}

async fn set(replica: &Replica, way: Option<Way>, plugged: bool) -> Outcome<()> {
    match (way, &replica.namespace) {
        (Some(way), _) => replica.proxy.set(way),
        (None, Some(namespace)) => namespace.plug(plugged).await?,
        (None, None) => return Err("the replica has no cable".into()),
    }
    Ok(())
}

/// Makes PostgreSQL terminate the replica's connections.
async fn end(world: &World, index: usize, which: &str) -> Outcome<()> {
    let backends = world.replicas[index].proxy.backends();
    if backends.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({backends}){which}"
    );
    world.database.run("postgres", &statement).await?;
    Ok(())
}
