//! Cutting one text.

const MARK: &str = "[REDACTED:";

/// What stands for the rest of a text, or for all of it, of so many bytes.
pub fn mark(bytes: usize) -> String {
    format!("[TRUNCATED:{bytes}]")
}

/// The text cut to `limit` bytes, mark included (or the mark alone, if that is longer); `None`: it is not longer. The cut
/// stands between characters, and before a redaction's mark that it would split.
pub fn cut(text: &str, limit: usize) -> Option<String> {
    if text.len() <= limit {
        return None;
    }
    let mark = mark(text.len());
    let end = before_mark(text, text.floor_char_boundary(limit.saturating_sub(mark.len())));
    Some([&text[..end], &mark].concat())
}

fn before_mark(text: &str, end: usize) -> usize {
    let reach = text.floor_char_boundary(text.len().min(end + MARK.len() - 1));
    match text[..reach].rfind(MARK) {
        Some(start) if start < end && text[start..end].find(']').is_none() => start,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_keeps_its_beginning_and_says_how_long_it_was() {
        assert_eq!(cut("short", 5), None);
        let text = "é".repeat(100);
        let kept = cut(&text, 40).unwrap();
        assert_eq!(kept, format!("{}[TRUNCATED:200]", "é".repeat(12)));
        assert_eq!(cut(&text, 0).unwrap(), "[TRUNCATED:200]");
    }

    /// At whatever length: no half of a mark is ever left.
    #[test]
    fn no_cut_splits_a_redactions_mark() {
        let text = format!("before [REDACTED:aws-access-key:3f9a] after {}", "x".repeat(100));
        for limit in 0..text.len() {
            let kept = cut(&text, limit).unwrap();
            let kept = kept.strip_suffix(&mark(text.len())).unwrap();
            assert!(!kept.contains("[REDACTED:") || kept.contains("[REDACTED:aws-access-key:3f9a]"), "{kept}");
            assert!(!kept.contains("[R") || kept.contains("[REDACTED:aws-access-key:3f9a]"), "{kept}");
        }
    }
}
