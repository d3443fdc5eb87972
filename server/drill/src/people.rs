//! Users who are disabled and enabled, removed from the workspace and added again, with effect on
//! all their tokens.

use std::rc::Rc;

use tokio::time::sleep;

use crate::{
    Outcome,
    change::{Choice, Made, Route, Wish},
    history::Direction,
    load::probe,
    random::Random,
    setup,
    world::{User, World},
};

/// The number of users at a time.
pub(crate) const USERS: usize = 16;
/// The number of secrets of a narrowed user that are verified at once.
const PROBED: usize = 4;

/// Changes users forever, one at a time. This task is number `turn` of `turns`.
pub(crate) async fn change_forever(
    world: Rc<World>,
    mut random: Random,
    (turn, turns): (usize, usize),
) -> Outcome<()> {
    loop {
        sleep(random.millis(200, 1_500)).await;
        let usable: Vec<usize> = {
            let pool = world.pool.borrow();
            (0..pool.users.len())
                .filter(|index| index % turns == turn && pool.users[*index].usable)
                .collect()
        };
        if usable.len() < USERS / turns {
            // Replaces a user that was given up because of its unknown state.
            setup::add_user(&world).await?;
        }
        let Some(index) = random.pick(&usable).copied() else { continue };
        world.pool.borrow_mut().users[index].usable = false;
        let user = world.pool.borrow().users[index].clone();
        let membership = random.percent(50);
        let (off, on) = wishes(&world, &user, membership);
        let choice = if random.percent(35) { Choice::Any } else { Choice::Undisturbed };
        let route =
            if random.percent(5) { Route::Command } else { world.route(&mut random, choice) };
        let made = if membership || world.arguments.once {
            world.make(&off, route).await
        } else {
            world.insist(&off, (&mut random, Choice::Any), route).await
        };
        if !matches!(made, Made::Done(_)) {
            continue;
        }
        let secrets = world.pool.borrow().of_user(index);
        for (number, secret) in secrets.into_iter().enumerate() {
            let now = world.now();
            world.pool.borrow_mut().mark_hot(secret, 0, now);
            if number < PROBED {
                probe(&world, secret, 0);
            }
        }
        sleep(random.millis(100, 5_000)).await;
        let route = world.route(&mut random, Choice::Undisturbed);
        let made = world.insist(&on, (&mut random, Choice::Undisturbed), route).await;
        if matches!(made, Made::Done(_)) {
            world.pool.borrow_mut().users[index].usable = true;
        }
    }
}

/// Returns the change that stops a user, and the change that lets the user act again.
fn wishes(world: &World, user: &User, membership: bool) -> (Wish, Wish) {
    let words =
        |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    if membership {
        let conditions = vec![user.member];
        let members = "/api/v1/workspaces/workspace-1/members";
        let headers = world.access.session.clone();
        let off = Wish {
            direction: Direction::Narrow,
            what: "remove member",
            conditions,
            method: "DELETE",
            path: format!("{members}/{}", user.id),
            headers,
            body: String::new(),
            command: Some(words(&["member", "remove", &user.email, "--workspace", "workspace-1"])),
        };
        let body = serde_json::json!({ "user": user.email, "role": "member" }).to_string();
        let on = Wish {
            direction: Direction::Widen,
            what: "add member",
            method: "POST",
            path: members.to_owned(),
            body,
            command: None,
            ..off.clone()
        };
        return (off, on);
    }
    let off = Wish {
        direction: Direction::Narrow,
        what: "disable user",
        conditions: vec![user.enabled],
        method: "PATCH",
        path: format!("/api/v1/users/{}", user.id),
        headers: world.access.session.clone(),
        body: r#"{"enabled":false}"#.into(),
        command: Some(words(&["user", "disable", &user.email])),
    };
    let on = Wish {
        direction: Direction::Widen,
        what: "enable user",
        body: r#"{"enabled":true}"#.into(),
        command: None,
        ..off.clone()
    };
    (off, on)
}
