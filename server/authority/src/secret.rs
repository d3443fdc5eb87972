//! Secrets: types whose `Debug` shows nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::token_text;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use crate::entropy::{self, Entropy};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes a secret text, which is wiped from memory when dropped.
            pub fn new(text: String) -> Self {
                Self(SecretString::from(text))
            }

            /// Returns the text itself. Every use deserves a review.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(concat!(stringify!($name), "([hidden])"))
            }
        }
    };
}

secret!(
    /// A password as typed.
    Password
);
secret!(
    /// The value of a session's cookie: 256 random bits in base64url.
    SessionSecret
);
secret!(
    /// The value of a browser's cookie that proves to which accounts it signed in before. It does
    /// not sign anyone in.
    KnownBrowser
);
secret!(
    /// The secret of the one-time set-up link: 256 random bits in base64url.
    SetupSecret
);
secret!(
    /// The secret of a one-time link that sets a password: 256 random bits in base64url.
    PasswordLinkSecret
);
secret!(
    /// A token's text. It leaves the server once, in the response to its creation.
    TokenSecret
);

impl SessionSecret {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        Self::new(URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(entropy)))
    }

    /// Returns whether this text has the form of a session's secret. A token's text never has it.
    pub fn has_form(text: &str) -> bool {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.is_ok_and(|bytes| bytes.len() == 32) && token_text::check(text).is_err()
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }
}

impl SetupSecret {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        Self::new(URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(entropy)))
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }
}

impl PasswordLinkSecret {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        Self::new(URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(entropy)))
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }
}

impl TokenSecret {
    pub(crate) fn generate(prefix: &str, entropy: &dyn Entropy) -> Self {
        Self::new(token_text::compose(prefix, &entropy::token_random(entropy)))
    }

    pub(crate) fn hint(&self) -> String {
        token_text::hint(self.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn debug_shows_no_part_of_a_secret() {
        let secret = TokenSecret::generate("tsr", &SystemEntropy);
        let shown = format!("{secret:?} {:?}", Password::new("hunter2hunter2".into()));
        assert_eq!(shown, "TokenSecret([hidden]) Password([hidden])");
        assert!(token_text::check(secret.expose()).is_ok());
    }

    #[test]
    fn session_secret_has_256_bits() {
        let secret = SessionSecret::generate(&SystemEntropy);
        assert_eq!(secret.expose().len(), 43);
        assert!(SessionSecret::has_form(secret.expose()));
    }

    #[test]
    fn token_never_has_the_form_of_a_session() {
        // Its text is as long as a session's.
        for _ in 0..64 {
            let token = TokenSecret::generate("kriten", &SystemEntropy);
            assert_eq!(token.expose().len(), 43);
            assert!(!SessionSecret::has_form(token.expose()));
        }
        for text in ["", "XYZ", &"a".repeat(44), &"é".repeat(43), "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"]
        {
            assert!(!SessionSecret::has_form(text), "{text}");
        }
    }
}
