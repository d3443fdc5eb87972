//! How a password is read before it is judged: the same for every spelling that people use for a word.

use unicode_normalization::UnicodeNormalization as _;

/// Returns a text in lower case without accents. Characters that look the same are taken apart first (normal form
/// KD), so full-width letters and ligatures are read as usual letters.
pub(super) fn plain(text: &str) -> impl Iterator<Item = char> {
    // In this order: lower case has an accent where upper case has none, as `İ`.
    text.nfkd().flat_map(char::to_lowercase).filter(|character| !is_accent(*character))
}

/// Whether this is a mark on a Latin, Greek or Cyrillic letter. Vowel signs of other scripts are letters.
const fn is_accent(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36F}'
            | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}'
            | '\u{FE20}'..='\u{FE2F}'
    )
}

/// Returns the letter that a character of a plain text stands for: digits, symbols, and Cyrillic and Greek letters
/// that look like a Latin one.
pub(super) const fn letter(character: char) -> char {
    match character {
        '0' | 'о' | 'ο' | 'ø' => 'o',
        '1' | '!' | '|' | 'l' | 'ł' | 'ı' | 'і' | 'ι' => 'i',
        '3' | 'е' | 'ε' | 'є' => 'e',
        '4' | '@' | 'а' | 'α' => 'a',
        '5' | '$' | 'ѕ' => 's',
        '7' | '+' | 'т' | 'τ' => 't',
        '8' | 'в' | 'β' => 'b',
        '9' => 'g',
        'с' | 'ς' => 'c',
        'р' | 'ρ' => 'p',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'н' | 'η' => 'n',
        'ν' => 'v',
        'υ' => 'u',
        'ω' => 'w',
        'ј' => 'j',
        'đ' | 'ð' => 'd',
        other => other,
    }
}

/// Returns a word as the lists of words have it.
pub(super) fn word(text: &str) -> Vec<char> {
    plain(text).map(letter).collect()
}
