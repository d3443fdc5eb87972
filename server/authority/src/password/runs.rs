//! Finds regular runs: sequences, rows and neighbours on keyboards, and numbers that grow by
//! one step.

use std::{collections::HashMap, sync::LazyLock};

use super::{fold::plain, words::WALKS};

/// Bits of a sequence or a walk of any length.
pub(super) const RUN: u32 = 6;
/// Bits of a turn of a walk.
const TURN: u32 = 2;
/// Bits of numbers that grow by one step.
pub(super) const PROGRESSION: u32 = 10;
/// The minimum length of a run.
pub(super) const FEWEST: usize = 3;
/// The minimum length of a sequence with steps larger than one, of a walk with turns, and of
/// growing numbers.
const FEWEST_LOOSE: usize = 4;
/// The maximum number of keys of a walk.
const WALK_MAX: usize = 24;
/// The maximum number of characters of growing numbers.
const PROGRESSION_MAX: usize = 40;
/// The largest step of a sequence.
const STEP_MAX: i64 = 10;

static ROWS: LazyLock<Vec<Vec<char>>> =
    LazyLock::new(|| WALKS.iter().map(|row| plain(row).collect()).collect());

/// The rows of each character, with its position in the row.
static KEYS: LazyLock<HashMap<char, Vec<(usize, usize)>>> = LazyLock::new(|| {
    let mut keys: HashMap<char, Vec<(usize, usize)>> = HashMap::new();
    for (number, row) in ROWS.iter().enumerate() {
        for (place, key) in row.iter().enumerate() {
            keys.entry(*key).or_default().push((number, place));
        }
    }
    keys
});

/// The keys of keyboards by their rows. Each row is half a key to the right of the one above.
const BOARDS: [&[&str]; 6] = [
    &["1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"],
    &["!@#$%^&*()_+", "qwertyuiop{}", "asdfghjkl:\"", "zxcvbnm<>?"],
    &["1234567890ß", "qwertzuiopü+", "asdfghjklöä#", "yxcvbnm,.-"],
    &["1234567890)=", "azertyuiop^$", "qsdfghjklmù*", "wxcvbn,;:!"],
    &["1234567890-=", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю."],
    &["789", "456", "123", "000"],
];

/// The place of a key: board, row, and position in the row.
pub(super) type Place = (usize, i32, i32);

static PLACES: LazyLock<HashMap<char, Vec<Place>>> = LazyLock::new(|| {
    let mut places: HashMap<char, Vec<Place>> = HashMap::new();
    for (board, rows) in BOARDS.iter().enumerate() {
        for (row, keys) in (0..).zip(rows.iter()) {
            for (place, key) in (0..).zip(keys.chars()) {
                places.entry(key).or_default().push((board, row, place));
            }
        }
    }
    places
});

/// Returns the length of the run that begins at `start` and takes every `stride`-th character: a
/// sequence, or a walk along a row of a keyboard.
pub(super) fn run(text: &[char], start: usize, stride: usize) -> usize {
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

/// Returns how many characters follow each other with the same step: `aaa`, `abc`, `97531`.
fn sequence(mut characters: impl Iterator<Item = char>) -> usize {
    let (Some(first), Some(second)) = (characters.next(), characters.next()) else { return 1 };
    let step = |from: char, to: char| i64::from(u32::from(to)) - i64::from(u32::from(from));
    let wanted = step(first, second);
    if wanted.abs() > STEP_MAX {
        return 1;
    }
    let mut last = second;
    let more = characters.take_while(|next| {
        let fits = step(last, *next) == wanted;
        last = *next;
        fits
    });
    let length = 2 + more.count();
    if wanted.abs() > 1 && length < FEWEST_LOOSE { 1 } else { length }
}

/// Returns the places of the key of each character.
pub(super) fn places(text: &[char]) -> Vec<&'static [Place]> {
    let places = &*PLACES;
    text.iter().map(|key| places.get(key).map_or(&[][..], Vec::as_slice)).collect()
}

/// Calls `found` with the length and the bits of every walk between neighbouring keys that begins
/// at the first character.
pub(super) fn walks(text: &[&[Place]], mut found: impl FnMut(usize, u32)) {
    let Some(first) = text.first() else { return };
    for (board, row, place) in *first {
        let mut at = (*row, *place);
        let mut direction = None;
        let mut bits = RUN;
        for (index, places) in text.iter().enumerate().take(WALK_MAX).skip(1) {
            let steps = places.iter().filter(|next| next.0 == *board);
            let mut steps = steps.map(|next| (next.1 - at.0, next.2 - at.1));
            let Some(step) = steps.find(|step| is_neighbour(*step)) else { break };
            if direction.is_some_and(|direction| direction != step) {
                bits += TURN;
            }
            direction = Some(step);
            at = (at.0 + step.0, at.1 + step.1);
            let length = index + 1;
            if length >= if bits == RUN { FEWEST } else { FEWEST_LOOSE } {
                found(length, bits);
            }
        }
    }
}

/// Returns whether a step leads to one of the six surrounding keys, or stays on the same key.
const fn is_neighbour(step: (i32, i32)) -> bool {
    matches!(step, (0, -1..=1) | (-1, 0 | 1) | (1, 0 | -1))
}

/// Returns how many characters are decimal numbers that grow or shrink by a constant step:
/// `2468101214`, `010203`.
pub(super) fn progression(text: &[char]) -> usize {
    let digits: Vec<u32> =
        text.iter().take(PROGRESSION_MAX).map_while(|digit| digit.to_digit(10)).collect();
    let number =
        |digits: &[u32]| digits.iter().fold(0, |number, digit| number * 10 + i64::from(*digit));
    let mut longest = 0;
    for width in 1..=4.min(digits.len() / 3) {
        let first = number(&digits[..width]);
        for next in [width, width + 1] {
            if let Some(second) = digits.get(width..width + next) {
                longest = longest.max(series(&digits, width, first, number(second) - first));
            }
        }
    }
    longest
}

/// Returns how many digits continue the series from `first` with `step`, in numbers of at least
/// `width` digits.
fn series(digits: &[u32], width: usize, first: i64, step: i64) -> usize {
    let (mut number, mut rest, mut count) = (first, digits, 0);
    while number >= 0 {
        let own = usize::try_from(number.checked_ilog10().unwrap_or(0)).unwrap_or(0) + 1;
        // Leading zeros of a number show that all numbers have this width.
        let own = if digits[0] == 0 { own.max(width) } else { own };
        let Some((text, more)) = rest.split_at_checked(own) else { break };
        let mut left = number;
        let is_same = text.iter().rev().all(|digit| {
            let last = left % 10;
            left /= 10;
            last == i64::from(*digit)
        });
        if !is_same {
            break;
        }
        (rest, count, number) = (more, count + 1, number + step);
    }
    if count < FEWEST_LOOSE { 0 } else { digits.len() - rest.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn numbers_with_a_constant_step_are_a_run() {
        for (text, length) in [
            ("2468101214161820", 16),
            ("510152025303540", 15),
            ("0102030405", 10),
            ("99989796", 8),
            ("100200300400x", 12),
            ("1357x", 4),
            ("2718", 0),
            ("", 0),
            ("7", 0),
        ] {
            assert_eq!(progression(&chars(text)), length, "{text}");
        }
    }

    #[test]
    fn keyboard_walk_follows_adjacent_keys_and_turns_cost() {
        let cheapest = |text: &str| {
            let mut least = None;
            walks(&places(&chars(text)), |length, bits| {
                if length == text.chars().count() {
                    least = Some(least.map_or(bits, |least: u32| least.min(bits)));
                }
            });
            least
        };
        assert_eq!(cheapest("0okm"), Some(RUN));
        assert_eq!(cheapest("zse4"), Some(RUN));
        assert_eq!(cheapest("963"), Some(RUN));
        assert_eq!(cheapest("qwedsa"), Some(RUN + 2 * TURN));
        assert_eq!(cheapest("qpal"), None);
        assert_eq!(cheapest("q"), None);
    }
}
