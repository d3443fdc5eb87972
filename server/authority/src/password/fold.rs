//! Normalises a password before it is judged, so that all spellings of a word are equal.

use unicode_normalization::UnicodeNormalization as _;

/// Returns a text in lower case without accents. Compatibility characters are decomposed first
/// (normal form KD), so full-width letters and ligatures become the usual letters.
pub(super) fn plain(text: &str) -> impl Iterator<Item = char> {
    // In this order: the lower case of a character may have an accent that the upper case lacks, as
    // for `İ`.
    text.nfkd().flat_map(char::to_lowercase).filter(|character| !is_accent(*character))
}

/// Returns whether this is a mark on a Latin, Greek or Cyrillic letter. Vowel signs of other
/// scripts are letters.
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

/// Returns the letter that a character of a plain text stands for: digits, symbols, and Cyrillic
/// and Greek letters can stand for a similar Latin one.
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

/// Returns a word in the form in which the lists store it.
pub(super) fn word(text: &str) -> Vec<char> {
    plain(text).map(letter).collect()
}
