//! Short strings in which nothing was found, so that they are not scanned again: records of one request repeat keys, ids
//! and names.

use std::collections::HashSet;

/// Longer strings seldom come twice.
const LONGEST: usize = 128;
/// Strings that are remembered; then it begins anew.
const MOST: usize = 1024;

/// What was scanned in vain, each with the key that it stood under and how many texts enclosed it: layers are bounded, so
/// an outer string is looked into deeper.
#[derive(Default)]
pub struct Clean {
    known: HashSet<Box<[u8]>>,
    /// The string that was asked for last, as it would be remembered.
    asked: Vec<u8>,
}

impl Clean {
    /// Whether nothing was found in `text` under `key` before. Called before [`Clean::remember`].
    pub fn knows(&mut self, layer: usize, key: Option<&str>, text: &str) -> bool {
        self.asked.clear();
        if text.len() + key.map_or(0, str::len) > LONGEST {
            return false;
        }
        // No key and an empty one are not the same: the length comes first.
        let length = key.map_or(u8::MAX, |key| key.len() as u8);
        self.asked.extend([layer as u8, length]);
        self.asked.extend_from_slice(key.unwrap_or_default().as_bytes());
        self.asked.extend_from_slice(text.as_bytes());
        self.known.contains(self.asked.as_slice())
    }

    /// Nothing was found in what was asked for last.
    pub fn remember(&mut self, layer: usize, key: Option<&str>, text: &str) {
        if self.knows(layer, key, text) || self.asked.is_empty() {
            return;
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(self.asked.as_slice().into());
    }

    pub fn forget(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_the_string_under_its_key() {
        let mut clean = Clean::default();
        clean.remember(0, Some("ab"), "c");
        clean.remember(0, None, "d");
        assert!(clean.knows(0, Some("ab"), "c") && clean.knows(0, None, "d"));
        for (key, text) in [(Some("a"), "bc"), (None, "abc"), (Some(""), "d"), (Some("ab"), "cd")] {
            assert!(!clean.knows(0, key, text), "{key:?} {text}");
        }
        assert!(!clean.knows(1, None, "d"), "another layer");
        let long = "x".repeat(LONGEST + 1);
        clean.remember(0, None, &long);
        assert!(!clean.knows(0, None, &long));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut clean = Clean::default();
        (0..3 * MOST).for_each(|n| clean.remember(0, None, &n.to_string()));
        assert!(clean.known.len() <= MOST);
    }
}
