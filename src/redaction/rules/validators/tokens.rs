//! Checks of tokens: their shape, and the checksums that some issuers put into them.

use super::Named;
use crate::redaction::shape;

pub static VALIDATORS: &[Named] = &[
    Named { name: "unmasked", description: "not xxxx or **** already", passes: |v| !shape::masked(v) },
    Named { name: "mixed", description: "letters and digits both", passes: shape::mixed },
    Named { name: "announced", description: "letters and digits, or unlike words", passes: shape::announced },
    Named { name: "no-template", description: "no variable, template or mark", passes: shape::no_template },
    Named { name: "token", description: "long and jumbled as no word or number is", passes: shape::jumbled },
    Named {
        name: "random",
        description: "at least 3 bits of entropy a character",
        passes: |v| super::entropy(v) >= 3.0,
    },
    Named {
        name: "long-run",
        description: "eight digits, or ten letters and digits in a row",
        passes: shape::long_run,
    },
    Named {
        name: "service-token",
        description: "a token as services issue them: jumbled, no word, path, version",
        passes: shape::service_token,
    },
    Named {
        name: "user-password",
        description: "user:password, neither a template nor a placeholder",
        passes: shape::user_password,
    },
    Named { name: "key-block", description: "a key block that is not empty", passes: shape::key_block },
    Named { name: "chosen", description: "no template, and not what examples use", passes: shape::chosen },
    Named {
        name: "password",
        description: "what people choose as passwords: with a digit, a mark or capitals inside",
        passes: shape::password,
    },
    Named {
        name: "picked",
        description: "a password that stands out from prose: three kinds of characters",
        passes: shape::picked,
    },
    Named { name: "base64-text", description: "base64 in groups of four", passes: shape::base64_text },
    Named {
        name: "github-crc32",
        description: "GitHub's and npm's CRC-32 of a token's last six digits",
        passes: github,
    },
];

/// GitHub (`ghp_`, `gho_`, ...) and npm: the last six characters are the CRC-32 of what stands between prefix and them,
/// in base 62 (github.blog/2021-04-05-behind-githubs-new-authentication-token-formats).
fn github(token: &[u8]) -> bool {
    let Some(at) = token.iter().position(|b| *b == b'_') else { return false };
    let Some((body, check)) = token[at + 1..].split_last_chunk::<6>() else { return false };
    base62(crc32(body)) == *check
}

fn base62(mut number: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text
}

/// CRC-32 (IEEE 802.3), bit by bit: tokens are short and rare.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_is_the_one_of_ieee_802_3() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_token_with_its_checksum_passes_and_another_does_not() {
        let body = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        let token = [b"ghp_".as_slice(), body, &base62(crc32(body))].concat();
        assert!(github(&token));
        let mut other = token.clone();
        other[5] ^= 1;
        assert!(!github(&other) && !github(b"ghp_") && !github(b""));
    }
}
