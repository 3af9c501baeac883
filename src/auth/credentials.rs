//! The token in a request's `Authorization`.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Token;

/// A longer value holds no token: it is not looked into.
const MAX_BYTES: usize = 1024;

/// Padding or none: clients write both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    /// Something that is no token.
    Garbage,
    Token(Token),
}

/// `Bearer <token>`, or `Basic` with the token as password; the user name may be anything (RFC 6750, RFC 7617). Two
/// headers are garbage: which one is meant, nobody knows.
pub fn shown(headers: &HeaderMap) -> Shown {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Shown::Nothing };
    if values.next().is_some() || value.len() > MAX_BYTES {
        return Shown::Garbage;
    }
    value.to_str().ok().and_then(token).map_or(Shown::Garbage, Shown::Token)
}

fn token(value: &str) -> Option<Token> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Token::parse(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
    Token::parse(decoded.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        shown(&headers)
    }

    #[test]
    fn both_forms_are_read() {
        let token = Token::new([7; 30]);
        let text = token.reveal();
        let basic = |user: &str| BASE64.encode(format!("{user}:{text}"));
        for value in [
            format!("Bearer {text}"),
            format!("bearer  {text} "),
            format!("Basic {}", basic("anyone")),
            format!("BASIC {}", basic("")),
            format!("Basic {}", basic("laptops").trim_end_matches('=')),
        ] {
            assert_eq!(of(&[&value]), Shown::Token(token.clone()), "{value}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_from_nothing() {
        let token = Token::new([7; 30]);
        let text = token.reveal();
        assert_eq!(of(&[]), Shown::Nothing);
        for value in [
            "".to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            text.to_owned(),
            format!("Bearer Bearer {text}"),
            format!("Bearer {}", &text[..58]),
            format!("Bearer {text}a"),
            format!("Token {text}"),
            format!("Basic {text}"),
            format!("Basic {}", BASE64.encode(text)),
            format!("Bearer {}", "a".repeat(1 << 20)),
        ] {
            assert_eq!(of(&[&value]), Shown::Garbage, "{}", &value[..value.len().min(80)]);
        }
        let good = format!("Bearer {text}");
        assert_eq!(of(&[&good, &good]), Shown::Garbage);
    }
}
