//! The stage: the primary cluster, two servers with a proxy each, and the verifiers, which send
//! verifications continuously.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    arguments::{Arguments, Control},
    cluster::{Cluster, PATIENCE, Programs},
    ledger::{Accept, Ledger, SERVERS},
    made::{Token, Truth, truth},
};
use crate::{
    Outcome,
    history::Moment,
    http::{self, Connection},
    proxy::{Proxy, Way},
    random::Random,
    replica::{Recipe, Replica},
    setup,
    world::{Cli, nanoseconds},
};

/// The lease of a server.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// The number of connections that verify tokens on each server.
const VERIFIERS: usize = 3;
/// The number of newest tokens that are verified.
const VERIFIED: usize = 60;
/// The pause of a verifier between two requests.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a server may take to answer from the new history, and less for a server that never
/// will.
const CONVERGES: Duration = Duration::from_secs(40);
const CONVERGES_NOT: Duration = Duration::from_secs(6);

/// The state of a drill.
#[derive(Debug)]
pub(crate) struct Stage {
    began: Instant,
    folder: PathBuf,
    number: Cell<usize>,
    control: Control,
    pub(crate) servers: [Replica; SERVERS],
    pub(crate) cli: Cli,
    pub(crate) manager: String,
    verifier: String,
    primary: RefCell<Rc<Cluster>>,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) tokens: RefCell<Vec<Token>>,
    /// The first token of this scenario.
    first: Cell<usize>,
    /// A token that the verifiers skip for now.
    hidden: Cell<Option<usize>>,
    /// A token that only the new history accepts, and when each server first accepted it.
    sign: Cell<Option<usize>>,
    signs: [Cell<Option<Moment>>; SERVERS],
    accepts: RefCell<Vec<Accept>>,
    counts: RefCell<BTreeMap<String, u64>>,
    violations: RefCell<Vec<String>>,
    notes: RefCell<Vec<String>>,
}

/// A promotion, and the content of the new primary before any write to it.
#[derive(Debug)]
pub(crate) struct Switch {
    /// Before the promotion.
    pub(crate) promoted: Moment,
    /// After the promotion.
    pub(crate) done: Moment,
    pub(crate) truth: Truth,
}

/// The findings of a scenario.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) violations: Vec<String>,
}

/// A server's answer about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Valid,
    Refused,
    /// 503, or no response.
    Nothing,
}

impl Stage {
    /// Starts a primary, both servers and the verifiers.
    pub(crate) async fn new(
        arguments: &Arguments,
        folder: &Path,
    ) -> Outcome<(Rc<Self>, JoinSet<()>)> {
        let programs = Programs::from_environment()?;
        let primary = Cluster::create(&programs, folder.join("p0")).await?;
        primary.start().await?;
        primary.database.run("postgres", "CREATE DATABASE drill").await?;
        let environment = match arguments.control {
            Control::None => Vec::new(),
            Control::History => vec![("TESSERA_DRILL_WITHOUT_HISTORY", "1")],
            Control::Lease => vec![("TESSERA_DRILL_WITHOUT_LEASE", "1")],
        };
        let (binary, keys) = (arguments.binary.clone(), folder.join("keys.toml"));
        let recipe = Recipe { binary: binary.clone(), keys: keys.clone(), environment };
        let database_url = primary.database.url("drill");
        let cli = Cli { binary, database_url, keys, folder: folder.join("cli") };
        setup::administrator(&cli)?;
        let server = async |name| {
            let proxy = Proxy::start(Ipv4Addr::LOCALHOST, primary.database.socket()).await?;
            let url = primary.database.url_by(proxy.address(), "drill");
            let server = Replica::new(name, (proxy, None), recipe.clone(), url, folder);
            server.start().await?;
            Outcome::Ok(server)
        };
        let servers = [server("S0").await?, server("S1").await?];
        let stage = Rc::new(Self {
            began: Instant::now(),
            folder: folder.to_owned(),
            number: Cell::new(1),
            control: arguments.control,
            servers,
            manager: setup::bearer(&cli, &["tokens:read", "tokens:write", "rivers:run"])?,
            verifier: setup::bearer(&cli, &["verify"])?,
            cli,
            primary: RefCell::new(Rc::new(primary)),
            ledger: RefCell::default(),
            tokens: RefCell::default(),
            first: Cell::new(0),
            hidden: Cell::new(None),
            sign: Cell::new(None),
            signs: Default::default(),
            accepts: RefCell::default(),
            counts: RefCell::default(),
            violations: RefCell::default(),
            notes: RefCell::default(),
        });
        let mut verifiers = JoinSet::new();
        for server in 0..SERVERS {
            for seed in 0..VERIFIERS {
                let (stage, random) =
                    (Rc::clone(&stage), Random::new((server * VERIFIERS + seed) as u64));
                verifiers.spawn_local(verify_forever(stage, server, random));
            }
        }
        Ok((stage, verifiers))
    }

    pub(crate) fn now(&self) -> Moment {
        nanoseconds(self.began.elapsed())
    }

    /// Returns a new number.
    pub(crate) fn next(&self) -> usize {
        self.number.replace(self.number.get() + 1)
    }

    /// Returns the current primary.
    pub(crate) fn primary(&self) -> Rc<Cluster> {
        Rc::clone(&self.primary.borrow())
    }

    /// Returns a folder for another cluster.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join(format!("p{}", self.next()))
    }

    /// Begins a scenario: only tokens that are created from now on count.
    pub(crate) fn begin(&self) {
        self.first.set(self.tokens.borrow().len());
        self.sign.set(None);
        self.signs.iter().for_each(|sign| sign.set(None));
    }

    /// Creates a standby that streams from the primary and has caught up with it.
    pub(crate) async fn standby(&self) -> Outcome<Cluster> {
        let primary = self.primary();
        let standby = primary.copy(self.home(), true).await?;
        standby.start().await?;
        primary
            .wait_for(
                "postgres",
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
                "1",
            )
            .await?;
        standby.caught_up(&primary).await?;
        Ok(standby)
    }

    /// Kills the primary and cuts every connection to it.
    pub(crate) async fn crash(&self) -> Outcome<Moment> {
        self.primary().kill()?;
        self.cut().await;
        Ok(self.now())
    }

    /// Cuts every connection to the database.
    pub(crate) async fn cut(&self) {
        for server in &self.servers {
            server.proxy.set(Way::Cut);
        }
        // Otherwise the proxy could reopen before its connections noticed the cut.
        sleep(Duration::from_millis(30)).await;
    }

    /// Promotes a standby and reads its content.
    pub(crate) async fn promote(&self, standby: &Cluster) -> Outcome<Switch> {
        let promoted = self.now();
        standby.promote().await?;
        Ok(Switch { promoted, done: self.now(), truth: truth(standby).await? })
    }

    /// Directs new connections of a server to a cluster, and cuts open connections if `cut` is set.
    pub(crate) async fn direct(&self, server: usize, cluster: &Cluster, cut: bool) {
        let proxy = &self.servers[server].proxy;
        proxy.direct_to(cluster.database.socket());
        if cut {
            proxy.set(Way::Cut);
            sleep(Duration::from_millis(30)).await;
        }
        proxy.set(Way::Open);
    }

    /// Makes a cluster the primary and directs both servers to it.
    pub(crate) async fn direct_all(&self, cluster: Cluster) -> Rc<Cluster> {
        for server in 0..SERVERS {
            self.direct(server, &cluster, true).await;
        }
        self.become_primary(cluster)
    }

    /// Makes a cluster the primary. The previous one is stopped when its last reference is dropped.
    pub(crate) fn become_primary(&self, cluster: Cluster) -> Rc<Cluster> {
        let cluster = Rc::new(cluster);
        self.primary.replace(Rc::clone(&cluster));
        cluster
    }

    /// Makes the verifiers skip this token.
    pub(crate) fn hide(&self, token: Option<usize>) {
        self.hidden.set(token);
    }

    /// Records that the token's history was never guaranteed to be kept.
    pub(crate) fn exempt(&self, token: usize) {
        self.tokens.borrow_mut()[token].is_exempt = true;
    }

    /// Verifies a token on a server until it gives this answer.
    pub(crate) async fn until(&self, server: usize, token: usize, wanted: Said) -> Outcome<()> {
        let deadline = Instant::now() + CONVERGES;
        let mut connection = None;
        while self.ask(server, token, &mut connection).await != wanted {
            if Instant::now() > deadline {
                return Err(format!("S{server} does not answer {wanted:?} for a token").into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Uses this token as the sign of the new history: only the new history accepts it.
    pub(crate) fn watch(&self, sign: usize) {
        self.sign.set(Some(sign));
    }

    /// Waits until a server has answered from the new history.
    pub(crate) async fn sign_of(&self, server: usize) -> Outcome<()> {
        let deadline = Instant::now() + self.patience();
        while self.signs[server].get().is_none() {
            if Instant::now() > deadline {
                return Err(format!("S{server} never answered from the new history").into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Reports whether the servers lack a mechanism, so that violations are expected.
    pub(crate) fn is_control(&self) -> bool {
        self.control != Control::None
    }

    const fn patience(&self) -> Duration {
        match self.control {
            Control::None => CONVERGES,
            _ => CONVERGES_NOT,
        }
    }

    /// Verifies a token on a server.
    pub(crate) async fn ask(
        &self,
        server: usize,
        token: usize,
        connection: &mut Option<Connection>,
    ) -> Said {
        let begin = self.now();
        let body =
            serde_json::json!({ "token": self.tokens.borrow()[token].text, "audience": "default" });
        let request = http::request("POST", "/api/v1/verify", &self.verifier, &body.to_string());
        let said = self.exchange(server, &request, connection).await;
        let end = self.now();
        if said == Said::Valid {
            self.accepts.borrow_mut().push(Accept { token, server, begin, end });
            if self.sign.get() == Some(token) && self.signs[server].get().is_none() {
                self.signs[server].set(Some(end));
            }
        }
        said
    }

    async fn exchange(&self, server: usize, request: &[u8], kept: &mut Option<Connection>) -> Said {
        let Some(address) = self.servers[server].address() else { return Said::Nothing };
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(address).await {
                Ok(connection) => connection,
                Err(_) => return Said::Nothing,
            },
        };
        let Ok(reply) = connection.ask(request, PATIENCE).await else { return Said::Nothing };
        self.note_status(reply.status, || String::from_utf8_lossy(reply.body).into_owned());
        let said = match (reply.status, http::code(reply.body)) {
            (200, Some("VALID")) => Said::Valid,
            (200, Some(_)) => Said::Refused,
            _ => Said::Nothing,
        };
        if reply.kept {
            *kept = Some(connection);
        }
        said
    }

    /// Counts a status. An internal error is always a violation.
    pub(crate) fn note_status(&self, status: u16, body: impl FnOnce() -> String) {
        *self.counts.borrow_mut().entry(format!("status {status}")).or_default() += 1;
        if status >= 500 && status != 503 {
            self.violations.borrow_mut().push(format!("status {status}: {}", body()));
        }
    }

    /// Records a figure for the report.
    pub(crate) fn note(&self, text: String) {
        self.notes.borrow_mut().push(text);
    }

    /// Records a violation.
    pub(crate) fn wrong(&self, text: String) {
        self.violations.borrow_mut().push(text);
    }

    /// Waits until both servers' answers about these tokens agree with the database.
    pub(crate) async fn converge(&self, truth: &Truth) -> Outcome<()> {
        let deadline = Instant::now() + self.patience();
        for server in 0..SERVERS {
            let mut connection = None;
            let all = self.tokens.borrow().len();
            for token in self.first.get()..all {
                let id = self.tokens.borrow()[token].id.clone();
                let wanted =
                    if truth.get(&id) == Some(&true) { Said::Valid } else { Said::Refused };
                loop {
                    let said = self.ask(server, token, &mut connection).await;
                    if said == wanted {
                        break;
                    }
                    if Instant::now() > deadline {
                        let text = format!(
                            "S{server} answers {said:?} for {id}, but the database says {wanted:?}"
                        );
                        // One such token is enough: waiting for the others would take as long.
                        return if self.control == Control::None {
                            Err(text.into())
                        } else {
                            Ok(())
                        };
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
        Ok(())
    }

    /// Ends a scenario: waits until both servers agree with the database, and judges every VALID.
    /// `left` is the latest time at which each server must have left the old history.
    pub(crate) async fn settle(
        &self,
        switch: &Switch,
        left: [Moment; SERVERS],
        all_kept: bool,
    ) -> Outcome<()> {
        let primary = self.primary();
        let now = truth(&primary).await?;
        let converged = self.converge(&now).await;
        let mut at = left;
        for (server, at) in at.iter_mut().enumerate() {
            *at = self.signs[server].get().unwrap_or(*at).min(*at);
        }
        let mut lost = Vec::new();
        {
            let tokens = self.tokens.borrow();
            let mut ledger = self.ledger.borrow_mut();
            for (index, token) in tokens.iter().enumerate().skip(self.first.get()) {
                let accepts = switch.truth.get(&token.id) == Some(&true);
                if token.made < switch.promoted || token.is_exempt {
                    ledger.failed_over(index, accepts, (switch.promoted, at));
                    if token.answered() < switch.promoted && accepts != token.is_accepted() {
                        lost.push(token.id.clone());
                    }
                }
                let is_promised = all_kept || token.answered() > switch.done && !token.is_exempt;
                if is_promised && (now.get(&token.id) == Some(&true)) != token.is_accepted() {
                    self.wrong(format!("an acknowledged change of {} was lost", token.id));
                }
            }
        }
        self.note(format!("{} acknowledged changes were lost", lost.len()));
        if self.control != Control::History {
            self.are_logged(&lost).await;
        }
        self.judge(switch.promoted);
        converged
    }

    /// Checks that the servers' logs contain each lost change.
    async fn are_logged(&self, lost: &[String]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let logs: String = self.logs().into_iter().map(|(_, log)| log).collect();
            let lines: Vec<&str> =
                logs.lines().filter(|line| line.contains("make the change again")).collect();
            let missing =
                lost.iter().find(|id| !lines.iter().any(|line| line.contains(id.as_str())));
            match missing {
                None => return,
                Some(id) if Instant::now() > deadline => {
                    return self.wrong(format!("no server logged that a change of {id} was lost"));
                }
                Some(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn judge(&self, promoted: Moment) {
        let accepts = self.accepts.take();
        let ledger = self.ledger.borrow();
        for server in 0..SERVERS {
            let ends: Vec<Moment> = accepts
                .iter()
                .filter(|accept| accept.server == server)
                .map(|accept| accept.end)
                .collect();
            let pauses = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
            let longest = Duration::from_nanos(pauses.max().unwrap_or_default());
            self.note(format!(
                "S{server} had gaps of at most {} ms between accepts",
                longest.as_millis()
            ));
        }
        let mut wrong = 0;
        for accept in &accepts {
            let Some(why) = ledger.judge(accept) else { continue };
            wrong += 1;
            let id = self.tokens.borrow()[accept.token].id.clone();
            let since = (accept.begin.saturating_sub(promoted)) / 1_000_000;
            self.wrong(format!(
                "S{} accepted {id} {since} ms after the promotion began, although {why}",
                accept.server
            ));
        }
        self.note(format!("{} accepts checked, {wrong} of them wrong", accepts.len()));
    }

    /// Returns the findings since the last report.
    pub(crate) fn report(&self) -> Report {
        let mut text = String::new();
        for note in self.notes.take() {
            let _ = writeln!(text, "  {note}");
        }
        for (what, count) in self.counts.take() {
            let _ = writeln!(text, "  {count:>8} {what}");
        }
        self.accepts.take();
        Report { text: text.trim_end().to_owned(), violations: self.violations.take() }
    }

    /// Returns the servers' logs.
    pub(crate) fn logs(&self) -> Vec<(&'static str, String)> {
        self.servers.iter().map(|server| (server.name, server.log())).collect()
    }

    fn choose(&self, random: &mut Random) -> Option<usize> {
        let length = self.tokens.borrow().len();
        let first = self.first.get().max(length.saturating_sub(VERIFIED));
        let chosen = (length > first).then(|| first + random.below(length - first));
        chosen.filter(|token| self.hidden.get() != Some(*token))
    }
}

async fn verify_forever(stage: Rc<Stage>, server: usize, mut random: Random) {
    let mut connection = None;
    loop {
        let said = match stage.choose(&mut random) {
            Some(token) => stage.ask(server, token, &mut connection).await,
            None => Said::Nothing,
        };
        sleep(if said == Said::Nothing { PAUSE * 20 } else { PAUSE }).await;
    }
}
