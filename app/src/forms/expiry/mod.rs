//! The expiry of a new token: the choice, and the moment that it results in.

mod options;

use domain::policy::Policy;
use leptos::prelude::*;
use time::{Date, Duration, OffsetDateTime, UtcOffset, macros::format_description};

pub use self::options::{DATE, NEVER, Offer, date_bounds, end_of_date, offers, preselected};
use crate::{
    components::{
        icon::{Glyph, Icon},
        moment::{exact, machine},
    },
    forms::FormState,
};

/// The current choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value of the chosen option.
    pub value: String,
    /// The content of the date field.
    pub date: String,
}

/// The expiry that a choice results in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The token expires at this moment.
    At(OffsetDateTime),
    /// The token never expires.
    Never,
    /// The date is not complete yet.
    Open,
}

impl Choice {
    /// Returns the expiry of a token created now with this choice.
    pub fn end(&self, offers: &[Offer]) -> End {
        match self.value.as_str() {
            NEVER => End::Never,
            DATE => end_of_date(&self.date).map_or(End::Open, End::At),
            value => offers
                .iter()
                .find(|offer| offer.value == value)
                .and_then(|offer| offer.end)
                .map_or(End::Open, End::At),
        }
    }
}

impl End {
    /// Returns the phrase for the summary, such as `until 18 Aug 2027`.
    pub fn phrase(self) -> Option<String> {
        match self {
            Self::At(end) => Some(format!("until {}", day(end))),
            Self::Never => Some("with no expiry".to_owned()),
            Self::Open => None,
        }
    }
}

/// The options that the policy allows. Each shows the day on which the token would expire. Once
/// hydrated, the exact expiry of the chosen option follows, in the reader's time and in UTC.
#[component]
pub fn ExpiryField(
    /// The policy of the workspace.
    policy: Policy,
    /// The server's clock.
    now: OffsetDateTime,
    /// The choice.
    choice: RwSignal<Choice>,
    /// Whether the reader's time zone is available. It is `false` on the server and in the
    /// browser's first render, which must be equal.
    #[prop(into)]
    live: Signal<bool>,
) -> impl IntoView {
    let offers = offers(&policy, now);
    let (first, last) = date_bounds(&policy, now);
    let initial = choice.get_untracked();
    let state = use_context::<FormState>();
    let error = Memo::new(move |_| state.and_then(|state| state.error("expires_at")));
    let failed = move || error.with(Option::is_some);
    let radios = offers
        .iter()
        .map(|offer| {
            let value = offer.value.clone();
            let checked = value == initial.value;
            let end = offer.end.map(|end| {
                view! { <time class="choice-end" datetime=machine(end)>{day(end)}</time> }
            });
            view! {
                <label class="choice">
                    <input type="radio" name="expires" value=value.clone() checked=checked
                        on:change=move |_| choice.update(|choice| choice.value.clone_from(&value))/>
                    <span>{offer.label.clone()}{end}</span>
                </label>
            }
        })
        .collect_view();
    let told = move || choice.with(|choice| told(choice.end(&offers), live.get()));
    let error = move || {
        error.get().map(|message| {
            view! {
                <p class="field-error" id="expires_at-error">
                    <Icon glyph=Glyph::Warning/>
                    <span>{message}</span>
                </p>
            }
        })
    };
    view! {
        <fieldset class="field expiry" class:has-error=failed id="expires_at" tabindex="-1"
            aria-describedby=move || if failed() { "expires_at-error" } else { "expires-result" }>
            <legend class="label">"Expiry"</legend>
            {error}
            <div class="choices">{radios}</div>
            <div class="expiry-date">
                <label class="label" for="expires_date">"Last day (UTC)"</label>
                <input class="input" type="date" id="expires_date" name="expires_date"
                    value=initial.date min=first.map(iso_date) max=last.map(iso_date)
                    on:input=move |event| {
                        let date = event_target_value(&event);
                        choice.update(|choice| choice.date = date);
                    }/>
            </div>
            <p class="expiry-result needs-script" id="expires-result">
                <Icon glyph=Glyph::Clock/>
                <span>{told}</span>
            </p>
        </fieldset>
    }
}

/// Renders the exact expiry that a choice results in.
fn told(end: End, live: bool) -> impl IntoView {
    match end {
        End::Never => "Works until it is deleted or disabled.".into_any(),
        End::Open => "Choose the last day the token works.".into_any(),
        End::At(end) => match live.then(|| local(end)).flatten() {
            Some(local) => {
                let utc = exact(end);
                view! { "Expires "<strong>{local}</strong>{format!(" local time ({utc})")} }
                    .into_any()
            }
            None => view! { "Expires "<strong>{exact(end)}</strong> }.into_any(),
        },
    }
}

/// Formats a date in UTC, such as `18 Aug 2027`.
pub fn day(at: OffsetDateTime) -> String {
    let date = at.to_offset(UtcOffset::UTC).date();
    date.format(format_description!("[day padding:none] [month repr:short] [year]"))
        .unwrap_or_default()
}

/// Formats a moment in the reader's time zone, such as `18 Aug 2027, 16:05`. Returns `None` on the
/// server, which does not know the zone, and if the zone is UTC.
fn local(at: OffsetDateTime) -> Option<String> {
    let offset = reader_offset(at).filter(|offset| !offset.is_zero())?;
    let here = at.checked_add(offset)?;
    Some(exact(here).trim_end_matches(" UTC").to_owned())
}

/// Returns the reader's offset from UTC at this moment.
#[cfg(feature = "hydrate")]
fn reader_offset(at: OffsetDateTime) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    let date = js_sys::Date::new(&(at.unix_timestamp() as f64 * 1_000.0).into());
    let minutes = date.get_timezone_offset();
    #[expect(clippy::cast_possible_truncation, reason = "a day has 1,440 minutes")]
    let minutes = if minutes.is_finite() { minutes as i64 } else { return None };
    Some(Duration::minutes(-minutes))
}

#[cfg(not(feature = "hydrate"))]
fn reader_offset(_: OffsetDateTime) -> Option<Duration> {
    None
}

/// Formats a date for a date field, such as `2027-08-18`.
pub fn iso_date(date: Date) -> String {
    date.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 10:00 UTC);

    fn end(value: &str, date: &str) -> End {
        Choice { value: value.into(), date: date.into() }.end(&offers(&Policy::default(), NOW))
    }

    #[test]
    fn choice_resolves_to_an_expiry() {
        assert_eq!(end("30d", ""), End::At(datetime!(2026-02-01 10:00 UTC)));
        assert_eq!(end("date", "2027-08-18"), End::At(datetime!(2027-08-18 23:59:59 UTC)));
        assert_eq!(end("date", ""), End::Open);
        assert_eq!(end("never", ""), End::Never);
        assert_eq!(end("nonsense", ""), End::Open);
    }

    #[test]
    fn summary_mentions_the_expiry() {
        assert_eq!(end("30d", "").phrase().as_deref(), Some("until 1 Feb 2026"));
        assert_eq!(end("date", "").phrase(), None);
    }

    #[test]
    fn bounds_of_the_date_field_are_iso_dates() {
        assert_eq!(iso_date(NOW.date()), "2026-01-02");
    }
}
