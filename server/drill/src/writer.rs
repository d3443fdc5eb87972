//! Writers: each creates tokens of its own and narrows them, one after another.

use std::{collections::VecDeque, rc::Rc};

use tokio::time::sleep;

use crate::{
    Outcome,
    change::{Choice, Made, Route, Wish},
    history::{Condition, Direction, Moment},
    http::Answer,
    load::probe,
    random::Random,
    world::{SCOPES, Secret, World, nanoseconds},
};

/// A living token.
#[derive(Clone, Debug)]
struct Token {
    id: String,
    alive: Condition,
    enabled: Condition,
    scopes: [Condition; SCOPES.len()],
    /// Its current secret, and the condition that this secret is current.
    secret: usize,
    current: Condition,
    held: usize,
}

/// The number of tokens from which on a writer narrows some while it creates more.
const START: usize = 3;

/// The ways to narrow a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Narrowing {
    Delete,
    Disable,
    Expire,
    Shrink,
    Rotate,
}

/// Writes forever.
pub(crate) async fn write_forever(world: Rc<World>, random: Random) -> Outcome<()> {
    let wanted = world.arguments.living / world.arguments.writers + 1;
    let mut writer = Writer { world, random, tokens: Vec::new(), resting: VecDeque::new() };
    loop {
        if writer.tokens.len() < wanted {
            writer.create().await;
        }
        if writer.tokens.len() > wanted.min(START) {
            writer.narrow().await;
            writer.enable_again().await;
            let pause = writer.random.millis(10, 150);
            sleep(pause).await;
        }
    }
}

struct Writer {
    world: Rc<World>,
    random: Random,
    tokens: Vec<Token>,
    /// Disabled tokens, and when to enable them again.
    resting: VecDeque<(Moment, Token)>,
}

impl Writer {
    async fn create(&mut self) {
        let world = Rc::clone(&self.world);
        let Some((user, email, conditions)) = self.user() else {
            return sleep(self.random.millis(20, 50)).await;
        };
        let [alive, enabled, current, run, read] = {
            let mut history = world.history.borrow_mut();
            [(); 5].map(|()| history.condition())
        };
        let scopes = [run, read];
        let body = serde_json::json!({
            "name": format!("drill-{}", self.random.below(usize::MAX)),
            "user": email, "audiences": ["default"], "scopes": SCOPES, "expires_in_s": 86_400,
        });
        let wish = self.wish(
            (Direction::Widen, "create"),
            ("POST", "/api/v1/workspaces/workspace-1/tokens".into(), body.to_string()),
            vec![alive, enabled, current, run, read],
        );
        let choice = if self.random.percent(20) { Choice::Any } else { Choice::Undisturbed };
        let route = world.route(&mut self.random, choice);
        let Made::Done(answer) = world.make(&wish, route).await else { return };
        let (Some(id), Some(text)) = (answer.text(&["token", "id"]), answer.text(&["secret"]))
        else {
            return;
        };
        let secret = world.pool.borrow_mut().add(Secret {
            text,
            user,
            conditions: [alive, enabled, current, conditions[0], conditions[1]],
            scopes,
            held: SCOPES.len(),
        });
        self.tokens.push(Token { id, alive, enabled, scopes, secret, current, held: 2 });
    }

    /// Returns a user for whom tokens can be created.
    fn user(&mut self) -> Option<(usize, String, [Condition; 2])> {
        let pool = self.world.pool.borrow();
        let usable: Vec<usize> =
            (0..pool.users.len()).filter(|index| pool.users[*index].usable).collect();
        let index = *self.random.pick(&usable)?;
        let user = &pool.users[index];
        Some((index, user.email.clone(), [user.enabled, user.member]))
    }

    async fn narrow(&mut self) {
        if self.tokens.is_empty() {
            return;
        }
        // Often chooses a new token: it may not be in any cache yet, so that it is loaded while it
        // changes.
        let index = if self.random.percent(30) {
            self.tokens.len() - 1
        } else {
            self.random.below(self.tokens.len())
        };
        let token = self.tokens.swap_remove(index);
        let kind = match self.random.below(100) {
            0..20 => Narrowing::Delete,
            20..50 => Narrowing::Disable,
            50..62 => Narrowing::Expire,
            62..80 if token.held == 2 => Narrowing::Shrink,
            _ => Narrowing::Rotate,
        };
        if kind == Narrowing::Rotate {
            self.rotate(token).await;
        } else {
            self.end(token, kind).await;
        }
    }

    async fn end(&mut self, token: Token, kind: Narrowing) {
        let path = format!("/api/v1/tokens/{}", token.id);
        let shorter = serde_json::json!({ "scopes": [SCOPES[0]] }).to_string();
        let (what, request, condition, command) = match kind {
            Narrowing::Delete => {
                ("delete", ("DELETE", path, String::new()), token.alive, Some("delete"))
            }
            Narrowing::Expire => {
                ("expire", ("POST", path + "/expire", String::new()), token.alive, Some("expire"))
            }
            Narrowing::Shrink => ("shrink", ("PATCH", path, shorter), token.scopes[1], None),
            Narrowing::Disable | Narrowing::Rotate => (
                "disable",
                ("POST", path + "/disable", String::new()),
                token.enabled,
                Some("disable"),
            ),
        };
        let mut wish = self.wish((Direction::Narrow, what), request, vec![condition]);
        wish.command =
            command.map(|command| vec!["token".into(), command.into(), token.id.clone()]);
        let scope = if kind == Narrowing::Shrink { 1 } else { self.random.below(token.held) };
        self.mark_hot(token.secret, scope);
        let made = self.send(&wish, kind != Narrowing::Delete).await;
        let world = Rc::clone(&self.world);
        if !matches!(made, Made::Done(_)) {
            return world.pool.borrow_mut().remove(token.secret);
        }
        self.mark_hot(token.secret, scope);
        probe(&world, token.secret, scope);
        if kind == Narrowing::Shrink {
            world.pool.borrow_mut().secrets[token.secret].held = 1;
            return self.tokens.push(Token { held: 1, ..token });
        }
        world.pool.borrow_mut().remove(token.secret);
        if kind == Narrowing::Disable && self.random.percent(70) {
            let rest = nanoseconds(self.random.millis(200, 7_000));
            self.resting.push_back((world.now() + rest, token));
        }
    }

    /// Sends a narrowing change: with a command, through two routes at once, or through one route,
    /// with retries until the outcome is known if that is possible.
    async fn send(&mut self, wish: &Wish, repeatable: bool) -> Made {
        let world = Rc::clone(&self.world);
        let choice = if self.random.percent(35) { Choice::Any } else { Choice::Undisturbed };
        let route = if wish.command.is_some() && self.random.percent(4) {
            Route::Command
        } else {
            world.route(&mut self.random, choice)
        };
        match self.random.below(100) {
            _ if !repeatable || world.arguments.once => world.make(wish, route).await,
            0..20 => {
                let other = world.route(&mut self.random, Choice::Any);
                world.twice(wish, [route, other]).await
            }
            _ => world.insist(wish, (&mut self.random, Choice::Any), route).await,
        }
    }

    /// Gives the token a new secret. The replaced one expires immediately.
    async fn rotate(&mut self, token: Token) {
        let world = Rc::clone(&self.world);
        let path = format!("/api/v1/tokens/{}/rotate", token.id);
        let wish = self.wish(
            (Direction::Narrow, "rotate"),
            ("POST", path, r#"{"grace_s":0}"#.into()),
            vec![token.current],
        );
        let begin = world.now();
        let scope = self.random.below(token.held);
        self.mark_hot(token.secret, scope);
        let made = self.send(&wish, false).await;
        world.pool.borrow_mut().remove(token.secret);
        let Made::Done(answer) = made else { return };
        self.mark_hot(token.secret, scope);
        probe(&world, token.secret, scope);
        self.tokens.extend(self.replaced(token, &answer, begin));
    }

    fn replaced(&self, token: Token, answer: &Answer, begin: Moment) -> Option<Token> {
        let text = answer.text(&["secret"])?;
        let mut history = self.world.history.borrow_mut();
        let current = history.condition();
        let id = history.begin((Direction::Widen, "new secret", "the rotation"), &[current], begin);
        history.end(id, crate::history::Outcome::Done(self.world.now()));
        let mut pool = self.world.pool.borrow_mut();
        let old = pool.secrets[token.secret].clone();
        let [alive, enabled, _, user, member] = old.conditions;
        let conditions = [alive, enabled, current, user, member];
        let secret = pool.add(Secret { text, conditions, ..old });
        Some(Token { secret, current, ..token })
    }

    /// Enables the tokens that have been disabled for long enough.
    async fn enable_again(&mut self) {
        let world = Rc::clone(&self.world);
        let Some(at) = self.resting.iter().position(|(due, _)| *due < world.now()) else { return };
        let Some((_, token)) = self.resting.remove(at) else { return };
        let path = format!("/api/v1/tokens/{}/enable", token.id);
        let request = ("POST", path, String::new());
        let wish = self.wish((Direction::Widen, "enable"), request, vec![token.enabled]);
        let route = world.route(&mut self.random, Choice::Undisturbed);
        let made = world.insist(&wish, (&mut self.random, Choice::Undisturbed), route).await;
        if matches!(made, Made::Done(_)) {
            world.pool.borrow_mut().restore(token.secret);
            self.tokens.push(token);
        }
    }

    fn mark_hot(&self, secret: usize, scope: usize) {
        self.world.pool.borrow_mut().mark_hot(secret, scope, self.world.now());
    }

    fn wish(
        &self,
        (direction, what): (Direction, &'static str),
        (method, path, body): (&'static str, String, String),
        conditions: Vec<Condition>,
    ) -> Wish {
        let headers = self.world.access.manager.clone();
        Wish { direction, what, conditions, method, path, headers, body, command: None }
    }
}
