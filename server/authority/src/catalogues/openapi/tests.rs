//! Tests of documents and their catalogues.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const PETS: &str = include_str!("fixtures/pets.json");
const RIVERS: &str = include_str!("fixtures/rivers.yaml");

fn read(text: &str) -> Result<Catalogue, OpenApiError> {
    catalogue(&parse(text).unwrap(), &"api".parse().unwrap())
}

/// Returns one line for each scope: group, name, risk, implied scopes, description.
fn outline(catalogue: &Catalogue) -> String {
    let mut lines = Vec::new();
    for group in &catalogue.groups {
        for Scope { name, description, risk, implies } in &group.scopes {
            let implies: Vec<&str> = implies.iter().map(AsRef::as_ref).collect();
            lines.push(format!(
                "{} | {name} | {risk:?} | {} | {description}",
                group.name,
                implies.join(" ")
            ));
        }
    }
    lines.join("\n")
}

#[test]
fn security_scopes_are_grouped_by_the_tags_that_need_them() {
    let catalogue = read(PETS).unwrap();
    assert_eq!(catalogue.name.as_ref(), "Pet Store");
    assert_eq!(catalogue.groups[0].description.as_ref(), "Everything about your pets.");
    assert_eq!(
        outline(&catalogue),
        "pet | read:pets | Read |  | read your pets.\n\
         pet | write:pets | Write |  | modify pets in your account.\n\
         store | store-admin | Admin |  | Place an order.\n\
         General | openid | Write |  | \n\
         General | profile:read | Read |  | Sign in with a profile."
    );
}

#[test]
fn operations_become_two_scopes_per_tag() {
    let catalogue = read(RIVERS).unwrap();
    assert_eq!(
        outline(&catalogue),
        "Rivers & Runs | rivers-runs:read | Read |  | List rivers. Show a river.\n\
         Rivers & Runs | rivers-runs:write | Write | rivers-runs:read | Create a river. Delete a river.\n\
         hooks | hooks:write | Write |  | \n\
         rivers runs | rivers-runs-2:read | Read |  | List runs.\n\
         teams | teams:read | Read |  | List teams."
    );
    assert!(catalogue.check().is_ok());
}

#[test]
fn document_of_another_kind_is_refused() {
    for text in [
        "{}",
        "{\"swagger\": \"2.0\"}",
        "{\"openapi\": \"3.2.0\"}",
        "{\"openapi\": 3.1}",
        "openapi: 2",
    ] {
        assert!(matches!(read(text), Err(OpenApiError::Version)), "{text}");
    }
    assert!(matches!(read("{\"openapi\": \"3.1.0\", \"paths\": {}}"), Err(OpenApiError::Empty)));
    assert!(matches!(parse("{\"openapi\""), Err(OpenApiError::Form(_))));
    assert!(matches!(parse("a: [1"), Err(OpenApiError::Form(_))));
}

#[test]
fn yaml_bomb_is_refused_quickly() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        lines.push(format!("a{level}: &a{level} [{}]", vec![before; 10].join(", ")));
    }
    assert!(matches!(parse(&lines.join("\n")), Err(OpenApiError::Form(_))));
    assert!(parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn too_many_scopes_are_refused() {
    let scopes: Map<String, Value> =
        (0..=SCOPES_MAX).map(|number| (format!("s{number}"), json!(""))).collect();
    let document = json!({"openapi": "3.0.3", "components": {"securitySchemes": {
        "o": {"type": "oauth2", "flows": {"password": {"scopes": scopes}}}}}});
    let outcome = catalogue(&document, &"api".parse().unwrap());
    assert!(matches!(outcome, Err(OpenApiError::TooMany(count)) if count == SCOPES_MAX + 1));
}

/// Generates arbitrary JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Generates words that have a meaning in a document, and others.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "openapi", "3.0.1", "3.1.0", "info", "title", "paths", "/a", "/api/v1/b/{c}", "get", "post",
            "tags", "name", "security", "components", "securitySchemes", "type", "oauth2",
            "openIdConnect", "flows", "implicit", "scopes", "$ref", "#/components/pathItems/x",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[aA:. -]{0,5}",
    ]
}

/// Generates documents, some of whose parts are arbitrary JSON.
fn document() -> impl Strategy<Value = Value> {
    let operation = prop_oneof![
        4 => (words(), words(), words()).prop_map(|(tag, summary, scope)| json!({
            "tags": [tag], "summary": summary, "security": [{"o": [scope]}]})),
        2 => words().prop_map(|tag| json!({"tags": [tag]})),
        1 => any_json(),
    ];
    let method = prop::sample::select(vec!["get", "head", "post", "delete", "options", "other"]);
    let item = prop::collection::vec((method, operation), 0..4).prop_map(|pairs| {
        Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    });
    let paths = prop::collection::vec((words(), item), 0..6)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()));
    let scheme = prop::sample::select(vec!["oauth2", "openIdConnect", "http"]);
    let scopes = prop::collection::vec((words(), words()), 0..4).prop_map(|pairs| {
        pairs.into_iter().map(|(key, value)| (key, json!(value))).collect::<Map<_, _>>()
    });
    let odd = prop::option::weighted(0.2, (words(), any_json()));
    (words(), paths, scheme, scopes, odd).prop_map(|(title, paths, scheme, scopes, odd)| {
        let mut document = json!({
            "openapi": "3.1.0", "info": {"title": title}, "paths": paths,
            "components": {"securitySchemes": {"o": {"type": scheme, "flows": {"implicit": {"scopes": scopes}}}}},
        });
        if let (Some((key, value)), Some(object)) = (odd, document.as_object_mut()) {
            object.insert(key, value);
        }
        document
    })
}

proptest! {
    #[test]
    fn any_json_is_refused_or_becomes_a_valid_catalogue(document in any_json()) {
        if let Ok(catalogue) = catalogue(&document, &"api".parse().unwrap()) {
            prop_assert!(catalogue.check().is_ok());
        }
    }

    #[test]
    fn any_document_becomes_a_catalogue_that_survives_a_round_trip(document in document()) {
        match catalogue(&document, &"api".parse().unwrap()) {
            Ok(read) => {
                prop_assert!(read.check().is_ok());
                prop_assert!(read.scopes().count() > 0);
                let text = serde_json::to_string(&read).unwrap();
                prop_assert_eq!(super::super::file::parse(&text).unwrap(), read.clone());
                prop_assert_eq!(catalogue(&document, &"api".parse().unwrap()).unwrap(), read);
            }
            Err(error) => prop_assert!(
                matches!(error, OpenApiError::Empty | OpenApiError::Version), "{error}"
            ),
        }
    }

    #[test]
    fn parsing_any_text_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }
}
