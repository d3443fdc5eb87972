//! Patterns of URIs: which texts a pattern stands for, and which patterns another one covers.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `?` | one character other than `.` |
//! | `*` | any number of characters other than `.`, also none: it stays within one element |
//! | `**` | any number of characters, also none: it spans elements |
//! | anything else | itself |
//!
//! Patterns and texts are ASCII (a scope is): a character is a byte.
//!
//! Both questions are answered by walking through all positions of a pattern at once, in a set of
//! bits: nothing is tried twice and nothing is allocated. A text costs at most its length times the
//! pattern's. Whether one pattern covers another could in theory need exponentially many sets; after
//! `STATES_MAX` the answer is "no", which refuses and never grants.

use std::ops::ControlFlow;

use crate::catalogue::URI_MAX;

/// Positions of the longest pattern: before each of its bytes, and behind the last.
const POSITIONS: usize = URI_MAX + 1;
const WORDS: usize = POSITIONS.div_ceil(64);
/// Most sets that one question may need. Patterns that people write need a handful.
const STATES_MAX: usize = 200;

/// Whether the pattern stands for this text.
///
/// A pattern of more than [`URI_MAX`] bytes stands for nothing.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((pattern, text)) = without_common_start(pattern, text) else { return false };
    let pattern = Pattern(pattern);
    let mut reached = pattern.start();
    for byte in text {
        reached = pattern.step(&reached, Symbol::Byte(*byte));
        if reached.is_empty() {
            return false;
        }
    }
    reached.has(pattern.0.len())
}

/// Whether every text that `required` stands for is one that `held` stands for, too.
///
/// Exact for the patterns that people write; for patterns made to be hard it may answer `false`
/// where `true` would be right, never the other way round.
pub fn covers(held: &str, required: &str) -> bool {
    if !required.bytes().any(is_wildcard) {
        return matches(held, required);
    }
    // However hard it is: it covers itself.
    if held == required {
        return held.len() <= URI_MAX;
    }
    let Some((held, required)) = without_common_start(held, required) else { return false };
    let held = Pattern(held);
    let mut walk = Walk::new(held, required);
    // Sets are worked off in the order in which they were found.
    let mut next = 0;
    if walk.go(0, held.start()).is_break() {
        return false;
    }
    while next < walk.count {
        let (at, reached) = walk.found[next];
        next += 1;
        // The wildcard ends here, or takes one more character. `held` takes a character that it
        // does not name (`Other`) only where it takes every one of its kind: no need to try others.
        let (behind, spans) = Pattern(required).stars(at);
        let outcome = walk.go(behind, reached).is_continue()
            && walk.go(at, held.step(&reached, Symbol::Other)).is_continue()
            && (!spans || walk.go(at, held.step(&reached, Symbol::Byte(b'.'))).is_continue());
        if !outcome {
            return false;
        }
    }
    true
}

/// What is left of both behind the first wildcard of `held`; `None` when they differ before it:
/// then some text of `required` differs there, too.
fn without_common_start<'a>(held: &'a str, required: &'a str) -> Option<(&'a [u8], &'a [u8])> {
    let (held, required) = (held.as_bytes(), required.as_bytes());
    if held.len() > URI_MAX {
        return None;
    }
    let first = held.iter().position(|byte| is_wildcard(*byte)).unwrap_or(held.len());
    let rest = required.strip_prefix(&held[..first])?;
    // Without a wildcard it stands for itself alone.
    if first == held.len() && !rest.is_empty() {
        return None;
    }
    Some((&held[first..], rest))
}

const fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'?' | b'*')
}

/// One character, as far as a pattern can tell characters apart.
#[derive(Clone, Copy)]
enum Symbol {
    Byte(u8),
    /// One that the pattern does not name, and no `.`.
    Other,
}

impl Symbol {
    fn is(self, byte: u8) -> bool {
        matches!(self, Self::Byte(own) if own == byte)
    }
}

/// Positions within a pattern, as bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Positions([u64; WORDS]);

impl Positions {
    const NONE: Self = Self([0; WORDS]);

    fn add(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn has(&self, position: usize) -> bool {
        self.0[position / 64] & (1 << (position % 64)) != 0
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own & !other == 0)
    }

    /// Removes the positions before this one.
    fn cut(&mut self, position: usize) {
        self.0[..position / 64].fill(0);
        self.0[position / 64] &= u64::MAX << (position % 64);
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let bit = word.trailing_zeros() as usize;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

/// A pattern as a machine: a position stands for "all before it is matched".
#[derive(Clone, Copy)]
struct Pattern<'a>(&'a [u8]);

impl Pattern<'_> {
    /// Where the stars at this position end, and whether they span elements.
    fn stars(self, position: usize) -> (usize, bool) {
        let count = self.0[position..].iter().take_while(|byte| **byte == b'*').count();
        (position + count, count > 1)
    }

    fn start(self) -> Positions {
        let mut positions = Positions::NONE;
        let mut from = 0;
        self.enter(&mut positions, 0, &mut from);
        positions.cut(from);
        positions
    }

    /// All positions that one more character leads to.
    fn step(self, reached: &Positions, symbol: Symbol) -> Positions {
        let dot = symbol.is(b'.');
        let mut positions = Positions::NONE;
        let mut from = 0;
        for position in reached.iter() {
            // The position that the token here leads to, if it takes this character.
            let next = match self.0.get(position) {
                Some(b'*') if self.stars(position).1 || !dot => position,
                Some(b'?') if !dot => position + 1,
                Some(byte) if !is_wildcard(*byte) && symbol.is(*byte) => position + 1,
                _ => continue,
            };
            self.enter(&mut positions, next, &mut from);
        }
        positions.cut(from);
        positions
    }

    /// Adds a position, and those behind stars, which may stand for nothing. `from` becomes the last
    /// `**`: whatever an earlier position leads to, this one does, so those before it can go.
    fn enter(self, positions: &mut Positions, mut position: usize, from: &mut usize) {
        positions.add(position);
        while self.0.get(position) == Some(&b'*') {
            let (behind, spans) = self.stars(position);
            if spans {
                *from = position.max(*from);
            }
            position = behind;
            positions.add(position);
        }
    }
}

/// The search for a text that `required` stands for and `held` does not.
struct Walk<'a> {
    held: Pattern<'a>,
    required: &'a [u8],
    /// Stars of `required`, with the positions of `held` that some text leads to before them.
    found: [(usize, Positions); STATES_MAX],
    count: usize,
}

impl<'a> Walk<'a> {
    fn new(held: Pattern<'a>, required: &'a [u8]) -> Self {
        Self { held, required, found: [(0, Positions::NONE); STATES_MAX], count: 0 }
    }

    /// Goes on to the next star of `required`. Breaks when there is such a text, or when the
    /// question is too hard.
    fn go(&mut self, mut at: usize, mut reached: Positions) -> ControlFlow<()> {
        loop {
            if reached.is_empty() {
                return ControlFlow::Break(());
            }
            let symbol = match self.required.get(at) {
                None if reached.has(self.held.0.len()) => return ControlFlow::Continue(()),
                None => return ControlFlow::Break(()),
                Some(b'*') => return self.find(at, reached),
                Some(b'?') => Symbol::Other,
                Some(byte) => Symbol::Byte(*byte),
            };
            reached = self.held.step(&reached, symbol);
            at += 1;
        }
    }

    /// Keeps what is to be looked at, unless something harder is.
    fn find(&mut self, at: usize, reached: Positions) -> ControlFlow<()> {
        let known = self.found[..self.count]
            .iter()
            .any(|(other, fewer)| *other == at && fewer.is_within(&reached));
        if known {
            return ControlFlow::Continue(());
        }
        let Some(free) = self.found.get_mut(self.count) else { return ControlFlow::Break(()) };
        *free = (at, reached);
        self.count += 1;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
#[path = "scope_pattern_tests.rs"]
mod tests;
