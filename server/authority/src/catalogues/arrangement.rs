//! The ordered scopes of one audience, and the effect of changes to them. This module is pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::{Catalogue, CatalogueError, ScopeEntry, ScopeName},
    names::{Description, DisplayName},
};
use time::OffsetDateTime;

use crate::{ServiceError, store::catalogues::StoredScope};

/// All scopes of an audience, including retired ones. Scopes of the same group are adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrangement(Vec<StoredScope>);

/// The scopes that each scope grants, looked up by name.
pub(crate) struct Grants<'a>(BTreeMap<&'a ScopeName, &'a StoredScope>);

impl<'a> Grants<'a> {
    /// Returns all scopes that a token has if it holds this one.
    pub(crate) fn of(&self, held: &'a ScopeName) -> BTreeSet<&'a ScopeName> {
        let in_use = |stored: &StoredScope| stored.retired_at.is_none();
        if !self.0.contains_key(held) {
            let covers = |(name, stored): (&&ScopeName, &&StoredScope)| {
                in_use(stored) && name.is_uri() && name.covers(held)
            };
            let part = self.0.iter().any(covers);
            return part.then_some(held).into_iter().collect();
        }
        let mut granted = BTreeSet::new();
        let mut waiting = vec![held];
        while let Some(name) = waiting.pop() {
            let Some((name, stored)) = self.0.get_key_value(name) else { continue };
            if in_use(stored) && granted.insert(*name) {
                waiting.extend(&stored.scope.implies);
            }
        }
        granted
    }

    /// Returns whether a token that holds this scope loses something in `after`.
    pub(crate) fn lost(&self, after: &Self, held: &'a ScopeName) -> bool {
        !self.of(held).is_subset(&after.of(held))
    }
}

impl Arrangement {
    pub(crate) fn of(scopes: Vec<StoredScope>) -> Self {
        let mut arrangement = Self(scopes);
        arrangement.gather();
        arrangement
    }

    /// Returns the arrangement of a catalogue, without retired scopes.
    pub(crate) fn of_catalogue(catalogue: &Catalogue) -> Self {
        let scopes = catalogue.groups.iter().flat_map(|group| {
            group.scopes.iter().map(|scope| StoredScope {
                scope: scope.clone(),
                group: group.name.clone(),
                group_description: group.description.clone(),
                retired_at: None,
            })
        });
        Self::of(scopes.collect())
    }

    pub(crate) fn scopes(&self) -> &[StoredScope] {
        &self.0
    }

    pub(crate) fn get(&self, name: &ScopeName) -> Option<&StoredScope> {
        self.0.iter().find(|stored| stored.scope.name == *name)
    }

    /// Inserts a scope at `position` within its group and replaces a scope of the same name.
    /// Without a position, the scope keeps its place or goes to the end of the group. The group
    /// gets the description of the new scope's group.
    pub(crate) fn put(&mut self, new: StoredScope, position: Option<usize>) {
        let group = new.group.clone();
        for stored in self.0.iter_mut().filter(|stored| stored.group == group) {
            stored.group_description = new.group_description.clone();
        }
        let old = self.0.iter().position(|stored| stored.scope.name == new.scope.name);
        match old {
            Some(index) if position.is_none() && self.0[index].group == group => {
                self.0[index] = new;
                return;
            }
            Some(index) => {
                self.0.remove(index);
            }
            None => {}
        }
        let within: Vec<usize> =
            (0..self.0.len()).filter(|at| self.0[*at].group == group).collect();
        let at = match position.and_then(|position| within.get(position)) {
            Some(at) => *at,
            None => within.last().map_or(self.0.len(), |last| last + 1),
        };
        self.0.insert(at, new);
        self.gather();
    }

    /// Removes a scope, also from what retired scopes imply.
    pub(crate) fn remove(&mut self, name: &ScopeName) {
        self.0.retain(|stored| stored.scope.name != *name);
        self.forget_unknown();
    }

    /// Retires a scope, so that it is no longer granted, or takes it into use again.
    pub(crate) fn retire(&mut self, name: &ScopeName, at: Option<OffsetDateTime>) {
        for stored in self.0.iter_mut().filter(|stored| stored.scope.name == *name) {
            stored.retired_at = at;
        }
    }

    /// Adds the scopes of `before` that are missing here as retired scopes, if they were already
    /// retired or `keep` selects them.
    pub(crate) fn keep_retired(
        &mut self,
        before: &Self,
        now: OffsetDateTime,
        keep: impl Fn(&ScopeName) -> bool,
    ) {
        for stored in &before.0 {
            let name = &stored.scope.name;
            if self.get(name).is_none() && (stored.retired_at.is_some() || keep(name)) {
                let retired_at = stored.retired_at.or(Some(now));
                self.0.push(StoredScope { retired_at, ..stored.clone() });
            }
        }
        self.forget_unknown();
        self.gather();
    }

    /// Returns the scopes with their positions.
    pub(crate) fn entries(&self) -> Vec<ScopeEntry> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        self.0
            .iter()
            .map(|stored| {
                let place = places.entry(stored.group.as_ref()).or_default();
                *place += 1;
                ScopeEntry {
                    scope: stored.scope.clone(),
                    group: stored.group.clone(),
                    group_description: stored.group_description.clone(),
                    position: *place - 1,
                    retired_at: stored.retired_at,
                }
            })
            .collect()
    }

    /// Returns one scope with its position.
    pub(crate) fn entry(&self, name: &ScopeName) -> Result<ScopeEntry, ServiceError> {
        let entry = self.entries().into_iter().find(|entry| entry.scope.name == *name);
        entry.ok_or(ServiceError::NotFound("scope"))
    }

    /// Checks that the scopes are consistent.
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        let mut names = BTreeSet::new();
        for StoredScope { scope, .. } in &self.0 {
            if !names.insert(&scope.name) {
                let error = CatalogueError::Duplicate(scope.name.clone());
                return Err(ServiceError::invalid("name", format!("cannot be used: {error}")));
            }
        }
        for StoredScope { scope, .. } in &self.0 {
            if scope.name.is_uri() && !scope.implies.is_empty() {
                return Err(ServiceError::invalid(
                    "implies",
                    "must be empty: a URI cannot imply other scopes",
                ));
            }
            if let Some(implied) = scope.implies.iter().find(|implied| !names.contains(implied)) {
                let message = format!("has {implied}, which is not a scope of this audience");
                return Err(ServiceError::invalid("implies", message));
            }
        }
        Ok(())
    }

    /// Returns each scope with all scopes that it implies, directly or through others, but not
    /// through a retired one, in the form in which the store writes them.
    pub(crate) fn with_implied(&self) -> Vec<(&StoredScope, Vec<&ScopeName>)> {
        let grants = self.grants();
        self.0
            .iter()
            .map(|stored| {
                let mut implied = grants.of(&stored.scope.name);
                implied.remove(&stored.scope.name);
                (stored, implied.into_iter().collect())
            })
            .collect()
    }

    /// Returns what each scope grants.
    pub(crate) fn grants(&self) -> Grants<'_> {
        Grants(self.0.iter().map(|stored| (&stored.scope.name, stored)).collect())
    }

    /// Returns whether tokens may have different rights in `after`. They change with what a scope
    /// of this audience grants, and with its risk, which limits what some members may hold.
    pub(crate) fn grants_otherwise(&self, after: &Self) -> bool {
        let (gives, will_give) = (self.grants(), after.grants());
        self.0.iter().any(|stored| {
            let name = &stored.scope.name;
            let risk = |arrangement: &Self| arrangement.get(name).map(|stored| stored.scope.risk);
            gives.of(name) != will_give.of(name) || risk(self) != risk(after)
        })
    }

    /// Returns whether new scopes in `after` may give tokens more rights: a grant may match a new
    /// scope, and a new pattern may cover a URI that a token holds. If the audience had no scopes,
    /// no token has any of them.
    pub(crate) fn grows(&self, after: &Self) -> bool {
        let is_new = |stored: &StoredScope| self.get(&stored.scope.name).is_none();
        !self.0.is_empty() && after.0.iter().any(is_new)
    }

    /// Returns whether the validity of a held scope depends on the scope `name`.
    pub(crate) fn belongs(&self, held: &ScopeName, name: &ScopeName) -> bool {
        let others =
            || self.0.iter().map(|stored| &stored.scope.name).filter(|other| *other != name);
        held == name || (name.covers(held) && !others().any(|other| other.covers(held)))
    }

    /// Returns the first scope in use that implies this one.
    pub(crate) fn implying(&self, name: &ScopeName) -> Option<&ScopeName> {
        self.0
            .iter()
            .find(|stored| stored.retired_at.is_none() && stored.scope.implies.contains(name))
            .map(|stored| &stored.scope.name)
    }

    /// Returns the description of the group with this name, if it exists.
    pub(crate) fn group_description(&self, group: &DisplayName) -> Option<&Description> {
        self.0.iter().find(|stored| stored.group == *group).map(|stored| &stored.group_description)
    }

    /// Makes the scopes of each group adjacent, at the place of the group's first scope.
    fn gather(&mut self) {
        let mut order: BTreeMap<String, usize> = BTreeMap::new();
        for stored in &self.0 {
            let next = order.len();
            order.entry(stored.group.to_string()).or_insert(next);
        }
        self.0.sort_by_key(|stored| order.get(stored.group.as_ref()).copied());
    }

    fn forget_unknown(&mut self) {
        let names: BTreeSet<ScopeName> =
            self.0.iter().map(|stored| stored.scope.name.clone()).collect();
        for stored in self.0.iter_mut().filter(|stored| stored.retired_at.is_some()) {
            stored.scope.implies.retain(|name| names.contains(name));
        }
    }
}

#[cfg(test)]
#[path = "arrangement_tests.rs"]
mod tests;
