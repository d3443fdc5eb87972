//! Moments in Devo's format: `2024-11-26T14:38:18.000+0000`.

use domain::{
    expiry::{ExpiryChoice, ExpiryError},
    moments,
    problem::FieldError,
};
use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description,
};

use crate::problem::ApiError;

const FORM: &[BorrowedFormatItem<'static>] = format_description!(
    version = 2,
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory][offset_minute]"
);
/// The same format without milliseconds.
const SHORT: &[BorrowedFormatItem<'static>] = format_description!(
    version = 2,
    "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
);

/// Formats a moment to the millisecond, in UTC.
pub(super) fn text(moment: OffsetDateTime) -> String {
    // This cannot fail, because every stored moment has a year of four digits.
    moment.to_offset(UtcOffset::UTC).format(FORM).unwrap_or_default()
}

/// Returns the requested expiry. If there is none, the policy decides.
pub(super) fn expiry(text: Option<&str>) -> Result<Result<ExpiryChoice, ExpiryError>, ApiError> {
    let Some(text) = text else { return Ok(Ok(ExpiryChoice::Default)) };
    match read(text) {
        Some(moment) => Ok(Ok(ExpiryChoice::At(moment))),
        None => Err(ApiError::invalid(vec![FieldError::new(
            "expiration",
            "must be a time such as 2024-11-26T14:38:18.000+0000",
        )])),
    }
}

/// Parses Devo's format, or RFC 3339.
fn read(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    [FORM, SHORT]
        .into_iter()
        .find_map(|form| OffsetDateTime::parse(text, form).ok())
        .and_then(|moment| moment.checked_to_offset(UtcOffset::UTC))
        .or_else(|| moments::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_formatted_and_parsed_as_in_devo() {
        let moment = datetime!(2024-11-26 14:38:18.25 UTC);
        assert_eq!(text(moment), "2024-11-26T14:38:18.250+0000");
        assert_eq!(read("2024-11-26T14:38:18.250+0000"), Some(moment));
        let whole = Some(datetime!(2024-11-26 14:38:18 UTC));
        for same in [
            "2024-11-26T14:38:18+0000",
            "2024-11-26T16:38:18.000+0200",
            "2024-11-26T14:38:18Z",
            " 2024-11-26T14:38:18.000Z",
        ] {
            assert_eq!(read(same), whole, "{same}");
        }
        for bad in [
            "",
            "tomorrow",
            "1732631898000",
            "2024-11-26T14:38:18.000",
            "2024-13-26T14:38:18.000+0000",
        ] {
            assert!(expiry(Some(bad)).is_err(), "{bad}");
        }
        assert!(matches!(expiry(None), Ok(Ok(ExpiryChoice::Default))));
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn times_round_trip(seconds in 0i64..253_402_300_799, millis in 0i64..1_000) {
            let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap()
                + time::Duration::milliseconds(millis);
            prop_assert_eq!(read(&text(moment)), Some(moment));
        }
    }
}
