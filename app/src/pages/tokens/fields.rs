//! The fields of the form for a new token that are more than a line of text.

use domain::{access::TokenReach, catalogue::Catalogue, roles::UserKind};
use leptos::{either::Either, ev::Event, prelude::*, web_sys::Element};

use super::{draft::ranges, form::Values};
use crate::{
    components::icon::{Glyph, Icon},
    fns::tokens_form::TokenForm,
    forms::{Control, Field, FieldFrame, FormState},
};

/// The choice of the user whom the token acts as. Fixed to the visitor if there is no choice.
#[component]
pub fn UserField(
    /// The data of the form.
    form: TokenForm,
    /// The id of the chosen user.
    user: RwSignal<String>,
) -> impl IntoView {
    let me = form.visitor.user.clone();
    if form.overview.reach == TokenReach::Own {
        return Either::Left(view! {
            <div class="field">
                <p class="label">"Acts as"</p>
                <p><bdi>{me.name}</bdi>" (you)"</p>
                <p class="field-hint">"The token can't do more than you can."</p>
            </div>
        });
    }
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
    Either::Right(view! {
        <FieldFrame control label="Acts as"
            help=Some("The token can't do more than this user can.".to_owned())>
            <select class="select" id=id name=name aria-describedby=described_by
                aria-invalid=invalid on:change=move |event| user.set(event_target_value(&event))>
                {first}
                {people}
                {programs}
            </select>
        </FieldFrame>
    })
}

/// The APIs that accept the token.
#[component]
pub fn AudienceField(
    /// Every audience.
    catalogues: StoredValue<Vec<Catalogue>>,
    /// The form's values.
    values: Values,
) -> impl IntoView {
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
                    <span>{message}</span>
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
                "The APIs that accept the token. All others refuse it."
            </p>
            {error}
            <div class="check-cards">{cards}</div>
        </fieldset>
    }
}

/// The help text of the rate limit field.
pub const RATE_HELP: &str =
    "Uses per period, such as 600/60s or 10000/1h. Leave empty for no limit.";

/// The restrictions on where and how often the token may be used.
#[component]
pub fn Restrictions(
    /// The form's values.
    values: Values,
    /// Whether the section starts open.
    open: bool,
) -> impl IntoView {
    let state = use_context::<FormState>();
    let first = values.ip_allow.get_untracked();
    let first_rate = values.rate_limit.get_untracked();
    let text = move || {
        let ranges = values.ip_allow.with(|text| ranges(text).join(", "));
        let from =
            if ranges.is_empty() { "From anywhere".to_owned() } else { format!("From {ranges}") };
        match values.rate_limit.with(|text| text.trim().to_owned()) {
            rate if rate.is_empty() => from,
            rate => format!("{from}, {rate}"),
        }
    };
    // The section opens to show an error; otherwise the reader opens and closes it.
    let failed = move || {
        state.is_some_and(|state| {
            ["ip_allow", "rate_limit"].iter().any(|field| state.error(field).is_some())
        })
    };
    let first_open = open || untrack(failed);
    let opened = RwSignal::new(first_open);
    Effect::new(move |_| {
        if failed() {
            opened.set(true);
        }
    });
    let on_toggle = move |event: Event| {
        opened.set(event_target::<Element>(&event).has_attribute("open"));
    };
    let on_input = Callback::new(move |text| values.ip_allow.set(text));
    let on_rate = Callback::new(move |text| values.rate_limit.set(text));
    view! {
        <details class="disclosure" open=first_open prop:open=move || opened.get()
            on:toggle=on_toggle>
            <summary>
                <Icon glyph=Glyph::Chevron class="icon marker"/>
                <span class="disclosure-title">"Restrictions"</span>
                <span class="disclosure-text">{text}</span>
            </summary>
            <div class="disclosure-body">
                <Field name="ip_allow" label="Allowed addresses" autocomplete="off" optional=true
                    placeholder="10.0.0.0/8, 2001:db8::/32"
                    help="IP addresses or ranges, separated by commas. Leave empty to allow any address."
                    value=first on_input/>
                <Field name="rate_limit" label="Rate limit" autocomplete="off" optional=true
                    placeholder="600/60s" help=RATE_HELP value=first_rate on_input=on_rate/>
            </div>
        </details>
    }
}
