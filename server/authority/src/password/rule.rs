//! Which passwords may be chosen (NIST SP 800-63B-4 section 3.1.1.2): at least 15 characters, no rule
//! about kinds of characters, and nothing that is easy to guess.
//!
//! A password is cut into the pieces that are cheapest to guess: common words, words about the person
//! and the place, repetitions, sequences, walks along the keyboard, years, and single characters. Each
//! piece costs about as many bits as an attacker needs who knows these habits.

use std::{collections::HashSet, sync::LazyLock};

use super::words::{COMMON, SHORT, WALKS};
use crate::{secret::Password, work::Heavy};

/// Fewest characters of a password. There is no second factor (NIST SP 800-63B-4 section 3.1.1.2).
pub const PASSWORD_MIN: usize = 15;
/// Most bytes: far above any passphrase, and a bound on work.
pub(super) const PASSWORD_MAX_BYTES: usize = 1_024;

/// Fewest bits of a password.
const ENOUGH: u32 = 40;
/// Characters that are looked at. Longer passwords are judged by their beginning.
const LOOKED_AT: usize = 128;
/// Longest word of the list.
const LONGEST: usize = 64;

static COMMON_WORDS: LazyLock<HashSet<Vec<char>>> = LazyLock::new(|| words(COMMON));
static SHORT_WORDS: LazyLock<HashSet<Vec<char>>> = LazyLock::new(|| words(SHORT));

fn words(text: &str) -> HashSet<Vec<char>> {
    text.split_whitespace().map(canonical).collect()
}

/// Says what is wrong with a password that somebody chooses. `context` has what an attacker knows: the
/// person's address and name, the organisation, the workspace.
pub(super) fn check_strength(
    password: &Password,
    context: &[&str],
    _: &Heavy,
) -> Result<(), String> {
    let text = password.expose();
    let length = text.chars().count();
    if length < PASSWORD_MIN {
        return Err(format!("must have at least {PASSWORD_MIN} characters; this has {length}"));
    }
    if text.len() > PASSWORD_MAX_BYTES {
        return Err(format!("must have at most {PASSWORD_MAX_BYTES} bytes"));
    }
    let known = context_words(context);
    let whole = canonical(&text.chars().filter(|c| c.is_alphanumeric()).collect::<String>());
    if COMMON_WORDS.contains(&whole) || bits(text, &known) < ENOUGH {
        return Err("is too easy to guess: it is made of common words, repetitions, sequences or \
                    details about you. Use several unrelated words, or a password manager"
            .into());
    }
    Ok(())
}

/// The words that an attacker tries first for this person.
fn context_words(context: &[&str]) -> HashSet<Vec<char>> {
    let whole = context.iter().map(|text| text.split('@').next().unwrap_or_default());
    let parts =
        context.iter().flat_map(|text| text.split(|character: char| !character.is_alphanumeric()));
    whole
        .chain(parts)
        .chain(["tessera"])
        .map(|word| canonical(&word.chars().filter(|c| !c.is_whitespace()).collect::<String>()))
        .filter(|word| word.len() >= 3)
        .collect()
}

/// A text without regard to case and to digits and symbols that stand for letters.
fn canonical(text: &str) -> Vec<char> {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|character| match character {
            '0' => 'o',
            '1' | '!' | '|' | 'l' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' | '+' => 't',
            '8' => 'b',
            '9' => 'g',
            other => other,
        })
        .collect()
}

/// About how many bits an attacker needs who knows people's habits.
fn bits(text: &str, known: &HashSet<Vec<char>>) -> u32 {
    let typed: Vec<char> = text.chars().take(LOOKED_AT).flat_map(char::to_lowercase).collect();
    let canonical = canonical(&typed.iter().collect::<String>());
    let mut cheapest = vec![u32::MAX; typed.len() + 1];
    cheapest[0] = 0;
    for start in 0..typed.len() {
        let before = cheapest[start];
        for (end, least) in cheapest.iter_mut().enumerate().skip(start + 1) {
            let cost = piece(&typed, &canonical, start, end, known);
            if let Some(cost) = cost {
                *least = (*least).min(before.saturating_add(cost));
            } else if end - start > LONGEST {
                break;
            }
        }
    }
    cheapest[typed.len()]
}

/// The bits of one piece; `None` when it is no piece.
fn piece(
    typed: &[char],
    canonical: &[char],
    start: usize,
    end: usize,
    known: &HashSet<Vec<char>>,
) -> Option<u32> {
    let (piece, read) = (&typed[start..end], &canonical[start..end]);
    if let [character] = piece {
        return Some(single(*character, start.checked_sub(1).map(|at| typed[at])));
    }
    if known.contains(read) {
        return Some(3);
    }
    // A run that goes on does not get harder.
    if piece.len() >= 3 && (is_sequence(piece) || is_walk(piece)) {
        return Some(6);
    }
    if piece.len() > LONGEST {
        return None;
    }
    let repeated =
        piece.len() >= 3 && canonical[..start].windows(read.len()).any(|earlier| earlier == read);
    match () {
        () if repeated => Some(2),
        () if SHORT_WORDS.contains(read) => Some(5),
        () if is_year(piece) => Some(6),
        () if COMMON_WORDS.contains(read) => Some(10),
        () => None,
    }
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

/// Whether all steps between neighbours are the same, and none or one: `aaa`, `abc`, `321`.
fn is_sequence(piece: &[char]) -> bool {
    let step = |pair: &[char]| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
    let first = step(piece);
    first.abs() <= 1 && piece.windows(2).all(|pair| step(pair) == first)
}

/// Whether these are neighbouring keys.
fn is_walk(piece: &[char]) -> bool {
    let forth: String = piece.iter().collect();
    let back: String = piece.iter().rev().collect();
    WALKS.iter().any(|walk| walk.contains(&forth) || walk.contains(&back))
}

fn is_year(piece: &[char]) -> bool {
    piece.len() == 4
        && matches!(piece[..2], ['1', '9'] | ['2', '0'])
        && piece.iter().all(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let context =
            ["grace.hopper@example.com", "Grace Hopper", "Wayne Enterprises", "blue-team"];
        check_strength(&Password::new(text.into()), &context, &Heavy::test())
    }

    #[test]
    fn short_or_endless_password_is_refused_with_its_length() {
        assert_eq!(check("x7#Kq").unwrap_err(), "must have at least 15 characters; this has 5");
        assert!(check("password1234").unwrap_err().contains("this has 12"));
        assert!(check(&"violet kettle ".repeat(100)).unwrap_err().contains("1024 bytes"));
    }

    #[test]
    fn guessable_password_is_refused() {
        for text in [
            "passwordpassword1",
            "P@ssw0rdP@ssw0rd!",
            "passwordpasswordpasswordpassword",
            "correcthorsebatterystaple",
            "Correct-Horse-Battery-Staple",
            "correcthorsebatterystaple1",
            "tessera-tessera-1",
            "tessera-password-2026",
            "administrator1234",
            "welcometotessera1",
            "thisismypassword",
            "iloveyouforever1",
            "qwertyuiopasdfgh",
            "1qaz2wsx3edc4rfv",
            "poiuytrewqlkjhgf",
            "123456789012345",
            "abcdefghijklmnop",
            "aaaaaaaaaaaaaaaaaaaa",
            "abababababababababab",
            "Summer2026Summer2026",
            "monkey.dragon.123",
        ] {
            assert!(check(text).is_err_and(|error| error.contains("easy to guess")), "{text}");
        }
    }

    #[test]
    fn details_about_the_person_and_the_place_are_easy_to_guess() {
        for text in [
            "grace.hopper@example.com",
            "gracehopper12345",
            "hopper-grace-1906!",
            "WayneEnterprises1",
            "blue-team-password",
            "gr4c3-h0pp3r-2026",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let stranger = Password::new("gracehopperlovelace".into());
        assert_eq!(check_strength(&stranger, &["bob@example.net"], &Heavy::test()), Ok(()));
    }

    #[test]
    fn passphrase_and_random_password_are_accepted() {
        for text in [
            "violet kettle drums outside",
            "a password for a drill",
            "n7fjqx0vzkw2mhd",
            "tr0mbone ladder mist",
            "пароль лошадь скрепка",
            "すみれ色のやかんと太鼓とはしごと霧",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        assert_eq!(check(&"jzq4 wev8 mnt6 ".repeat(20)), Ok(()), "300 characters are accepted");
    }

    proptest! {
        #[test]
        fn any_password_is_judged_without_panic(text in any::<String>(), word in any::<String>()) {
            let _ = check_strength(&Password::new(text), &[&word], &Heavy::test());
        }
    }
}
