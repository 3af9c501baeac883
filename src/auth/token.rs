//! A token's text: `slk_`, 8 characters that name it, 40 that prove it (200 bits), 7 that are a checksum.
//!
//! Prefix and checksum let secret scanners, and our own redaction, know a token wherever it turns up, and let a typo be
//! told from a token that was revoked. The characters are lower-case letters and digits without those that look alike.

use std::fmt;

/// What every token begins with.
pub const PREFIX: &str = "slk_";

const ID_CHARS: usize = 8;
const SECRET_CHARS: usize = 40;
const CHECK_CHARS: usize = 7;
/// Characters after the prefix.
const BODY_CHARS: usize = ID_CHARS + SECRET_CHARS + CHECK_CHARS;

/// 32 characters: five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A token as its holder shows it. `Debug` shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new token from 30 bytes of the operating system's randomness.
    pub fn new(random: [u8; (ID_CHARS + SECRET_CHARS) * 5 / 8]) -> Token {
        let mut text = PREFIX.to_owned();
        for five in random.chunks(5) {
            let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            push(&mut text, bits, 8);
        }
        let check = checksum(&text);
        push(&mut text, check, CHECK_CHARS);
        Token(text)
    }

    /// A text that has a token's form and checksum.
    pub fn parse(text: &str) -> Option<Token> {
        let body = text.strip_prefix(PREFIX)?;
        if body.len() != BODY_CHARS || !body.bytes().all(|b| ALPHABET.contains(&b)) {
            return None;
        }
        let (checked, check) = text.split_at(PREFIX.len() + ID_CHARS + SECRET_CHARS);
        let mut expected = String::new();
        push(&mut expected, checksum(checked), CHECK_CHARS);
        (expected == check).then(|| Token(text.to_owned()))
    }

    /// What names it; no secret.
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + ID_CHARS]
    }

    /// The whole text, for its holder and for hashing.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What proves the token, of no use without `key`.
    pub fn digest(&self, key: &[u8; 32]) -> blake3::Hash {
        blake3::keyed_hash(key, self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}***", self.id())
    }
}

/// CRC-32C: enough for typos, and no secret.
fn checksum(text: &str) -> u64 {
    u64::from(crc32c::crc32c(text.as_bytes()))
}

/// The lowest `chars * 5` bits, the highest first.
fn push(text: &mut String, bits: u64, chars: usize) {
    for place in (0..chars).rev() {
        text.push(char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_has_its_form() {
        let token = Token::new([0; 30]);
        assert_eq!(token.reveal().len(), 59);
        assert_eq!(token.id(), "aaaaaaaa");
        assert_eq!(format!("{token:?}"), "slk_aaaaaaaa***");
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_and_any_changed_character_is_noticed(
            random in proptest::array::uniform30(any::<u8>()),
            at in 0usize..59,
            with in "[a-z0-9_]",
        ) {
            let token = Token::new(random);
            prop_assert_eq!(Token::parse(token.reveal()), Some(token.clone()));
            let mut changed = token.reveal().to_owned();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(Token::parse(&changed).is_some(), changed == token.reveal());
        }

        #[test]
        fn no_text_is_a_panic(text in "(slk_)?\\PC{0,80}") {
            prop_assert!(Token::parse(&text).is_none_or(|token| token.reveal() == text));
        }
    }
}
