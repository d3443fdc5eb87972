//! The form for a new token.

use std::collections::BTreeSet;

use domain::names::AudienceSlug;
use leptos::prelude::*;

use super::{
    draft::{Draft, Source},
    fields::{AudienceField, Restrictions, UserField},
    place::pairs,
    summary::Summary,
};
use crate::{
    components::{
        icon::{Glyph, Icon},
        live::use_announcer,
    },
    fns::tokens_form::TokenForm,
    forms::{
        EnhancedForm, Field, FieldName, FormState, FormSummary, SubmitButton, TextArea,
        expiry::{Choice, ExpiryField},
        scope_tree::{ScopeTree, model::Chosen},
    },
    posted::Outcome,
};

/// The fields' labels in the error summary.
const FIELDS: &[FieldName] = &[
    FieldName::new("name", "Name"),
    FieldName::new("description", "Description"),
    FieldName::new("user", "Acts as"),
    FieldName::new("expires_at", "Expiry"),
    FieldName::new("audiences", "APIs"),
    FieldName::new("scopes", "Scopes"),
    FieldName::new("ip_allow", "Allowed addresses"),
    FieldName::new("rate_limit", "Rate limit"),
];

/// The values that the summary describes.
#[derive(Clone, Copy)]
pub struct Values {
    /// The name.
    pub name: RwSignal<String>,
    /// The id of the user whom the token acts as.
    pub user: RwSignal<String>,
    /// The audiences.
    pub audiences: RwSignal<BTreeSet<AudienceSlug>>,
    /// The scopes.
    pub chosen: RwSignal<Chosen>,
    /// The expiry.
    pub expiry: RwSignal<Choice>,
    /// The address ranges, as typed.
    pub ip_allow: RwSignal<String>,
    /// The rate limit, as typed.
    pub rate_limit: RwSignal<String>,
}

impl Values {
    fn new(draft: &Draft) -> Self {
        Self {
            name: RwSignal::new(draft.name.clone()),
            user: RwSignal::new(draft.user.clone()),
            audiences: RwSignal::new(draft.audiences.clone()),
            chosen: RwSignal::new(draft.chosen.clone()),
            expiry: RwSignal::new(draft.expiry.clone()),
            ip_allow: RwSignal::new(draft.ip_allow.clone()),
            rate_limit: RwSignal::new(draft.rate_limit.clone()),
        }
    }

    fn set(self, draft: Draft) {
        self.name.set(draft.name);
        self.user.set(draft.user);
        self.audiences.set(draft.audiences);
        self.chosen.set(draft.chosen);
        self.expiry.set(draft.expiry);
        self.ip_allow.set(draft.ip_allow);
        self.rate_limit.set(draft.rate_limit);
    }
}

/// The form for a new token: the body and foot of its panel.
#[component]
pub fn CreateForm(
    /// The data of the form.
    form: TokenForm,
    /// The initial values.
    draft: Draft,
    /// The form's state.
    state: FormState,
    /// The path to post to.
    action: String,
    /// The target of Cancel.
    cancel_href: String,
    /// Set after the visitor typed or chose something.
    typed: RwSignal<bool>,
    /// Called before Cancel leads away; `false` stays on the page.
    may_cancel: Callback<(), bool>,
    /// Called after the token was created.
    on_done: Callback<Outcome>,
) -> impl IntoView {
    let values = Values::new(&draft);
    let live = RwSignal::new(false);
    // Reads the values that the visitor typed or ticked before the scripts ran, because this view
    // is about to take over the form.
    let before = typed_before();
    let first = draft.clone();
    let stored = StoredValue::new(form.clone());
    Effect::new(move |_| {
        if let Some(before) = &before {
            let pairs: Vec<_> = pairs(before).collect();
            let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let before = stored.with_value(|form| Draft::read(pairs, Source::Form, form));
            typed.set(before != first);
            values.set(before);
        }
        live.set(true);
    });
    let announcer = use_announcer();
    Effect::new(move |_| {
        if state.is_pending() {
            announcer.say("Creating the token…");
        }
    });
    let creation_key = state.value("creation_key").unwrap_or_else(|| form.creation_key.to_string());
    let catalogues = StoredValue::new(form.catalogues.clone());
    let unknown = draft.unknown.clone();
    let name = Callback::new(move |text| values.name.set(text));
    view! {
        <EnhancedForm action class="panel-form" fields=FIELDS button="Create Token" state=state
            own_summary=true on_done>
            <input type="hidden" name="creation_key" value=creation_key/>
            <div class="panel-body with-summary" on:input=move |_| typed.set(true)>
                <div class="form-fields">
                    <FormSummary/>
                    {(!unknown.is_empty()).then(|| unknown_scopes(&unknown))}
                    <Field name="name" label="Name" required=true autocomplete="off"
                        help="Name the program that uses the token, such as deploy-bot." value=draft.name.clone()
                        on_input=name/>
                    <TextArea name="description" label="Description" rows=2 optional=true
                        value=draft.description.clone()/>
                    <UserField form=form.clone() user=values.user/>
                    <ExpiryField policy=form.overview.policy.clone() now=form.now
                        choice=values.expiry live/>
                    <AudienceField catalogues values/>
                    <ScopeTree catalogues withheld=form.withheld audiences=values.audiences.into()
                        chosen=values.chosen live/>
                    <Restrictions values
                        open=!(draft.ip_allow.is_empty() && draft.rate_limit.is_empty())/>
                </div>
                <Summary form=stored values live/>
            </div>
            <footer class="panel-foot form-actions">
                <SubmitButton>
                    <span>
                        {move || if state.is_pending() { "Creating…" } else { "Create Token" }}
                    </span>
                </SubmitButton>
                <a class="button" href=cancel_href
                    on:click=move |event| {
                        if !may_cancel.run(()) {
                            event.prevent_default();
                        }
                    }>
                    "Cancel"
                </a>
                <p class="panel-foot-note">"You'll see the token once, on the next screen."</p>
            </footer>
        </EnhancedForm>
    }
}

fn unknown_scopes(names: &[String]) -> impl IntoView + use<> {
    let names = names.join(", ");
    view! {
        <div class="notice notice-warning" role="note">
            <Icon glyph=Glyph::Warning/>
            <p>
                "The link you followed names scopes that don't exist or that you can't grant: "<bdi>{names}</bdi>"."
            </p>
        </div>
    }
}

/// Returns the values of the form in the server's page, before the browser takes it over.
#[cfg(feature = "hydrate")]
fn typed_before() -> Option<String> {
    use wasm_bindgen::JsCast;
    use web_sys::{FormData, HtmlFormElement, UrlSearchParams};

    if !crate::components::panel::is_first_page() {
        return None;
    }
    let form = document().query_selector("#panel form").ok().flatten()?;
    let form = form.dyn_into::<HtmlFormElement>().ok()?;
    let data = FormData::new_with_form(&form).ok()?;
    let values = UrlSearchParams::new_with_str_sequence_sequence(data.as_ref()).ok()?;
    values.to_string().as_string()
}

#[cfg(not(feature = "hydrate"))]
fn typed_before() -> Option<String> {
    None
}
