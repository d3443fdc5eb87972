//! Checks the scopes of a draft. They are either pairs of an audience and a scope, or a list of
//! audiences and a list of scopes, which stand for every declared pair.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::{DEFAULT_AUDIENCE, ScopeName, TESSERA_AUDIENCE},
    held::{Extent, HeldScope},
    ids::AudienceId,
    names::AudienceSlug,
    problem::FieldError,
    scope_pattern::Steps,
};

use super::{
    draft::{Rules, TokenDraft},
    fields::quoted,
};
use crate::store::catalogues::StoredCatalogue;

/// The scopes of a checked draft, in each of its audiences.
pub(crate) type CheckedGrants = Vec<(AudienceId, Vec<ScopeName>)>;

/// The message for scopes that the steps don't suffice to compare.
const TOO_LONG: &str = "have patterns that take too long to compare: use fewer or simpler patterns";

/// Adds an error once, even if it concerns several pairs.
fn refuse(errors: &mut Vec<FieldError>, field: &str, message: String) {
    let error = FieldError::new(field, message);
    if !errors.contains(&error) {
        errors.push(error);
    }
}

impl TokenDraft {
    pub(super) fn check_grants(
        &self,
        rules: &Rules<'_>,
        errors: &mut Vec<FieldError>,
        steps: &mut Steps,
    ) -> CheckedGrants {
        let found = errors.len();
        let checked = self.compare_grants(rules, errors, steps);
        if steps.left() == 0 {
            // With the steps used up, these errors may be wrong.
            errors.truncate(found);
            let field = if self.grants.is_some() { "grants" } else { "scopes" };
            refuse(errors, field, TOO_LONG.to_owned());
        }
        checked
    }

    fn compare_grants(
        &self,
        rules: &Rules<'_>,
        errors: &mut Vec<FieldError>,
        steps: &mut Steps,
    ) -> CheckedGrants {
        let field = if self.grants.is_some() { "grants" } else { "scopes" };
        let named = match &self.grants {
            Some(grants) => grants.values().map(Vec::len).sum(),
            None => self.scopes.len(),
        };
        // Check the number before comparing anything.
        let named = Extent { scopes: named.max(self.audiences.len()), bytes: 0 };
        if let Some(excess) = named.excess(Extent::default()) {
            refuse(errors, field, excess);
            return Vec::new();
        }
        let chosen = match &self.grants {
            Some(grants) => self.check_pairs(grants, rules, errors, steps),
            None => self.check_flat(rules, errors, steps),
        };
        // A flat scope counts once for each of its audiences.
        let held = Extent::of(chosen.iter().flat_map(|(_, scopes)| scopes));
        if let Some(excess) = held.excess(Extent::default()) {
            refuse(errors, field, excess);
            return Vec::new();
        }
        for (stored, scopes) in &chosen {
            let audience = &stored.catalogue.audience;
            for scope in scopes {
                // In a flat list, the caller named only the scope.
                let name = if self.grants.is_some() {
                    HeldScope { audience: audience.clone(), scope: scope.clone() }.to_string()
                } else {
                    scope.to_string()
                };
                if rules.grantable.is_some_and(|held| !held.covers_within(audience, scope, steps)) {
                    let message = format!("has {name}, which the calling token does not hold");
                    refuse(errors, field, message);
                } else if !rules.rights.covers_within(audience, scope, steps) {
                    refuse(errors, field, format!("has {name}, which you may not grant"));
                }
            }
        }
        let with_id = |(stored, scopes): (&StoredCatalogue, BTreeSet<ScopeName>)| {
            (stored.id, scopes.into_iter().collect())
        };
        chosen.into_iter().map(with_id).collect()
    }

    fn check_pairs<'a>(
        &self,
        grants: &BTreeMap<String, Vec<String>>,
        rules: &Rules<'a>,
        errors: &mut Vec<FieldError>,
        steps: &mut Steps,
    ) -> Vec<(&'a StoredCatalogue, BTreeSet<ScopeName>)> {
        if !self.audiences.is_empty() || !self.scopes.is_empty() {
            let message = "cannot be combined with audiences or scopes".to_owned();
            refuse(errors, "grants", message);
        }
        if grants.values().all(Vec::is_empty) {
            refuse(errors, "grants", "must contain at least one scope".to_owned());
        }
        let mut chosen = Vec::new();
        for (slug, texts) in grants {
            let Some(stored) = audience(slug, "grants", rules, errors) else { continue };
            let mut scopes = BTreeSet::new();
            for text in texts {
                match text.parse::<ScopeName>() {
                    Ok(name) if stored.declares_within(&name, steps) => {
                        scopes.insert(name);
                    }
                    _ => {
                        let message =
                            format!("has {}, which is not a scope of {slug}", quoted(text));
                        refuse(errors, "grants", message);
                    }
                }
            }
            chosen.push((stored, scopes));
        }
        chosen
    }

    fn check_flat<'a>(
        &self,
        rules: &Rules<'a>,
        errors: &mut Vec<FieldError>,
        steps: &mut Steps,
    ) -> Vec<(&'a StoredCatalogue, BTreeSet<ScopeName>)> {
        let default = [DEFAULT_AUDIENCE.to_owned()];
        let wanted = if self.audiences.is_empty() { &default[..] } else { &self.audiences };
        let mut seen = BTreeSet::new();
        let mut chosen: Vec<_> = wanted
            .iter()
            .filter(|slug| seen.insert(slug.as_str()))
            .filter_map(|slug| audience(slug, "audiences", rules, errors))
            .map(|stored| (stored, BTreeSet::new()))
            .collect();
        if self.scopes.is_empty() {
            refuse(errors, "scopes", "must contain at least one scope".to_owned());
        }
        for text in self.scopes.iter().collect::<BTreeSet<_>>() {
            let name = text.parse::<ScopeName>().ok();
            let declared: Vec<&AudienceSlug> = chosen
                .iter()
                .map(|(stored, _)| *stored)
                .filter(|stored| {
                    name.as_ref().is_some_and(|name| stored.declares_within(name, steps))
                })
                .map(|stored| &stored.catalogue.audience)
                .collect();
            let Some(name) = name.filter(|_| !declared.is_empty()) else {
                let message =
                    format!("has {}, which is not a scope of the chosen audiences", quoted(text));
                refuse(errors, "scopes", message);
                continue;
            };
            if declared.len() > 1 && declared.iter().any(|slug| slug.as_ref() == TESSERA_AUDIENCE) {
                let message = format!(
                    "has {name}, which {} declare: use grants to name the audience",
                    declared.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" and ")
                );
                refuse(errors, "scopes", message);
                continue;
            }
            for (stored, scopes) in &mut chosen {
                if declared.contains(&&stored.catalogue.audience) {
                    scopes.insert(name.clone());
                }
            }
        }
        chosen
    }
}

/// Returns the audience with this slug, if the caller may create tokens for it.
fn audience<'a>(
    slug: &str,
    field: &str,
    rules: &Rules<'a>,
    errors: &mut Vec<FieldError>,
) -> Option<&'a StoredCatalogue> {
    let stored = rules.catalogues.iter().find(|stored| stored.catalogue.audience.as_ref() == slug);
    let Some(stored) = stored else {
        refuse(
            errors,
            field,
            format!("has {}, which is not an audience of this instance", quoted(slug)),
        );
        return None;
    };
    let own = &stored.catalogue.audience;
    if rules.grantable.is_some_and(|held| !held.is_meant_for(own)) {
        refuse(errors, field, format!("has {own}, which the calling token is not meant for"));
    }
    Some(stored)
}
