//! Comma-separated values (RFC 4180), guarded against formulas.
//!
//! Spreadsheets evaluate a cell that begins like a formula, even if another person chose the
//! token's name. Such a cell is written with a leading apostrophe, which spreadsheets hide; reading
//! removes it.
//!
//! The `csv` crate doesn't replace this module. Its reader accepts any text: it takes a stray quote
//! as part of the cell, an unclosed one as closed at the end of the file, and a carriage return as
//! the end of a row. An import must refuse such a file and name the line, because a digest that is
//! read wrongly is a token that doesn't work. Its writer decides on quotes for a whole file, but
//! guarded cells are always quoted, and others only if they must be.

/// The characters that begin a formula (OWASP, "CSV Injection"), including the wide forms of East
/// Asian keyboards.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Text that is not CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadCsv {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// What is wrong there.
    pub(super) why: &'static str,
}

/// Appends a row.
pub(super) fn write(into: &mut String, cells: &[String]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            into.push(',');
        }
        let guard = if needs_guard(cell) { "'" } else { "" };
        if guard.is_empty() && !cell.contains([',', '"', '\n', '\r']) {
            into.push_str(cell);
        } else {
            into.push('"');
            into.push_str(guard);
            into.push_str(&cell.replace('"', "\"\""));
            into.push('"');
        }
    }
    into.push_str("\r\n");
}

/// Returns whether a cell reads like a formula, or like a guarded one: its own apostrophe must
/// survive, too.
fn needs_guard(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(FORMULA)
}

fn unguarded(cell: String) -> String {
    match cell.strip_prefix('\'') {
        Some(rest) if needs_guard(rest) => rest.to_owned(),
        _ => cell,
    }
}

/// Reads rows and skips empty lines.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, BadCsv> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut line = 1;
    let mut characters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while characters.peek().is_some() {
        let begins_at = line;
        let mut cell = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next() {
                    Some('"') if characters.next_if_eq(&'"').is_some() => cell.push('"'),
                    Some('"') => break,
                    Some(character) => {
                        line += usize::from(character == '\n');
                        cell.push(character);
                    }
                    None => return Err(BadCsv { line: begins_at, why: "a quote is not closed" }),
                }
            }
        } else {
            while let Some(character) =
                characters.next_if(|character| !matches!(character, ',' | '\n' | '\r'))
            {
                if character == '"' {
                    return Err(BadCsv { line, why: "a quote is inside a cell" });
                }
                cell.push(character);
            }
        }
        row.push(unguarded(cell));
        match characters.next() {
            // A comma at the very end is followed by an empty cell.
            Some(',') if characters.peek().is_some() => continue,
            Some(',') => row.push(String::new()),
            Some('\r') if characters.next_if_eq(&'\n').is_some() => line += 1,
            Some('\n') => line += 1,
            None => {}
            Some('\r') => return Err(BadCsv { line, why: "a line ends without a line feed" }),
            Some(_) => return Err(BadCsv { line, why: "a comma is missing after a quote" }),
        }
        let row = std::mem::take(&mut row);
        if row.iter().any(|cell| !cell.is_empty()) {
            rows.push(row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(cells: &[&str]) -> String {
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        let mut text = String::new();
        write(&mut text, &cells);
        text
    }

    #[test]
    fn formulas_are_guarded() {
        assert_eq!(
            written(&["=1+1", "@SUM(A1)", "-1", "+1", "\tx", "a=b", "'=x", "it's"]),
            "\"'=1+1\",\"'@SUM(A1)\",\"'-1\",\"'+1\",\"'\tx\",a=b,\"''=x\",it's\r\n"
        );
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        let text = "\u{feff}a,\"b \"\"c\"\"\"\r\n\n,,\n\"1\n2\",x,\nlast";
        let rows = read(text).unwrap();
        assert_eq!(rows, [vec!["a", "b \"c\""], vec!["1\n2", "x", ""], vec!["last"]]);
    }

    #[test]
    fn malformed_csv_is_refused_with_its_line() {
        for (text, line) in [("a\n\"b", 2), ("a\nb\"c\"", 2), ("\"a\nb\"c", 2), ("a\rb", 1)] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn rows_survive_a_round_trip(
            rows in proptest::collection::vec(proptest::collection::vec("(?s).{0,8}|['=+@]{1,4}x", 1..5), 1..5)
        ) {
            let mut text = String::new();
            for row in &rows {
                write(&mut text, row);
            }
            let kept: Vec<_> = rows.iter()
                .filter(|row| row.iter().any(|cell| !cell.is_empty())).cloned().collect();
            // A byte order mark at the very beginning is not part of the text.
            prop_assume!(!text.starts_with('\u{feff}'));
            prop_assert_eq!(read(&text).unwrap(), kept);
        }

        #[test]
        fn written_cell_is_never_a_formula(cell in "[=+@'\t\r\n -]{0,3}.{0,8}") {
            let text = written(&[&cell]);
            let shown = text.strip_suffix("\r\n").unwrap();
            // One pair of quotes surrounds the cell; others belong to its text.
            let shown = shown.strip_prefix('"').unwrap_or(shown);
            prop_assert!(!shown.starts_with(FORMULA), "{text:?}");
        }

        #[test]
        fn parsing_any_text_never_panics(text in "(?s)[,\"\n\r'a=]{0,40}|(?s).{0,60}") {
            let _ = read(&text);
        }
    }
}
