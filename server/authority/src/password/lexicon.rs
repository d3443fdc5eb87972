//! Common words and names, from a list that is sorted for the search.

use std::ops::Range;

use super::fold::letter;

/// The number to add to the digit after a word in the list to get its bits.
const DIGIT: u8 = 4;

/// The words of `common.txt`.
pub(super) struct Lexicon {
    text: &'static [u8],
    words: Vec<Word>,
    index: Index,
}

/// The position of a word in the text, and its bits.
struct Word {
    start: u32,
    length: u8,
    bits: u8,
}

impl Lexicon {
    /// Loads the list.
    pub(super) fn load() -> Self {
        Self::of(include_str!("common.txt"))
    }

    fn of(list: &'static str) -> Self {
        let text = list.as_bytes();
        let mut words = Vec::with_capacity(text.len() / 8);
        let mut line_start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let mut start = line_start;
            for (at, byte) in (line_start..).zip(line).take_while(|(_, byte)| **byte != b'#') {
                if byte.is_ascii_digit() {
                    let (length, bits) = (at - start, byte - b'0' + DIGIT);
                    if let (Ok(start), Ok(length)) = (u32::try_from(start), u8::try_from(length)) {
                        words.push(Word { start, length, bits });
                    }
                    start = at + 1;
                }
            }
            line_start += line.len();
        }
        let heads = words.iter().map(|word| &text[word.start as usize..]);
        let index = Index::of(heads.map(|word| [0, 1, 2].map(|at| folded(word[at]))));
        Self { text, words, index }
    }

    /// Calls `found` with the length and the bits of every word that the text begins with.
    pub(super) fn each(&self, text: &[char], mut found: impl FnMut(usize, u32)) {
        // The words with the same beginning as the text. They are adjacent, the shortest one first.
        let mut words = &self.words[self.index.range(text)];
        for (depth, character) in text.iter().enumerate().skip(HEAD) {
            let Ok(wanted) = u8::try_from(*character) else { return };
            let low = words.partition_point(|word| self.byte(word, depth) < wanted);
            words = &words[low..];
            let high = words.partition_point(|word| self.byte(word, depth) <= wanted);
            words = &words[..high];
            let Some(shortest) = words.first() else { return };
            if usize::from(shortest.length) == depth + 1 {
                found(depth + 1, u32::from(shortest.bits));
            }
        }
    }

    /// Returns a byte of a word in normalised form, or 0 beyond its end.
    fn byte(&self, word: &Word, depth: usize) -> u8 {
        if depth < usize::from(word.length) {
            folded(self.text[word.start as usize + depth])
        } else {
            0
        }
    }
}

/// The number of letters by which texts are indexed.
pub(super) const HEAD: usize = 3;

/// The positions of the texts that begin with each combination of three letters.
pub(super) struct Index(Vec<u32>);

impl Index {
    /// Creates the index of sorted texts with these beginnings.
    pub(super) fn of(heads: impl Iterator<Item = [u8; HEAD]>) -> Self {
        let mut ends = vec![0; 26 * 26 * 26 + 1];
        for (number, head) in (1..).zip(heads) {
            if let Some(place) = place(head) {
                ends[place + 1] = number;
            }
        }
        let mut last = 0;
        for end in &mut ends {
            last = last.max(*end);
            *end = last;
        }
        Self(ends)
    }

    /// Returns the positions of the texts that begin as this one does.
    pub(super) fn range(&self, text: &[char]) -> Range<usize> {
        let head = text.first_chunk().map(|head: &[char; HEAD]| {
            head.map(|character| u8::try_from(character).unwrap_or_default())
        });
        head.and_then(place)
            .map_or(0..0, |place| self.0[place] as usize..self.0[place + 1] as usize)
    }
}

/// Returns the number of a combination of three letters.
pub(super) fn place(head: [u8; HEAD]) -> Option<usize> {
    head.iter().try_fold(0, |place, byte| {
        byte.is_ascii_lowercase().then(|| place * 26 + usize::from(byte - b'a'))
    })
}

/// Returns the normalised form of an ASCII letter.
pub(super) fn folded(byte: u8) -> u8 {
    u8::try_from(letter(char::from(byte))).unwrap_or(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lexicon: &Lexicon, text: &str) -> Vec<(usize, u32)> {
        let mut all = Vec::new();
        let text: Vec<char> = text.chars().collect();
        lexicon.each(&text, |length, bits| all.push((length, bits)));
        all
    }

    #[test]
    fn every_word_that_a_text_starts_with_is_found() {
        let lexicon = Lexicon::of("# sunk1\nmoon5oily6\noilys7sund3sunday5\nsunny8\n");
        assert_eq!(found(&lexicon, "sundayx"), [(4, 7), (6, 9)]);
        assert_eq!(found(&lexicon, "sund"), [(4, 7)]);
        assert_eq!(found(&lexicon, "oiiys"), [(4, 10), (5, 11)]);
        for nothing in ["moo", "sunk", "ünder", "süd", "", "x", "zzz", "aaa", "000"] {
            assert_eq!(found(&lexicon, nothing), [], "{nothing}");
        }
    }

    #[test]
    fn word_list_is_sorted_for_the_search() {
        let lexicon = Lexicon::load();
        assert!(lexicon.words.len() > 25_000, "{}", lexicon.words.len());
        let words: Vec<Vec<u8>> = lexicon
            .words
            .iter()
            .map(|word| {
                (0..usize::from(word.length)).map(|depth| lexicon.byte(word, depth)).collect()
            })
            .collect();
        assert!(words.is_sorted_by(|one, next| one < next));
        assert!(words.iter().all(|word| (4..=20).contains(&word.len())));
        assert!(lexicon.words.iter().all(|word| (5..=13).contains(&word.bits)));
    }
}
