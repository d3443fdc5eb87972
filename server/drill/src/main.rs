//! `make drill-revocation`: once a revocation is answered, no replica accepts the token.
//!
//! Three real servers share a PostgreSQL, each through its own proxy. Connections verify tokens
//! continuously, and writers create and revoke tokens, while random faults pause, cut off, delay,
//! deafen and kill the replicas. The pure rules of `history` judge every answer.
//!
//! `drill failover` is another drill, which fails the database over (`failover`).
//!
//! To add a fault, add a variant in `faults`. To add a way of revoking, add one in `writer` or
//! `people`, with the condition that it narrows.
//!
//! The proxies reset connections and hold their bytes back, which needs no root. If the drill runs
//! as root, replicas have their own networks (`namespace`), with cables that are unplugged.

mod arguments;
mod change;
mod database;
mod failover;
mod faults;
mod history;
mod http;
mod load;
mod namespace;
mod people;
mod proxy;
mod random;
mod replica;
mod report;
mod setup;
mod stale;
mod tally;
mod world;
mod writer;

use std::{
    error::Error,
    fs,
    io::Write as _,
    panic,
    process::ExitCode,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::{JoinSet, LocalSet},
    time::sleep,
};

use arguments::Arguments;
use database::Database;
use setup::Folder;
use world::World;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The number of tasks that change users.
const PEOPLE: usize = 2;
/// The number of violations that a control run must find.
const FOUND: u64 = 3;

/// Whether any part has panicked, including tasks whose result is not awaited.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Ordering::Relaxed);
        usual(panic);
    }));
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("drill: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Outcome<bool> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "failover") {
        words.remove(0);
        return block_on(async |folder| {
            tokio::select! {
                result = failover::run(words, folder) => result,
                () = interrupted() => Err("interrupted".into()),
            }
        });
    }
    if words.iter().any(|word| word == "--help") {
        say(arguments::USAGE);
        return Ok(true);
    }
    let arguments = Arguments::read(words.into_iter())?;
    block_on(async |folder| run(arguments, folder).await)
}

/// Runs everything on one thread, with a folder for it.
fn block_on(part: impl AsyncFnOnce(&Folder) -> Outcome<bool>) -> Outcome<bool> {
    // Removed last, when no replica remains that could write to it.
    let folder = Folder(std::env::temp_dir().join(format!("tessera-drill-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, part(&folder))
}

async fn run(arguments: Arguments, folder: &Folder) -> Outcome<bool> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => a_seed()?,
    };
    let url = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is missing: run this with tools/with-postgres.sh")?;
    let database = Database::of_url(&url)?;
    let name = format!("drill_{}", std::process::id());
    say(&format!("seed {seed}"));
    let result = tokio::select! {
        result = drill(arguments, seed, database.clone(), (&name, folder)) => result,
        () = interrupted() => Err("interrupted".into()),
    };
    let _ = database.run("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    result
}

async fn drill(
    arguments: Arguments,
    seed: u64,
    database: Database,
    (name, folder): (&str, &Folder),
) -> Outcome<bool> {
    let world = Rc::new(setup::world(arguments, seed, database, (name, &folder.0)).await?);
    let mut tasks = begin(&world);
    let ended = tokio::select! {
        () = until_enough(&world) => {
            if PANICKED.load(Ordering::Relaxed) { Err("a task panicked".into()) } else { Ok(()) }
        }
        Some(ended) = tasks.join_next() => match ended {
            Ok(Ok(())) => Err("a part of the drill stopped early".into()),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.to_string()),
        },
    };
    tasks.shutdown().await;
    for replica in &world.replicas {
        replica.kill();
    }
    let text = report::text(&world, seed);
    say(&text);
    ended?;
    let failures = report::failures(&world);
    let violations = world.tally.borrow().violations;
    if world.arguments.is_control() {
        say(if violations > 0 {
            "As expected: the mechanism was switched off, and stale accepts were found."
        } else {
            "FAILED: the mechanism was switched off, but no stale accept was found."
        });
        return Ok(violations > 0);
    }
    if failures.is_empty() {
        say("Passed: no verification that began after a revocation's response was accepted.");
        return Ok(true);
    }
    fs::create_dir_all(&world.arguments.folder)?;
    let file = world.arguments.folder.join(format!("failure-{seed}.txt"));
    fs::write(&file, text)?;
    say(&format!("FAILED: {}\nsaved to {}", failures.join("; "), file.display()));
    Ok(false)
}

/// Starts all parts.
fn begin(world: &Rc<World>) -> JoinSet<Result<(), String>> {
    let mut tasks = JoinSet::new();
    let text = |result: Outcome<()>| result.map_err(|error| error.to_string());
    for index in 0..world.replicas.len() {
        for _ in 0..world.arguments.connections {
            let task = load::verify_forever(Rc::clone(world), index, world.chance());
            tasks.spawn_local(async move { text(task.await) });
        }
        if world.arguments.calm {
            continue;
        }
        let task = faults::disturb_forever(Rc::clone(world), index, world.chance());
        tasks.spawn_local(async move { text(task.await) });
    }
    for _ in 0..world.arguments.writers {
        let task = writer::write_forever(Rc::clone(world), world.chance());
        tasks.spawn_local(async move { text(task.await) });
    }
    for turn in 0..PEOPLE {
        let task = people::change_forever(Rc::clone(world), world.chance(), (turn, PEOPLE));
        tasks.spawn_local(async move { text(task.await) });
    }
    tasks
}

/// Waits until there were enough verifications, or the time is over.
async fn until_enough(world: &World) {
    const STEP: Duration = Duration::from_millis(200);
    let mut steps = 0_u64;
    loop {
        sleep(STEP).await;
        steps += 1;
        if steps.is_multiple_of(50) {
            say(&report::progress(world));
        }
        let tally = world.tally.borrow();
        let time = world.began.elapsed();
        let enough = if world.arguments.is_control() {
            tally.violations >= FOUND
        } else {
            tally.after_revoke >= world.arguments.after_revoke && time >= world.arguments.least
        };
        // A failure needs no more proof. The rest of its history arrives within a second.
        let failed = !world.arguments.is_control() && tally.violations >= FOUND;
        if PANICKED.load(Ordering::Relaxed) || enough || failed || time >= world.arguments.most {
            return;
        }
    }
}

async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut one), Ok(mut two), Ok(mut three)] = signals.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = one.recv() => {}
        _ = two.recv() => {}
        _ = three.recv() => {}
    }
}

/// Returns a random seed.
fn a_seed() -> Outcome<u64> {
    use std::io::Read as _;
    let mut bytes = [0; 4];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes).into())
}

/// Prints a line. A closed standard output does not stop the drill.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
