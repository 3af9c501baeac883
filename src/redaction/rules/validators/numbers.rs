//! Checksums of payment and bank numbers, and of network addresses.

use super::{Named, digits};

pub static VALIDATORS: &[Named] = &[
    Named { name: "luhn", description: "Luhn (ISO/IEC 7812-1)", passes: |v| luhn(&digits(v)) },
    Named { name: "card", description: "Luhn, 12 to 19 digits, not one digit over and over", passes: card },
    Named { name: "iban", description: "IBAN: mod 97 (ISO 13616) and the country's length", passes: iban },
    Named { name: "verhoeff", description: "Verhoeff", passes: |v| verhoeff(&digits(v)) },
    Named { name: "aba", description: "ABA routing number", passes: aba },
    Named { name: "mod97", description: "the number is 1 modulo 97 (ISO 7064)", passes: |v| mod97(v) == Some(1) },
    Named { name: "ipv4", description: "four numbers up to 255", passes: ipv4 },
    Named { name: "ipv6", description: "an IPv6 address", passes: ipv6 },
    Named { name: "ipv6-form", description: "long or shortened as addresses are, no time nor path", passes: ipv6_form },
    Named { name: "phone", description: "7 to 15 digits written as a telephone number", passes: phone },
];

pub(super) fn luhn(digits: &[u32]) -> bool {
    let doubled = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, d)| if i % 2 == 1 { doubled(*d) } else { *d }).sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

fn card(value: &[u8]) -> bool {
    let digits = digits(value);
    (12..=19).contains(&digits.len()) && !time(&digits) && digits.iter().any(|d| *d != digits[0]) && luhn(&digits)
}

/// Milli-, micro- or nanoseconds since 1970, from 2001 to 2033: no card of these lengths begins with 1.
fn time(digits: &[u32]) -> bool {
    [13, 16, 19].contains(&digits.len()) && digits[0] == 1
}

/// Length by country (SWIFT IBAN registry).
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

fn iban(value: &[u8]) -> bool {
    let text: Vec<u8> = value.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let Some((head, rest)) = text.split_at_checked(4) else { return false };
    let known =
        IBAN_LENGTHS.iter().any(|(country, length)| head.starts_with(country.as_bytes()) && *length == text.len());
    known && mod97(&[rest, head].concat()) == Some(1)
}

/// The number modulo 97; letters count 10 to 35. `None`: another character is in it.
fn mod97(value: &[u8]) -> Option<u32> {
    value.iter().filter(|b| !b" -".contains(b)).try_fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

fn aba(value: &[u8]) -> bool {
    let digits = digits(value);
    let weights = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let sum: u32 = digits.iter().zip(weights).map(|(d, w)| d * w).sum();
    digits.len() == 9 && sum > 0 && sum.is_multiple_of(10)
}

/// Verhoeff's dihedral checksum, the check digit last.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    const PERMUTATION: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let multiply = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let permuted = |digit: u32, times: usize| (0..times % 8).fold(digit, |d, _| PERMUTATION[d as usize]);
    let check = digits.iter().rev().enumerate().fold(0, |c, (i, d)| multiply(c, permuted(*d, i)));
    digits.len() > 1 && check == 0
}

fn ipv4(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let address = text.split(['/', ':']).next().unwrap_or_default();
    address.parse::<std::net::Ipv4Addr>().is_ok()
}

fn ipv6(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let address = text.split(['/', '%']).next().unwrap_or_default();
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `::` or all eight groups, and more than `a::b` as paths in code have it; of the shortest only this machine's (`::1`) and
/// networks (`::/0`).
fn ipv6_form(value: &[u8]) -> bool {
    if value == b"::1" || value.starts_with(b"::1/") || value.starts_with(b"::/") {
        return true;
    }
    let groups = value.split(|b| *b == b':').filter(|group| !group.is_empty()).count();
    let digits = value.iter().any(u8::is_ascii_digit);
    let short = value.windows(2).any(|pair| pair == b"::");
    groups == 8 || (digits && short && (groups >= 3 || value.contains(&b'.')))
}

fn phone(value: &[u8]) -> bool {
    let digits = digits(value);
    (7..=15).contains(&digits.len()) && digits.iter().any(|d| *d != digits[0])
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_with_their_checksum_pass_and_others_do_not() {
        for (validator, good, bad) in [
            ("card", "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("card", "4222222222222", "1795346337003"),
            ("iban", "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
            ("iban", "GB82WEST12345698765432", "GB82WEST1234569876543"),
            ("verhoeff", "2363", "2364"),
            ("aba", "021000021", "021000022"),
            ("ipv4", "192.168.7.1", "300.1.1.1"),
            ("ipv6", "2001:db8::7", "::1::2"),
            ("ipv6-form", "::1/128", "a::b1"),
        ] {
            let validator = super::super::Validator::parse(validator).expect("it is known");
            assert!(validator.passes(good.as_bytes()), "{good}");
            assert!(!validator.passes(bad.as_bytes()), "{bad}");
        }
    }
}
