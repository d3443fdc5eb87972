//! About how many bits an attacker needs who knows people's habits.
//!
//! A text is cut into the pieces that are cheapest to guess. All pieces that begin at a character are found by
//! reading on from it, so the work is bounded by the number of characters times the longest word and the number of
//! rows of keyboards.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    fold::{letter, plain},
    words::{COMMON, DIGITS, PHRASE, SHORT, WALKS},
};

/// Bits of a word about the person or the place.
const KNOWN: u32 = 3;
/// Bits of a word that holds others together, or is one of a well-known phrase.
const SHORT_WORD: u32 = 5;
/// Bits of a common word.
const COMMON_WORD: u32 = 10;
/// Bits of a sequence or a walk, however long it is.
const RUN: u32 = 6;
/// Bits of two or three runs whose characters take turns.
const WOVEN: u32 = 10;
/// Bits of a year.
const YEAR: u32 = 6;
/// Bits of something that was there before.
const REPEATED: u32 = 2;
/// Bits of leaving out the separators.
const SEPARATED: u32 = 2;
/// Fewest of well-known digits: fewer are in every number.
const FEWEST_DIGITS: usize = 5;
/// Fewest characters of a run, and of a repetition.
const FEWEST: usize = 3;

static WORDS: LazyLock<Trie> = LazyLock::new(|| {
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
    words
});

static ROWS: LazyLock<Vec<Vec<char>>> =
    LazyLock::new(|| WALKS.iter().map(|row| plain(row).collect()).collect());

/// Where each character is: in which row, and at which place of it.
static KEYS: LazyLock<HashMap<char, Vec<(usize, usize)>>> = LazyLock::new(|| {
    let mut keys: HashMap<char, Vec<(usize, usize)>> = HashMap::new();
    for (number, row) in ROWS.iter().enumerate() {
        for (place, key) in row.iter().enumerate() {
            keys.entry(*key).or_default().push((number, place));
        }
    }
    keys
});

/// Returns the bits of a plain text. `known` has words about the person and the place.
pub(super) fn bits(typed: &[char], known: &[Vec<char>]) -> u32 {
    let joined: Vec<char> = typed.iter().copied().filter(|typed| typed.is_alphanumeric()).collect();
    let apart = cheapest(typed, known);
    if joined.len() == typed.len() {
        apart
    } else {
        apart.min(cheapest(&joined, known) + SEPARATED)
    }
}

fn cheapest(typed: &[char], known: &[Vec<char>]) -> u32 {
    let read: Vec<char> = typed.iter().copied().map(letter).collect();
    let repeats = repeats(&read);
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
        let rest = &read[start..];
        for word in known.iter().filter(|word| rest.starts_with(&word[..])) {
            piece(word.len(), KNOWN);
        }
        WORDS.each(rest, &mut piece);
        if is_year(&typed[start..]) {
            piece(4, YEAR);
        }
        for (bits, longest) in [
            (REPEATED, repeats[start]),
            (RUN, runs[0][start]),
            (WOVEN, woven(&runs[1], start, 2)),
            (WOVEN, woven(&runs[2], start, 3)),
        ] {
            (FEWEST..=longest).for_each(|length| piece(length, bits));
        }
    }
    least[typed.len()]
}

/// The bits of a character that belongs to nothing longer.
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

/// Returns how many characters from each one on were there before it.
fn repeats(text: &[char]) -> Vec<usize> {
    let mut longest = vec![0; text.len()];
    // How far the texts from `start` and from each earlier character on are the same.
    let mut same = vec![0; text.len() + 1];
    for start in (0..text.len()).rev() {
        for earlier in 0..start {
            // Of the step before, one character further on.
            same[earlier] = if text[earlier] == text[start] { same[earlier + 1] + 1 } else { 0 };
            longest[start] = longest[start].max(same[earlier].min(start - earlier));
        }
    }
    longest
}

/// Returns how many characters of the run have `start`, then every `stride`-th one: of a sequence or of a walk along
/// the keyboard.
fn run(text: &[char], start: usize, stride: usize) -> usize {
    let characters = || text[start..].iter().copied().step_by(stride);
    let places = KEYS.get(&text[start]).map_or(&[][..], Vec::as_slice);
    let walks = places.iter().map(|(row, place)| {
        let row = &ROWS[*row];
        let forth = row[*place..].iter().copied();
        let back = row[..=*place].iter().rev().copied();
        alike(forth, characters()).max(alike(back, characters()))
    });
    walks.max().unwrap_or(0).max(sequence(characters()))
}

fn alike(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// Returns how long all steps between neighbours are the same, and none or one: `aaa`, `abc`, `321`.
fn sequence(mut characters: impl Iterator<Item = char>) -> usize {
    let (Some(first), Some(second)) = (characters.next(), characters.next()) else { return 1 };
    let step = |from: char, to: char| i64::from(u32::from(to)) - i64::from(u32::from(from));
    let wanted = step(first, second);
    if wanted.abs() > 1 {
        return 1;
    }
    let mut last = second;
    let more = characters.take_while(|next| {
        let fits = step(last, *next) == wanted;
        last = *next;
        fits
    });
    2 + more.count()
}

/// Returns how many characters there are from `start` on where runs take turns, `strands` of them: `q1w2e3`,
/// `1qa2ws3ed`. Each has at least three. `runs` has how long each strand goes on from every character.
fn woven(runs: &[usize], start: usize, strands: usize) -> usize {
    let Some(own) = runs.get(start..start + strands) else { return 0 };
    if own.iter().any(|length| *length < FEWEST) {
        return 0;
    }
    // The strand that ends first ends all.
    let ends = own.iter().enumerate().map(|(strand, length)| strand + length * strands);
    ends.min().map_or(0, |end| end.min(runs.len() - start))
}

/// Words by their characters.
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
