//! Runs work that keeps a processor busy for longer than a millisecond, on separate threads.
//!
//! - Each [`Kind`] of work has a lane: a few threads and a bounded queue. One kind never waits for
//!   another, so that imports don't delay sign-ins.
//! - Within a lane, the waiting tenants take turns, and none of them can fill the queue. A caller
//!   that finds it full, or waits too long, gets [`ServiceError::Busy`].
//! - The threads have a lower priority than those that answer verifications (on Linux).
//! - A heavy function takes a [`Heavy`], which only these threads have. The compiler rejects a
//!   caller that would run it elsewhere.
//!
//! To add a kind of work: a variant and its row in [`Kind::limits`].

use std::{
    collections::VecDeque,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::ServiceError;

/// The maximum number of jobs that wait in a lane.
const WAITING_MAX: usize = 64;
/// The maximum number of password jobs that wait: enough that a few people and addresses cannot
/// fill the lane.
const PASSWORDS_MAX: usize = 512;
/// The maximum number of jobs of one tenant that wait in a lane.
const WAITING_OF_ONE: usize = 16;
/// How long a job may wait for a thread. Shorter than the database's timeout for idle transactions.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an idle thread is kept.
const REST: Duration = Duration::from_secs(10);
/// The stack size of a thread in bytes. The parsers of documents recurse.
const STACK: usize = 4 * 1024 * 1024;

/// A kind of heavy work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Hashing and checking passwords.
    Password,
    /// Judging new passwords.
    NewPassword,
    /// Compiling patterns of names, and matching the name of one token.
    Name,
    /// Reading and checking rows to import.
    Import,
    /// Writing rows for exports.
    Export,
    /// Reading catalogues.
    Document,
    /// Comparing all tokens with a policy.
    Preview,
    /// Reading the rights of tokens with many scopes.
    Rights,
    /// Comparing scopes with those that a caller may grant.
    Scopes,
    /// Deciding whose secrets other people may know.
    Secrets,
}

impl Kind {
    const COUNT: usize = 10;

    const fn limits(self) -> Limits {
        let (threads, waiting, nice) = match self {
            // Each takes 19 MiB, and a person waits for it at a form.
            Self::Password => (2, PASSWORDS_MAX, 5),
            Self::NewPassword => (1, PASSWORDS_MAX, 10),
            Self::Name | Self::Scopes => (2, WAITING_MAX, 10),
            // Verifications wait for it.
            Self::Rights => (2, WAITING_MAX, 5),
            Self::Import | Self::Export | Self::Document | Self::Preview | Self::Secrets => {
                (1, WAITING_MAX, 15)
            }
        };
        Limits { threads, waiting, nice }
    }
}

#[derive(Clone, Copy)]
struct Limits {
    /// The maximum number of threads.
    threads: usize,
    /// The maximum number of jobs that wait.
    waiting: usize,
    /// The nice value of the threads: how far their priority is lowered.
    nice: i32,
}

/// Proof that the code runs on one of the pool's threads. It cannot leave its thread.
pub(crate) struct Heavy(PhantomData<*const ()>);

#[cfg(test)]
impl Heavy {
    /// Returns a value for tests of functions, which have a thread to themselves.
    pub(crate) const fn test() -> Self {
        Self(PhantomData)
    }
}

/// The lanes of a server.
pub(crate) struct Pool {
    lanes: [Arc<Lane>; Kind::COUNT],
    patience: Duration,
}

struct Lane {
    limits: Limits,
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// The waiting tenants in the order of their turns, each with its jobs.
    tenants: VecDeque<(Uuid, VecDeque<Job>)>,
    waiting: usize,
    threads: usize,
    idle: usize,
}

type Job = Box<dyn FnOnce(&Heavy) + Send>;

/// The state of a job.
#[derive(Default)]
struct Progress(AtomicU8);

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Progress {
    /// Moves a job that still waits to this state. Returns whether it was waiting.
    fn leave(&self, next: u8) -> bool {
        self.0.compare_exchange(WAITS, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Withdraws a job that has not begun when its caller goes away.
struct Caller(Arc<Progress>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.leave(WITHDRAWN);
    }
}

impl Default for Pool {
    fn default() -> Self {
        let lane = |kind: Kind| {
            let limits = kind.limits();
            Arc::new(Lane { limits, state: Mutex::default(), ready: Condvar::new() })
        };
        Self {
            patience: PATIENCE,
            // In the order of the variants.
            lanes: [
                lane(Kind::Password),
                lane(Kind::NewPassword),
                lane(Kind::Name),
                lane(Kind::Import),
                lane(Kind::Export),
                lane(Kind::Document),
                lane(Kind::Preview),
                lane(Kind::Rights),
                lane(Kind::Scopes),
                lane(Kind::Secrets),
            ],
        }
    }
}

impl Pool {
    /// Runs work for a tenant on a thread of its kind, and returns its result.
    ///
    /// # Errors
    ///
    /// `Busy` when other work is ahead of it for too long; `Internal` when it panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        tenant: Uuid,
        work: impl FnOnce(&Heavy) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (done, mut answer) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        let caller = Caller(Arc::clone(&progress));
        let job = Box::new(move |heavy: &Heavy| {
            if progress.leave(BEGUN) {
                // The caller may have gone away meanwhile.
                let _ = done.send(work(heavy));
            }
        });
        self.lanes[kind as usize].submit(tenant, job)?;
        let outcome = match timeout(self.patience, &mut answer).await {
            Ok(outcome) => outcome,
            Err(_) if caller.0.leave(WITHDRAWN) => return Err(ServiceError::Busy),
            Err(_) => answer.await,
        };
        outcome.map_err(|_| ServiceError::internal(format!("{kind:?} work panicked")))
    }
}

impl Lane {
    fn submit(self: &Arc<Self>, tenant: Uuid, job: Job) -> Result<(), ServiceError> {
        let mut state = self.state();
        let place = state.tenants.iter().position(|(other, _)| *other == tenant);
        let own = place.map_or(0, |place| state.tenants[place].1.len());
        if state.waiting >= self.limits.waiting || own >= WAITING_OF_ONE {
            return Err(ServiceError::Busy);
        }
        match place {
            Some(place) => state.tenants[place].1.push_back(job),
            None => state.tenants.push_back((tenant, VecDeque::from([job]))),
        }
        state.waiting += 1;
        if state.waiting > state.idle && state.threads < self.limits.threads {
            let lane = Arc::clone(self);
            let thread = thread::Builder::new().name("work".to_owned()).stack_size(STACK);
            match thread.spawn(move || lane.attend()) {
                Ok(_) => state.threads += 1,
                // Other threads will do it, if there are any.
                Err(cause) if state.threads == 0 => {
                    state.tenants.clear();
                    state.waiting = 0;
                    return Err(ServiceError::internal(cause));
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Runs the waiting jobs. Returns after some time without work.
    fn attend(&self) {
        lower_priority(self.limits.nice);
        let heavy = Heavy(PhantomData);
        while let Some(job) = self.next() {
            // The caller notices a panic because no result arrives.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&heavy)));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.next() {
                return Some(job);
            }
            state.idle += 1;
            let (woken, rested) =
                self.ready.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if rested.timed_out() && state.waiting == 0 {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the first job of the tenant whose turn it is; the tenant then waits behind the
    /// others.
    fn next(&mut self) -> Option<Job> {
        let (tenant, mut jobs) = self.tenants.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.tenants.push_back((tenant, jobs));
        }
        self.waiting -= usize::from(job.is_some());
        job
    }
}

/// Lowers the priority of the calling thread, on systems where threads have their own priority.
pub fn lower_priority(nice: i32) {
    #[cfg(target_os = "linux")]
    {
        // On Linux, process 0 is the calling thread. Without a lower priority the thread still
        // works.
        let _ = rustix::process::setpriority_process(None, nice);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Keeps the only thread of a lane busy until the sender is dropped.
    async fn occupy(pool: &Arc<Pool>, kind: Kind) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let job = Box::new(move |_: &Heavy| {
            let _ = begun.send(());
            let _ = released.recv();
        });
        pool.lanes[kind as usize].submit(Uuid::nil(), job).unwrap();
        has_begun.await.unwrap();
        release
    }

    #[tokio::test]
    async fn work_runs_on_worker_threads_and_returns_its_result() {
        let pool = Pool::default();
        let name = |_: &Heavy| thread::current().name().map(ToOwned::to_owned);
        let ran_on = pool.run(Kind::Import, Uuid::nil(), name).await.unwrap();
        assert_eq!(ran_on.as_deref(), Some("work"));
    }

    #[tokio::test]
    async fn busy_kind_of_work_delays_no_other_kind() {
        let pool = Arc::new(Pool::default());
        let release = occupy(&pool, Kind::Import).await;
        assert_eq!(pool.run(Kind::Password, Uuid::nil(), |_| 7).await.unwrap(), 7);
        drop(release);
    }

    #[tokio::test]
    async fn tenants_take_turns() {
        let pool = Arc::new(Pool::default());
        let release = occupy(&pool, Kind::Import).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut jobs = Vec::new();
        for tenant in [1, 1, 1, 1, 2] {
            let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
            jobs.push(tokio::spawn(async move {
                let note = move |_: &Heavy| order.lock().unwrap().push(tenant);
                pool.run(Kind::Import, Uuid::from_u128(tenant), note).await.unwrap();
            }));
            // On this test's only thread, the job is in the queue afterwards.
            tokio::task::yield_now().await;
        }
        drop(release);
        for job in jobs {
            job.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 1, 1, 1]);
    }

    #[tokio::test]
    async fn tenant_cannot_fill_the_queue() {
        let pool = Arc::new(Pool::default());
        let release = occupy(&pool, Kind::Import).await;
        let ask = |tenant: u128| {
            let pool = Arc::clone(&pool);
            tokio::spawn(
                async move { pool.run(Kind::Import, Uuid::from_u128(tenant), |_| ()).await },
            )
        };
        let many: Vec<_> = (0..WAITING_OF_ONE + 3).map(|_| ask(1)).collect();
        tokio::task::yield_now().await;
        let other = ask(2);
        tokio::task::yield_now().await;
        drop(release);
        let mut refused = 0;
        for one in many {
            refused += usize::from(matches!(one.await.unwrap(), Err(ServiceError::Busy)));
        }
        assert_eq!(refused, 3);
        other.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn caller_that_waits_too_long_is_refused_and_the_work_is_not_done() {
        let pool = Arc::new(Pool { patience: Duration::ZERO, ..Pool::default() });
        let release = occupy(&pool, Kind::Import).await;
        let (run, ran) = mpsc::channel();
        let late = pool.run(Kind::Import, Uuid::nil(), move |_| run.send(()).unwrap()).await;
        assert!(matches!(late, Err(ServiceError::Busy)), "{late:?}");
        drop(release);
        // Withdrawn jobs are dropped when their turn comes, and the sender with them.
        assert!(ran.recv().is_err(), "the withdrawn job ran");
    }

    #[tokio::test]
    async fn panic_ends_only_its_job() {
        let pool = Pool::default();
        let ended = pool.run(Kind::Import, Uuid::nil(), |_| panic!("a fault")).await;
        assert!(matches!(ended, Err::<(), _>(ServiceError::Internal(_))), "{ended:?}");
        assert_eq!(pool.run(Kind::Import, Uuid::nil(), |_| 7).await.unwrap(), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn worker_threads_have_a_lower_priority_than_their_caller() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let nice = |_: &Heavy| rustix::process::getpriority_process(None).unwrap();
        let theirs = Pool::default().run(Kind::Import, Uuid::nil(), nice).await.unwrap();
        assert!(theirs > own || theirs == 19, "{theirs} is not a lower priority than {own}");
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }
}
