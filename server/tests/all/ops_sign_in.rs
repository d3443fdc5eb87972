//! Guessing passwords on several servers of one instance.

use std::{collections::BTreeMap, sync::Barrier, thread};

use crate::support::{
    Request, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD, open_folder},
};
use serde_json::json;

/// The number of concurrent guesses.
const GUESSES: usize = 72;
/// The number of guesses that the limit of an account allows from one address.
const CHECKED: usize = 10;

fn login(server: &Server, password: &str) -> Request {
    let body = json!({"username": ADMIN_EMAIL, "password": password, "provider": "local"});
    server.request("POST", "/api/v1/login").json(&body)
}

#[test]
fn parallel_guesses_at_two_servers_stay_within_the_limit() {
    let folder = open_folder();
    let house = folder.path().join("house");
    let host = Server::builder().data_dir(&house).start();
    host.admin();
    let url = format!("postgres://tessera@localhost/tessera?host={}", house.join("run").display());
    let guest = Server::builder()
        .env("TESSERA_DATABASE_URL", &url)
        .env("TESSERA_KEYS_FILE", &house.join("keys.toml").to_string_lossy())
        .start();

    let together = Barrier::new(GUESSES);
    let mut answers = BTreeMap::new();
    thread::scope(|scope| {
        let guesses: Vec<_> = (0..GUESSES)
            .map(|number| {
                let server = if number % 2 == 0 { &host } else { &guest };
                let (attempt, together) =
                    (login(server, &format!("guess {number} of many")), &together);
                scope.spawn(move || {
                    together.wait();
                    let answer = attempt.send();
                    let wait = answer.header("retry-after").map(str::to_owned);
                    assert_eq!(wait.is_some(), answer.status == 429, "{}", answer.text());
                    answer.status
                })
            })
            .collect();
        for guess in guesses {
            *answers.entry(guess.join().expect("an answer")).or_insert(0) += 1;
        }
    });
    // The first delay may be over before a slow machine has sent the last guess. It allows one more
    // guess each time.
    let checked = answers[&401];
    assert!((CHECKED..=CHECKED + 2).contains(&checked), "{answers:?}");
    assert_eq!(checked + answers[&429], GUESSES, "{answers:?}");
    let stopped = login(&host, ADMIN_PASSWORD).send();
    assert_eq!(
        stopped.json()["error"].as_str().map(|text| text.starts_with("Too many")),
        Some(true)
    );
}
