//! Which sessions a file has rows of, as the log's entry of the file says: keyed hashes, as a list or as a sketch.
//!
//! A list is exact and takes 8 bytes for each session, 11 in the log. The tags of all files are in memory while a table is
//! open, so files that stay, which hold most sessions of a large lake, have a sketch: hashes scaled to 65,536 numbers for
//! each session, 4 bytes; in Elias-Fano coding 2.25, and 3 in the log. One of 65,536 sessions that are not in a file seems
//! to be. What must be known for certain is asked of lists alone ([`Tags::exact`]), or of the file.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::StringArray;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::table::session_tag;
use crate::model::LakeKey;

/// What a list holds at most: a file of more sessions has none. One flush has fewer, because each session takes a fact at
/// least, so that sealing can choose among the hot files.
pub(super) const MOST_LISTED: usize = 32_768;
/// What a sketch holds at most: its numbers have 32 bits.
pub(super) const MOST_SKETCHED: usize = u16::MAX as usize;
/// A file of so few sessions has a list even where it stays: a sketch would save little, and whoever must know for
/// certain would read the file.
const FEW: usize = 1024;

/// The tags of an `Add`, base64. A list: little-endian 64-bit hashes, ascending. A sketch: the lower 16 bits of each
/// number, little-endian, then bits, the lowest of a byte first: for each number as many zeros as its upper bits are
/// greater than those of the number before, and a one.
const LIST: &str = "sessionlake.sessions";
const SKETCH: &str = "sessionlake.sessions_sketch";

/// The sessions of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Hashes (`Table::session_tag`), ascending.
    List(Arc<[u64]>),
    /// Hashes scaled to the number of sessions, ascending.
    Sketch(Arc<[u32]>),
}

impl Tags {
    /// The list of these, ascending; `None`: too many.
    pub(super) fn list(tags: Vec<u64>) -> Option<Tags> {
        (tags.len() <= MOST_LISTED).then(|| Tags::List(tags.into()))
    }

    /// What a file that stays has of these, ascending; `None`: too many.
    pub(super) fn lasting(tags: Vec<u64>) -> Option<Tags> {
        if tags.len() <= FEW {
            return Tags::list(tags);
        }
        let sketch = || tags.iter().map(|tag| scaled(*tag, tags.len())).collect();
        (tags.len() <= MOST_SKETCHED).then(|| Tags::Sketch(sketch()))
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        match self {
            Tags::List(list) => list.len(),
            Tags::Sketch(sketch) => sketch.len(),
        }
    }

    /// The sessions for certain.
    pub fn exact(&self) -> Option<&[u64]> {
        match self {
            Tags::List(list) => Some(list),
            Tags::Sketch(_) => None,
        }
    }

    /// Whether a session with one of these tags, ascending, may be among them.
    pub fn may_have_one_of(&self, tags: &[u64]) -> bool {
        match self {
            Tags::List(list) if list.len() < tags.len() => meet(tags, list.iter().copied()),
            Tags::List(list) => meet(list, tags.iter().copied()),
            Tags::Sketch(sketch) => meet(sketch, tags.iter().map(|tag| scaled(*tag, sketch.len()))),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Tags::List(list) => size_of_val::<[u64]>(list),
            Tags::Sketch(sketch) => size_of_val::<[u32]>(sketch),
        }
    }

    /// As the log has it: the tags of an `Add`.
    pub(super) fn logged(&self) -> HashMap<String, Option<String>> {
        let (name, bytes) = match self {
            Tags::List(list) => (LIST, list.iter().flat_map(|tag| tag.to_le_bytes()).collect()),
            Tags::Sketch(sketch) => (SKETCH, coded(sketch)),
        };
        HashMap::from([(name.to_owned(), Some(BASE64_STANDARD.encode(bytes)))])
    }

    /// From the log; `None`: unknown.
    pub(super) fn of_logged(tags: &HashMap<String, Option<String>>) -> Option<Tags> {
        let bytes = |name: &str| BASE64_STANDARD.decode(tags.get(name)?.as_ref()?).ok();
        if let Some(bytes) = bytes(LIST) {
            let (chunks, rest) = bytes.as_chunks::<8>();
            return rest.is_empty().then(|| Tags::List(chunks.iter().map(|tag| u64::from_le_bytes(*tag)).collect()));
        }
        Some(Tags::Sketch(decoded(&bytes(SKETCH)?)?.into()))
    }
}

/// Gathers the hashes of a file's sessions from its rows.
pub(super) struct Gathered {
    key: LakeKey,
    last: Option<String>,
    tags: BTreeSet<u64>,
}

impl Gathered {
    pub fn new(key: LakeKey) -> Gathered {
        Gathered { key, last: None, tags: BTreeSet::new() }
    }

    /// Rows' session ids. Those of a session stand together in a file: it is hashed once.
    pub fn add(&mut self, ids: &StringArray) {
        for id in ids.iter().flatten() {
            if self.last.as_deref() != Some(id) {
                self.tags.insert(session_tag(&self.key, id));
                self.last = Some(id.to_owned());
            }
        }
    }

    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// Ascending.
    pub fn finish(self) -> Vec<u64> {
        self.tags.into_iter().collect()
    }
}

/// A hash among `count` as a number of a sketch. Keeps their order.
fn scaled(tag: u64, count: usize) -> u32 {
    let numbers = (count as u128) << 16;
    // Below `numbers`, which a sketch's count keeps below 2^32.
    ((u128::from(tag) * numbers) >> 64) as u32
}

/// Whether a sorted list has one of `items`, which ascend. The items are looked up in what is left of the list.
fn meet<T: Ord>(mut list: &[T], mut items: impl Iterator<Item = T>) -> bool {
    items.any(|item| match list.binary_search(&item) {
        Ok(_) => true,
        Err(next) => {
            list = &list[next..];
            false
        }
    })
}

/// Bytes of `count` numbers' upper bits: a one for each, and a zero for each step, of which there are fewer.
fn upper_bytes(count: usize) -> usize {
    (2 * count).div_ceil(8)
}

fn coded(sketch: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = sketch.iter().flat_map(|number| (*number as u16).to_le_bytes()).collect();
    let mut upper = vec![0u8; upper_bytes(sketch.len())];
    for (at, number) in sketch.iter().enumerate() {
        let bit = (number >> 16) as usize + at;
        upper[bit / 8] |= 1 << (bit % 8);
    }
    bytes.append(&mut upper);
    bytes
}

/// `None`: nothing that [`coded`] makes.
fn decoded(bytes: &[u8]) -> Option<Vec<u32>> {
    let count = bytes.len() * 4 / 9;
    let (lower, upper) = bytes.split_at_checked(2 * count)?;
    if count > MOST_SKETCHED || upper.len() != upper_bytes(count) {
        return None;
    }
    let bits = (0..8 * upper.len()).filter(|bit| upper[bit / 8] >> (bit % 8) & 1 == 1);
    let steps: Vec<usize> = bits.enumerate().map(|(at, bit)| bit - at).collect();
    let (lower, _) = lower.as_chunks::<2>();
    let numbers = steps.iter().zip(lower).map(|(step, low)| (*step as u32) << 16 | u32::from(u16::from_le_bytes(*low)));
    let numbers: Vec<u32> = numbers.collect();
    (steps.len() == count && steps.iter().all(|step| *step < count) && numbers.is_sorted()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logged_and_back(tags: &Tags) -> Option<Tags> {
        Tags::of_logged(&tags.logged())
    }

    /// Hashes as a keyed one gives them, ascending.
    fn hashes(count: u64, seed: u64) -> Vec<u64> {
        let key = LakeKey::new([1; 32]);
        let mut hashes: Vec<u64> = (0..count).map(|n| session_tag(&key, &format!("{seed} {n}"))).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn lists_come_back_and_foreign_ones_are_unknown() {
        for list in [vec![], vec![0], vec![1, u64::MAX]] {
            let tags = Tags::list(list.clone()).unwrap();
            assert_eq!((tags.exact(), tags.count()), (Some(&*list), list.len()));
            assert_eq!(logged_and_back(&tags), Some(tags));
        }
        let foreign = |name: &str, text: &str| HashMap::from([(name.to_owned(), Some(text.to_owned()))]);
        assert_eq!(Tags::of_logged(&foreign(LIST, "AAAA")), None, "no multiple of 8 bytes");
        assert_eq!(Tags::of_logged(&foreign(LIST, "?")), None);
        assert_eq!(Tags::of_logged(&foreign("other", "AAAA")), None);
        assert_eq!(Tags::of_logged(&HashMap::from([(SKETCH.to_owned(), None)])), None);
        assert_eq!(Tags::list(hashes(MOST_LISTED as u64 + 1, 0)), None);
        assert_eq!(Tags::lasting(hashes(MOST_SKETCHED as u64 + 1, 0)), None);
        assert!(Tags::lasting(hashes(FEW as u64, 0)).unwrap().exact().is_some());
    }

    /// Other processes read this: pinned as bytes.
    #[test]
    fn a_sketch_as_it_stands_in_the_log() {
        let sketch = [1, 0x1_0002, 0x1_0003, 0x3_ffff];
        assert_eq!(coded(&sketch), [1, 0, 2, 0, 3, 0, 0xff, 0xff, 0b0100_1101]);
        assert_eq!(Tags::Sketch(sketch.into()).logged().keys().collect::<Vec<_>>(), ["sessionlake.sessions_sketch"]);
    }

    #[test]
    fn a_sketch_has_all_of_its_sessions_and_few_others_in_three_bytes_each() {
        for count in [FEW + 1, 30_000, MOST_SKETCHED] {
            let inside = hashes(count as u64, 0);
            let tags = Tags::lasting(inside.clone()).unwrap();
            assert_eq!((tags.count(), tags.exact()), (count, None));
            assert!(inside.iter().all(|tag| tags.may_have_one_of(&[*tag])), "{count}");
            let others = hashes(1 << 18, 1);
            let seeming = others.iter().filter(|tag| tags.may_have_one_of(&[**tag])).count();
            assert!(seeming <= 20, "4 of 2^18 are to be expected: {seeming}");
            let mut mixed = [&others[..10], &inside[..1]].concat();
            mixed.sort_unstable();
            assert!(tags.may_have_one_of(&mixed));
            let text = tags.logged().into_values().flatten().next().unwrap();
            assert!(text.len() <= count * 3 + 8);
            assert_eq!(logged_and_back(&tags), Some(tags));
        }
    }

    #[test]
    fn lists_meet_where_they_share_an_item_wherever_it_stands() {
        let long: Vec<u64> = (0..100).map(|n| n * 10).collect();
        for at in [0, 10, 500, 990] {
            assert!(meet(&long, [at].into_iter()) && meet(&[at, 1995, 2000], long.iter().copied()));
        }
        for none in [&[][..], &[5, 11, 985], &[991, 2000]] {
            assert!(!meet(&long, none.iter().copied()) && !meet(none, long.iter().copied()));
        }
    }

    proptest! {
        /// Whatever another writer calls a sketch: it is read as one that would be written so, or not at all.
        #[test]
        fn any_bytes_are_a_sketch_or_unknown(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(numbers) = decoded(&bytes) {
                prop_assert_eq!(coded(&numbers), bytes);
            }
        }

        #[test]
        fn any_sketch_comes_back(mut tags in prop::collection::vec(any::<u64>(), 0..200)) {
            tags.sort_unstable();
            let sketch: Vec<u32> = tags.iter().map(|tag| scaled(*tag, tags.len())).collect();
            prop_assert_eq!(decoded(&coded(&sketch)), Some(sketch));
        }
    }
}
