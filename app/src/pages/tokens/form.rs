//! The form for a new token.

use domain::{catalogue::Catalogue, roles::UserKind};
use leptos::prelude::*;

use super::{
    draft::{Draft, Source, ranges},
    place::pairs,
};
use crate::{
    components::{
        expiry::{End, ExpiryField, day, offers},
        icon::{Glyph, Icon},
        live::use_announcer,
        scope_tree::{ScopeTree, model::Marking},
        summary::{Sentence, Subject, sentence},
    },
    fns::tokens_form::TokenForm,
    forms::{
        Control, EnhancedForm, Field, FieldFrame, FieldName, FormState, FormSummary, SubmitButton,
        TextArea,
    },
    posted::Outcome,
};

/// How fields are called where the form says what is wrong with them.
const FIELDS: &[FieldName] = &[
    FieldName::new("name", "Name"),
    FieldName::new("description", "Description"),
    FieldName::new("user", "Acts as"),
    FieldName::new("expires_at", "Expiration"),
    FieldName::new("audiences", "APIs"),
    FieldName::new("scopes", "Scopes"),
    FieldName::new("ip_allow", "Allowed addresses"),
];

/// The values that the summary is made of.
#[derive(Clone, Copy)]
struct Values {
    name: RwSignal<String>,
    user: RwSignal<String>,
    audiences: RwSignal<std::collections::BTreeSet<domain::names::AudienceSlug>>,
    chosen: RwSignal<crate::components::scope_tree::model::Chosen>,
    expiry: RwSignal<crate::components::expiry::Choice>,
    ip_allow: RwSignal<String>,
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
        }
    }

    fn set(self, draft: Draft) {
        self.name.set(draft.name);
        self.user.set(draft.user);
        self.audiences.set(draft.audiences);
        self.chosen.set(draft.chosen);
        self.expiry.set(draft.expiry);
        self.ip_allow.set(draft.ip_allow);
    }
}

/// The form for a new token: body and foot of its panel.
#[component]
pub fn CreateForm(
    /// What it offers.
    form: TokenForm,
    /// What it starts with.
    draft: Draft,
    /// The path to post to.
    action: String,
    /// Where Cancel leads.
    cancel_href: String,
    /// Set once something was typed.
    typed: RwSignal<bool>,
    /// Asked before Cancel leads on; `false` stays.
    may_cancel: Callback<(), bool>,
    /// Told when the token was made.
    on_done: Callback<Outcome>,
) -> impl IntoView {
    let state = FormState::new(&action);
    let values = Values::new(&draft);
    let live = RwSignal::new(false);
    // What somebody typed or ticked before there were scripts is theirs: it is read before this
    // view takes the form over.
    let before = typed_before();
    let stored = StoredValue::new(form.clone());
    Effect::new(move |_| {
        if let Some(before) = &before {
            let pairs: Vec<_> = pairs(before).collect();
            let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let draft = stored.with_value(|form| Draft::read(pairs, Source::Form, form));
            values.set(draft);
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
                        help="Say what uses it, for example deploy-bot." value=draft.name.clone()
                        on_input=name/>
                    <TextArea name="description" label="Description" rows=2 optional=true
                        value=draft.description.clone()/>
                    <UserField form=form.clone() user=values.user/>
                    <ExpiryField policy=form.overview.policy.clone() now=form.now
                        choice=values.expiry/>
                    <AudienceField catalogues values/>
                    <ScopeTree catalogues audiences=values.audiences.into() chosen=values.chosen
                        live/>
                    <Restrictions values open=!draft.ip_allow.is_empty()/>
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
                <p class="panel-foot-note">"The token is shown once, right after."</p>
            </footer>
        </EnhancedForm>
    }
}

fn unknown_scopes(names: &[String]) -> impl IntoView + use<> {
    let names = names.join(", ");
    view! {
        <div class="notice notice-warning" role="note">
            <Icon glyph=Glyph::Warning/>
            <p>"The link that led here names scopes that are not known: "<bdi>{names}</bdi>"."</p>
        </div>
    }
}

/// Whom the token acts as.
#[component]
fn UserField(form: TokenForm, user: RwSignal<String>) -> impl IntoView {
    let me = form.visitor.user.clone();
    let chosen = user.get_untracked();
    let option = |id: String, label: String| {
        let selected = id == chosen;
        view! { <option value=id selected=selected>{label}</option> }
    };
    let named = |kind: UserKind| {
        form.members
            .iter()
            .filter(|member| member.kind == kind && member.user.id != me.id)
            .map(|member| {
                let user = &member.user;
                option(user.id.to_string(), format!("{} ({})", user.name, user.email))
            })
            .collect::<Vec<_>>()
    };
    let people = named(UserKind::Person);
    let programs = named(UserKind::Service);
    let programs = (!programs.is_empty())
        .then(|| view! { <optgroup label="Service accounts">{programs}</optgroup> });
    let first = option(me.id.to_string(), format!("{} (you)", me.name));
    let control = Control::new("user", "user", true);
    let Control { id, name, described_by, invalid, .. } = control.clone();
    view! {
        <FieldFrame control label="Acts as"
            help=Some("The token can never do more than this user.".to_owned())>
            <select class="select" id=id name=name aria-describedby=described_by
                aria-invalid=invalid on:change=move |event| user.set(event_target_value(&event))>
                {first}
                {people}
                {programs}
            </select>
        </FieldFrame>
    }
}

/// The APIs that accept the token.
#[component]
fn AudienceField(catalogues: StoredValue<Vec<Catalogue>>, values: Values) -> impl IntoView {
    let state = use_context::<FormState>();
    let error = Memo::new(move |_| state.and_then(|state| state.error("audiences")));
    let failed = move || error.with(Option::is_some);
    let cards = catalogues
        .get_value()
        .into_iter()
        .map(|catalogue| {
            let audience = catalogue.audience.clone();
            let checked = values.audiences.with_untracked(|chosen| chosen.contains(&audience));
            let on_change = move |event| {
                let ticked = event_target_checked(&event);
                values.audiences.update(|chosen| {
                    if ticked {
                        chosen.insert(audience.clone());
                    } else {
                        chosen.remove(&audience);
                    }
                });
            };
            view! {
                <label class="check-card">
                    <input class="checkbox" type="checkbox" name="audience"
                        value=catalogue.audience.to_string() checked=checked on:change=on_change/>
                    <span class="check-card-body">
                        <span class="check-card-title">
                            {catalogue.name.to_string()}" "
                            <code>{catalogue.audience.to_string()}</code>
                        </span>
                        <span class="check-card-text">{catalogue.description.to_string()}</span>
                    </span>
                </label>
            }
        })
        .collect_view();
    let error = move || {
        error.get().map(|message| {
            view! {
                <p class="field-error" id="audiences-error">
                    <Icon glyph=Glyph::Warning/>
                    <span>{format!("APIs {message}")}</span>
                </p>
            }
        })
    };
    let described_by =
        move || if failed() { "audiences-hint audiences-error" } else { "audiences-hint" };
    view! {
        <fieldset class="field" class:has-error=failed id="audiences" tabindex="-1"
            aria-describedby=described_by>
            <legend class="label">"APIs"</legend>
            <p class="field-hint" id="audiences-hint">
                "Where the token is accepted. Every other API refuses it."
            </p>
            {error}
            <div class="check-cards">{cards}</div>
        </fieldset>
    }
}

/// Where the token may be used from.
#[component]
fn Restrictions(values: Values, open: bool) -> impl IntoView {
    let state = use_context::<FormState>();
    let first = values.ip_allow.get_untracked();
    let text = move || {
        let ranges = values.ip_allow.with(|text| ranges(text).join(", "));
        if ranges.is_empty() { "From anywhere".to_owned() } else { format!("From {ranges}") }
    };
    // An error must be seen.
    let failed = move || state.is_some_and(|state| state.error("ip_allow").is_some());
    let on_input = Callback::new(move |text| values.ip_allow.set(text));
    view! {
        <details class="disclosure" open=open || failed() prop:open=move || open || failed()>
            <summary>
                <Icon glyph=Glyph::Chevron class="icon marker"/>
                <span class="disclosure-title">"Restrictions"</span>
                <span class="disclosure-text">{text}</span>
            </summary>
            <div class="disclosure-body">
                <Field name="ip_allow" label="Allowed addresses" autocomplete="off" optional=true
                    placeholder="10.0.0.0/8, 2001:db8::/32"
                    help="Addresses or ranges, separated by commas. Empty: from anywhere."
                    value=first on_input/>
            </div>
        </details>
    }
}

/// What the token will be able to do, in words; live once there are scripts.
#[component]
fn Summary(form: StoredValue<TokenForm>, values: Values, live: RwSignal<bool>) -> impl IntoView {
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
        End::Open => "Not chosen yet".to_owned(),
    };
    let workspace = form.with_value(|form| form.overview.workspace.name.to_string());
    view! {
        <aside class="summary" aria-labelledby="summary-title">
            <h2 class="summary-title" id="summary-title">"Summary"</h2>
            <Show
                when=move || live.get()
                fallback=move || view! {
                    <p class="summary-text">
                        "The token acts as the chosen user in "<em><bdi>{workspace.clone()}</bdi></em>
                        ". It can do what is ticked and what that includes, nothing else, and only \
                         at the chosen APIs."
                    </p>
                }
            >
                <p class="summary-text"><Sentence parts/></p>
                <dl class="facts">
                    <div><dt>"Acts as"</dt><dd><bdi>{user}</bdi></dd></div>
                    <div><dt>"APIs"</dt><dd>{apis}</dd></div>
                    <div><dt>"Scopes"</dt><dd>{scopes}</dd></div>
                    <div><dt>"Ends"</dt><dd>{ends}</dd></div>
                </dl>
            </Show>
        </aside>
    }
}

/// What the form of the server's page holds when the browser takes it over.
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
