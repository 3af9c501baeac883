//! A planted secret never survives, whatever stands around it.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{REDACTOR, redact_hooks};

/// The text around the secret, how it is wrapped, and the secret's random part, all from the fuzzer's bytes.
pub fn redact_apply(data: &[u8]) {
    let Some(([wrapping, at], around)) = data.split_first_chunk::<2>() else { return };
    let around = String::from_utf8_lossy(around).into_owned();
    let core = core(&around);
    // A rule may lean on what stands right before and behind a token, so the token stands free.
    let cut = around.char_indices().map(|(i, _)| i).nth(usize::from(*at)).unwrap_or(around.len());
    let planted = format!("{} ghp_{core} {}", &around[..cut], &around[cut..]);
    let text = wrapped(*wrapping, planted);
    let redacted = REDACTOR.redact_text(&text);
    assert!(!redacted.contains(&core), "a planted secret survived");
    assert_eq!(REDACTOR.redact_text(&redacted), redacted, "redaction is idempotent");
    if serde_json::from_str::<Value>(&text).is_ok() {
        serde_json::from_str::<Value>(&redacted).expect("JSON stays JSON");
    }
    as_hook(&text, &core);
}

/// 36 letters and digits that the surrounding text decides.
fn core(around: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = [0; 36];
    blake3::Hasher::new().update(around.as_bytes()).finalize_xof().fill(&mut random);
    random.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

fn wrapped(how: u8, text: String) -> String {
    match how % 6 {
        0 => text,
        1 => json!({ "a": [text] }).to_string(),
        2 => json!({ "a": json!({ "b": text }).to_string() }).to_string(),
        3 => json!({ text: 1 }).to_string(),
        4 => format!("\"{}\"", text.encode_utf16().fold(String::new(), escaped)),
        _ => format!("key {} end", STANDARD.encode(text)),
    }
}

fn escaped(mut out: String, unit: u16) -> String {
    write!(out, "\\u{unit:04x}").expect("writing to a string does not fail");
    out
}

fn as_hook(text: &str, core: &str) {
    let envelope = json!({ "kind": "hook", "data": { "session_id": "s", "tool_input": { "x": text, text: [text] } } });
    let batch = redact_hooks(vec![envelope]);
    let kept = String::from_utf8_lossy(&batch.batch().payload).into_owned();
    assert!(!kept.contains(core), "a planted secret survived in a hook");
}
