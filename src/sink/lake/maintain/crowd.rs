//! Which small files to put together: a choice from sizes and counts, without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sink::lake::TableFile;
use crate::sink::lake::table::MAX_TAGS;

/// Files below that are put together: what a busy second appends is larger, and stays as it is.
const SMALL: u64 = 1 << 20;
/// As many small files in one partition are let be: each merge writes again what an earlier one wrote.
const CROWD: usize = 32;
/// Files merged at a time: a batch of rows of each is in memory.
const AT_ONCE: usize = 64;
/// Bytes of a merged file, about.
const LARGEST: u64 = 16 << 20;

/// Files of one partition to make one of, the smallest first; `None` while no partition is crowded.
///
/// The new file keeps its list of sessions: readers that look for some choose by it.
pub fn crowd<'a>(files: impl Iterator<Item = &'a Arc<TableFile>>) -> Option<Vec<Arc<TableFile>>> {
    let mut days: BTreeMap<i32, Vec<&Arc<TableFile>>> = BTreeMap::new();
    for file in files.filter(|file| file.size <= SMALL && file.sessions.is_some()) {
        days.entry(file.date).or_default().push(file);
    }
    days.into_values().filter(|files| files.len() >= CROWD).max_by_key(Vec::len).map(smallest)
}

fn smallest(mut files: Vec<&Arc<TableFile>>) -> Vec<Arc<TableFile>> {
    files.sort_by(|a, b| (a.size, &a.path).cmp(&(b.size, &b.path)));
    let (mut bytes, mut tags) = (0, 0);
    let count = files.iter().take(AT_ONCE).take_while(|file| {
        bytes += file.size;
        tags += file.sessions.as_ref().map_or(0, |sessions| sessions.len());
        bytes <= LARGEST && tags <= MAX_TAGS
    });
    let count = count.count();
    files.into_iter().take(count).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: usize, date: i32, size: u64, tags: Option<usize>) -> Arc<TableFile> {
        let sessions = tags.map(|count| (0..count as u64).collect());
        Arc::new(TableFile { path: format!("{date}/{number:04}"), size, date, sessions })
    }

    fn chosen(files: &[Arc<TableFile>]) -> Option<usize> {
        crowd(files.iter()).map(|files| files.len())
    }

    #[test]
    fn only_a_crowd_of_small_files_of_one_day_is_put_together() {
        let few: Vec<_> = (0..31).map(|n| file(n, 1, 100, Some(1))).collect();
        assert_eq!(chosen(&few), None);
        let two_days: Vec<_> = (0..60).map(|n| file(n, (n % 2) as i32, 100, Some(1))).collect();
        assert_eq!(chosen(&two_days), None);
        let large: Vec<_> = (0..60).map(|n| file(n, 1, SMALL + 1, Some(1))).collect();
        assert_eq!(chosen(&large), None);
        let unknown: Vec<_> = (0..60).map(|n| file(n, 1, 100, None)).collect();
        assert_eq!(chosen(&unknown), None);
        let many: Vec<_> = (0..40).map(|n| file(n, 1, 100, Some(1))).collect();
        assert_eq!(chosen(&many), Some(40));
    }

    #[test]
    fn what_is_put_together_is_bounded_in_files_bytes_and_sessions() {
        let many: Vec<_> = (0..500).map(|n| file(n, 1, 100, Some(1))).collect();
        assert_eq!(chosen(&many), Some(AT_ONCE));
        let heavy: Vec<_> = (0..60).map(|n| file(n, 1, SMALL, Some(1))).collect();
        assert_eq!(chosen(&heavy), Some(16));
        let crowded: Vec<_> = (0..60).map(|n| file(n, 1, 100, Some(MAX_TAGS / 10))).collect();
        assert_eq!(chosen(&crowded), Some(10));
    }
}
