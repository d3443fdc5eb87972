//! Printing. If the reader of a pipe has closed it (`tessera token list | head`), the command exits
//! without a panic.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Prints a line and flushes it.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    line(&text)
}

/// Prints rows under headings, in columns.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    line(columns(headings, rows).trim_end_matches('\n'))
}

/// Prints labels and values, one pair per line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> io::Result<()> {
    let width = pairs.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (label, value) in pairs {
        let _ = writeln!(text, "{label:width$}  {}", plain(value));
    }
    line(text.trim_end_matches('\n'))
}

/// Formats a moment to the second, for people and programs, or returns `otherwise` if there is
/// none.
pub(crate) fn moment(moment: Option<OffsetDateTime>, otherwise: &str) -> String {
    moment
        .and_then(|moment| moment.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
        .unwrap_or_else(|| otherwise.to_owned())
}

/// Prints text that ends with its own newline.
pub(crate) fn text(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Prints a remark to standard error, separate from the result on standard output.
pub(crate) fn remark(text: &str) {
    // A closed standard error cannot report anything.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Returns a number of tokens in words: "1 token", "2 tokens".
pub(crate) fn tokens(count: i64) -> String {
    format!("{count} token{}", if count == 1 { "" } else { "s" })
}

/// Removes characters that control the terminal, because other people chose these names.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let steers = character.is_control()
                || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = steers.then(|| character.escape_unicode());
            let kept = (!steers).then_some(character);
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let cells =
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.max().unwrap_or_default().max(headings[column].chars().count())
        })
        .collect();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["a".to_owned(), "x".to_owned()], vec!["longer".to_owned(), "y".to_owned()]];
        assert_eq!(columns(&["N", "NAME"], &rows), "N       NAME\na       x\nlonger  y\n");
    }

    #[test]
    fn control_characters_in_names_are_escaped() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{202e}c é 🦀"), "a\\u{1b}[2Jb\\u{a}\\u{202e}c é 🦀");
    }

    proptest! {
        #[test]
        fn plain_text_contains_no_control_characters(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(char::is_control));
        }
    }
}
