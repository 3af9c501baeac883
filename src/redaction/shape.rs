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
    !masked(value)
        && (value.len() < 20 || super::rules::validators::entropy(value) >= LEAST)
        && (value.len() < 20 || !(repetitive(value) || made_up(value)))
}

/// The same few characters in turn, in a value as long as tokens are: `EXAMPLEEXAMPLEEXAMPLE`, `55555557777777`.
fn repetitive(value: &[u8]) -> bool {
    const LONGEST_PERIOD: usize = 10;
    let again = |period: usize| (period..value.len()).filter(|i| value[*i] == value[*i - period]).count();
    value.len() >= 24 && (1..=LONGEST_PERIOD).any(|period| again(period) * 2 >= value.len())
}

/// What people write where a token should stand.
fn made_up(value: &[u8]) -> bool {
    value.windows(6).any(|six| six.eq_ignore_ascii_case(b"abc123"))
}

/// Whether a match is a stretch of base64 that goes on before and after it: letters that look like a token by chance, in
/// an image or an archive. Only its `+` tells base64 from a path.
pub fn inside_blob(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    const NEAR: usize = 96;
    const LEAST: usize = 16;
    let base64 = |b: &&u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
    let before: Vec<u8> = text[..span.start].iter().rev().take(NEAR).take_while(base64).copied().collect();
    let after: Vec<u8> = text[span.end..].iter().take(NEAR).take_while(base64).copied().collect();
    before.len() >= LEAST && after.len() >= LEAST && (before.contains(&b'+') || after.contains(&b'+'))
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
    parts().any(|part| part.len() > 22) || parts().any(inner_capital) && value.len() >= 16
}

/// A capital behind a small letter.
fn inner_capital(part: &[u8]) -> bool {
    part.windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase())
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
    // Most values are paths and names: of two digits, or a word longer than words are, one has to be there.
    let (mut all_digits, mut word, mut longest_word) = (0, 0, 0);
    for byte in value {
        word = if byte.is_ascii_alphabetic() { word + 1 } else { 0 };
        longest_word = word.max(longest_word);
        all_digits += usize::from(byte.is_ascii_digit());
    }
    if all_digits < 2 && longest_word < 20 {
        return false;
    }
    let runs = || value.split(|b| !b.is_ascii_alphanumeric());
    let longest = runs().max_by_key(|run| run.len()).unwrap_or_default();
    let digits = longest.iter().filter(|b| b.is_ascii_digit()).count();
    let hex = |run: &[u8]| run.iter().all(u8::is_ascii_hexdigit);
    let uuid = value.len() >= 36 && runs().filter(|run| hex(run) && [4, 8, 12].contains(&run.len())).count() >= 5;
    // Groups of a licence key: `I1WPQLUQ-NCNHEI13-1MF4HJZQ`.
    let group = |run: &[u8]| run.len() >= 4 && mixed(run) && run.iter().any(u8::is_ascii_uppercase);
    let licence = all_digits >= 4 && runs().filter(|run| group(run)).count() >= 3;
    let jumble = longest.len() >= 14 && digits >= 2 && digits < longest.len() && kinds_change(longest);
    let letters = longest.len() >= 20 && longest.iter().all(u8::is_ascii_alphabetic);
    // Words written together have no two capitals in a row.
    let capitals = letters
        && case_changes(longest) * 5 >= longest.len() * 2
        && longest.windows(2).any(|pair| pair.iter().all(u8::is_ascii_uppercase));
    let path = value.contains(&b'.') && longest.len() * 2 < value.len();
    !path && (uuid || licence || jumble || capitals) && !masked(value)
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

/// What people choose as a password, where a command has one: with a digit, a mark or capitals that words do not have.
pub fn password(value: &[u8]) -> bool {
    chosen(value) && (announced(value) || inner_capital(value) || value.iter().any(is_password_mark))
}

/// A password that stands out from the sentence around it: letters, and two kinds more of small letters, capitals, digits
/// and marks; no path, and no name with dots.
pub fn picked(value: &[u8]) -> bool {
    let end = value.iter().rposition(|b| !b".,;:!?".contains(b)).map_or(0, |last| last + 1);
    let value = &value[..end];
    let kinds: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit, is_password_mark];
    let has = kinds.iter().filter(|kind| value.iter().any(kind)).count();
    value.len() >= 8
        && has >= 3
        && value.iter().any(u8::is_ascii_alphabetic)
        && !value.iter().any(|b| b"/\\.,;:".contains(b))
        && chosen(value)
}

fn is_password_mark(byte: &u8) -> bool {
    b"!#$%^&*+=?~@".contains(byte)
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

/// Base64 in groups of four, as the last word of the value.
pub fn base64_text(value: &[u8]) -> bool {
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
    let last = value.split(|b| !base64(b)).rfind(|run| !run.is_empty());
    last.is_some_and(|run| run.len().is_multiple_of(4))
}

/// Characters that follow each other, up or down, one by one or two in turn, as people count and say the alphabet:
/// `1234567890`, `0123456789abcdef`, `a1b2c3d4-e5f6-g7h8`.
pub fn sequence(value: &[u8]) -> bool {
    let value: Vec<u8> = value.iter().filter(|b| !b"-_. ".contains(b)).copied().collect();
    let digits = value.iter().all(u8::is_ascii_digit);
    let long = value.len() >= 16 || (value.len() >= 8 && digits);
    let follows = |a: u8, b: u8| b == a.wrapping_add(1) || a == b.wrapping_add(1);
    let steps = |apart: usize| (apart..value.len()).filter(|i| follows(value[i - apart], value[*i])).count();
    // A shorter one counts from its first to its last digit: `123456`.
    let short = value.len() >= 6 && digits && steps(1) + 1 >= value.len();
    short || (long && ((steps(1) + 2) * 5 >= value.len() * 4 || (steps(2) + 4) * 5 >= value.len() * 4))
}

/// Two runs of characters that follow each other: `012345abcdef`. People choose that as a password; no token is drawn so.
pub fn two_runs(value: &[u8]) -> bool {
    let breaks = value.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
    value.len() >= 10 && breaks <= 1
}

/// Whether a word starts at `at`: after no letter, or with a capital after a small one.
pub fn starts_word(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|i| text[i]);
    let capital = text[at].is_ascii_uppercase() && text.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    before.is_none_or(|b| !b.is_ascii_alphabetic() || (capital && b.is_ascii_lowercase()))
}

/// Whether a word goes on before and after `span`.
pub fn within_word(text: &[u8], span: &std::ops::Range<usize>) -> bool {
    let part = |b: &u8| b.is_ascii_alphanumeric() || b"_+-".contains(b);
    span.start > 0 && part(&text[span.start - 1]) && text.get(span.end).is_some_and(part)
}

/// The position of the first decimal digit, looked for in eight bytes at once.
pub fn next_digit(text: &[u8]) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (chunks, rest) = text.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let above_zero = u64::from_le_bytes(*chunk) ^ (EACH * u64::from(b'0'));
        // The high bit of each byte below ten; a borrow makes mistakes only in bytes after the first such one.
        let digits = above_zero.wrapping_sub(EACH * 10) & !above_zero & (EACH * 0x80);
        if digits != 0 {
            return Some(8 * i + digits.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(u8::is_ascii_digit).map(|at| 8 * chunks.len() + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_or_counts_is_not_random() {
        for value in ["GR1348941123123123123123123123", "sgp_5555555dAAAAA7777777CcccCFaaaaaaaaaaaaaa"] {
            assert!(!could_be_random(value.as_bytes()), "{value}");
        }
        for value in ["ghp_Zq7Lw3Xk9Vb2Nc5Rt8Yp1Ms4Hd6Jf0Ga3Qe7", "3f9a1c0d7e5b2846f1e0d3c2b5a49786"] {
            assert!(could_be_random(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_counts_is_a_sequence() {
        for value in ["123456", "1234567890", "0123456789abcdef", "a1b2c3d4-e5f6-g7h8-i8j0"] {
            assert!(sequence(value.as_bytes()), "{value}");
        }
        for value in ["abcd1234", "hunter12345", "135792468013", "abcdef123456"] {
            assert!(!sequence(value.as_bytes()), "{value}");
        }
        assert!(two_runs(b"012345abcdef") && !two_runs(b"0123abxyz789"));
    }

    #[test]
    fn passwords_are_told_from_words() {
        for value in ["hunter2", "tiger!", "letMeInPleaseNow", "GEamK_nduJ*GV"] {
            assert!(password(value.as_bytes()), "{value}");
        }
        for value in ["required", "password", "$PASSWORD", "thread", "8080:80", "****"] {
            assert!(!password(value.as_bytes()), "{value}");
        }
        for value in ["Hunter2024", "tSQdL%HfNdM0", "correct-Horse7.", "p4ss!word"] {
            assert!(picked(value.as_bytes()), "{value}");
        }
        for value in ["base64-encoded", "/api/V2/login", "Required!", "config.Token2", "sha256sum", "Content-Type"] {
            assert!(!picked(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn the_next_digit_is_found_wherever_it_stands() {
        let others: Vec<u8> = (0..=u8::MAX).filter(|b| !b.is_ascii_digit()).collect();
        assert_eq!(next_digit(&others), None);
        for at in 0..40 {
            for digit in b'0'..=b'9' {
                let mut text = [b"/:;\x00\xff0 ".as_slice(), &[b'x'; 40]].concat();
                text[5] = b':';
                text[at] = digit;
                assert_eq!(next_digit(&text), Some(at), "{digit} at {at}");
            }
        }
    }

    #[test]
    fn a_token_in_the_middle_of_base64_is_none() {
        let text = b"6wqX6fNUXA/rYqRvfQ+EZAKGqQRiRyqAFRQshGPWOIAwNWGORfKHSBnVNFtVmWYoW6PH23";
        assert!(inside_blob(text, &(19..40)));
        assert!(!inside_blob(b"https://api/v1/EZAKGqQRiRyqAFRQshGP/more/of/the/path", &(15..35)));
    }
}
