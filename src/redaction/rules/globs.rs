//! Patterns with `*` for names, places and subjects.

use serde::Serialize;

/// `*` stands for any characters, everything else for itself, compared without ASCII case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    pub fn new(pattern: &str) -> Glob {
        Glob(pattern.to_ascii_lowercase())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Linear in text times pattern at worst; both are short.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let text = text.to_ascii_lowercase();
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut last = None;
        for part in parts {
            if let Some(earlier) = last.replace(part) {
                let Some(at) = rest.find(earlier) else { return false };
                rest = &rest[at + earlier.len()..];
            }
        }
        last.map_or(rest.is_empty(), |end| rest.ends_with(end))
    }

    /// Whether `place`, or a place that encloses it, matches: `tool_response` covers `tool_response.stdout`.
    pub fn covers(&self, place: &str) -> bool {
        let ends = place.match_indices('.').map(|(at, _)| at).chain([place.len()]);
        ends.into_iter().any(|end| self.matches(&place[..end]))
    }

    /// The longest stretch without a `*`.
    pub fn longest_literal(&self) -> &str {
        self.0.split('*').max_by_key(|part| part.len()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (glob, text, expected) in [
            ("a*c", "aBBc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("mcp__*__*", "mcp__crm__find", true),
            ("a*a", "a", false),
            ("*x*y*", "1x2y3", true),
            ("*x*y*", "1y2x3", false),
        ] {
            assert_eq!(Glob::new(glob).matches(text), expected, "{glob} {text}");
        }
        assert!(Glob::new("tool_response").covers("tool_response.stdout"));
        assert!(!Glob::new("tool_response").covers("tool_responses"));
    }
}
