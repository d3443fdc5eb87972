//! The style sheet, bundled from `style/main.css` and its imports.
//!
//! Nothing is rewritten for older browsers. The console requires the browsers that its WebAssembly
//! requires, and these support layers, nesting and container queries. Only comments and white space
//! are removed: after compression, a real CSS parser saves too little to justify its build time.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// Returns the minified text of a style sheet and its imports.
///
/// Only the main style sheet may import others, as `@import "name.css" layer(name);`, before its
/// own rules. The layer is optional.
pub(crate) fn bundle(main: &Path) -> Result<String> {
    let text = read(main)?;
    let mut bundled = String::new();
    let mut rest = text.as_str();
    while let Some((statement, after)) = leading_statement(rest) {
        if let Some(import) = statement.strip_prefix("@import") {
            bundled += &imported(main, import)?;
        } else {
            bundled.push_str(statement);
            bundled.push(';');
        }
        rest = after;
    }
    bundled += rest;
    if bundled.contains("@import") {
        bail!("{}: only the main style sheet may import, before its rules", main.display());
    }
    Ok(bundled)
}

/// Splits the first statement, such as `@import "name.css"`, from a minified text. Returns `None`
/// if the text begins with a block.
fn leading_statement(text: &str) -> Option<(&str, &str)> {
    let end = text.find([';', '{'])?;
    text[end..].starts_with(';').then(|| (&text[..end], &text[end + 1..]))
}

/// Returns the minified text of a style sheet that `main` imports, inside its layer.
fn imported(main: &Path, import: &str) -> Result<String> {
    let unsupported = || format!("{}: unsupported import:{import}", main.display());
    let (name, layer) = import
        .trim_start()
        .strip_prefix('"')
        .and_then(|import| import.split_once('"'))
        .with_context(unsupported)?;
    let text = read(&main.with_file_name(name))?;
    if layer.is_empty() {
        return Ok(text);
    }
    let layer = layer
        .trim_start()
        .strip_prefix("layer(")
        .and_then(|layer| layer.strip_suffix(')'))
        .with_context(unsupported)?;
    Ok(format!("@layer {layer}{{{text}}}"))
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    minify(&text).with_context(|| path.display().to_string())
}

/// Removes comments and the white space that has no meaning. Fails if brackets, strings or comments
/// are not closed.
fn minify(text: &str) -> Result<String> {
    let line_at = |offset: usize| 1 + text[..offset].matches('\n').count();
    let mut minified = String::with_capacity(text.len());
    let mut open = Vec::new();
    // White space or a comment came before the current character.
    let mut space = false;
    let mut offset = 0;
    while let Some(character) = text[offset..].chars().next() {
        let rest = &text[offset..];
        if character.is_ascii_whitespace() {
            space = true;
            offset += 1;
            continue;
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            let Some(end) = comment.find("*/") else {
                bail!("the comment in line {} is not closed", line_at(offset));
            };
            space = true;
            offset += end + 4;
            continue;
        }
        let before = minified.chars().next_back();
        if space && !before.is_none_or(absorbs_space_after) && !absorbs_space_before(character) {
            minified.push(' ');
        }
        space = false;
        match character {
            '{' => open.push('}'),
            '(' => open.push(')'),
            '[' => open.push(']'),
            '}' | ')' | ']' => {
                if open.pop() != Some(character) {
                    bail!("unexpected {character} in line {}", line_at(offset));
                }
                // The last declaration of a block needs no semicolon.
                if character == '}' && before == Some(';') {
                    minified.pop();
                }
            }
            _ => {}
        }
        let length = match character {
            '"' | '\'' => string_length(rest)
                .with_context(|| format!("the string in line {} is not closed", line_at(offset)))?,
            '\\' => rest.chars().take(2).map(char::len_utf8).sum(),
            _ => character.len_utf8(),
        };
        minified.push_str(&rest[..length]);
        offset += length;
    }
    if let Some(missing) = open.pop() {
        bail!("{missing} is missing at the end");
    }
    Ok(minified)
}

/// Returns the number of bytes of the string at the beginning of a text, with its quotes. Returns
/// `None` if the string is not closed in its line.
fn string_length(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    let (_, quote) = characters.next()?;
    while let Some((offset, character)) = characters.next() {
        match character {
            '\n' => return None,
            '\\' => _ = characters.next(),
            _ if character == quote => return Some(offset + 1),
            _ => {}
        }
    }
    None
}

/// Returns whether a space after this character has no meaning. A space before a colon has one: it
/// separates a pseudo-class from an ancestor.
const fn absorbs_space_after(character: char) -> bool {
    matches!(character, '{' | '}' | ';' | ',' | ':' | '(' | '[')
}

/// Returns whether a space before this character has no meaning.
const fn absorbs_space_before(character: char) -> bool {
    matches!(character, '{' | '}' | ';' | ',' | ')' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_of(main: &str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("part.css"), "a { color: red; }\n").unwrap();
        fs::write(folder.path().join("nested.css"), "@import \"part.css\";\n").unwrap();
        let path = folder.path().join("main.css");
        fs::write(&path, main).unwrap();
        bundle(&path)
    }

    #[test]
    fn imports_are_bundled_and_minified() {
        assert_eq!(
            bundle_of("@layer base;\n@import \"part.css\" layer(base);\nb { top: 0 }\n").unwrap(),
            "@layer base;@layer base{a{color:red}}b{top:0}"
        );
        assert_eq!(bundle_of("@import \"part.css\";").unwrap(), "a{color:red}");
    }

    #[test]
    fn imports_that_are_not_bundled_are_refused() {
        for main in [
            "@import url(part.css);",
            "@import \"part.css\" screen;",
            "@import \"missing.css\";",
            "@import \"nested.css\";",
            "a { top: 0 } @import \"part.css\";",
        ] {
            assert!(bundle_of(main).is_err(), "{main}");
        }
    }

    #[test]
    fn spaces_with_a_meaning_are_kept() {
        for (text, minified) in [
            ("a  b > c , d :hover {}", "a b > c,d :hover{}"),
            ("a { width: calc( 1px  + 2 * var(--x) ); }", "a{width:calc(1px + 2 * var(--x))}"),
            ("a { margin: 0 /* sides */ auto; top: 0; }", "a{margin:0 auto;top:0}"),
            ("a::before { content: \"  ; /* \\\" */\"; }", "a::before{content:\"  ; /* \\\" */\"}"),
            (
                "@media (width > 40rem) and (height: 1px) { a { & b {} } }",
                "@media (width > 40rem) and (height:1px){a{& b{}}}",
            ),
            (".a\\:b { top: 0 }", ".a\\:b{top:0}"),
            ("a {} /*/ comment */ b {}", "a{}b{}"),
        ] {
            assert_eq!(minify(text).unwrap(), minified);
        }
    }

    #[test]
    fn faulty_style_sheet_is_reported_with_its_position() {
        for (text, place) in [
            ("a { color: red;\n\n} }", "line 3"),
            ("a {\n color: red)", "line 2"),
            ("a { color: red;", "} is missing"),
            ("\na::before { content: \"x\n }", "line 2"),
            ("\n\n/* a", "line 3"),
        ] {
            let error = format!("{:#}", bundle_of(text).unwrap_err());
            assert!(error.contains("main.css") && error.contains(place), "{error}");
        }
    }
}
