//! Which characters of a text its redacted form no longer shows.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

static MARK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[REDACTED:[A-Za-z0-9_.:-]+\]").unwrap());

/// The stretches of `text` (in characters) that marks stand for in `redacted`: what stands between two marks is looked
/// for after what stood before the first. `None`: `redacted` is not `text` with marks in it.
pub fn covered(text: &str, redacted: &str) -> Option<Vec<Range<usize>>> {
    if text == redacted {
        return Some(Vec::new());
    }
    let kept: Vec<&str> = MARK.split(redacted).collect();
    let (first, last) = (kept.first()?, kept.last()?);
    if !text.starts_with(first) || !text[first.len()..].ends_with(last) {
        return None;
    }
    let (mut at, end) = (first.len(), text.len() - last.len());
    let mut hidden = Vec::new();
    for piece in &kept[1..kept.len() - 1] {
        let found = at + text[at..end].find(piece)?;
        hidden.push(at..found);
        at = found + piece.len();
    }
    hidden.push(at..end);
    Some(hidden.into_iter().map(|range| characters(text, range)).collect())
}

fn characters(text: &str, bytes: Range<usize>) -> Range<usize> {
    let start = text[..bytes.start].chars().count();
    start..start + text[bytes].chars().count()
}

/// Whether every character of `span` but blanks is hidden.
pub fn hides_all(text: &[char], span: &Range<usize>, hidden: &[Range<usize>]) -> bool {
    span.clone().all(|i| text[i].is_whitespace() || hidden.iter().any(|range| range.contains(&i)))
}

/// Whether any character of `span` is hidden.
pub fn hides_some(span: &Range<usize>, hidden: &[Range<usize>]) -> bool {
    hidden.iter().any(|range| range.start < span.end && span.start < range.end)
}

#[test]
fn what_marks_stand_for_is_found() {
    assert_eq!(covered("a=Ä1 b=22;", "a=[REDACTED:x] b=[REDACTED:y:3f9a];"), Some(vec![2..4, 7..9]));
    assert_eq!(covered("same", "same"), Some(vec![]));
    assert_eq!(covered("a", "b[REDACTED:x]"), None);
    let text: Vec<char> = "k= a b".chars().collect();
    let hidden = [3..4, 5..6];
    assert!(hides_all(&text, &(2..6), &hidden) && !hides_all(&text, &(1..6), &hidden));
    assert!(hides_some(&(2..4), &hidden) && !hides_some(&(2..3), &hidden));
}
