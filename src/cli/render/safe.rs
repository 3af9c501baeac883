//! Content is hostile: what an agent read or wrote may hold escape sequences, text that runs backwards, or
//! characters that nobody sees. Everything that is shown passes here first.

use std::fmt::Write;

/// Makes every character visible and harmless; keeps line feeds, widens tabs.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            '\r' => {}
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            c if is_deceptive(c) => {
                let _ = write!(out, "<U+{:04X}>", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// The same on one line: white space is collapsed.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters beyond ASCII, direction changes, and characters without a glyph (also used to hide text).
pub fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Columns that a character takes in a terminal: 0 for combining marks, 2 for wide ones.
pub fn char_width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200c}'..='\u{200d}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Columns that a clean line takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// A clean line cut to `columns`, with an ellipsis when something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = prefix(text, columns.saturating_sub(1)).to_owned();
    out.push('…');
    out
}

/// The longest prefix of at most `columns`; at least one character, so that a caller who loops makes progress.
pub fn prefix(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += char_width(c);
        if taken > columns && at > 0 {
            return &text[..at];
        }
    }
    text
}

/// Wraps clean text to `columns` and stops after `most` lines; the second value says whether something is missing.
pub fn wrap(text: &str, columns: usize, most: usize) -> (Vec<String>, bool) {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for line in text.trim_end().split('\n') {
        let mut rest = line;
        loop {
            if lines.len() == most {
                return (lines, true);
            }
            let head = break_line(rest, columns);
            lines.push(head.trim_end().to_owned());
            rest = rest[head.len()..].trim_start_matches(' ');
            if rest.is_empty() {
                break;
            }
        }
    }
    (lines, false)
}

/// What fits on a line, up to the last space where there is one.
fn break_line(text: &str, columns: usize) -> &str {
    let head = prefix(text, columns);
    if head.len() == text.len() {
        return head;
    }
    match head.trim_start().rfind(' ') {
        Some(_) => &head[..head.rfind(' ').map_or(head.len(), |space| space + 1)],
        None => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_hidden_characters_become_visible() {
        let hostile = "a\x1b[31m\x1b]0;title\x07b\u{202e}c\u{9b}d\u{200b}e\u{e0041}\r\n\tf\0";
        assert_eq!(clean(hostile), "a␛[31m␛]0;title␇b<U+202E>c<U+009B>d<U+200B>e<U+E0041>\n    f␀");
    }

    #[test]
    fn clean_text_holds_no_control_character_at_all() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let clean = clean(&c.to_string());
            assert!(clean.chars().all(|c| c == '\n' || (!c.is_control() && !is_deceptive(c))), "{c:?}");
        }
    }

    #[test]
    fn wrapping_prefers_spaces_and_breaks_what_has_none() {
        let wrapped = |text, most| wrap(text, 8, most);
        assert_eq!(wrapped("one two three", 9).0, ["one two", "three"]);
        assert_eq!(wrapped("abcdefghijkl", 9).0, ["abcdefgh", "ijkl"]);
        assert_eq!(wrapped("漢字漢字漢字", 9).0, ["漢字漢字", "漢字"]);
        assert_eq!(wrapped("a\n\nb\n", 9).0, ["a", "", "b"]);
        assert_eq!(wrapped("a\nb\nc", 2), (vec!["a".to_owned(), "b".to_owned()], true));
    }

    #[test]
    fn wrapping_ends_for_any_width() {
        for columns in 0..5 {
            let (lines, _) = wrap(" 漢 x  y ", columns, 99);
            assert!(lines.len() < 20, "{lines:?}");
        }
    }
}
