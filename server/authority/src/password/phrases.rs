//! Well-known phrases: sentences, titles, and names of several words.
//!
//! `phrases.txt` contains them in any order. To add one, append it to any line after a slash. Parts
//! of several words count, too.

use super::lexicon::{HEAD, Index, folded, place};

/// Bits of a phrase, and of a part of one.
const PHRASE: u32 = 10;
const PART: u32 = 11;
/// The minimum number of letters of a part.
const PART_MIN: usize = 10;
/// How many of the candidates are checked at each letter.
const LOOKED_AT: usize = 8;

/// All phrases, one after the other without spaces.
pub(super) struct Phrases {
    letters: Vec<Letter>,
    /// The start of each word, sorted by the text up to the end of its phrase.
    words: Vec<u32>,
    index: Index,
}

#[derive(Clone, Copy, Default)]
struct Letter {
    byte: u8,
    begins_phrase: bool,
    ends_word: bool,
}

impl Phrases {
    /// Loads the list.
    pub(super) fn load() -> Self {
        Self::of(include_str!("phrases.txt"))
    }

    fn of(list: &str) -> Self {
        let mut letters: Vec<Letter> = Vec::with_capacity(list.len());
        let mut words = Vec::new();
        for phrase in list.split(['/', '\n']) {
            let mut begins_phrase = true;
            for word in phrase.split_ascii_whitespace() {
                words.extend(u32::try_from(letters.len()));
                let bytes =
                    word.bytes().map(|byte| Letter { byte: folded(byte), ..Letter::default() });
                let first = letters.len();
                letters.extend(bytes);
                letters[first].begins_phrase = begins_phrase;
                begins_phrase = false;
                if let Some(last) = letters.last_mut() {
                    last.ends_word = true;
                }
            }
            // A byte that no text contains.
            letters.push(Letter::default());
        }
        words.sort_unstable_by(|one, other| {
            let rest = |word: u32| letters[word as usize..].iter().map(|letter| letter.byte);
            // The ends differ, so the comparison stops at the end of a phrase.
            let both =
                rest(*one).zip(rest(*other)).take_while(|(one, other)| *one != 0 || *other != 0);
            both.map(|(one, other)| one.cmp(&other))
                .find(|order| order.is_ne())
                .unwrap_or(one.cmp(other))
        });
        let head = |word: u32| {
            letters[word as usize..]
                .first_chunk()
                .map(|head| head.map(|letter: Letter| letter.byte))
        };
        words.retain(|word| head(*word).and_then(place).is_some());
        let index = Index::of(words.iter().filter_map(|word| head(*word)));
        Self { letters, words, index }
    }

    /// Calls `found` with the length and the bits of every phrase, or part of one, that the text
    /// begins with.
    pub(super) fn each(&self, text: &[char], mut found: impl FnMut(usize, u32)) {
        let mut words = &self.words[self.index.range(text)];
        for (depth, character) in text.iter().enumerate().skip(HEAD) {
            let Ok(wanted) = u8::try_from(*character) else { return };
            let low = words.partition_point(|word| self.byte(*word, depth) < wanted);
            words = &words[low..];
            let high = words.partition_point(|word| self.byte(*word, depth) <= wanted);
            words = &words[..high];
            if words.is_empty() {
                return;
            }
            let bits =
                words.iter().take(LOOKED_AT).filter_map(|word| self.bits(*word as usize, depth));
            if let Some(bits) = bits.min() {
                found(depth + 1, bits);
            }
        }
    }

    /// Returns the bits of the text from a word to the letter at `depth`, if that is a phrase or a
    /// part of one.
    fn bits(&self, start: usize, depth: usize) -> Option<u32> {
        let end = start + depth;
        if !self.letters[end].ends_word {
            None
        } else if self.letters[start].begins_phrase && self.letters[end + 1].byte == 0 {
            Some(PHRASE)
        } else {
            let has_words = self.letters[start..end].iter().any(|letter| letter.ends_word);
            (has_words && depth + 1 >= PART_MIN).then_some(PART)
        }
    }

    /// Returns the byte at `depth` after the start of a word. All bytes before it matched, so it is
    /// in the phrase or at its end.
    fn byte(&self, word: u32, depth: usize) -> u8 {
        self.letters.get(word as usize + depth).map_or(0, |letter| letter.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(phrases: &Phrases, text: &str) -> Vec<(usize, u32)> {
        let mut all = Vec::new();
        let text: Vec<char> = text.chars().collect();
        phrases.each(&text, |length, bits| all.push((length, bits)));
        all
    }

    #[test]
    fn phrases_and_their_parts_are_found() {
        let phrases =
            Phrases::of("one ring to rule them all / one ring\n bazinga / the ring to rule");
        let all = [(7, 10), (13, 11), (17, 11), (20, 10)];
        assert_eq!(
            found(&phrases, "oneringtoruiethemaii!"),
            [(7, 10), (13, 11), (17, 11), (20, 10)],
            "{all:?}"
        );
        assert_eq!(found(&phrases, "ringtoruiethem"), [(10, 11), (14, 11)]);
        assert_eq!(found(&phrases, "bazinga"), [(7, 10)]);
        for nothing in ["ring", "ringto", "ruie", "ü", "", "oneringtr"] {
            assert!(found(&phrases, nothing).iter().all(|(length, _)| *length == 7), "{nothing}");
        }
    }

    #[test]
    fn phrase_list_has_only_letters_digits_and_spaces() {
        let list = include_str!("phrases.txt");
        for phrase in list.split(['/', '\n']).map(str::trim) {
            let is_plain = phrase
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b' ');
            assert!(is_plain, "{phrase}");
        }
        assert!(list.len() + include_str!("common.txt").len() < 300_000);
    }
}
