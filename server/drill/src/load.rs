//! Verifications: connections that query each replica continuously, and single requests right after
//! a revocation was answered, which wait at a paused replica until it resumes.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Outcome,
    http::{self, Connection, Reply},
    random::Random,
    tally::{Answer, Verification},
    world::{SCOPES, World},
};

/// A paused or cut off replica answers late, and its answer still counts.
const PATIENCE: Duration = Duration::from_secs(30);

/// The endpoint that verifies a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// `POST /api/v1/verify`
    Verify,
    /// `GET /auth/forward`
    Forward,
}

/// Verifies tokens on one replica forever.
pub(crate) async fn verify_forever(
    world: Rc<World>,
    replica: usize,
    mut random: Random,
) -> Outcome<()> {
    let mut connection = None;
    let connections = world.arguments.connections * world.replicas.len();
    let pause = match world.arguments.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs(1) * u32::try_from(connections)? / u32::try_from(rate)?,
    };
    let mut next = Instant::now();
    loop {
        if pause.is_zero() {
            // Responses that have already arrived must not prevent other tasks from running.
            tokio::task::yield_now().await;
        } else {
            next = (next + pause).max(Instant::now());
            sleep_until(next).await;
        }
        let chosen = world.pool.borrow_mut().choose(&mut random, world.now());
        let Some((secret, scope)) = chosen else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        let endpoint = if random.percent(70) { Endpoint::Verify } else { Endpoint::Forward };
        let question = Question { replica, secret, scope, endpoint };
        if question.ask(&world, &mut connection).await.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends one verification to every replica at once.
pub(crate) fn probe(world: &Rc<World>, secret: usize, scope: usize) {
    for replica in 0..world.replicas.len() {
        for endpoint in [Endpoint::Verify, Endpoint::Forward] {
            let world = Rc::clone(world);
            spawn_local(async move {
                let question = Question { replica, secret, scope, endpoint };
                question.ask(&world, &mut None).await;
            });
        }
    }
}

/// A verification to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) replica: usize,
    pub(crate) secret: usize,
    pub(crate) scope: usize,
    pub(crate) endpoint: Endpoint,
}

impl Question {
    /// Sends the verification on this connection or a new one, and has the answer judged. Returns
    /// `None` if the replica cannot be reached.
    async fn ask(self, world: &World, connection: &mut Option<Connection>) -> Option<()> {
        let kept = world.stale.borrow().find(&self, world.now());
        if let Some(answer) = kept {
            let now = world.now();
            world.record(self.verification(now, now, answer));
            // Without any I/O, the other tasks need an explicit turn.
            tokio::task::yield_now().await;
            return Some(());
        }
        if connection.is_none() {
            *connection = Connection::open(world.replicas[self.replica].address()?).await.ok();
        }
        let request = self.request(world);
        let begin = world.now();
        let reply = connection.as_mut()?.ask(&request, PATIENCE).await;
        let end = world.now();
        let kept = reply.as_ref().is_ok_and(|reply| reply.kept);
        let answer = reply.map_or(Answer::None, |reply| self.understand(reply));
        if !kept {
            *connection = None;
        }
        let verification = self.verification(begin, end, answer);
        world.stale.borrow_mut().keep(&self, &verification);
        world.record(verification);
        Some(())
    }

    const fn verification(self, begin: u64, end: u64, answer: Answer) -> Verification {
        Verification { question: self, begin, end, answer }
    }

    fn request(self, world: &World) -> Vec<u8> {
        let pool = world.pool.borrow();
        let (secret, scope) = (&pool.secrets[self.secret].text, SCOPES[self.scope]);
        match self.endpoint {
            Endpoint::Verify => {
                let body =
                    format!(r#"{{"token":"{secret}","audience":"default","scopes":["{scope}"]}}"#);
                http::request("POST", "/api/v1/verify", &world.access.verifier, &body)
            }
            Endpoint::Forward => {
                let path = format!("/auth/forward?audience=default&scope={scope}");
                http::request("GET", &path, &format!("authorization: Bearer {secret}\r\n"), "")
            }
        }
    }

    fn understand(self, reply: Reply<'_>) -> Answer {
        let code = match self.endpoint {
            Endpoint::Verify => http::code(reply.body),
            Endpoint::Forward => http::header(reply.head, b"x-tessera-code")
                .and_then(|code| std::str::from_utf8(code).ok()),
        };
        match (reply.status, self.endpoint, code) {
            (200, _, Some("VALID")) | (200, Endpoint::Forward, _) => Answer::Accept,
            (200, Endpoint::Verify, Some(code)) | (401 | 403, Endpoint::Forward, Some(code)) => {
                Answer::Refuse(known(code))
            }
            // The caller's own token, which no part of the drill changes.
            (401 | 403, Endpoint::Verify, _) => Answer::Refuse("(caller)"),
            (503, ..) => Answer::Unavailable,
            (status, ..) => Answer::Odd(status),
        }
    }
}

/// Returns the code as a static string.
fn known(code: &str) -> &'static str {
    const CODES: [&str; 12] = [
        "NOT_FOUND",
        "MALFORMED",
        "DISABLED",
        "EXPIRED",
        "REVOKED",
        "NOT_YET_VALID",
        "AUDIENCE_MISMATCH",
        "INSUFFICIENT_SCOPE",
        "IP_DENIED",
        "RATE_LIMITED",
        "OWNER_DISABLED",
        "VALID",
    ];
    CODES.iter().find(|known| **known == code).copied().unwrap_or("(unknown code)")
}
