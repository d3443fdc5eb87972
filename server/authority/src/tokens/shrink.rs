//! Removes scopes from a token. Nothing is added: each remaining scope was granted before, by name
//! or because a scope of the same audience implies it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::ScopeName,
    held::{Extent, HeldScopes},
    names::AudienceSlug,
    problem::FieldError,
    token::Token,
};

use super::fields::quoted;
use crate::store::catalogues::StoredCatalogue;

/// Returns all scopes that a token grants in each of its audiences. Scopes that the catalogue no
/// longer contains are included, although they grant nothing, so that the token can keep them.
fn granted<'a>(
    token: &'a Token,
    catalogues: &'a [StoredCatalogue],
) -> BTreeMap<&'a AudienceSlug, BTreeSet<&'a ScopeName>> {
    let of = |(audience, scopes): (&'a AudienceSlug, &'a BTreeSet<ScopeName>)| {
        let mut granted: BTreeSet<&ScopeName> = scopes.iter().collect();
        let own = catalogues.iter().filter(|stored| stored.catalogue.audience == *audience);
        granted.extend(own.flat_map(|stored| stored.catalogue.closure(scopes)));
        (audience, granted)
    };
    token.grants.iter().map(of).collect()
}

/// Checks that this is no more than a token may hold, or than this token already holds.
fn fits(token: &Token, wanted: Extent, field: &str, errors: &mut Vec<FieldError>) -> bool {
    let excess = wanted.excess(token.grants.extent());
    let fits = excess.is_none();
    errors.extend(excess.map(|excess| FieldError::new(field, excess)));
    fits
}

/// Returns an extent with only the number of scopes, to check it before comparing them
/// with anything.
const fn named(scopes: usize) -> Extent {
    Extent { scopes, bytes: 0 }
}

/// Returns the grants of the token after it is reduced to these scopes by audience.
pub(super) fn shrunk(
    token: &Token,
    wanted: &BTreeMap<String, Vec<String>>,
    catalogues: &[StoredCatalogue],
    errors: &mut Vec<FieldError>,
) -> HeldScopes {
    if wanted.values().all(Vec::is_empty) {
        errors.push(FieldError::new("grants", "must contain at least one scope"));
    }
    if !fits(token, named(wanted.values().map(Vec::len).sum()), "grants", errors) {
        return HeldScopes::default();
    }
    let granted = granted(token, catalogues);
    let mut left = HeldScopes::default();
    for (slug, texts) in wanted {
        let own = granted.iter().find(|(audience, _)| audience.as_ref() == slug);
        let Some((audience, granted)) = own else {
            let message = format!("has {}, which the token is not meant for", quoted(slug));
            errors.push(FieldError::new("grants", message));
            continue;
        };
        left.insert_audience((*audience).clone());
        for text in texts {
            match granted.iter().find(|scope| scope.as_ref() == text) {
                Some(scope) => left.insert((*audience).clone(), (*scope).clone()),
                None => refuse(errors, "grants", &format!("{slug}/{text}")),
            }
        }
    }
    // A scope that was implied may have a longer name than the one that implied it.
    fits(token, left.extent(), "grants", errors);
    left
}

/// Returns the grants of the token after it is reduced to scopes of these names, in all audiences
/// where it holds them.
pub(super) fn shrunk_by_name(
    token: &Token,
    texts: &[String],
    catalogues: &[StoredCatalogue],
    errors: &mut Vec<FieldError>,
) -> HeldScopes {
    if texts.is_empty() {
        errors.push(FieldError::new("scopes", "must contain at least one scope"));
    }
    if !fits(token, named(texts.len()), "scopes", errors) {
        return HeldScopes::default();
    }
    let granted = granted(token, catalogues);
    let mut left = HeldScopes::default();
    for audience in granted.keys() {
        left.insert_audience((*audience).clone());
    }
    for text in texts.iter().collect::<BTreeSet<_>>() {
        let mut is_granted = false;
        for (audience, granted) in &granted {
            if let Some(scope) = granted.iter().find(|scope| scope.as_ref() == text) {
                left.insert((*audience).clone(), (*scope).clone());
                is_granted = true;
            }
        }
        if !is_granted {
            refuse(errors, "scopes", text);
        }
    }
    // A scope that is implied in several audiences counts in each.
    fits(token, left.extent(), "scopes", errors);
    left
}

fn refuse(errors: &mut Vec<FieldError>, field: &str, text: &str) {
    let message =
        format!("has {}, which the token does not hold: scopes can only be removed", quoted(text));
    errors.push(FieldError::new(field, message));
}
