//! How often a client may guess a password, and what other users can do about it.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::{net::IpAddr, sync::Arc};

use crate::support::{OWNER, PASSWORD, World, password};
use authority::{
    Actor, Authority, NewUser, OpContext, ServiceError, Settings, SignIn, SignedIn, Surface,
    clock::SystemClock, entropy::SystemEntropy, keys::Keys, secret::KnownBrowser,
};
use domain::roles::{InstanceRole, UserKind};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use time::Duration;

const WRONG: &str = "wrong password here";

/// A client that tries to sign in.
#[derive(Clone, Default)]
struct Guesser {
    address: Option<IpAddr>,
    known: Option<KnownBrowser>,
}

impl Guesser {
    fn at(address: &str) -> Self {
        Self { address: Some(address.parse().unwrap()), known: None }
    }

    fn with(mut self, signed_in: &SignedIn) -> Self {
        self.known.clone_from(&signed_in.known_browser);
        self
    }

    fn context(&self, world: &World) -> OpContext {
        world.authority.context(Actor::Anonymous, Surface::Console, "test".into(), self.address)
    }

    async fn tries(
        &self,
        world: &World,
        email: &str,
        text: &str,
    ) -> Result<SignedIn, ServiceError> {
        let sign_in = SignIn {
            email: email.into(),
            password: password(text),
            user_agent: None,
            known_browser: self.known.clone(),
        };
        world.authority.sessions().sign_in(&self.context(world), sign_in).await
    }

    /// Guesses wrong passwords until it has to wait. Returns how many were checked, and for how
    /// long it has to wait.
    async fn exhausts(&self, world: &World, email: &str) -> (usize, u64) {
        for checked in 0..200 {
            match self.tries(world, email, WRONG).await.map(drop).unwrap_err() {
                ServiceError::InvalidCredentials => {}
                ServiceError::TooManyAttempts(wait) => return (checked, wait),
                other => panic!("{other:?}"),
            }
        }
        panic!("nothing stops it");
    }
}

fn checks(authority: &Authority) -> u64 {
    authority.counters().snapshot().password_checks
}

/// Uses up the attempts that the account has from anywhere.
async fn exhaust_account(world: &World, email: &str) {
    for number in 1..=50 {
        let guesser = Guesser::at(&format!("198.51.100.{number}"));
        let _ = guesser.tries(world, email, "x").await;
    }
}

#[sqlx::test(migrations = false)]
async fn parallel_guesses_at_several_servers_share_one_limit(pool: PgPool) {
    let keys = Keys::generate(&SystemEntropy).to_toml();
    let keys = || Keys::from_toml(keys.expose_secret()).unwrap();
    let world = World::with_keys(pool, keys()).await;
    // Servers of one instance: each has its own memory, but they share the database and the keys.
    let servers: Vec<Authority> = (0..3)
        .map(|_| {
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
            Authority::new(world.pool.clone(), keys(), clock, entropy, Settings::default())
        })
        .collect();
    let guesses = (0..96).map(|number| {
        let server = servers[number % 3].clone();
        let ctx = server.context(
            Actor::Anonymous,
            Surface::Kriten,
            "guess".into(),
            Some("192.0.2.66".parse().unwrap()),
        );
        tokio::spawn(async move {
            let sign_in = SignIn {
                email: OWNER.into(),
                password: password(WRONG),
                user_agent: None,
                known_browser: None,
            };
            server.sessions().sign_in(&ctx, sign_in).await.map(drop)
        })
    });
    let guesses: Vec<_> = guesses.collect();
    let (mut wrong, mut stopped) = (0, 0);
    for guess in guesses {
        match guess.await.unwrap().unwrap_err() {
            ServiceError::InvalidCredentials => wrong += 1,
            ServiceError::TooManyAttempts(_) => stopped += 1,
            other => panic!("{other:?}"),
        }
    }
    let hashed: u64 = servers.iter().map(checks).sum();
    assert_eq!((wrong, stopped, hashed), (10, 86, 10));
}

#[sqlx::test(migrations = false)]
async fn parallel_correct_passwords_all_sign_in_and_use_no_attempts(pool: PgPool) {
    let world = World::founded(pool).await;
    for _ in 0..4 {
        let guesser = Guesser::at("192.0.2.7");
        let (a, b, c) = tokio::join!(
            guesser.tries(&world, OWNER, PASSWORD),
            guesser.tries(&world, OWNER, PASSWORD),
            guesser.tries(&world, OWNER, PASSWORD),
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    }
    assert_eq!(Guesser::at("192.0.2.7").exhausts(&world, OWNER).await.0, 10);
}

#[sqlx::test(migrations = false)]
async fn successful_sign_ins_are_limited_by_person_and_address_and_are_not_failures(pool: PgPool) {
    let world =
        World::with_settings(pool, Settings { right_sign_ins: 2, ..Settings::default() }).await;
    let home = Guesser::at("192.0.2.7");
    for _ in 0..2 {
        home.tries(&world, OWNER, PASSWORD).await.unwrap();
    }
    for _ in 0..12 {
        let stopped = home.tries(&world, OWNER, PASSWORD).await;
        assert!(matches!(stopped, Err(ServiceError::TooManyAttempts(1))), "{stopped:?}");
    }
    // Neither the person at another address nor other users at this one are blocked.
    Guesser::at("198.51.100.9").tries(&world, OWNER, PASSWORD).await.unwrap();
    world.person("grace", None).await;
    home.tries(&world, "grace@example.com", PASSWORD).await.unwrap();
    world.pass(Duration::seconds(1));
    home.tries(&world, OWNER, PASSWORD).await.unwrap();
    // Correct passwords do not use up any of the permitted wrong ones.
    assert_eq!(home.exhausts(&world, OWNER).await.0, 10);
}

#[sqlx::test(migrations = false)]
async fn guesses_from_one_address_delay_only_that_address(pool: PgPool) {
    let world = World::founded(pool).await;
    // Unknown accounts behave the same, as does text that is not an address.
    for email in [OWNER, "nobody@example.com", "not an address"] {
        let guesser = Guesser::at("192.0.2.66");
        assert_eq!(guesser.exhausts(&world, email).await, (10, 5), "{email}");
        let stopped = guesser.tries(&world, &format!(" {} ", email.to_uppercase()), PASSWORD).await;
        assert!(matches!(stopped, Err(ServiceError::TooManyAttempts(5))), "{email}");
        world.pass(Duration::seconds(5));
        assert_eq!(guesser.exhausts(&world, email).await, (1, 10), "{email}: the delay grows");
    }
    Guesser::at("192.0.2.8").tries(&world, OWNER, PASSWORD).await.unwrap();
    // The account is not locked for this address either: it waits, and can then sign in.
    let guesser = Guesser::at("192.0.2.66");
    assert_eq!(guesser.exhausts(&world, OWNER).await, (1, 20));
    assert!(guesser.tries(&world, OWNER, PASSWORD).await.is_err());
    world.pass(Duration::seconds(20));
    guesser.tries(&world, OWNER, PASSWORD).await.unwrap();
    assert_eq!(guesser.exhausts(&world, OWNER).await.0, 10, "a success resets the count");
}

#[sqlx::test(migrations = false)]
async fn address_is_slowed_down_across_accounts_and_continues_after_a_delay(pool: PgPool) {
    let world = World::founded(pool).await;
    for (guesser, neighbour) in
        [(Guesser::at("2001:db8:1:2::1"), Some("2001:db8:1:2:ffff::2")), (Guesser::default(), None)]
    {
        let mut stopped = None;
        for number in 0..110 {
            let email = format!("nobody{number}@example.com");
            if let Err(ServiceError::TooManyAttempts(wait)) =
                guesser.tries(&world, &email, "x").await
            {
                stopped = Some((number, wait));
                break;
            }
        }
        assert_eq!(stopped, Some((100, 6)));
        if let Some(neighbour) = neighbour {
            let neighbour = Guesser::at(neighbour);
            let refused = neighbour.tries(&world, OWNER, PASSWORD).await;
            assert!(matches!(refused, Err(ServiceError::TooManyAttempts(_))), "one /64");
            Guesser::at("2001:db8:1:3::1").tries(&world, OWNER, PASSWORD).await.unwrap();
        }
        world.pass(Duration::seconds(6));
        guesser.tries(&world, OWNER, PASSWORD).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn known_browser_has_attempts_that_others_cannot_use_up(pool: PgPool) {
    let world = World::founded(pool).await;
    let home = Guesser::at("192.0.2.1");
    let browser = home.clone().with(&home.tries(&world, OWNER, PASSWORD).await.unwrap());
    // Another client behind the same proxy, and many elsewhere.
    Guesser::at("192.0.2.1").exhausts(&world, OWNER).await;
    exhaust_account(&world, OWNER).await;
    let stranger = Guesser::at("203.0.113.9").tries(&world, OWNER, PASSWORD).await;
    assert!(matches!(stranger, Err(ServiceError::TooManyAttempts(1..=60))), "{stranger:?}");
    let again = browser.tries(&world, OWNER, PASSWORD).await.unwrap();
    let browser = browser.with(&again);
    assert_eq!(browser.exhausts(&world, OWNER).await, (5, 5), "a small budget");
    world.pass(Duration::seconds(5));
    let again = browser.tries(&world, OWNER, PASSWORD).await.unwrap();

    // The proof is valid for this account, for 30 days, and cannot be forged.
    world.person("grace", None).await;
    exhaust_account(&world, "grace@example.com").await;
    // From an address that no account has signed in from.
    let other = Guesser::at("203.0.113.20").with(&again);
    assert!(other.tries(&world, "grace@example.com", PASSWORD).await.is_err());
    let mut forged = other.clone();
    let text = other.known.as_ref().unwrap().expose().to_owned();
    let last = if text.ends_with('A') { 'E' } else { 'A' };
    forged.known = Some(KnownBrowser::new(format!("{}{last}", &text[..text.len() - 1])));
    exhaust_account(&world, OWNER).await;
    assert!(forged.tries(&world, OWNER, PASSWORD).await.is_err());
    other.tries(&world, OWNER, PASSWORD).await.unwrap();
    world.pass(Duration::days(30));
    exhaust_account(&world, OWNER).await;
    let late = Guesser { address: Some("198.51.100.1".parse().unwrap()), ..other };
    assert!(late.tries(&world, OWNER, PASSWORD).await.is_err());
}

#[sqlx::test(migrations = false)]
async fn browser_is_known_for_each_of_its_accounts(pool: PgPool) {
    let world = World::founded(pool).await;
    world.person("grace", None).await;
    let mut browser = Guesser::at("192.0.2.1");
    browser = browser.clone().with(&browser.tries(&world, OWNER, PASSWORD).await.unwrap());
    let grace = "grace@example.com";
    browser = browser.clone().with(&browser.tries(&world, grace, PASSWORD).await.unwrap());
    for (number, email) in [OWNER, grace, OWNER].into_iter().enumerate() {
        exhaust_account(&world, email).await;
        // From an address that no account has signed in from.
        browser.address = Some(format!("203.0.113.{number}").parse().unwrap());
        browser = browser.clone().with(&browser.tries(&world, email, PASSWORD).await.unwrap());
    }
    assert_eq!(browser.known.unwrap().expose().split('.').count(), 2);
}

#[sqlx::test(migrations = false)]
async fn new_password_and_the_end_of_sessions_make_browsers_unknown(pool: PgPool) {
    let world = World::founded(pool).await;
    let home = Guesser::at("192.0.2.1");
    let grace = NewUser {
        email: "grace@example.com".into(),
        name: None,
        kind: UserKind::Person,
        instance_role: InstanceRole::Member,
        password: Some(password(PASSWORD)),
    };
    world.authority.users().create(&world.operator(), grace).await.unwrap();
    for end in ["password", "one session", "all sessions"] {
        let signed_in = home.tries(&world, OWNER, PASSWORD).await.unwrap();
        let browser = Guesser::at("203.0.113.9").with(&signed_in);
        let sessions = world.authority.sessions();
        let found = sessions.resolve(&world.anonymous(), &signed_in.secret).await.unwrap().unwrap();
        match end {
            "password" => {
                // The same password with a new hash.
                let sql = "UPDATE users SET password_hash = other.password_hash FROM users other
                            WHERE users.email = 'ada@example.com' AND other.email = 'grace@example.com'";
                world.execute(sql).await;
            }
            "one session" => sessions.end(&world.operator(), found.id).await.unwrap(),
            _ => {
                sessions.end_all(&world.operator(), Some(OWNER)).await.unwrap();
            }
        }
        exhaust_account(&world, OWNER).await;
        let refused = browser.tries(&world, OWNER, PASSWORD).await;
        assert!(matches!(refused, Err(ServiceError::TooManyAttempts(_))), "{end}: {refused:?}");
        world.pass(Duration::days(1));
    }
}

#[sqlx::test(migrations = false)]
async fn obsolete_attempts_are_deleted(pool: PgPool) {
    let world = World::founded(pool).await;
    Guesser::at("192.0.2.1").exhausts(&world, "nobody@example.com").await;
    let rows = async || -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM sign_in_attempts");
        count.fetch_one(&world.pool).await.unwrap()
    };
    assert_eq!(rows().await, 3);
    world.pass(Duration::hours(1));
    world.authority.forget_ended().await.unwrap();
    assert_eq!(rows().await, 1, "the delay still grows");
    world.pass(Duration::hours(12));
    world.authority.forget_ended().await.unwrap();
    assert_eq!(rows().await, 0);
}

/// Uses up the bucket that an attempt has just found full, and that refills every `every_s`
/// seconds, as `burst` attempts would.
async fn use_up(world: &World, burst: i64, every_s: i64) {
    let now = world.anonymous().now;
    let sql = "UPDATE sign_in_attempts SET open_at = $1, forget_at = $1 WHERE open_at = $2";
    let update = sqlx::query(sql).bind(now + Duration::seconds(burst * every_s));
    let found = update.bind(now + Duration::seconds(every_s)).execute(&world.pool).await.unwrap();
    assert_eq!(found.rows_affected(), 1);
}

/// Has the same effect as [`exhaust_account`], but checks only one password.
async fn use_up_account(world: &World, email: &str) {
    assert!(Guesser::at("198.51.100.1").tries(world, email, WRONG).await.is_err());
    use_up(world, 50, 60).await;
}

#[sqlx::test(migrations = false)]
async fn attack_from_many_addresses_leaves_attempts_to_known_networks(pool: PgPool) {
    let world = World::founded(pool).await;
    world.person("grace", None).await;
    // Clients without cookies, such as those of Kriten's API.
    let home = Guesser::at("2001:db8:1:2::1");
    home.tries(&world, OWNER, PASSWORD).await.unwrap();
    use_up_account(&world, OWNER).await;
    // A network is known only to the accounts that signed in from it.
    use_up_account(&world, "grace@example.com").await;
    assert!(home.tries(&world, "grace@example.com", PASSWORD).await.is_err());
    for minute in 0..3 {
        world.pass(Duration::minutes(1));
        // The attacker takes each refilled attempt first.
        let attacker = Guesser::at(&format!("203.0.113.{minute}"));
        let guess = attacker.tries(&world, OWNER, WRONG).await;
        assert!(matches!(guess, Err(ServiceError::InvalidCredentials)), "{guess:?}");
        let stranger = Guesser::at("192.0.2.77").tries(&world, OWNER, PASSWORD).await;
        assert!(matches!(stranger, Err(ServiceError::TooManyAttempts(_))), "{stranger:?}");
        // Any address of the /64, by any client.
        let neighbour = Guesser::at(&format!("2001:db8:1:2:ffff::{minute}"));
        neighbour.tries(&world, OWNER, PASSWORD).await.unwrap();
    }
    // Guesses from there are still limited.
    assert_eq!(home.exhausts(&world, OWNER).await, (10, 5));
    // It stays known for exactly 30 days.
    world.pass(Duration::days(30) - Duration::minutes(1));
    use_up_account(&world, OWNER).await;
    assert!(Guesser::at("192.0.2.77").tries(&world, OWNER, PASSWORD).await.is_err());
    home.tries(&world, OWNER, PASSWORD).await.unwrap();
    world.pass(Duration::days(30));
    use_up_account(&world, OWNER).await;
    let late = home.tries(&world, OWNER, PASSWORD).await;
    assert!(matches!(late, Err(ServiceError::TooManyAttempts(_))), "{late:?}");
}

#[sqlx::test(migrations = false)]
async fn account_knows_its_last_twenty_networks_for_thirty_days(pool: PgPool) {
    let world = World::founded(pool).await;
    let rows = async || -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM sign_in_networks");
        count.fetch_one(&world.pool).await.unwrap()
    };
    for number in 1..=21 {
        world.pass(Duration::minutes(1));
        let place = Guesser::at(&format!("192.0.2.{number}"));
        place.tries(&world, OWNER, PASSWORD).await.unwrap();
    }
    // Failed attempts make no network known.
    use_up_account(&world, OWNER).await;
    assert_eq!(rows().await, 20);
    assert!(Guesser::at("192.0.2.1").tries(&world, OWNER, PASSWORD).await.is_err());
    Guesser::at("192.0.2.2").tries(&world, OWNER, PASSWORD).await.unwrap();
    Guesser::at("192.0.2.21").tries(&world, OWNER, PASSWORD).await.unwrap();
    world.authority.forget_ended().await.unwrap();
    assert_eq!(rows().await, 20);
    world.pass(Duration::days(30));
    world.authority.forget_ended().await.unwrap();
    assert_eq!(rows().await, 0);
}

#[sqlx::test(migrations = false)]
async fn networks_of_one_site_are_slowed_down_together_and_known_ones_are_not(pool: PgPool) {
    let world = World::founded(pool).await;
    let home = Guesser::at("2001:db8:1:ffff::1");
    home.tries(&world, OWNER, PASSWORD).await.unwrap();
    let guess = async |network: u16| {
        let guesser = Guesser::at(&format!("2001:db8:1:{network:x}::1"));
        let email = format!("nobody{network}@example.com");
        guesser.tries(&world, &email, WRONG).await.map(drop).unwrap_err()
    };
    assert!(matches!(guess(1).await, ServiceError::InvalidCredentials));
    use_up(&world, 300 - 1, 2).await;
    assert!(matches!(guess(2).await, ServiceError::InvalidCredentials));
    let stopped = guess(3).await;
    assert!(matches!(stopped, ServiceError::TooManyAttempts(2)), "{stopped:?}");
    let neighbour = Guesser::at("2001:db8:1:77::1");
    assert!(neighbour.tries(&world, OWNER, PASSWORD).await.is_err());
    home.tries(&world, OWNER, PASSWORD).await.unwrap();
    Guesser::at("2001:db8:2:77::1").tries(&world, OWNER, PASSWORD).await.unwrap();
    world.pass(Duration::seconds(2));
    neighbour.tries(&world, OWNER, PASSWORD).await.unwrap();
}
