//! Seals values that must be shown again, such as a recoverable token's secret or a stored
//! response.
//!
//! Sealing uses XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce of 24 bytes,
//! which may be drawn for every message without counting. The row that a value belongs to is bound
//! as associated data: a sealed value that was moved to another row does not open.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Key, Keys, frame};
use crate::entropy::{self, Entropy};

const NONCE_LENGTH: usize = 24;

/// A sealed value: nonce, ciphertext and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key_version: i16,
}

/// A sealed value does not open: its key is missing, or the value was altered or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sealed value cannot be opened: its key is missing, or the value was changed or moved")]
pub(crate) struct Unsealable;

impl Keys {
    /// Seals a text for the row or purpose that `binding` names.
    pub(crate) fn seal(
        &self,
        entropy: &dyn Entropy,
        binding: &[&[u8]],
        text: &[u8],
    ) -> Result<Sealed, Unsealable> {
        let key = self.sealing.newest();
        let nonce: [u8; NONCE_LENGTH] = entropy::bytes(entropy);
        let payload = Payload { msg: text, aad: &associated(binding, key.version) };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(Sealed { bytes, key_version: key.version })
    }

    /// Opens a value that was sealed for the same `binding`.
    pub(crate) fn unseal(
        &self,
        sealed: &Sealed,
        binding: &[&[u8]],
    ) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let key = self.sealing.version(sealed.key_version).ok_or(Unsealable)?;
        let (nonce, rest) = sealed.bytes.split_first_chunk::<NONCE_LENGTH>().ok_or(Unsealable)?;
        let payload = Payload { msg: rest, aad: &associated(binding, key.version) };
        let text = cipher(key).decrypt(&XNonce::from(*nonce), payload);
        text.map(Zeroizing::new).map_err(|_| Unsealable)
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&key.key.into())
}

fn associated(binding: &[&[u8]], version: i16) -> Vec<u8> {
    let mut data = b"tessera seal".to_vec();
    frame(&mut data, binding);
    frame(&mut data, &[&version.to_be_bytes()]);
    data
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn sealed_text_opens_only_in_its_context() {
        let keys = Keys::generate(&SystemEntropy);
        let sealed = keys.seal(&SystemEntropy, &[b"one", b"token"], b"secret").unwrap();
        assert_eq!(keys.unseal(&sealed, &[b"one", b"token"]).unwrap().as_slice(), b"secret");
        assert_eq!(keys.unseal(&sealed, &[b"onet", b"oken"]), Err(Unsealable));
        let other = Keys::generate(&SystemEntropy);
        assert_eq!(other.unseal(&sealed, &[b"one", b"token"]), Err(Unsealable));
        for place in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[place] ^= 1;
            assert_eq!(keys.unseal(&changed, &[b"one", b"token"]), Err(Unsealable));
        }
        let short = Sealed { bytes: vec![0; 5], key_version: 1 };
        assert_eq!(keys.unseal(&short, &[]), Err(Unsealable));
    }

    #[test]
    fn older_key_still_opens_what_it_sealed() {
        let old = Keys::generate(&SystemEntropy);
        let sealed = old.seal(&SystemEntropy, &[b"x"], b"secret").unwrap();
        let newer =
            Keys::generate(&SystemEntropy).to_toml().expose_secret().replace("= 1\n", "= 2\n");
        let both = format!("{}{newer}", old.to_toml().expose_secret());
        let both = Keys::from_toml(&both).unwrap();
        assert_eq!(both.unseal(&sealed, &[b"x"]).unwrap().as_slice(), b"secret");
        assert_eq!(both.seal(&SystemEntropy, &[b"x"], b"secret").unwrap().key_version, 2);
    }
}
