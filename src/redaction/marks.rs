//! What stands in a hit's place. Everything written here is letters, digits and `[]:*-_`, so that it needs no escaping in
//! JSON, HTML or a shell's quotes, and nothing in it can be mistaken for a secret.

use std::ops::Range;

use aws_lc_rs::hmac;

use super::rules::{Action, MaskSpec};
use crate::model::{LakeKey, hex};

/// Stands for what could not be scanned.
pub const UNSCANNED: &str = "[REDACTED:unscanned]";
/// That mark's name among the rules.
pub const UNSCANNED_RULE: &str = "unscanned";

/// Bytes of the fingerprint in a tag: enough to tell a session's secrets apart, too few to be worth an attack on the key.
const FINGERPRINT_BYTES: usize = 3;
/// 96 bits: no two of a lake's values meet by chance.
const PSEUDONYM_BYTES: usize = 12;
/// What a mask shows at most, however long the value is.
const MOST_SHOWN: usize = 4;

/// The keys of marks, derived from the lake's, so that all replicas write the same.
pub struct Keys {
    lake: LakeKey,
    key_id: String,
    pseudonyms: hmac::Key,
}

impl Keys {
    /// `key_id` names the pseudonyms' key: another name is another key, and its pseudonyms cannot be linked to the old ones.
    pub fn new(lake: LakeKey, key_id: &str) -> Keys {
        let mut hasher = lake.hasher("redaction-pseudonym-key");
        hasher.update(key_id.as_bytes());
        let pseudonyms = hmac::Key::new(hmac::HMAC_SHA256, hasher.finalize().as_bytes());
        Keys { lake, key_id: key_id.to_owned(), pseudonyms }
    }

    /// What stands for `value`, which `rule` found.
    pub fn render(&self, action: &Action, rule: &str, value: &str) -> String {
        match action {
            Action::Mask(spec) => mask(*spec, value),
            Action::Pseudonym { label } => self.pseudonym(label.as_deref().unwrap_or(rule), value),
            Action::Tag | Action::DropField | Action::DropEvent => self.tag(rule, value),
        }
    }

    /// `[REDACTED:rule:3f9a1c]`. The fingerprint does not depend on the rule: equal values are recognisable across rules.
    /// Without a lake's key there is none: it would be a hash that anybody can compute.
    fn tag(&self, rule: &str, value: &str) -> String {
        if self.lake.is_none() {
            return format!("[REDACTED:{rule}]");
        }
        let name = self.lake.name("redaction-fingerprint", &[value.as_bytes()]);
        format!("[REDACTED:{rule}:{}]", hex(&name[..FINGERPRINT_BYTES]))
    }

    /// `[PSEUDONYM:label:key-id:24 hex digits]`, HMAC-SHA256 of label and value.
    fn pseudonym(&self, label: &str, value: &str) -> String {
        let label: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(64).collect();
        if self.lake.is_none() {
            return format!("[PSEUDONYM:{label}]");
        }
        let mut mac = hmac::Context::with_key(&self.pseudonyms);
        mac.update(&(label.len() as u64).to_le_bytes());
        mac.update(label.as_bytes());
        mac.update(value.as_bytes());
        format!("[PSEUDONYM:{label}:{}:{}]", self.key_id, hex(&mac.sign().as_ref()[..PSEUDONYM_BYTES]))
    }
}

/// Where marks stand in `text`.
pub fn within(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("[REDACTED:").chain(text.match_indices("[PSEUDONYM:"));
    let end = |start: usize| text[start..].bytes().position(|b| b == b']' || b.is_ascii_whitespace());
    starts.filter_map(|(start, _)| Some(start..start + end(start)? + 1)).collect()
}

/// Eight stars whatever the value's length, and of its ends what the spec asks for and the bounds allow.
fn mask(spec: MaskSpec, value: &str) -> String {
    let chars: Vec<char> = value.chars().collect();
    let most = MOST_SHOWN.min(chars.len() / 4);
    let last = spec.keep_last.min(most);
    let first = spec.keep_first.min(most - last);
    let shown =
        |chars: &[char]| chars.iter().map(|c| if c.is_ascii_alphanumeric() { *c } else { '*' }).collect::<String>();
    format!("{}********{}", shown(&chars[..first]), shown(&chars[chars.len() - last..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key_id: &str) -> Keys {
        Keys::new(LakeKey::new([7; 32]), key_id)
    }

    #[test]
    fn equal_values_have_equal_fingerprints_whatever_the_rule() {
        let tag = |rule: &str, value: &str| keys("k1").render(&Action::Tag, rule, value);
        let (a, b) = (tag("a", "value-1"), tag("b", "value-1"));
        assert_eq!(a.strip_prefix("[REDACTED:a:"), b.strip_prefix("[REDACTED:b:"));
        assert_ne!(tag("a", "value-1"), tag("a", "value-2"));
        assert_eq!(a.len(), "[REDACTED:a:123456]".len());
    }

    #[test]
    fn a_mask_never_shows_more_than_four_characters_nor_a_quarter() {
        let mask = |first, last, value: &str| super::mask(MaskSpec { keep_first: first, keep_last: last }, value);
        assert_eq!(mask(0, 4, "4111111111111234"), "********1234");
        assert_eq!(mask(9, 9, "4111111111111234"), "********1234");
        assert_eq!(mask(2, 1, "4111111111111234"), "41********4");
        assert_eq!(mask(0, 4, "1234567"), "********7");
        assert_eq!(mask(4, 4, "123"), "********");
        assert_eq!(mask(0, 4, "abcdefghijklmnop\"é"), "********op**");
    }

    #[test]
    fn pseudonyms_are_stable_and_unlinkable_across_keys() {
        let action = Action::Pseudonym { label: Some("CUST".to_owned()) };
        let of = |key: &str, value: &str| keys(key).render(&action, "customers", value);
        assert_eq!(of("k1", "ACME"), of("k1", "ACME"));
        assert!(of("k1", "ACME").starts_with("[PSEUDONYM:CUST:k1:"));
        let tail = |text: String| text.rsplit(':').next().map(str::to_owned);
        assert_ne!(tail(of("k1", "ACME")), tail(of("k2", "ACME")));
        assert_ne!(tail(of("k1", "ACME")), tail(of("k1", "ACNE")));
    }
}
