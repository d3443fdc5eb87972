//! The data that a tenant stores makes no verification slow and no response large.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::future::poll_fn;

use crate::support::{World, demand, draft, slug};
use authority::{
    ANSWERS_MAX, Format, LoadOptions, MintedToken, OpContext, ServiceError, TokenDraft, TokenPatch,
    catalogue_file::parse_toml,
};
use domain::{
    catalogue::URI_MAX,
    decision::{DecisionCode, Demand},
    held::HELD_BYTES_MAX,
    problem::FieldError,
};
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

/// The number of longest names that together have as many bytes as a token may hold.
const WIDEST: usize = HELD_BYTES_MAX / URI_MAX;

/// Returns this many parts of one pattern, with names of the maximum length.
fn parts(count: usize) -> Vec<String> {
    let name = |number| format!("table://my.{}{number:04}", "n".repeat(URI_MAX - 15));
    (0..count).map(name).collect()
}

async fn with_tables(pool: PgPool) -> World {
    let world = World::founded(pool).await;
    let implied = parts(WIDEST + 2);
    let listed = implied.iter().map(|name| {
        format!("[[groups.scopes]]\nname = \"{name}\"\ndescription = \"Query one table.\"\n")
    });
    let catalogue = format!(
        "audience = \"tables\"\nname = \"Tables\"\n[[groups]]\nname = \"Tables\"\n{}
         [[groups.scopes]]\nname = \"table://my.**\"\ndescription = \"Query tables.\"
         [[groups.scopes]]\nname = \"tables:all\"\ndescription = \"Query all.\"\nimplies = {implied:?}\n",
        listed.collect::<String>(),
    );
    let catalogue = parse_toml(&catalogue).unwrap();
    let catalogues = world.authority.catalogues();
    catalogues.load(&world.operator(), catalogue, LoadOptions::default()).await.unwrap();
    world
}

fn holding(scopes: Vec<String>) -> TokenDraft {
    TokenDraft { grants: Some([("tables".to_owned(), scopes)].into()), ..draft(&[]) }
}

/// Writes scopes that an earlier version allowed.
async fn hold(world: &World, minted: &MintedToken, scopes: &[String]) {
    for sql in [
        "UPDATE tokens SET scopes = $2 WHERE id = $1",
        "UPDATE token_audiences SET scopes = $2 WHERE token_id = $1",
    ] {
        sqlx::query(sql).bind(minted.token.id.0).bind(scopes).execute(&world.pool).await.unwrap();
    }
}

async fn verifier(world: &World) -> OpContext {
    world.bearer(&world.token("tessera", &["verify"]).await).await
}

fn questions(minted: &MintedToken, count: usize, demand: &Demand) -> Vec<(String, Demand)> {
    vec![(minted.secret.expose().to_owned(), demand.clone()); count]
}

#[sqlx::test(migrations = false)]
async fn size_of_held_scope_names_is_limited_however_a_token_is_created(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let (home, tokens) = (slug("workspace-1"), world.authority.tokens());
    let flat =
        |count| TokenDraft { audiences: vec!["tables".into()], scopes: parts(count), ..draft(&[]) };
    let message = |bytes: usize| {
        format!("must have scope names of at most 65536 bytes in total; these have {bytes}")
    };
    for (field, draft) in [("grants", holding(parts(WIDEST + 1))), ("scopes", flat(WIDEST + 1))] {
        let Err(ServiceError::Invalid(errors)) = tokens.create(&ada, &home, draft).await else {
            panic!("{field}")
        };
        assert_eq!(errors, [FieldError::new(field, message(HELD_BYTES_MAX + URI_MAX))]);
    }
    let row = json!({
        "digest": "a".repeat(64), "name": "imported", "audiences": ["tables"], "scopes": parts(WIDEST + 1),
    });
    let transfer = world.authority.transfer();
    let outcome =
        transfer.import(&ada, &home, Format::Jsonl, row.to_string().as_bytes(), true).await;
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(errors[0], FieldError::new("rows[1].scopes", message(HELD_BYTES_MAX + URI_MAX)));
    for draft in [holding(parts(WIDEST)), flat(WIDEST)] {
        let minted = world.mint(&ada, "workspace-1", draft).await;
        for part in [0, WIDEST - 1].map(|part| demand("tables", &[&parts(WIDEST)[part]])) {
            assert_eq!(world.decide(minted.secret.expose(), &part).await, DecisionCode::Valid);
        }
    }
}

#[sqlx::test(migrations = false)]
async fn short_name_is_not_replaced_by_names_beyond_the_limit(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let minted = world.mint(&ada, "workspace-1", holding(vec!["tables:all".into()])).await;
    let tokens = world.authority.tokens();
    for (count, fits) in [(WIDEST + 1, false), (WIDEST, true)] {
        let grants = Some([("tables".to_owned(), parts(count))].into());
        for patch in [
            TokenPatch { scopes: Some(parts(count)), ..TokenPatch::default() },
            TokenPatch { grants, ..TokenPatch::default() },
        ] {
            let outcome = tokens.update(&ada, minted.token.id, None, patch).await;
            assert_eq!(outcome.is_ok(), fits, "{count}: {:?}", outcome.err());
        }
    }
}

#[sqlx::test(migrations = false)]
async fn older_token_with_longer_names_works_and_shrinks_and_is_not_copied(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let minted = world.mint(&ada, "workspace-1", holding(parts(1))).await;
    hold(&world, &minted, &parts(300)).await;
    let last = demand("tables", &[&parts(300)[299]]);
    assert_eq!(world.decide(minted.secret.expose(), &last).await, DecisionCode::Valid);
    let asker = verifier(&world).await;
    let alone = questions(&minted, 1, &last);
    let answers = world.authority.verification().verify_many(&asker, &alone).await.unwrap();
    assert_eq!(answers[0].code, DecisionCode::Valid);
    let tokens = world.authority.tokens();
    let copied = tokens.clone_of(&ada, minted.token.id, None, "copy".into()).await;
    assert!(matches!(copied, Err(ServiceError::Invalid(_))), "{copied:?}");
    let patch = TokenPatch { scopes: Some(parts(200)), ..TokenPatch::default() };
    tokens.update(&ada, minted.token.id, None, patch).await.unwrap();
    assert_eq!(world.decide(minted.secret.expose(), &last).await, DecisionCode::InsufficientScope);
}

#[sqlx::test(migrations = false)]
async fn batch_whose_answers_would_be_too_large_is_refused_and_counts_nothing(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    // Implied scopes count, too, because their names are in the response.
    for scopes in [parts(WIDEST), vec!["tables:all".into()]] {
        let wide = world.mint(&ada, "workspace-1", holding(scopes)).await;
        let asker = verifier(&world).await;
        let verification = world.authority.verification();
        let ask = async |count: usize, demand: &Demand| {
            verification.verify_many(&asker, &questions(&wide, count, demand)).await
        };
        // A response names each scope twice.
        let fits = ANSWERS_MAX / (2 * (HELD_BYTES_MAX + 1_000));
        let Err(ServiceError::Invalid(errors)) = ask(fits + 1, &Demand::default()).await else {
            panic!("too many answers")
        };
        assert_eq!(errors[0].field, "items");
        assert!(errors[0].message.contains("send fewer items in one request"), "{errors:?}");
        world.authority.flush_usage().await;
        let token = world.authority.tokens().show(&ada, wide.token.id).await.unwrap();
        assert_eq!(token.last_used_at, None);
        // Refusals are short.
        let refused = ask(100, &demand("tables", &["no:such"])).await.unwrap();
        assert!(refused.iter().all(|answer| answer.code == DecisionCode::InsufficientScope));
        let answers = ask(fits, &Demand::default()).await.unwrap();
        assert!(answers.iter().all(|answer| answer.code == DecisionCode::Valid));
        world.pass(Duration::seconds(1));
        world.authority.flush_usage().await;
        let token = world.authority.tokens().show(&ada, wide.token.id).await.unwrap();
        assert!(token.last_used_at.is_some());
    }
}

/// The patterns of a membership are expensive to compare with a token's scopes, so the verifying
/// thread hands this work to others.
#[sqlx::test(migrations = false)]
async fn token_with_rights_that_are_slow_to_read_may_do_what_its_user_may_grant(pool: PgPool) {
    let world = with_tables(pool).await;
    let member = world.person("member", Some(("workspace-1", "admin"))).await;
    let wide = world.mint(&member, "workspace-1", holding(parts(100))).await;
    let hard = |last: &str| -> Vec<String> {
        let hard = |number| format!("tables/table://*{}x{number}*", "n".repeat(200));
        (0..2).map(hard).chain([format!("tables/table://my.{last}")]).collect()
    };
    for (last, expected) in [("n*", DecisionCode::Valid), ("x*", DecisionCode::InsufficientScope)] {
        sqlx::query("UPDATE memberships SET audience_grants = $1, grants = '{}'")
            .bind(hard(last))
            .execute(&world.pool)
            .await
            .unwrap();
        for part in [0, 99] {
            let part = demand("tables", &[&parts(100)[part]]);
            assert_eq!(world.decide(wide.secret.expose(), &part).await, expected, "{last}");
        }
    }
}

/// Counts how often a future yields.
async fn turns<T>(work: impl Future<Output = T>) -> usize {
    let mut work = Box::pin(work);
    let mut turns = 0;
    poll_fn(|context| {
        let state = work.as_mut().poll(context);
        turns += usize::from(state.is_pending());
        state
    })
    .await;
    turns
}

/// Comparing even a single scope with many patterns may take all the steps that a decision has.
#[sqlx::test(migrations = false)]
async fn batch_of_long_decisions_yields_to_other_requests(pool: PgPool) {
    let world = with_tables(pool).await;
    let ada = world.owner().await;
    let patterns = |count: usize| -> Vec<String> {
        (0..count).map(|number| format!("table://my.*{}x{number:03}*", "a".repeat(200))).collect()
    };
    let wide = world.mint(&ada, "workspace-1", holding(patterns(250))).await;
    let narrow = world.mint(&ada, "workspace-1", holding(vec!["table://my.x*".into()])).await;
    let asker = verifier(&world).await;
    let verification = world.authority.verification();
    let hard = demand("tables", &[&format!("table://my.{}", "a".repeat(400))]);
    // It also waits for the database a few times.
    for (token, expected) in [(&wide, 100..=120), (&narrow, 0..=20)] {
        let asked = questions(token, 100, &hard);
        let turns = turns(async {
            let answers = verification.verify_many(&asker, &asked).await.unwrap();
            assert!(answers.iter().all(|answer| answer.code == DecisionCode::InsufficientScope));
        });
        let turns = Box::pin(turns).await;
        assert!(expected.contains(&turns), "{turns}");
    }
}
