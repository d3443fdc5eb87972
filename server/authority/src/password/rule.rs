//! The rule for new passwords (NIST SP 800-63B-4 section 3.1.1.2): at least 15 characters, no rule
//! about kinds of characters, and nothing that is easy to guess.
//!
//! A password is split into the pieces that are cheapest to guess ([`super::guess`]): common words,
//! well-known phrases, words about the person and the place, repetitions, sequences, walks along
//! the keyboard, years, and single characters. Case, accents and characters that stand for letters
//! make no difference ([`super::fold`]), nor do separators. Four unrelated words are enough; three
//! are not.

use std::collections::BTreeSet;

use super::{
    fold::{plain, word},
    guess::bits,
};
use crate::{secret::Password, work::Heavy};

/// The minimum number of characters. There is no second factor (NIST SP 800-63B-4 section 3.1.1.2).
pub const PASSWORD_MIN: usize = 15;
/// The maximum number of bytes: far above any passphrase, and a limit on the work.
pub(super) const PASSWORD_MAX_BYTES: usize = 1_024;

/// The minimum number of bits.
const ENOUGH: u32 = 40;
/// The number of characters to judge. Longer passwords are judged by their beginning.
const LOOKED_AT: usize = 128;

/// Returns what is wrong with a new password. `context` contains what an attacker knows: the
/// person's address and name, the organisation, the workspaces, and the server's host.
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
    if bits(&looked_at(text), &context_words(context)) < ENOUGH {
        return Err("is too easy to guess: it is made of common words, repetitions, sequences or \
                    details about you. Use four or more unrelated words, or a password manager"
            .into());
    }
    Ok(())
}

/// Returns the characters to judge, never more than [`LOOKED_AT`], even if characters decompose
/// into many.
fn looked_at(text: &str) -> Vec<char> {
    plain(text).take(LOOKED_AT).collect()
}

/// Returns the words that an attacker tries first for this person.
fn context_words(context: &[&str]) -> Vec<Vec<char>> {
    let whole = context.iter().map(|text| text.split('@').next().unwrap_or_default());
    let parts =
        context.iter().flat_map(|text| text.split(|character: char| !character.is_alphanumeric()));
    let words = whole.chain(parts).chain(["tessera"]);
    let words = words.flat_map(|text| {
        let spaceless: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let joined: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
        [word(&spaceless), word(&joined)]
    });
    words.filter(|word| word.len() >= 3).collect::<BTreeSet<_>>().into_iter().collect()
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
            "q1w2e3r4t5y6u7i8o9p0",
            "a1b2c3d4e5f6g7h8",
            "1a2s3d4f5g6h7j8k",
            "1qa2ws3ed4rf5tg6yh",
            "112233445566778899",
            "p.a.s.s.w.o.r.d.1.2.3",
            "p a s s w o r d - t e s s e r a",
            "contraseña123456",
            "Contrasen\u{303}a123456",
            "Administrateur2026",
            "Администратор2026",
            "пароль-пароль-1",
            "パスワードパスワードパスワード",
            "рassword-admin-2026",
            "ｐａｓｓｗｏｒｄ１２３４５６７８",
            "averystrongpassword",
            "batteryhorsestaplecorrect",
            "staple correct battery horse!",
            "lordoftherings12",
            "harrypotter12345",
            "supercalifragilistic",
            "йцукенгшщзхъйцукен",
            "фывапролджэячсмить",
            "314159265358979",
            "3.14159265358979",
            "271828182845904",
            "api-token-authority",
        ] {
            assert!(check(text).is_err_and(|error| error.contains("easy to guess")), "{text}");
        }
    }

    #[test]
    fn common_passwords_of_many_words_or_patterns_are_refused() {
        let list = include_str!("refused.txt");
        let texts: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(texts.len() > 300);
        for text in texts {
            assert!(check(text).is_err_and(|error| error.contains("easy to guess")), "{text}");
        }
    }

    #[test]
    fn reversed_words_and_words_mixed_with_digits_count_as_words() {
        for text in [
            "drowssapterces1",
            "321drowssap4321",
            "reppohecarg1906",
            "p1a2s3s4w5o6r7d8",
            "pa12ss34wo56rd78",
            "abc123def456ghi789",
            "ab12cd34ef56gh78",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_and_workspaces_are_easy_to_guess() {
        let context =
            ["eve@example.net", "Eve", "tokens.umbrellacorp.example", "Hydrology 7", "hydrology-7"];
        let check =
            |text: &str| check_strength(&Password::new(text.into()), &context, &Heavy::test());
        for text in [
            "tokens.umbrellacorp.example",
            "umbrellacorp2026!",
            "Hydrology-7-Hydrology",
            "procaiierbmu2026",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn random_texts_are_accepted() {
        let mut seed = 1_u64;
        let mut next = |bound: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % bound
        };
        for alphabet in [
            "abcdefghijklmnopqrstuvwxyz",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        ] {
            let letters: Vec<char> = alphabet.chars().collect();
            let mut refused = 0;
            for _ in 0..200 {
                let text: String = (0..15).map(|_| letters[next(letters.len())]).collect();
                refused += u32::from(check(&text).is_err());
            }
            assert!(refused <= 4, "{refused} of 200");
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
            "hoppergracezvlqkd",
            "gràce höpper 2026",
            "g.r.a.c.e.h.o.p.p.e.r.1",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let plain = Password::new("zoe-garcia-perez-1".into());
        let accented = ["zoe@example.net", "Zoë García Pérez"];
        assert!(check_strength(&plain, &accented, &Heavy::test()).is_err());
        let stranger = Password::new("hoppergracezvlqkd".into());
        assert_eq!(check_strength(&stranger, &["bob@example.net"], &Heavy::test()), Ok(()));
    }

    #[test]
    fn passphrase_and_random_password_are_accepted() {
        for text in [
            "violet kettle drums outside",
            "purple mountain coffee table",
            "n7fjqx0vzkw2mhd",
            "tr0mbone ladder mist drums",
            "пароль лошадь скрепка",
            "すみれ色のやかんと太鼓とはしごと霧",
            "क्षितिज बैंगनी केतली ढोल",
            "café ladder mist drums violet",
            "q7w1e9 r4zt5 mh8",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        assert_eq!(check(&"jzq4 wev8 mnt6 ".repeat(20)), Ok(()), "300 characters are accepted");
    }

    #[test]
    fn password_is_judged_by_a_limited_number_of_characters() {
        for text in ["İ".repeat(512), "ﷺ".repeat(300), "\u{301}".repeat(512), "ß".repeat(512)] {
            assert!(looked_at(&text).len() <= LOOKED_AT);
        }
    }

    proptest! {
        #[test]
        fn judging_any_password_never_panics(text in any::<String>(), word in any::<String>()) {
            prop_assert!(looked_at(&text).len() <= LOOKED_AT);
            let _ = check_strength(&Password::new(text), &[&word], &Heavy::test());
        }

        #[test]
        fn accents_case_and_separators_do_not_make_a_password_harder(
            text in "[a-z0-9]{8,30}",
            accents in proptest::collection::vec(prop::sample::select(vec!["", "\u{301}", "-", ". "]), 30),
        ) {
            let pieces = text.chars().zip(accents);
            let dressed: String = pieces
                .flat_map(|(letter, accent)| letter.to_uppercase().chain(accent.chars()))
                .collect();
            let plain = bits(&looked_at(&text), &[]);
            prop_assert!(bits(&looked_at(&dressed), &[]) <= plain + 2, "{text} {dressed}");
        }
    }
}
