//! Times as people and programs write them.
//!
//! RFC 3339 writes years with four digits, but an offset can lead outside that range:
//! `0000-01-01T00:00:00+01:00` lies in the year -1. Every time that this module reads is in UTC and
//! can be written again.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
use thiserror::Error;
use time::{
    Date, OffsetDateTime, UtcOffset,
    format_description::well_known::Rfc3339,
    macros::{datetime, format_description},
};

/// The first and the last time of the years 1 to 9999, in the database's precision of a
/// microsecond.
const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);

/// The error for a text that is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a time such as 2027-08-18T12:00:00Z or a date such as 2027-08-18")]
pub struct NoMoment;

/// Parses an RFC 3339 time, or a date, which means its first moment in UTC.
pub fn parse(text: &str) -> Result<OffsetDateTime, NoMoment> {
    let text = text.trim();
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return in_calendar(date.midnight().assume_utc()).ok_or(NoMoment);
    }
    read(text).ok_or(NoMoment)
}

/// Parses an RFC 3339 time.
pub fn read(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().and_then(in_calendar)
}

/// Returns the time in UTC, truncated to the database's microseconds, if it lies within the
/// calendar.
pub fn in_calendar(moment: OffsetDateTime) -> Option<OffsetDateTime> {
    let moment = moment.checked_to_offset(UtcOffset::UTC)?;
    let moment = moment.replace_microsecond(moment.microsecond()).ok()?;
    (FIRST..=LAST).contains(&moment).then_some(moment)
}

/// Reads and writes optional times like [`time::serde::rfc3339::option`], except for times outside
/// the calendar. They are refused when read. If an old record has one, the nearest time within the
/// calendar is written instead, so that one such record does not prevent a whole list from being
/// written.
pub mod option {
    use super::*;

    /// Writes the time.
    pub fn serialize<S: Serializer>(
        moment: &Option<OffsetDateTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let moment = moment.map(|moment| moment.clamp(FIRST, LAST));
        time::serde::rfc3339::option::serialize(&moment, serializer)
    }

    /// Reads the time.
    pub fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<Option<OffsetDateTime>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| D::Error::custom(NoMoment))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[test]
    fn times_and_dates_are_parsed() {
        assert_eq!(parse("2027-08-18"), Ok(datetime!(2027-08-18 00:00 UTC)));
        assert_eq!(parse(" 2027-08-18T12:00:00+02:00 "), Ok(datetime!(2027-08-18 10:00 UTC)));
        for text in ["", "30d", "2027-02-30", "2027-08-18 12:00", "0000-01-01"] {
            assert_eq!(parse(text), Err(NoMoment), "{text}");
        }
    }

    #[test]
    fn times_that_cannot_be_written_in_utc_are_refused() {
        for text in [
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:00:00+23:59",
            "0001-01-01T00:00:00+00:01",
        ] {
            assert_eq!(parse(text), Err(NoMoment), "{text}");
            assert!(serde_json::from_value::<Kept>(json!({"at": text})).is_err(), "{text}");
        }
        assert_eq!(parse("0001-01-01T00:00:00Z"), Ok(FIRST));
        // The text that .NET writes for its latest time.
        assert_eq!(parse("9999-12-31T23:59:59.9999999Z"), Ok(LAST));
    }

    #[derive(Serialize, Deserialize)]
    struct Kept {
        #[serde(with = "option")]
        at: Option<OffsetDateTime>,
    }

    #[test]
    fn time_outside_the_calendar_is_written_as_the_nearest_one_within() {
        let written = |at| serde_json::to_value(Kept { at }).unwrap();
        let early = datetime!(0000-01-01 00:00 UTC) - time::Duration::days(1);
        assert_eq!(written(Some(early)), json!({"at": "0001-01-01T00:00:00Z"}));
        assert_eq!(written(Some(LAST)), json!({"at": "9999-12-31T23:59:59.999999Z"}));
        assert_eq!(written(None), json!({"at": null}));
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn parsed_time_survives_a_round_trip(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00(\\.[0-9]{1,9})?[+-][0-2][0-9]:[0-5][0-9]") {
            if let Some(moment) = read(&text) {
                let written = moment.format(&Rfc3339).unwrap();
                prop_assert_eq!(read(&written), Some(moment));
            }
        }
    }
}
