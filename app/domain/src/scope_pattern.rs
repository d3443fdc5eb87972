//! URI patterns: which texts a pattern matches, and which other patterns it covers.
//!
//! | in a pattern | matches |
//! |---|---|
//! | `?` | one character other than `.` |
//! | `*` | any number of characters other than `.`, including none: it stays within one element |
//! | `**` | any number of characters, including none: it spans elements |
//! | anything else | itself |
//!
//! Patterns and texts are ASCII, like all scopes, so a character is a byte.
//!
//! Both checks follow all positions of a pattern at once, in a bit set, without backtracking or
//! allocation. The cost of matching a text is at most its length times the length of the pattern.
//! Checking whether one pattern covers another could in theory need exponentially many sets.
//! After `STATES_MAX` sets the result is `false`, which refuses access and never grants it.
//! [`Steps`] limits the work of several comparisons together; once the steps run out, the result
//! is `false`, too.

use std::ops::ControlFlow;

/// The maximum length of a URI or URI pattern, in bytes.
pub const URI_MAX: usize = 512;

/// The positions of the longest pattern: before each of its bytes, and after the last.
const POSITIONS: usize = URI_MAX + 1;
const WORDS: usize = POSITIONS.div_ceil(64);
/// The maximum number of sets for one check. Patterns written by people need a handful.
const STATES_MAX: usize = 200;

/// The maximum number of steps of a comparison that does not share its steps.
const COVERS_STEPS: u32 = 50_000;

/// The amount of work that several comparisons may take together. A step is the examination of one
/// position of a pattern, or anything that takes as long: a few nanoseconds. Once the steps run
/// out, nothing is covered any more.
#[derive(Debug)]
pub struct Steps(u32);

impl Steps {
    /// Allows this many steps.
    pub const fn new(max: u32) -> Self {
        Self(max)
    }

    /// Returns how many steps remain.
    pub const fn left(&self) -> u32 {
        self.0
    }

    /// Runs one of many comparisons, with at most as many steps as it would have by itself.
    pub fn lend(&mut self, compare: impl FnOnce(&mut Self) -> bool) -> bool {
        let lent = self.0.min(COVERS_STEPS);
        let mut steps = Self(lent);
        let outcome = compare(&mut steps);
        self.0 -= lent - steps.0;
        outcome
    }

    /// Uses up this many steps and returns whether that many were left.
    pub fn take(&mut self, steps: usize) -> bool {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// Returns whether the pattern matches this text.
///
/// A pattern longer than [`URI_MAX`] bytes matches nothing.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut steps = Steps::new(u32::MAX);
    without_common_ends(pattern, text, &mut steps)
        .is_some_and(|(pattern, text)| matches_rest(Pattern(pattern), text, &mut steps))
}

fn matches_rest(pattern: Pattern<'_>, text: &[u8], steps: &mut Steps) -> bool {
    let mut reached = pattern.start();
    for byte in text {
        if !steps.take(reached.cost()) {
            return false;
        }
        reached = pattern.step(&reached, Symbol::Byte(*byte));
        if reached.is_empty() {
            return false;
        }
    }
    reached.has(pattern.0.len())
}

/// Returns whether `held` matches every text that `required` matches.
///
/// The result is exact for patterns written by people. For patterns that are built to be hard, it
/// may be `false` although `true` would be right, but never the other way round.
pub fn covers(held: &str, required: &str) -> bool {
    covers_within(held, required, &mut Steps::new(COVERS_STEPS))
}

/// Like [`covers`], but also returns `false` if the steps run out.
pub fn covers_within(held: &str, required: &str, steps: &mut Steps) -> bool {
    // Every pattern covers itself, however hard it is.
    if held == required {
        return held.len() <= URI_MAX && steps.take(1 + held.len() / AT_ONCE);
    }
    let Some((held, required)) = without_common_ends(held, required, steps) else { return false };
    let held = Pattern(held);
    if !required.iter().copied().any(is_wildcard) {
        return matches_rest(held, required, steps);
    }
    let mut walk = Walk::new(held, required, steps);
    // Sets are processed in the order in which they were found.
    let mut next = 0;
    if !walk.steps.take(STATES_MAX / AT_ONCE) || walk.go(0, held.start()).is_break() {
        return false;
    }
    while next < walk.count {
        let (at, reached) = walk.found[next];
        next += 1;
        if !walk.steps.take(2 * reached.cost()) {
            return false;
        }
        // The wildcard either ends here or takes one more character. If `held` accepts a
        // character that it does not name (`Other`), it accepts every such character, so no
        // others need to be tried.
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

/// Bytes that are compared in the time of one step.
const AT_ONCE: usize = 8;

/// Returns the rest of both patterns after their common beginning. Returns `None` if they differ
/// before the first wildcard of `held` or after its last one, because then a text of `required`
/// differs there, too; also if `held` is too long or the steps run out.
fn without_common_ends<'a>(
    held: &'a str,
    required: &'a str,
    steps: &mut Steps,
) -> Option<(&'a [u8], &'a [u8])> {
    let (held, required) = (held.as_bytes(), required.as_bytes());
    if held.len() > URI_MAX || steps.left() == 0 {
        return None;
    }
    let alike = held.iter().zip(required);
    let alike = alike.take_while(|(own, other)| own == other && !is_wildcard(**own)).count();
    if !steps.take(1 + alike / AT_ONCE) {
        return None;
    }
    let (held, required) = (&held[alike..], &required[alike..]);
    let Some(first) = held.first() else {
        // Without a wildcard, a pattern matches only itself.
        return required.is_empty().then_some((held, required));
    };
    if !is_wildcard(*first) {
        return None;
    }
    let end = held.iter().rev().take_while(|byte| !is_wildcard(**byte)).count();
    let fits = steps.take((end + required.len()) / AT_ONCE)
        && required.ends_with(&held[held.len() - end..]);
    fits.then_some((held, required))
}

const fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'?' | b'*')
}

/// A character, as far as a pattern distinguishes characters.
#[derive(Clone, Copy)]
enum Symbol {
    Byte(u8),
    /// A character that the pattern does not name, other than `.`.
    Other,
}

impl Symbol {
    fn is(self, byte: u8) -> bool {
        matches!(self, Self::Byte(own) if own == byte)
    }
}

/// A set of positions within a pattern, as bits.
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

    /// Returns how many steps it takes to continue from these positions.
    fn cost(&self) -> usize {
        2 + self.0.iter().map(|word| word.count_ones() as usize).sum::<usize>()
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

/// A pattern as a state machine: a position means "everything before it has matched".
#[derive(Clone, Copy)]
struct Pattern<'a>(&'a [u8]);

impl Pattern<'_> {
    /// Returns the position after the asterisks at this position, and whether they span elements.
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

    /// Returns all positions that one more character leads to.
    fn step(self, reached: &Positions, symbol: Symbol) -> Positions {
        let dot = symbol.is(b'.');
        let mut positions = Positions::NONE;
        let mut from = 0;
        for position in reached.iter() {
            #[cfg(test)]
            LOOKED_AT.set(LOOKED_AT.get() + 1);
            // The position after the element here, if it accepts this character.
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

    /// Adds a position, and the positions after any asterisks there, because asterisks may match
    /// nothing. Sets `from` to the last `**`: it reaches everything that an earlier position
    /// reaches, so the positions before it can be dropped.
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

/// The search for a text that `required` matches and `held` does not.
struct Walk<'a> {
    held: Pattern<'a>,
    required: &'a [u8],
    /// Positions of asterisks in `required`, each with the positions of `held` that some text
    /// reaches before them.
    found: [(usize, Positions); STATES_MAX],
    count: usize,
    steps: &'a mut Steps,
}

impl<'a> Walk<'a> {
    fn new(held: Pattern<'a>, required: &'a [u8], steps: &'a mut Steps) -> Self {
        Self { held, required, found: [(0, Positions::NONE); STATES_MAX], count: 0, steps }
    }

    /// Continues to the next asterisk of `required`. Breaks if such a text exists or if the check
    /// is too hard.
    fn go(&mut self, mut at: usize, mut reached: Positions) -> ControlFlow<()> {
        loop {
            if reached.is_empty() || !self.steps.take(reached.cost()) {
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

    /// Queues a set of positions, unless a stricter one is queued already.
    fn find(&mut self, at: usize, reached: Positions) -> ControlFlow<()> {
        if !self.steps.take(self.count / 4) {
            return ControlFlow::Break(());
        }
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
thread_local! {
    /// The number of positions that the comparisons of this thread have examined.
    static LOOKED_AT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn looked_at() -> u64 {
    LOOKED_AT.get()
}

#[cfg(test)]
#[path = "scope_pattern_tests.rs"]
mod tests;
