//! Checksums of national identity and tax numbers.

use super::numbers::{luhn, verhoeff};
use super::{Named, digits};

pub static VALIDATORS: &[Named] = &[
    Named { name: "us-ssn", description: "US social security number: ranges that are given out", passes: us_ssn },
    Named { name: "aadhaar", description: "India's Aadhaar: 12 digits, Verhoeff", passes: aadhaar },
    Named { name: "nl-bsn", description: "Dutch BSN: eleven test", passes: nl_bsn },
    Named { name: "uk-nhs", description: "UK NHS number: modulo 11", passes: uk_nhs },
    Named { name: "es-dni", description: "Spanish DNI and NIE: letter", passes: es_dni },
    Named { name: "fr-nir", description: "French NIR: key modulo 97", passes: fr_nir },
    Named { name: "de-steuer-id", description: "German Steuer-ID: ISO 7064 mod 11,10", passes: de_steuer_id },
    Named { name: "it-codice-fiscale", description: "Italian codice fiscale: check letter", passes: it_codice },
    Named {
        name: "pl-pesel",
        description: "Polish PESEL",
        passes: |v| weighted(v, 11, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10),
    },
    Named { name: "br-cpf", description: "Brazilian CPF", passes: |v| br_checks(v, 11, 11) },
    Named { name: "br-cnpj", description: "Brazilian CNPJ", passes: |v| br_checks(v, 14, 9) },
    Named { name: "fi-hetu", description: "Finnish henkilötunnus: check character", passes: fi_hetu },
    Named { name: "se-personnummer", description: "Swedish personnummer: Luhn", passes: se_personnummer },
    Named { name: "ca-sin", description: "Canadian SIN: Luhn", passes: |v| digits(v).len() == 9 && luhn(&digits(v)) },
    Named {
        name: "au-tfn",
        description: "Australian TFN",
        passes: |v| weighted(v, 9, &[1, 4, 3, 7, 5, 8, 6, 9, 10], 11),
    },
    Named { name: "au-abn", description: "Australian ABN", passes: au_abn },
    Named { name: "au-medicare", description: "Australian Medicare number", passes: au_medicare },
    Named { name: "sg-nric", description: "Singapore NRIC and FIN: check letter", passes: sg_nric },
    Named { name: "kr-rrn", description: "Korean resident registration number", passes: kr_rrn },
];

/// Whether a number of `length` digits, weighted, is 0 modulo `modulus`.
fn weighted(value: &[u8], length: usize, weights: &[u32], modulus: u32) -> bool {
    let digits = digits(value);
    let sum: u32 = digits.iter().zip(weights).map(|(d, w)| d * w).sum();
    digits.len() == length && sum > 0 && sum.is_multiple_of(modulus)
}

fn us_ssn(value: &[u8]) -> bool {
    let digits = digits(value);
    let number = |part: &[u32]| part.iter().fold(0, |n, d| n * 10 + d);
    digits.len() == 9
        && !matches!(number(&digits[..3]), 0 | 666 | 900..)
        && number(&digits[3..5]) > 0
        && number(&digits[5..]) > 0
        && digits.iter().any(|d| *d != digits[0])
        && number(&digits) != 123_456_789
}

fn aadhaar(value: &[u8]) -> bool {
    let digits = digits(value);
    digits.len() == 12 && digits[0] > 1 && verhoeff(&digits)
}

fn nl_bsn(value: &[u8]) -> bool {
    let digits = digits(value);
    let sum: i64 = digits.iter().zip([9, 8, 7, 6, 5, 4, 3, 2, -1]).map(|(d, w)| i64::from(*d) * w).sum();
    digits.len() == 9 && sum != 0 && sum % 11 == 0
}

fn uk_nhs(value: &[u8]) -> bool {
    let digits = digits(value);
    let sum: u32 = digits.iter().zip((2..=10).rev()).map(|(d, w)| d * w).sum();
    digits.len() == 10 && sum > 0 && (11 - sum % 11) % 11 == digits[9]
}

fn es_dni(value: &[u8]) -> bool {
    let text: Vec<u8> = value.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let (Some(first), Some(last)) = (text.first(), text.last()) else { return false };
    let lead = match first {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => 0,
    };
    let digits = digits(&text);
    let length = digits.len() + usize::from(first.is_ascii_alphabetic());
    let number = digits.iter().fold(if first.is_ascii_alphabetic() { lead } else { 0 }, |n, d| n * 10 + d);
    length == 8 && text.len() == 9 && b"TRWAGMYFPDXBNJZSQVHLCKE"[number as usize % 23] == *last
}

fn fr_nir(value: &[u8]) -> bool {
    let text: Vec<u8> = value.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let text = String::from_utf8_lossy(&text).replacen("2A", "19", 1).replacen("2B", "18", 1);
    let Some((number, key)) = text.split_at_checked(13) else { return false };
    match (number.parse::<u64>(), key.parse::<u64>()) {
        (Ok(number), Ok(key)) => key.checked_add(number % 97) == Some(97),
        _ => false,
    }
}

fn de_steuer_id(value: &[u8]) -> bool {
    let digits = digits(value);
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits.len() == 11 && digits[0] > 0 && (11 - product) % 10 == *check
}

fn it_codice(value: &[u8]) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
        10, 22, 25, 24, 23,
    ];
    let text: Vec<u8> = value.iter().map(u8::to_ascii_uppercase).collect();
    let place = |b: u8| if b.is_ascii_digit() { u32::from(b - b'0') } else { u32::from(b.wrapping_sub(b'A')) };
    let odd = |b: u8| {
        let index = if b.is_ascii_digit() { place(b) } else { place(b) + 10 };
        ODD.get(index as usize).copied().unwrap_or(0)
    };
    let Some((check, body)) = text.split_last() else { return false };
    let sum: u32 = body.iter().enumerate().map(|(i, b)| if i % 2 == 0 { odd(*b) } else { place(*b) }).sum();
    text.len() == 16 && text.iter().all(u8::is_ascii_alphanumeric) && u32::from(*check) == u32::from(b'A') + sum % 26
}

/// Two check digits, each of all digits before it; the weights count up from 2 and start again after `highest`.
fn br_checks(value: &[u8], length: usize, highest: u32) -> bool {
    let digits = digits(value);
    let check = |end: usize| {
        let weights = (2..=highest).cycle();
        let sum: u32 = digits[..end].iter().rev().zip(weights).map(|(d, w)| d * w).sum();
        if sum % 11 < 2 { 0 } else { 11 - sum % 11 }
    };
    digits.len() == length
        && digits.iter().any(|d| *d != digits[0])
        && check(length - 2) == digits[length - 2]
        && check(length - 1) == digits[length - 1]
}

fn fi_hetu(value: &[u8]) -> bool {
    let Some((check, body)) = value.split_last() else { return false };
    let number = digits(body).iter().fold(0u32, |n, d| n * 10 + d);
    digits(body).len() == 9 && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[number as usize % 31] == check.to_ascii_uppercase()
}

fn se_personnummer(value: &[u8]) -> bool {
    let digits = digits(value);
    let short = if digits.len() == 12 { &digits[2..] } else { &digits[..] };
    short.len() == 10 && (1..=12).contains(&(short[2] * 10 + short[3])) && luhn(short)
}

fn au_abn(value: &[u8]) -> bool {
    let mut digits = digits(value);
    if digits.len() != 11 || digits[0] == 0 {
        return false;
    }
    digits[0] -= 1;
    let sum: u32 = digits.iter().zip([10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).map(|(d, w)| d * w).sum();
    sum.is_multiple_of(89)
}

fn au_medicare(value: &[u8]) -> bool {
    let digits = digits(value);
    let sum: u32 = digits.iter().zip([1, 3, 7, 9, 1, 3, 7, 9]).map(|(d, w)| d * w).sum();
    (10..=11).contains(&digits.len()) && (2..=6).contains(&digits[0]) && sum % 10 == digits[8]
}

fn sg_nric(value: &[u8]) -> bool {
    let text: Vec<u8> = value.iter().map(u8::to_ascii_uppercase).collect();
    let digits = digits(&text);
    if text.len() != 9 || digits.len() != 7 {
        return false;
    }
    let sum: u32 = digits.iter().zip([2, 7, 6, 5, 4, 3, 2]).map(|(d, w)| d * w).sum();
    let letters: (&[u8; 11], u32) = match text[0] {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        b'M' => (b"XWUTRQPNJLK", 3),
        _ => return false,
    };
    let index = ((sum + letters.1) % 11) as usize;
    let index = if text[0] == b'M' { 10 - index } else { index };
    letters.0[index] == text[8]
}

fn kr_rrn(value: &[u8]) -> bool {
    let digits = digits(value);
    let sum: u32 = digits.iter().zip([2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]).map(|(d, w)| d * w).sum();
    digits.len() == 13 && (11 - sum % 11) % 10 == digits[12]
}

#[cfg(test)]
mod tests {
    use crate::redaction::rules::Validator;

    #[test]
    fn ids_with_their_checksum_pass_and_others_do_not() {
        for (validator, good, bad) in [
            ("us-ssn", "536-90-4399", "666-90-4399"),
            ("nl-bsn", "111222333", "111222334"),
            ("uk-nhs", "943 476 5919", "943 476 5918"),
            ("es-dni", "12345678Z", "12345678A"),
            ("es-dni", "X1234567L", "X1234567T"),
            ("fr-nir", "2 69 05 49 588 157 80", "2 69 05 49 588 157 81"),
            ("de-steuer-id", "86095742719", "86095742718"),
            ("it-codice-fiscale", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
            ("pl-pesel", "44051401359", "44051401358"),
            ("br-cpf", "529.982.247-25", "529.982.247-26"),
            ("br-cnpj", "11.222.333/0001-81", "11.222.333/0001-82"),
            ("fi-hetu", "131052-308T", "131052-308U"),
            ("se-personnummer", "811218-9876", "811218-9875"),
            ("ca-sin", "046 454 286", "046 454 287"),
            ("au-tfn", "123 456 782", "123 456 783"),
            ("au-abn", "51 824 753 556", "51 824 753 557"),
            ("au-medicare", "2123 45670 1", "2123 45671 1"),
            ("sg-nric", "S1234567D", "S1234567E"),
        ] {
            let check = Validator::parse(validator).expect("it is known");
            assert!(check.passes(good.as_bytes()), "{validator} {good}");
            assert!(!check.passes(bad.as_bytes()), "{validator} {bad}");
        }
    }
}
