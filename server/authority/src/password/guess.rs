//! Estimates how many bits an attacker who knows people's habits needs to guess a password.
//!
//! A text is split into the pieces that are cheapest to guess. All pieces that begin at a character
//! are found by reading on from it, so the work is limited by the number of characters times the
//! length of the longest word and the number of keyboard rows. Reversed words count, too, and
//! alternating letters and digits are read separately.

use std::sync::LazyLock;

use super::{
    fold::{letter, plain},
    lexicon::Lexicon,
    phrases::Phrases,
    runs::{FEWEST, PROGRESSION, RUN, places, progression, run, walks},
    words::{COMMON, DIGITS, PHRASE, SHORT},
};

/// Bits of a word about the person or the place.
const KNOWN: u32 = 3;
/// Bits of a short function word, or a word of a well-known phrase.
const SHORT_WORD: u32 = 5;
/// Bits of a common word.
const COMMON_WORD: u32 = 10;
/// Bits of two or three interleaved runs.
const WOVEN: u32 = 10;
/// Bits of a year, and of a day in a month.
const YEAR: u32 = 6;
const DAY: u32 = 10;
/// Bits of a repetition.
const REPEATED: u32 = 2;
/// Bits of removed separators.
const SEPARATED: u32 = 2;
/// The minimum length of well-known digits. Shorter sequences occur in every number.
const FEWEST_DIGITS: usize = 5;
/// Bits of reversing a word, and the minimum length of a reversed word.
const REVERSED: u32 = 1;
const FEWEST_REVERSED: usize = 4;
/// Bits of regularly alternating letters and digits, and the longest period of the alternation.
const MIXED: u32 = 4;
const PERIOD_MAX: usize = 8;

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Trie::new();
    for (list, bits) in [(COMMON, COMMON_WORD), (PHRASE, SHORT_WORD), (SHORT, SHORT_WORD)] {
        for text in list.split_whitespace() {
            words.insert(plain(text).map(letter), bits);
        }
    }
    for digits in DIGITS {
        for end in FEWEST_DIGITS..=digits.len() {
            words.insert(digits.chars().take(end).map(letter), RUN);
        }
    }
    Words { trie: words, lexicon: Lexicon::load(), phrases: Phrases::load() }
});

/// Returns the bits of a plain text. `known` contains words about the person and the place.
pub(super) fn bits(typed: &[char], known: &[Vec<char>]) -> u32 {
    let joined: Vec<char> = typed.iter().copied().filter(|typed| typed.is_alphanumeric()).collect();
    let mut least = cheapest(typed, known);
    if joined.len() != typed.len() {
        least = least.min(cheapest(&joined, known) + SEPARATED);
    }
    if takes_turns(&joined) {
        let (digits, letters): (Vec<char>, Vec<char>) =
            joined.iter().partition(|typed| typed.is_numeric());
        least = least.min(cheapest(&letters, known) + cheapest(&digits, known) + MIXED);
    }
    least
}

/// Returns whether letters and digits alternate regularly: `a1b2c3`, `ab12cd34`.
fn takes_turns(text: &[char]) -> bool {
    let is_digit: Vec<bool> = text.iter().map(|typed| typed.is_numeric()).collect();
    let has_both = is_digit.contains(&true) && is_digit.contains(&false);
    let repeats = |period: usize| {
        is_digit.iter().skip(period).eq(is_digit.iter().take(is_digit.len() - period))
    };
    has_both && (2..=PERIOD_MAX.min(text.len() / 2)).any(repeats)
}

fn cheapest(typed: &[char], known: &[Vec<char>]) -> u32 {
    let read: Vec<char> = typed.iter().copied().map(letter).collect();
    let repeats = repeats(&read);
    let backwards = backwards(&read, known);
    let places = places(typed);
    let runs = [1, 2, 3].map(|stride| -> Vec<usize> {
        (0..typed.len()).map(|start| run(typed, start, stride)).collect()
    });
    let mut least = vec![u32::MAX; typed.len() + 1];
    least[0] = 0;
    for start in 0..typed.len() {
        let before = least[start];
        let mut piece = |length: usize, bits: u32| {
            let end = &mut least[start + length];
            *end = (*end).min(before.saturating_add(bits));
        };
        piece(1, single(typed[start], start.checked_sub(1).map(|at| typed[at])));
        words(&read[start..], known, &mut piece);
        for (length, bits) in &backwards[start] {
            piece(*length, *bits);
        }
        if is_year(&typed[start..]) {
            piece(4, YEAR);
        } else if is_day(&typed[start..]) {
            piece(4, DAY);
        }
        walks(&places[start..], &mut piece);
        for (bits, longest) in [
            (REPEATED, repeats[start]),
            (RUN, runs[0][start]),
            (WOVEN, woven(&runs[1], start, 2)),
            (WOVEN, woven(&runs[2], start, 3)),
            (PROGRESSION, progression(&typed[start..])),
        ] {
            (FEWEST..=longest).for_each(|length| piece(length, bits));
        }
    }
    least[typed.len()]
}

/// Calls `found` with the length and the bits of every word that the text begins with.
fn words(text: &[char], known: &[Vec<char>], found: &mut impl FnMut(usize, u32)) {
    for word in known.iter().filter(|word| text.starts_with(&word[..])) {
        found(word.len(), KNOWN);
    }
    WORDS.trie.each(text, &mut *found);
    WORDS.lexicon.each(text, &mut *found);
    WORDS.phrases.each(text, found);
}

/// Returns the lengths and the bits of the reversed words that begin at each character.
fn backwards(read: &[char], known: &[Vec<char>]) -> Vec<Vec<(usize, u32)>> {
    let reversed: Vec<char> = read.iter().rev().copied().collect();
    let mut all = vec![Vec::new(); read.len()];
    for start in 0..reversed.len() {
        words(&reversed[start..], known, &mut |length, bits| {
            if length >= FEWEST_REVERSED {
                all[read.len() - start - length].push((length, bits + REVERSED));
            }
        });
    }
    all
}

/// Returns the bits of a character that is not part of a longer piece.
fn single(character: char, before: Option<char>) -> u32 {
    match character {
        _ if before == Some(character) => 1,
        ' ' | '-' | '_' | '.' | ',' => 1,
        '0'..='9' => 3,
        _ => 4,
    }
}

fn is_year(rest: &[char]) -> bool {
    matches!(rest, ['1', '9', third, fourth, ..] | ['2', '0', third, fourth, ..]
        if third.is_ascii_digit() && fourth.is_ascii_digit())
}

/// Returns whether a text begins with a month and a day, in either order.
fn is_day(rest: &[char]) -> bool {
    let Some(digits) = rest.get(..4) else { return false };
    let number = |digits: &[char]| {
        digits.iter().try_fold(0, |sum, digit| Some(sum * 10 + digit.to_digit(10)?))
    };
    let (Some(one), Some(other)) = (number(&digits[..2]), number(&digits[2..])) else {
        return false;
    };
    let is_date = |month: u32, day: u32| (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date(one, other) || is_date(other, one)
}

/// Returns, for each character, how many characters from it on repeat earlier text.
fn repeats(text: &[char]) -> Vec<usize> {
    let mut longest = vec![0; text.len()];
    // The length for which the texts from `start` and from each earlier character on are equal.
    let mut same = vec![0; text.len() + 1];
    for start in (0..text.len()).rev() {
        for earlier in 0..start {
            // From the previous step, which began one character later.
            same[earlier] = if text[earlier] == text[start] { same[earlier + 1] + 1 } else { 0 };
            longest[start] = longest[start].max(same[earlier].min(start - earlier));
        }
    }
    longest
}

/// Returns how many characters from `start` on are interleaved runs, `strands` of them: `q1w2e3`,
/// `1qa2ws3ed`. Each run has at least three characters. `runs` contains the length of the strand
/// from every character on.
fn woven(runs: &[usize], start: usize, strands: usize) -> usize {
    let Some(own) = runs.get(start..start + strands) else { return 0 };
    if own.iter().any(|length| *length < FEWEST) {
        return 0;
    }
    // The shortest strand limits all of them.
    let ends = own.iter().enumerate().map(|(strand, length)| strand + length * strands);
    ends.min().map_or(0, |end| end.min(runs.len() - start))
}

/// All known words.
struct Words {
    /// The words of all scripts from [`super::words`].
    trie: Trie,
    lexicon: Lexicon,
    phrases: Phrases,
}

/// A trie of words by their characters.
struct Trie(Vec<Node>);

#[derive(Default)]
struct Node {
    /// Sorted by character.
    next: Vec<(char, usize)>,
    /// The bits of the word that ends here.
    bits: Option<u32>,
}

impl Trie {
    fn new() -> Self {
        Self(vec![Node::default()])
    }

    fn insert(&mut self, word: impl Iterator<Item = char>, bits: u32) {
        let mut at = 0;
        for character in word {
            let place = self.0[at].next.binary_search_by_key(&character, |next| next.0);
            at = match place {
                Ok(place) => self.0[at].next[place].1,
                Err(place) => {
                    let new = self.0.len();
                    self.0[at].next.insert(place, (character, new));
                    self.0.push(Node::default());
                    new
                }
            };
        }
        let known = self.0[at].bits.unwrap_or(bits);
        self.0[at].bits = Some(known.min(bits));
    }

    /// Calls `found` with the length and the bits of every word that the text begins with.
    fn each(&self, text: &[char], mut found: impl FnMut(usize, u32)) {
        let mut at = 0;
        for (index, character) in text.iter().enumerate() {
            let next = &self.0[at].next;
            let Ok(place) = next.binary_search_by_key(character, |next| next.0) else { return };
            at = next[place].1;
            if let Some(bits) = self.0[at].bits {
                found(index + 1, bits);
            }
        }
    }
}
