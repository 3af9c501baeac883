//! Short strings in which nothing was found, so that they are not scanned again: records of one request repeat keys, ids
//! and names.

use ahash::RandomState;

/// Longer strings seldom come twice.
const LONGEST: usize = 128;
/// Places for strings that are remembered; a string takes the place of another that falls on the same one.
const PLACES: usize = 1024;

/// What was scanned in vain, each with the key that it stood under and how many texts enclosed it: layers are bounded, so
/// an outer string is looked into deeper.
#[derive(Default)]
pub struct Clean {
    /// None until the first string is remembered.
    places: Vec<Vec<u8>>,
    hasher: RandomState,
    /// The string that was asked for last, as it would be remembered.
    asked: Vec<u8>,
}

impl Clean {
    /// Whether nothing was found in `text` under `key` before.
    pub fn knows(&mut self, layer: usize, key: Option<&str>, text: &str) -> bool {
        self.place(layer, key, text).is_some_and(|place| self.places.get(place) == Some(&self.asked))
    }

    /// Nothing was found in `text` under `key`.
    pub fn remember(&mut self, layer: usize, key: Option<&str>, text: &str) {
        let Some(place) = self.place(layer, key, text) else { return };
        self.places.resize_with(PLACES, Vec::new);
        self.places[place].clone_from(&self.asked);
    }

    pub fn forget(&mut self) {
        self.places.clear();
    }

    /// Where a string is remembered, if it is short enough; it is what was asked for then.
    fn place(&mut self, layer: usize, key: Option<&str>, text: &str) -> Option<usize> {
        if text.len() + key.map_or(0, str::len) > LONGEST {
            return None;
        }
        // No key and an empty one are not the same: the length comes first.
        let length = key.map_or(u8::MAX, |key| key.len() as u8);
        self.asked.clear();
        self.asked.extend([layer as u8, length]);
        self.asked.extend_from_slice(key.unwrap_or_default().as_bytes());
        self.asked.extend_from_slice(text.as_bytes());
        Some(self.hasher.hash_one(self.asked.as_slice()) as usize % PLACES)
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
    fn it_does_not_grow_without_end_and_knows_what_came_last() {
        let mut clean = Clean::default();
        for n in 0..3 * PLACES {
            clean.remember(0, None, &n.to_string());
            assert!(clean.knows(0, None, &n.to_string()));
        }
        assert_eq!(clean.places.len(), PLACES);
        assert!((0..2 * PLACES).filter(|n| clean.knows(0, None, &n.to_string())).count() < PLACES);
        clean.forget();
        assert!(!clean.knows(0, None, &(3 * PLACES - 1).to_string()));
    }
}
