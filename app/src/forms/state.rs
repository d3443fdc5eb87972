//! What a form knows about itself: what was typed, what was wrong, whether it is under way.

use std::sync::Arc;

use domain::problem::Problem;
use leptos::prelude::*;

use crate::posted::{Posted, use_posted};

/// The state of one form: a context of its controls.
#[derive(Clone, Copy, Debug)]
pub struct FormState {
    posted: StoredValue<Option<Arc<Posted>>>,
    problem: RwSignal<Option<Problem>>,
    pending: RwSignal<bool>,
}

impl FormState {
    /// The state of the form that posts to `action`: as it was posted when this page answers that
    /// very post, fresh otherwise.
    pub fn new(action: &str) -> Self {
        let posted = use_posted().filter(|posted| posted.path == action);
        let problem = posted.as_ref().and_then(|posted| posted.problem.clone());
        Self {
            posted: StoredValue::new(posted),
            problem: RwSignal::new(problem),
            pending: RwSignal::new(false),
        }
    }

    /// What was typed into a field, when this page answers a post.
    pub fn value(self, name: &str) -> Option<String> {
        self.posted.with_value(|posted| posted.as_ref()?.value(name).map(str::to_owned))
    }

    /// All that was chosen in a field that may repeat; `None` when this page answers no post.
    pub fn all(self, name: &str) -> Option<Vec<String>> {
        self.posted.with_value(|posted| posted.as_ref().map(|posted| posted.all(name)))
    }

    /// Why the last attempt failed. Tracked.
    pub fn problem(self) -> Option<Problem> {
        self.problem.get()
    }

    /// What is wrong with a field, as the end of a sentence that begins with its name. Tracked.
    pub fn error(self, field: &str) -> Option<String> {
        self.problem.with(|problem| problem.as_ref()?.of_field(field).map(str::to_owned))
    }

    /// Whether an attempt is under way. Tracked.
    pub fn is_pending(self) -> bool {
        self.pending.get()
    }

    /// Begins an attempt; `false` when one is under way already.
    pub fn begin(self) -> bool {
        if self.pending.get_untracked() {
            return false;
        }
        self.pending.set(true);
        true
    }

    /// Ends an attempt, with what was wrong or with nothing.
    pub fn finish(self, problem: Option<Problem>) {
        self.problem.set(problem);
        self.pending.set(false);
    }
}
