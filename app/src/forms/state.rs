//! The state of a form: the submitted values, the last error, and whether an attempt is
//! in progress.

use std::sync::Arc;

use domain::problem::Problem;
use leptos::prelude::*;

use super::field_name::{FieldName, sentence};
use crate::posted::{Posted, use_posted};

/// The state of one form: a context of its controls.
#[derive(Clone, Copy, Debug)]
pub struct FormState {
    posted: StoredValue<Option<Arc<Posted>>>,
    problem: RwSignal<Option<Problem>>,
    pending: RwSignal<bool>,
    fields: StoredValue<&'static [FieldName]>,
}

impl FormState {
    /// Creates the state of the form that posts to `action`: with the submitted values if this page
    /// responds to that post, empty otherwise.
    pub fn new(action: &str) -> Self {
        let posted = use_posted().filter(|posted| posted.path == action);
        let problem = posted.as_ref().and_then(|posted| posted.problem.clone());
        let fields: &'static [FieldName] = &[];
        Self {
            posted: StoredValue::new(posted),
            problem: RwSignal::new(problem),
            pending: RwSignal::new(false),
            fields: StoredValue::new(fields),
        }
    }

    /// Returns the submitted value of a field, if this page responds to a post.
    pub fn value(self, name: &str) -> Option<String> {
        self.posted.with_value(|posted| posted.as_ref()?.value(name).map(str::to_owned))
    }

    /// Returns all submitted values of a field that may repeat. Returns `None` if this page does
    /// not respond to a post.
    pub fn all(self, name: &str) -> Option<Vec<String>> {
        self.posted.with_value(|posted| posted.as_ref().map(|posted| posted.all(name)))
    }

    /// Returns why the last attempt failed. Tracked.
    pub fn problem(self) -> Option<Problem> {
        self.problem.get()
    }

    /// Sets the fields' labels, which appear in their errors.
    pub fn label(self, fields: &'static [FieldName]) {
        self.fields.set_value(fields);
    }

    /// Returns the error of a field, as a sentence. Tracked.
    pub fn error(self, field: &str) -> Option<String> {
        self.problem.with(|problem| {
            let message = problem.as_ref()?.of_field(field)?;
            Some(sentence(self.fields.get_value(), field, message))
        })
    }

    /// Returns whether an attempt is in progress. Tracked.
    pub fn is_pending(self) -> bool {
        self.pending.get()
    }

    /// Starts an attempt. Returns `false` if one is in progress already.
    pub fn begin(self) -> bool {
        if self.pending.get_untracked() {
            return false;
        }
        self.pending.set(true);
        true
    }

    /// Finishes an attempt, with the problem if it failed.
    pub fn finish(self, problem: Option<Problem>) {
        self.problem.set(problem);
        self.pending.set(false);
    }
}
