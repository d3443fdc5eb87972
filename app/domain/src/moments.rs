//! Moments as people type them.

use thiserror::Error;
use time::{
    Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// Not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a moment such as 2027-08-18T12:00:00Z or a date such as 2027-08-18")]
pub struct NoMoment;

/// Reads an RFC 3339 moment, or a date: its beginning, UTC.
pub fn parse(text: &str) -> Result<OffsetDateTime, NoMoment> {
    let text = text.trim();
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(date.midnight().assume_utc());
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|moment| moment.checked_to_offset(UtcOffset::UTC))
        .ok_or(NoMoment)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn moments_and_dates_are_read() {
        assert_eq!(parse("2027-08-18"), Ok(datetime!(2027-08-18 00:00 UTC)));
        assert_eq!(parse(" 2027-08-18T12:00:00+02:00 "), Ok(datetime!(2027-08-18 10:00 UTC)));
        for text in ["", "30d", "2027-02-30", "2027-08-18 12:00", "9999-12-31T23:59:59-01:00"] {
            assert_eq!(parse(text), Err(NoMoment), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
