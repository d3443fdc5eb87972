//! The summary beside the form for a new token.

use domain::{access::TokenReach, catalogue::Catalogue};
use leptos::prelude::*;

use super::{draft::ranges, form::Values};
use crate::{
    fns::tokens_form::TokenForm,
    forms::{
        expiry::{End, day, offers},
        scope_tree::model::Marking,
        summary::{Sentence, Subject, sentence},
    },
};

/// A description of what the token will be able to do, in words. It follows the form once
/// scripts run.
#[component]
pub fn Summary(
    /// The data of the form.
    form: StoredValue<TokenForm>,
    /// The form's values.
    values: Values,
    /// Whether scripts run.
    live: RwSignal<bool>,
) -> impl IntoView {
    let chosen_catalogues = move || {
        form.with_value(|form| {
            values.audiences.with(|audiences| {
                let fits = |catalogue: &&Catalogue| audiences.contains(&catalogue.audience);
                form.catalogues.iter().filter(fits).cloned().collect::<Vec<_>>()
            })
        })
    };
    let all_offers = form.with_value(|form| offers(&form.overview.policy, form.now));
    let end = Memo::new(move |_| values.expiry.with(|choice| choice.end(&all_offers)));
    let parts = Signal::derive(move || {
        let subject = Subject {
            name: values.name.get(),
            workspace: form.with_value(|form| form.overview.workspace.name.to_string()),
            ranges: values.ip_allow.with(|text| ranges(text)),
            end: end.get().phrase(),
        };
        values.chosen.with(|chosen| sentence(&subject, &chosen_catalogues(), chosen))
    });
    let user = move || {
        let id = values.user.get();
        form.with_value(|form| {
            let mut users = form.members.iter().map(|member| &member.user);
            users
                .find(|user| user.id.to_string() == id)
                .map_or_else(|| form.visitor.user.name.clone(), |user| user.name.clone())
        })
    };
    let apis = move || {
        let names: Vec<_> =
            chosen_catalogues().iter().map(|catalogue| catalogue.name.to_string()).collect();
        if names.is_empty() { "None".to_owned() } else { names.join(", ") }
    };
    let scopes = move || {
        values.chosen.with(|chosen| {
            let (granted, total) = chosen_catalogues().iter().fold((0, 0), |sum, catalogue| {
                let count = Marking::of(catalogue, chosen).count_all(catalogue);
                (sum.0 + count.granted, sum.1 + count.total)
            });
            format!("{granted} of {total}")
        })
    };
    let ends = move || match end.get() {
        End::At(end) => day(end),
        End::Never => "Never".to_owned(),
        End::Open => "Not selected yet".to_owned(),
    };
    let (workspace, holder) = form.with_value(|form| {
        let own = form.overview.reach == TokenReach::Own;
        let holder = if own { "you" } else { "the selected user" };
        (form.overview.workspace.name.to_string(), holder)
    });
    view! {
        <aside class="summary" aria-labelledby="summary-title">
            <h2 class="summary-title" id="summary-title">"Summary"</h2>
            <Show
                when=move || live.get()
                fallback=move || view! {
                    <p class="summary-text">
                        "The token acts as "{holder}" in "<em><bdi>{workspace.clone()}</bdi></em>
                        ". It can use only the selected scopes and the scopes they include, at \
                         the selected APIs."
                    </p>
                }
            >
                <p class="summary-text"><Sentence parts/></p>
                <dl class="facts">
                    <div><dt>"Acts as"</dt><dd><bdi>{user}</bdi></dd></div>
                    <div><dt>"APIs"</dt><dd>{apis}</dd></div>
                    <div><dt>"Scopes"</dt><dd>{scopes}</dd></div>
                    <div><dt>"Expires"</dt><dd>{ends}</dd></div>
                </dl>
            </Show>
        </aside>
    }
}
