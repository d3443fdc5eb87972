//! Moments for people: "in 3 days", with the exact time available on request.
//!
//! The server sends its clock with every response, so that the server and the browser count from
//! the same moment. Only the reader's time zone depends on the browser. It arrives in an effect.

use leptos::{either::Either, prelude::*};
use time::{
    OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description,
};

/// A moment relative to `now`, with its exact time in UTC and, once hydrated, in the reader's zone.
#[component]
pub fn Moment(
    /// The moment.
    at: OffsetDateTime,
    /// The server's clock.
    now: OffsetDateTime,
    /// Whether the date and time are shown instead of the relative time.
    #[prop(optional)]
    dated: bool,
) -> impl IntoView {
    let title = RwSignal::new(exact(at));
    Effect::new(move |_| {
        if let Some(local) = local(at) {
            title.set(format!("{local} ({})", exact(at)));
        }
    });
    view! {
        <time datetime=machine(at) title=title tabindex="0">
            {if dated { in_two_lines(&exact(at)) } else { relative(at, now) }}
        </time>
    }
}

/// A moment that may be absent.
#[component]
pub fn MaybeMoment(
    /// The moment.
    at: Option<OffsetDateTime>,
    /// The server's clock.
    now: OffsetDateTime,
    /// The text shown if there is no moment.
    #[prop(default = "Never")]
    none: &'static str,
) -> impl IntoView {
    match at {
        Some(at) => Either::Left(view! { <Moment at now/> }),
        None => Either::Right(view! { <span class="muted">{none}</span> }),
    }
}

/// Formats a moment for programs, such as `2027-08-18T14:05:00Z` (RFC 3339).
pub fn machine(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// Formats a moment exactly, such as `18 Aug 2027, 14:05 UTC`.
pub fn exact(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(format_description!(
            "[day padding:none] [month repr:short] [year], [hour]:[minute] UTC"
        ))
        .unwrap_or_default()
}

/// Allows a line break only between the date and the time.
fn in_two_lines(exact: &str) -> String {
    exact.replace(' ', "\u{a0}").replace(",\u{a0}", ", ")
}

/// Formats a moment in the reader's language and time zone.
#[cfg(feature = "hydrate")]
pub fn local(at: OffsetDateTime) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    let date = js_sys::Date::new(&(at.unix_timestamp() as f64 * 1_000.0).into());
    date.to_locale_string("default", &wasm_bindgen::JsValue::UNDEFINED).as_string()
}

/// Returns `None`, because the server does not know the reader's time zone.
#[cfg(not(feature = "hydrate"))]
pub fn local(_at: OffsetDateTime) -> Option<String> {
    None
}

/// Formats a moment relative to `now`: `in 3 days`, `4 minutes ago`, `yesterday`.
pub fn relative(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let distance = at - now;
    let ahead = distance.is_positive();
    let seconds = distance.abs().whole_seconds();
    let (count, unit) = match seconds {
        0..45 => return if ahead { "in a moment" } else { "just now" }.to_owned(),
        45..3_570 => (rounded(seconds, 60), "minute"),
        3_570..84_600 => (rounded(seconds, 3_600), "hour"),
        84_600..10_368_000 => (rounded(seconds, 86_400), "day"),
        10_368_000..46_656_000 => (rounded(seconds, 2_629_800), "month"),
        _ => (rounded(seconds, 31_557_600), "year"),
    };
    match (unit, count, ahead) {
        ("day", 1, true) => "tomorrow".to_owned(),
        ("day", 1, false) => "yesterday".to_owned(),
        (_, 1, true) => format!("in 1 {unit}"),
        (_, 1, false) => format!("1 {unit} ago"),
        (_, _, true) => format!("in {count} {unit}s"),
        (_, _, false) => format!("{count} {unit}s ago"),
    }
}

fn rounded(seconds: i64, unit: i64) -> i64 {
    ((seconds + unit / 2) / unit).max(1)
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

    #[test]
    fn distance_is_shown_in_the_unit_that_fits() {
        for (seconds, text) in [
            (0, "just now"),
            (10, "in a moment"),
            (-60, "1 minute ago"),
            (-240, "4 minutes ago"),
            (-3_600, "1 hour ago"),
            (7_200, "in 2 hours"),
            (-86_400, "yesterday"),
            (86_400, "tomorrow"),
            (90 * 86_400, "in 90 days"),
            (180 * 86_400, "in 6 months"),
            (-365 * 86_400, "12 months ago"),
            (2 * 365 * 86_400, "in 2 years"),
        ] {
            assert_eq!(relative(NOW + Duration::seconds(seconds), NOW), text, "{seconds}");
        }
    }

    #[test]
    fn time_of_another_zone_is_shown_in_utc() {
        let at = datetime!(2026-01-02 01:30 +02:00);
        assert_eq!(exact(at), "1 Jan 2026, 23:30 UTC");
        assert_eq!(in_two_lines(&exact(at)), "1\u{a0}Jan\u{a0}2026, 23:30\u{a0}UTC");
        assert_eq!(machine(at), "2026-01-01T23:30:00Z");
    }
}
