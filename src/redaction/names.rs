//! What a name says about the value beside it: `DB_PASSWORD`, `clientSecret`, `x-api-key` name secrets; `input_tokens`,
//! `token.type`, `secret_name` and `cache_key` do not.

/// How surely a name stands before a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// `stripe_key`, `myKey`: mostly harmless, so the value has to be jumbled.
    Guess,
    /// `token`, `auth`: also names of harmless things, so the value has to look like a secret too.
    Weak,
    /// `password`, `api_key`: any real value is a secret.
    Strong,
}

/// Names longer than this are judged by their end.
const MAX_NAME: usize = 96;

const STRONG: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "pwd",
    "psw",
    "secret",
    "apikey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "psk",
    "apisecret",
    "presharedkey",
];
/// Compared with the end of a word, for names written in one piece: `dbpassword`, `clientsecret`.
const STRONG_ENDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "authtoken",
    "accesstoken",
    "apitoken",
    "authkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sharedkey",
];
const WEAK: &[&str] = &["auth", "bearer", "jwt", "pass", "pat", "secrets", "passwords", "cookies"];
/// The words that make a `key` a secret one.
pub const KEY_KINDS: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "signing",
    "encryption",
    "account",
    "master",
    "auth",
    "ssh",
    "deploy",
    "license",
    "service",
    "app",
    "admin",
    "shared",
    "storage",
    "anon",
    "consumer",
    "application",
    "client",
    "subscription",
    "functions",
    "write",
    "preshared",
    "integration",
    "webhook",
    "ingest",
    "production",
    "sandbox",
    "live",
];
/// The words that make a `token` a credential beyond doubt.
const TOKEN_KINDS: &[&str] = &[
    "access", "auth", "refresh", "bearer", "session", "api", "secret", "security", "personal", "bot", "deploy",
    "identity", "oauth",
];
/// The words that make a `token` a piece of text or a position.
const PLAIN_TOKENS: &[&str] = &[
    "page",
    "next",
    "continuation",
    "cancel",
    "cancellation",
    "stop",
    "start",
    "end",
    "eos",
    "bos",
    "pad",
    "unk",
    "sep",
    "cls",
    "mask",
    "special",
    "max",
    "min",
    "input",
    "output",
    "per",
    "first",
    "last",
    "public",
    "authenticity",
    "csrf",
    "xsrf",
];
/// The words that make a `key` no secret.
const PLAIN_KEYS: &[&str] = &[
    "public",
    "pub",
    "primary",
    "foreign",
    "cache",
    "sort",
    "partition",
    "object",
    "s3",
    "index",
    "hash",
    "row",
    "map",
    "dict",
    "registry",
    "lookup",
    "unique",
    "composite",
    "idempotency",
    "dedup",
    "group",
    "state",
    "query",
    "translation",
    "json",
    "header",
    "metadata",
    "node",
    "item",
    "entry",
    "field",
    "column",
    "config",
    "setting",
    "any",
    "verify",
    "verifying",
    "id",
    "checksum",
];
/// Words that may follow the telling one: `API_KEY_PROD`, `secret_value`.
const TAILS: &[&str] = &[
    "value",
    "val",
    "string",
    "str",
    "text",
    "env",
    "raw",
    "plain",
    "plaintext",
    "base64",
    "data",
    "prod",
    "dev",
    "staging",
    "live",
    "old",
    "new",
];

/// Words that say of a name's value that it is no secret.
const UNREAL: &[&str] =
    &["fake", "dummy", "mock", "bogus", "invalid", "wrong", "incorrect", "non", "nonmatching", "not"];

/// What `name` promises about its value. Words are parted at anything but letters and digits and at a change of case.
pub fn classify(name: &str) -> Option<Certainty> {
    let words = Words::of(name);
    let mut end = words.bytes.len();
    let mut last = words.before(&mut end)?;
    loop {
        let before = words.before(&mut end);
        match before {
            Some(before) if TAILS.contains(&last) => last = before,
            before => return judge(last, before).filter(|_| !words.unreal()),
        }
    }
}

/// Whether the last word of `name` is one of `words`.
pub fn ends_with(name: &str, words: &[&str]) -> bool {
    let parts = Words::of(name);
    parts.before(&mut parts.bytes.len()).is_some_and(|last| words.contains(&last))
}

fn judge(last: &str, before: Option<&str>) -> Option<Certainty> {
    let kind = |kinds: &[&str]| before.is_some_and(|word| kinds.contains(&word));
    // `NOPASSWD`, `nosecret`.
    if last.starts_with("no") {
        return None;
    }
    if STRONG.contains(&last) || STRONG_ENDS.iter().any(|end| last.ends_with(end)) {
        return Some(Certainty::Strong);
    }
    if last == "key" {
        return match kind(KEY_KINDS) {
            true => Some(Certainty::Strong),
            false => (before.is_some() && !kind(PLAIN_KEYS)).then_some(Certainty::Guess),
        };
    }
    if last.ends_with("token") {
        return match () {
            () if kind(PLAIN_TOKENS) => None,
            () if last == "token" && kind(TOKEN_KINDS) => Some(Certainty::Strong),
            () => Some(Certainty::Weak),
        };
    }
    if (last == "pass" || last == "pw") && before.is_some() {
        return Some(Certainty::Strong);
    }
    WEAK.contains(&last).then_some(Certainty::Weak)
}

/// A name's words, read from its end without a copy of each.
struct Words<'n> {
    bytes: &'n [u8],
    lower: [u8; MAX_NAME],
}

impl Words<'_> {
    fn of(name: &str) -> Words<'_> {
        let bytes = name.as_bytes();
        let bytes = &bytes[bytes.len().saturating_sub(MAX_NAME)..];
        let mut lower = [0; MAX_NAME];
        lower.iter_mut().zip(bytes).for_each(|(lower, byte)| *lower = byte.to_ascii_lowercase());
        Words { bytes, lower }
    }

    /// Whether the name says of its value that it is none: `fakePassword`, `nonMatchingToken`.
    fn unreal(&self) -> bool {
        let mut end = self.bytes.len();
        std::iter::from_fn(|| self.before(&mut end).map(|word| UNREAL.contains(&word))).any(|unreal| unreal)
    }

    /// The last word that ends at or before `end`, in lower case and without a number at its end; `end` becomes its start.
    fn before(&self, end: &mut usize) -> Option<&str> {
        loop {
            let last = self.bytes[..*end].iter().rposition(u8::is_ascii_alphanumeric)?;
            let mut start = last;
            while start > 0 && self.bytes[start - 1].is_ascii_alphanumeric() && !starts_word(self.bytes, start) {
                start -= 1;
            }
            *end = start;
            let word = std::str::from_utf8(&self.lower[start..=last]).unwrap_or_default();
            let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
            if !word.is_empty() {
                return Some(word);
            }
        }
    }
}

/// Whether the change of case at `i` starts a word: `apiKey`, and the `K` of `APIKey`.
fn starts_word(bytes: &[u8], i: usize) -> bool {
    if i == 0 || !bytes[i].is_ascii_uppercase() {
        return false;
    }
    let after_lower = bytes[i - 1].is_ascii_lowercase();
    let before_lower = bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase);
    after_lower || (before_lower && bytes[i - 1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "passwd",
            "mysql.pwd",
            "client_secret",
            "clientSecret",
            "API-Key",
            "apiKey",
            "APIKey",
            "x-api-key",
            "aws_secret_access_key",
            "AWSSecretAccessKey",
            "private_key",
            "DB_PASS",
            "Authorization",
            "set-cookie",
            "passphrase",
            "session_token",
            "access_token",
            "dbpassword",
            "PASSWORD1",
            "API_KEY_PROD",
            "credentials",
        ] {
            assert_eq!(classify(name), Some(Certainty::Strong), "{name}");
        }
        for name in ["token", "github_token", "npmToken", "simfinTOKEN", "auth", "bearer"] {
            assert_eq!(classify(name), Some(Certainty::Weak), "{name}");
        }
    }

    #[test]
    fn names_that_only_contain_the_words_are_left_alone() {
        for name in [
            "input_tokens",
            "max_tokens",
            "token_count",
            "tokens",
            "token.type",
            "secret_name",
            "password_policy",
            "session.id",
            "tool_use_id",
            "request_id",
            "cache_key",
            "primary_key",
            "public_key",
            "author",
            "next_page_token",
            "aws_access_key_id",
            "compass",
            "fakePassword",
            "INVALID_API_KEY",
            "nonMatchingToken",
            "",
            "key",
            "---",
            "é",
        ] {
            assert_eq!(classify(name), None, "{name}");
        }
    }
}
