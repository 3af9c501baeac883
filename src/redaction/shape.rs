//! What values look like: masked already, templates, words, tokens.

/// Mostly `x` or `*`, eight of them in a row: somebody has masked the value already, or never had one.
pub fn masked(value: &[u8]) -> bool {
    let is_mark = |b: &u8| b"xX*".contains(b);
    let marks = value.iter().filter(|b| is_mark(b)).count();
    marks * 2 >= value.len() && value.windows(8).any(|run| run.iter().all(is_mark))
}

/// Not masked, and not the same few characters over and over.
pub fn could_be_random(value: &[u8]) -> bool {
    /// Bits a character: sixteen different ones in turn have four.
    const LEAST: f64 = 2.4;
    !masked(value) && (value.len() < 20 || super::rules::validators::entropy(value) >= LEAST)
}

/// A key block with more in it than its first and last line.
pub fn key_block(value: &[u8]) -> bool {
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
    value.split(|b| !base64(b)).any(|run| run.len() >= 16)
}

/// Letters and digits both: not a word, not a number.
pub fn mixed(value: &[u8]) -> bool {
    !masked(value) && value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}

/// After a word that announces a token: mixed, or more letters, or capitals in other places, than words have.
pub fn announced(value: &[u8]) -> bool {
    mixed(value) || (!masked(value) && unlike_words(value))
}

/// Not a variable, a template or a mark.
pub fn no_template(value: &[u8]) -> bool {
    !masked(value) && !template(value)
}

/// `misunderstanding` and `read-only` are words; `yYPBAujSIMAqPTNl` and forty small letters are not.
fn unlike_words(value: &[u8]) -> bool {
    let parts = || value.split(|b| !b.is_ascii_alphabetic());
    let inner_capital = |part: &[u8]| part.windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    parts().any(|part| part.len() > 22) || parts().filter(|part| inner_capital(part)).count() > 0 && value.len() >= 16
}

/// `${X}`, `$X`, `<x>`, `{x}`, `%s`, `***`, `[REDACTED:x]`.
fn template(value: &[u8]) -> bool {
    value.first().is_none_or(|b| b"$<{%[".contains(b)) || value.iter().all(|b| *b == b'*' || *b == b'.')
}

/// Long, and mixed as no word or number is: enough without any sign between name and value.
pub fn jumbled(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let plain = value.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
    let longest = value.split(|b| b"-_".contains(b)).map(<[u8]>::len).max().unwrap_or(0);
    let kind = |b: u8| (b.is_ascii_digit(), b.is_ascii_uppercase(), b.is_ascii_lowercase());
    let changes = value.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    let jumble = changes * 2 >= value.len();
    let encoded = value.len() >= 32 && value.iter().all(|b| b.is_ascii_alphanumeric() || b"_-+/=".contains(b));
    let mixed = digits > 0 && digits < value.len();
    mixed && longest >= 16 && ((plain && (digits >= 3 || jumble)) || (encoded && jumble))
}

/// Marks that redaction leaves: what they stand for is gone already.
pub fn is_mark(value: &str) -> bool {
    let inner = |open: &str| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(']'));
    inner("[REDACTED").or_else(|| inner("[PSEUDONYM")).is_some_and(|rest| !rest.contains(']'))
}

/// A run of eight digits, or of ten letters and digits both.
pub fn long_run(value: &[u8]) -> bool {
    let runs = || value.split(|b| !b.is_ascii_alphanumeric());
    let digits = |run: &[u8]| run.iter().filter(|b| b.is_ascii_digit()).count();
    runs().any(|run| (run.len() >= 8 && digits(run) == run.len()) || (run.len() >= 10 && digits(run) > 0))
}

/// Jumbled as no word, path, version or slug is: in its longest run of letters and digits both kinds change often, or it is
/// a UUID.
pub fn service_token(value: &[u8]) -> bool {
    let runs = || value.split(|b| !b.is_ascii_alphanumeric());
    let longest = runs().max_by_key(|run| run.len()).unwrap_or_default();
    let digits = longest.iter().filter(|b| b.is_ascii_digit()).count();
    let all_digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let hex = |run: &[u8]| run.iter().all(u8::is_ascii_hexdigit);
    let uuid = value.len() >= 36 && runs().filter(|run| hex(run) && [4, 8, 12].contains(&run.len())).count() >= 5;
    // Groups of a licence key: `I1WPQLUQ-NCNHEI13-1MF4HJZQ`.
    let group = |run: &[u8]| run.len() >= 4 && mixed(run) && run.iter().any(u8::is_ascii_uppercase);
    let licence = all_digits >= 4 && runs().filter(|run| group(run)).count() >= 3;
    let jumble = longest.len() >= 14 && digits >= 2 && digits < longest.len() && kinds_change(longest);
    let letters = longest.len() >= 20 && longest.iter().all(u8::is_ascii_alphabetic);
    let capitals = letters && case_changes(longest) * 5 >= longest.len() * 2;
    let path = value.contains(&b'.') && longest.len() * 2 < value.len();
    !masked(value) && !path && (uuid || licence || jumble || capitals)
}

/// Whether letters and digits alternate: more than in `abcdefghijklmn2024`.
fn kinds_change(run: &[u8]) -> bool {
    run.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count() >= 2
}

fn case_changes(run: &[u8]) -> usize {
    run.windows(2).filter(|pair| pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase()).count()
}

/// A value that examples do not use: not `password`, `pass`, `bar`.
pub fn chosen(value: &[u8]) -> bool {
    no_template(value) && !EXAMPLES.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// What examples put where a password stands.
const EXAMPLES: [&[u8]; 14] = [
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"pw",
    b"secret",
    b"token",
    b"test",
    b"bar",
    b"baz",
    b"foo",
    b"example",
    b"user",
    b"xxx",
];

/// `user:password` with a password that is no template, no placeholder and not the user's name.
pub fn user_password(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|b| *b == b':') else { return false };
    let (user, password) = (&value[..at], &value[at + 1..]);
    !template(user) && chosen(password) && user != password
}

/// Base64 in groups of four.
pub fn base64_text(value: &[u8]) -> bool {
    value.len().is_multiple_of(4)
}

/// Characters that follow each other, as keyboards and alphabets have them: `1234567890`, `012345abcdef`.
pub fn sequence(value: &[u8]) -> bool {
    let steps = value.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    let long = value.len() >= 16 || (value.len() >= 8 && value.iter().all(u8::is_ascii_digit));
    long && (steps + 2) * 5 >= value.len() * 4
}
