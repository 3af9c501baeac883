//! What a value says about itself where a secret could stand: a placeholder, a path, a variable, or a value of its own.

use super::names::{self, Certainty};
use super::shape;

/// Whether a value that stands under a secret's name is worth hiding: not a placeholder, long enough, and under a weak
/// name also shaped like a secret.
pub fn hides(certainty: Certainty, name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.len() < 4 || placeholder(value) || path(value) || directory(name, value) || code_path(value) {
        return false;
    }
    match certainty {
        // People choose passwords; a token is drawn, and no name in code.
        Certainty::Strong if names::ends_with(name, &["token"]) => !worded(value) && !shape::two_runs(value.as_bytes()),
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
        && !camel_words(value)
        && ((digit && letter) || value.len() >= if letter { 20 } else { 12 })
}

/// A name as code writes it: `AbstractBasicAuthHandler`. In random letters humps are shorter, and capitals follow capitals.
fn camel_words(value: &str) -> bool {
    const SHORTEST: usize = 3;
    let humps = value.split_inclusive(|c: char| c.is_ascii_lowercase()).filter(|hump| hump.len() > 1);
    let capitals = value.bytes().filter(u8::is_ascii_uppercase).count();
    value.bytes().all(|b| b.is_ascii_alphabetic())
        && humps.count() >= 2
        && capitals <= value.len() / 4
        && words_of(value).all(|word| word.len() >= SHORTEST)
}

/// The words of a name in which each begins with a capital.
fn words_of(value: &str) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().chunk_by(|before, next| !(before.is_ascii_lowercase() && next.is_ascii_uppercase()))
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
        || typed_number(value)
        || numbered(value)
        || pattern(value)
        || format_string(value)
        || value.ends_with("...")
        || lower.contains("@example.")
        || monotonous(value)
        || shape::is_mark(value)
        || variable(value)
        || dummy(value)
        || NOTHINGS.contains(&lower.as_str())
}

/// Small words joined by underscores: `refresh_token`, `a_refresh`.
fn worded(value: &str) -> bool {
    value.len() < 24 && value.contains('_') && value.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// A number with its type: `12186u32`, `-3i64`.
fn typed_number(value: &str) -> bool {
    const TYPES: [&str; 14] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"];
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let value = value.strip_prefix('-').unwrap_or(value);
    TYPES.iter().any(|name| value.strip_suffix(name).is_some_and(number))
}

/// An object identifier or a version: `1.3.6.1.5.5.7.3.1`.
fn numbered(value: &str) -> bool {
    value.split('.').count() >= 3 && value.split('.').all(|part| part.len() < 10 && part.parse::<u32>().is_ok())
}

/// Nothing but what a format puts values into: `%s:%s`, `{0}:{1}`, `{user}@{host}`.
fn format_string(value: &str) -> bool {
    let mut rest = value;
    let mut holes = 0;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '%' if rest[1..].starts_with(['s', 'd', 'r', 'v', 'q', 'x']) => &rest[2..],
            '{' => match rest.split_once('}') {
                Some((name, after)) if name[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => after,
                _ => return false,
            },
            c if c.is_alphanumeric() => return false,
            c => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        holes += 1;
    }
    holes > 0
}

/// A regular expression.
fn pattern(value: &str) -> bool {
    value.bytes().any(|b| b"([\\".contains(&b))
        && ["(?:", "[0-9", "[a-z", "[A-Z", "[^", "\\d", "\\w", "\\s"].iter().any(|part| value.contains(part))
}

/// A path of names as code writes it: `crate::auth::Token`, `$serde_json::private::RawValue`.
pub fn code_path(value: &str) -> bool {
    let value = value.trim_start_matches(['$', '&', '*']).trim_end_matches([',', ';', '(', ')']);
    value.contains("::")
        && value.split("::").all(|name| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_<>".contains(&b))
                && !name.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// The name of a constant: `DIALOG_TOKEN`, `DOT11_MAC_ADDRESS`.
pub fn constant(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let word = |part: &str| part.bytes().filter(u8::is_ascii_uppercase).count() >= 2;
    value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && value.split('_').filter(|part| word(part)).count() >= 2
        && digits * 4 <= value.len()
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
    let words = lower.trim_end_matches(|c: char| c.is_ascii_digit());
    let counted = ["123", "1234", "12345", "123456"].contains(&&lower[words.len()..]);
    if (words.len() + 2 < lower.len() && !counted) || words.len() > 64 {
        return false;
    }
    let mut rest = words;
    while let Some(first) = rest.bytes().next() {
        let mut starting = WORDS.iter().filter(|word| word.as_bytes()[0] == first);
        match starting.find_map(|word| rest.strip_prefix(word)) {
            Some(after) => rest = after.trim_start_matches(['-', '_', ' ', '.']),
            None => return false,
        }
    }
    (counted && words == "token") || TELLING.iter().any(|word| words.contains(word))
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
    fn placeholders_hide_nothing() {
        for value in
            ["null", "${DB_PASSWORD}", "$TOKEN", "***", "[REDACTED:jwt]", "<REDACTED>", "xxxxxxxx", "{{ token }}"]
        {
            assert!(!hides(Certainty::Strong, "password", value), "{value}");
        }
        for value in ["12186u32", "1.3.6.1.5.5.7.3.1", "[0-9A-Fa-f]{1,4}", "a1b2c3d4-e5f6-g7h8-i9j0"] {
            assert!(!hides(Certainty::Strong, "password", value), "{value}");
        }
        assert!(
            !hides(Certainty::Strong, "refresh_token", "a_refresh")
                && !hides(Certainty::Weak, "token", "crate::auth::Token")
        );
        assert!(constant("DOT11_DIALOG_TOKEN") && !constant("A1B2C3D4E5F6_1234"));
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
        assert!(!hides(Certainty::Strong, "api_token", "012345abcdef"));
        assert!(hides(Certainty::Strong, "password", "012345abcdef"));
    }
}
