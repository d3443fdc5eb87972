//! The panel that changes a token: its name, its expiry, and where it may be used from. Scopes can
//! only be removed here; more scopes require another token.

use domain::{policy::Policy, token::Token};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{
    fields::RATE_HELP,
    one::{back_to_list, one_token, ways},
    place::Place,
};
use crate::{
    components::panel::Panel,
    fns::tokens_show::TokenDetail,
    forms::{
        Control, EnhancedForm, Field, FieldFrame, FieldName, FormState, SubmitButton, TextArea,
        expiry::{date_bounds, day, iso_date, offers},
    },
    notice::Notice,
};

const FIELDS: &[FieldName] = &[
    FieldName::new("name", "Name"),
    FieldName::new("description", "Description"),
    FieldName::new("expires_at", "Expiry"),
    FieldName::new("ip_allow", "Allowed addresses"),
    FieldName::new("rate_limit", "Rate limit"),
    FieldName::new("scopes", "Scopes"),
];

/// The option that keeps the current expiry.
const KEEP: &str = "keep";

/// The panel that changes a token.
#[component]
pub fn TokenEditPage() -> impl IntoView {
    one_token(true, |detail, place| view! { <Edit detail place/> }.into_any())
}

#[component]
fn Edit(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let TokenDetail { now, token, policy, .. } = detail;
    let action = paths.action(token.id, "edit");
    let state = FormState::new(&action);
    let name = token.name.clone();
    let on_done = back_to_list(list.clone(), Notice::TokenSaved { name: name.clone() });
    let rate = token.rate_limit.map(|limit| limit.to_string()).unwrap_or_default();
    let ranges: Vec<_> = token.ip_allow.iter().map(ToString::to_string).collect();
    view! {
        <Panel title=format!("Edit “{name}”") close_href=list.clone() size="panel-wide">
            <EnhancedForm action class="panel-form" fields=FIELDS button="Save changes" state=state on_done>
                // The version lets the server refuse the change if the token has changed since this
                // page was loaded.
                <input type="hidden" name="version" value=token.version.to_string()/>
                <div class="panel-body form-fields">
                    <Field name="name" label="Name" autocomplete="off" value=token.name.clone()/>
                    <TextArea name="description" label="Description" rows=2 optional=true
                        value=token.description.to_string()/>
                    <EndField token=token.clone() policy now/>
                    <Field name="ip_allow" label="Allowed addresses" autocomplete="off"
                        optional=true placeholder="10.0.0.0/8, 2001:db8::/32"
                        help="IP addresses or ranges, separated by commas. Leave empty to allow any address."
                        value=ranges.join(", ")/>
                    <Field name="rate_limit" label="Rate limit" autocomplete="off" optional=true
                        placeholder="600/60s" help=RATE_HELP value=rate/>
                    <ScopesLeft token=token.clone()/>
                </div>
                <footer class="panel-foot form-actions">
                    <SubmitButton>
                        <span>{move || if state.is_pending() { "Saving…" } else { "Save changes" }}</span>
                    </SubmitButton>
                    <a class="button" href=list>"Cancel"</a>
                </footer>
            </EnhancedForm>
        </Panel>
    }
}

/// The expiry: the current one, or one of the options that the policy allows.
#[component]
fn EndField(token: Token, policy: Policy, now: OffsetDateTime) -> impl IntoView {
    let control = Control::new("expires", "expires_at", true);
    let Control { id, name, described_by, invalid, value, .. } = control.clone();
    let chosen = value.unwrap_or_else(|| KEEP.to_owned());
    let kept = token.expires_at.map_or_else(|| "“Never”".to_owned(), day);
    let (first, last) = date_bounds(&policy, now);
    let option = move |value: String, label: String| {
        let selected = value == chosen;
        view! { <option value=value selected=selected>{label}</option> }
    };
    let options = offers(&policy, now)
        .into_iter()
        .map(|offer| {
            let label = match offer.end {
                Some(end) => format!("{} from now: {}", offer.label, day(end)),
                None => offer.label,
            };
            option(offer.value, label)
        })
        .collect_view();
    view! {
        <FieldFrame control label="Expiry"
            help=Some("The maximum lifetime of the workspace counts from when the current secret was created.".to_owned())>
            <div class="end-row">
                <select class="select" id=id name=name aria-describedby=described_by aria-invalid=invalid>
                    {option(KEEP.to_owned(), format!("Keep {kept}"))}
                    {options}
                </select>
                <label class="end-date">
                    <span class="label">"Last day for “Custom date” (UTC)"</span>
                    <input class="input" type="date" name="expires_date"
                        min=first.map(iso_date) max=last.map(iso_date)/>
                </label>
            </div>
        </FieldFrame>
    }
}

/// The token's scopes, each of which can be removed.
#[component]
fn ScopesLeft(token: Token) -> impl IntoView {
    let state = use_context::<FormState>();
    let error = Memo::new(move |_| state.and_then(|state| state.error("scopes")));
    let left = state.and_then(|state| state.all("scope"));
    let several = token.audiences.len() > 1;
    let audiences = token
        .audiences
        .iter()
        .map(|audience| view! { <input type="hidden" name="audience" value=audience.to_string()/> })
        .collect_view();
    let boxes = token
        .grants
        .pairs()
        .map(|(audience, scope)| {
            let text = format!("{audience}/{scope}");
            let api = several.then(|| view! { " at "<code>{audience.to_string()}</code> });
            let checked = left.as_ref().is_none_or(|left| left.contains(&text));
            view! {
                <label class="check-row">
                    <input class="checkbox" type="checkbox" name="scope" value=text
                        checked=checked/>
                    <span><code>{scope.to_string()}</code>{api}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="field" id="scopes" tabindex="-1">
            <legend class="label">"Scopes"</legend>
            <p class="field-hint">
                "Clear the scopes that the token no longer needs. To add scopes, create another token."
            </p>
            {move || error.get().map(|text| view! { <p class="field-error">{text}</p> })}
            {audiences}
            <div class="check-rows">{boxes}</div>
        </fieldset>
    }
}
