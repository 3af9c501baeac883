//! Parsing the JSON that hooks send.

use serde_json::Value;

/// Bytes that parsing `json` may take: the text itself, and what the parsed tree needs for each of its nodes. An upper
/// bound within a factor, known before any of it is allocated: `[[],[],[]...` takes forty times its length.
pub fn parsed_size(json: &[u8]) -> usize {
    /// An entry of a map: key, value, hash, slack of the table and of the allocator.
    const NODE_BYTES: usize = 160;
    let (mut nodes, mut in_string, mut escaped) = (1usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' | b',' if !in_string => nodes += 1,
            _ => {}
        }
    }
    json.len().saturating_mul(2).saturating_add(nodes.saturating_mul(NODE_BYTES))
}

/// Parses one JSON value; `None` when it is none, or nested deeper than 127.
pub fn parse(json: &[u8]) -> Option<Value> {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    serde_json::from_slice(json).or_else(|_| serde_json::from_slice(&mend_surrogates(json))).ok()
}

/// Replaces escapes of half a surrogate pair (`\ud83d` alone) by U+FFFD: JavaScript writes them when it has cut a text
/// within an emoji, and a hook's content must not be lost for that.
fn mend_surrogates(json: &[u8]) -> Vec<u8> {
    let mut mended = json.to_vec();
    let mut at = 0;
    while at < mended.len() {
        if mended[at] != b'\\' {
            at += 1;
        } else if let Some(unit) = escaped_unit(&mended[at..]) {
            let next = mended.get(at + 6..).and_then(escaped_unit);
            match (unit, next) {
                (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => at += 12,
                (0xd800..=0xdfff, _) => {
                    mended[at..at + 6].copy_from_slice(b"\\ufffd");
                    at += 6;
                }
                _ => at += 6,
            }
        } else {
            at += 2;
        }
    }
    mended
}

/// The code unit of a `\uXXXX` at the start.
fn escaped_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u16::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_costs_one_character_and_not_the_hook() {
        let json = br#"{"a":"\ud83d\ude00 \\ud83d x\ud83d","b":"\ude00"}"#;
        let value = parse(json).unwrap();
        assert_eq!(value["a"], "\u{1f600} \\ud83d x\u{fffd}");
        assert_eq!(value["b"], "\u{fffd}");
    }

    #[test]
    fn hostile_json_is_none_and_never_a_panic() {
        let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
        for json in [&deep[..], b"", b"{} x", b"{\"a\":\"\xff\"}", b"\"\\u12", b"\"\\ud8", b"\\", b"{\"a\":1e400}"] {
            assert!(parse(json).is_none());
        }
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\":1,\"a\":2}").unwrap()["a"], 2);
    }

    #[test]
    fn the_parsed_size_sees_nodes_and_not_text() {
        assert!(parsed_size(b"[[],[],[],[]]") >= 8 * 100);
        let text = format!("\"{}\"", "a,b{\\\"[".repeat(1000));
        assert!(parsed_size(text.as_bytes()) < 3 * text.len());
    }
}
