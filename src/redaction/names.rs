//! What a name says about the value beside it: `DB_PASSWORD`, `clientSecret`, `x-api-key` name secrets; `input_tokens`,
//! `token.type`, `secret_name` and `cache_key` do not.

use super::shape;

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

/// What `name` promises about its value. Words are parted at anything but letters and digits and at a change of case.
pub fn classify(name: &str) -> Option<Certainty> {
    let words = words(name);
    let mut rest = words.as_slice();
    while let [head @ .., last] = rest {
        if head.is_empty() || !TAILS.contains(&last.as_str()) {
            break;
        }
        rest = head;
    }
    let (last, head) = rest.split_last()?;
    let before = head.last().map(String::as_str);
    judge(last, before)
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

/// The lower-case words of a name, without numbers at their ends.
fn words(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let bytes = &bytes[bytes.len().saturating_sub(MAX_NAME)..];
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for (i, byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            open = false;
            continue;
        }
        if !open || starts_word(bytes, i) {
            words.push(String::new());
        }
        open = true;
        if let Some(word) = words.last_mut() {
            word.push(byte.to_ascii_lowercase() as char);
        }
    }
    for word in &mut words {
        word.truncate(word.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    }
    words.retain(|word| !word.is_empty());
    words
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

/// Whether a value that stands under a secret's name is worth hiding: not a placeholder, long enough, and under a weak
/// name also shaped like a secret.
pub fn hides(certainty: Certainty, name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.len() < 4 || placeholder(value) || path(value) || directory(name, value) {
        return false;
    }
    match certainty {
        Certainty::Strong => true,
        Certainty::Weak => secretive(value),
        Certainty::Guess => value.len() <= 256 && shape::service_token(value.as_bytes()),
    }
}

/// Shaped like a token: no spaces, and a digit or more letters than a word has.
pub fn secretive(value: &str) -> bool {
    let spaced = value.bytes().any(|b| b.is_ascii_whitespace());
    let digit = value.bytes().any(|b| b.is_ascii_digit());
    let letter = value.bytes().any(|b| b.is_ascii_alphabetic());
    value.len() >= 8
        && !spaced
        && !versioned(value)
        && ((digit && letter) || value.len() >= if letter { 20 } else { 12 })
}

/// `jjwt-jackson-0.11.2`: a package and its version.
fn versioned(value: &str) -> bool {
    let version = value.rsplit('-').next().unwrap_or_default();
    let numbers =
        version.split('.').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).count();
    version.len() < value.len() && numbers >= 2 && numbers == version.split('.').count()
}

/// `PWD=/home/me` is the working directory.
fn directory(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_pwd = name == "pwd" || name == "oldpwd";
    is_pwd && (value.starts_with(['/', '~', '.']) || value.get(1..2) == Some(":"))
}

const NOTHINGS: &[&str] = &[
    "null",
    "none",
    "nil",
    "true",
    "false",
    "undefined",
    "string",
    "str",
    "int",
    "bool",
    "boolean",
    "bytes",
    "any",
    "object",
    "optional",
    "required",
    "empty",
    "redacted",
    "hidden",
    "masked",
    "unset",
    "changeme",
    "todo",
    "tbd",
    "number",
    "text",
    "void",
    "self",
    "this",
    "yes",
    "enabled",
    "disabled",
    "basic",
    "bearer",
    "oauth",
    "default",
    "<redacted>",
    "...",
];

/// Whether `value` stands for a value: a variable, a type, a mark that hides one already.
pub fn placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let starts = ["${", "$(", "{{", "%(", "%{", "###", "&lt;"].iter().any(|start| value.starts_with(start));
    let your = lower.starts_with("your_") || lower.starts_with("your-");
    let named = enclosed(value, '<', '>') || enclosed(value, '{', '}') || enclosed(value, '%', '%');
    starts
        || your
        || named
        || empty_words(&lower)
        || shape::sequence(value.as_bytes())
        || monotonous(value)
        || shape::is_mark(value)
        || variable(value)
        || dummy(value)
        || NOTHINGS.contains(&lower.as_str())
}

/// Words that stand where a value should: `apikeyvaluehere`, `test1`, `your-secret`, `changeme`.
fn empty_words(lower: &str) -> bool {
    const WORDS: &[&str] = &[
        "placeholder",
        "changeme",
        "example",
        "password",
        "redacted",
        "invalid",
        "unknown",
        "default",
        "secret",
        "sample",
        "insert",
        "passwd",
        "token",
        "dummy",
        "value",
        "valid",
        "empty",
        "apikey",
        "change",
        "enter",
        "here",
        "fake",
        "mock",
        "pass",
        "test",
        "your",
        "some",
        "this",
        "that",
        "auth",
        "foo",
        "bar",
        "baz",
        "api",
        "key",
        "new",
        "old",
        "the",
        "my",
        "is",
        "me",
        "a",
    ];
    /// One of these says so; the others alone are passwords that people choose.
    const TELLING: &[&str] = &[
        "placeholder",
        "changeme",
        "example",
        "redacted",
        "dummy",
        "sample",
        "insert",
        "value",
        "here",
        "fake",
        "mock",
        "test",
        "your",
        "foo",
    ];
    let mut rest = lower.trim_end_matches(|c: char| c.is_ascii_digit());
    if rest.len() + 2 < lower.len() || rest.len() > 64 || !TELLING.iter().any(|word| rest.contains(word)) {
        return false;
    }
    while !rest.is_empty() {
        match WORDS.iter().find_map(|word| rest.strip_prefix(word)) {
            Some(after) => rest = after.trim_start_matches(['-', '_', ' ', '.']),
            None => return false,
        }
    }
    true
}

/// Long, and hardly more than one character: `00000000000000000aa`.
fn monotonous(value: &str) -> bool {
    value.len() >= 12 && super::rules::validators::entropy(value.as_bytes()) < 1.5
}

/// One character over and over: `********`, `xxxx-xxxx`, `00000000-0000`; or a number in hexadecimal: `-0x7`.
fn dummy(value: &str) -> bool {
    let mut kinds: Vec<u8> = value.bytes().filter(|b| !b"-_ ".contains(b)).map(|b| b.to_ascii_lowercase()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() <= 1
        || shape::masked(value.as_bytes())
        || value.trim_start_matches('-').starts_with("0x") && value.len() < 12
}

/// A name between two marks.
fn enclosed(value: &str, open: char, close: char) -> bool {
    let inner = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inner.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-. /#".contains(&b))
    })
}

/// Where a secret is kept, instead of it: `/run/secrets/db.txt`, `certs/key.pem`.
fn path(value: &str) -> bool {
    const FILES: &[&str] = &[
        "pem", "key", "txt", "json", "yaml", "yml", "sh", "crt", "cer", "p12", "jks", "env", "conf", "cfg", "ini",
        "py", "rs", "js", "ts", "go", "toml", "md",
    ];
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./~".contains(&b));
    let file = value.rsplit_once('.').is_some_and(|(_, end)| FILES.contains(&end));
    let rooted = ["/", "./", "../", "~/"].iter().any(|root| value.starts_with(root));
    let short = value.split('/').all(|part| part.len() < 24);
    let slashes = value.bytes().filter(|b| *b == b'/').count();
    let worded = slashes > 0 && value.bytes().all(|b| b.is_ascii_lowercase() || b"_-/#".contains(&b)) && short;
    (plain && (file || (rooted && short && slashes >= 2))) || worded
}

/// `$NAME`, `%NAME%`, `$env:NAME`.
fn variable(value: &str) -> bool {
    let name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b"_0123456789".contains(&b));
    let dollar = value.strip_prefix("$env:").or_else(|| value.strip_prefix('$'));
    let prefixed = |rest: &str| rest.split(['/', '.', ':']).next().is_some_and(|head| head.len() >= 3 && name(head));
    dollar.is_some_and(|rest| name(rest) || prefixed(rest) || rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        || value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')).is_some_and(name)
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
            "",
            "key",
            "---",
            "é",
        ] {
            assert_eq!(classify(name), None, "{name}");
        }
    }

    #[test]
    fn placeholders_hide_nothing() {
        for value in
            ["null", "${DB_PASSWORD}", "$TOKEN", "***", "[REDACTED:jwt]", "<REDACTED>", "xxxxxxxx", "{{ token }}"]
        {
            assert!(!hides(Certainty::Strong, "password", value), "{value}");
        }
        for value in ["/run/secrets/db.txt", "certs/key.pem", "00000000-0000", "%Password%", "xxxxxxxxxx1"] {
            assert!(!hides(Certainty::Strong, "password", value), "{value}");
        }
        for value in ["/aB3dEfGh1JkLmNoPqRsTuVwXyZ0123456789abcd", "{x,y}!!", "pa$$word"] {
            assert!(hides(Certainty::Strong, "password", value), "{value}");
        }
        assert!(hides(Certainty::Strong, "password", "hunter"));
        assert!(!hides(Certainty::Strong, "PWD", "/home/me/project"));
        assert!(!hides(Certainty::Weak, "token", "identifier"));
        assert!(hides(Certainty::Weak, "token", "a1b2c3d4e5"));
    }
}
