//! Which files to put together: a choice from sizes and counts, without I/O.
//!
//! Files grow in steps, so that a row is written a few times in all: small ones become medium ones, those become large
//! ones, and a day that is over is put together as a whole. Rows that are replaced soon are kept out of large files:
//! recent days of `events` and `sessions` stop at [`MEDIUM`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sink::lake::tags::{MOST_LISTED, MOST_SKETCHED};
use crate::sink::lake::{TableFile, TableKind};

/// Steps of size. What is below the first is what a quiet second appends.
const SMALL: u64 = 1 << 20;
const MEDIUM: u64 = 8 << 20;
/// A file of that size is never put together with others again; nor is one of that many sessions, once it is written to
/// stay, or while its day goes on: half of what tags have room for.
const LARGE: u64 = 64 << 20;
const LARGE_LASTING: usize = MOST_SKETCHED / 2;
const LARGE_HOT: usize = MOST_LISTED / 2;
/// As many small files in one partition are let be; as many medium ones.
const SMALL_CROWD: usize = 32;
const MEDIUM_CROWD: usize = 12;
/// As many files of a day that is over are let be when they hold little beside the largest of them.
const OVER_CROWD: usize = 8;
/// Files merged at a time.
const AT_ONCE: usize = 64;
/// Of each file merged, a row group is in memory, some of it unpacked, and for each column a decoder with tables of its
/// own. Bytes of a decoder's tables, all columns together; what a byte of a file becomes; a row group's bytes at most.
/// Measured: 10 MiB for a file of 1.4 MiB.
const TABLES: u64 = 1 << 20;
const UNPACKED: u64 = 6;
const GROUP: u64 = 2 << 20;
/// Days from which on a session's rows are rarely replaced.
const SETTLED_AFTER: i32 = 2;

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To be merged again soon.
    Hot,
    /// To stay: in large pages, with bloom filters.
    Final,
}

impl Form {
    /// The form of `bytes` of rows of a day.
    pub fn of(kind: TableKind, date: i32, today: i32, bytes: u64) -> Form {
        if is_over(kind, date, today) || bytes >= LARGE { Form::Final } else { Form::Hot }
    }
}

/// Whether a partition gets no more rows, as a rule.
fn is_over(kind: TableKind, date: i32, today: i32) -> bool {
    match kind {
        TableKind::Facts | TableKind::Audit => date < today,
        TableKind::Events | TableKind::Sessions => date <= today - SETTLED_AFTER,
    }
}

/// What is known of a table when the choice is made.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub kind: TableKind,
    /// Days since 1970-01-01.
    pub today: i32,
    /// Bytes that a merge may hold of its sources.
    pub held_bytes: u64,
    /// Everything that can be put together is, not only crowds.
    pub thorough: bool,
}

impl View {
    /// Files of one partition to put together, the most urgent; `None`: all is well.
    pub fn choose(&self, files: &[Arc<TableFile>]) -> Option<Vec<Arc<TableFile>>> {
        let chosen = self.days(files).into_iter().filter_map(|(date, files)| self.of_day(date, files));
        chosen.max_by_key(Vec::len)
    }

    /// Bytes in the partitions that something is chosen of.
    pub fn left(&self, files: &[Arc<TableFile>]) -> u64 {
        let days = self.days(files).into_iter().filter(|(date, files)| self.of_day(*date, files.clone()).is_some());
        days.flat_map(|(_, files)| files).map(|file| file.size).sum()
    }

    /// Files that are not large, by partition.
    fn days<'a>(&self, files: &'a [Arc<TableFile>]) -> BTreeMap<i32, Vec<&'a Arc<TableFile>>> {
        let mut days: BTreeMap<i32, Vec<&Arc<TableFile>>> = BTreeMap::new();
        for file in files.iter().filter(|file| !is_large(self.kind, file, self.today)) {
            days.entry(file.date).or_default().push(file);
        }
        days
    }

    fn of_day(&self, date: i32, mut files: Vec<&Arc<TableFile>>) -> Option<Vec<Arc<TableFile>>> {
        files.sort_by(|a, b| (a.size, &a.path).cmp(&(b.size, &b.path)));
        let over = is_over(self.kind, date, self.today);
        let small = files.partition_point(|file| file.size < SMALL);
        let medium = files.partition_point(|file| file.size < MEDIUM);
        let waits = |file: &Arc<TableFile>| !file.lasting;
        let crowd = match (over, self.thorough) {
            (true, true) => files.len() > 1 || files.iter().copied().any(waits),
            (true, false) => files.iter().copied().all(waits) || files.len() >= OVER_CROWD || self.outgrown(&files),
            _ => false,
        };
        let limit = match () {
            () if crowd => files.len(),
            () if small >= SMALL_CROWD || (self.thorough && small > 1) => small,
            () if medium - small >= MEDIUM_CROWD => medium,
            () if self.kind == TableKind::Facts && files.len() - medium >= MEDIUM_CROWD => files.len(),
            () => return None,
        };
        let chosen = self.within_bounds(&files[..limit]);
        (chosen.len() > 1 || (crowd && chosen.iter().any(waits))).then_some(chosen)
    }

    /// What such files become.
    pub fn form(&self, files: &[Arc<TableFile>]) -> Form {
        let date = files.first().map_or(self.today, |file| file.date);
        Form::of(self.kind, date, self.today, files.iter().map(|file| file.size).sum())
    }

    /// Whether the smaller files hold more than an eighth of what the largest does.
    fn outgrown(&self, files: &[&Arc<TableFile>]) -> bool {
        let Some((largest, rest)) = files.split_last() else { return false };
        rest.iter().map(|file| file.size).sum::<u64>() > largest.size / 8
    }

    fn within_bounds(&self, files: &[&Arc<TableFile>]) -> Vec<Arc<TableFile>> {
        let mut held = 0;
        let count = files.iter().take(AT_ONCE).take_while(|file| {
            held += TABLES + UNPACKED * file.size.min(GROUP);
            held <= self.held_bytes
        });
        let count = count.count();
        files[..count].iter().map(|file| TableFile::clone(file).into()).collect()
    }
}

/// Files whose sessions are unknown hold more of them than tags have room for.
fn is_large(kind: TableKind, file: &TableFile, today: i32) -> bool {
    let stays = file.lasting || !is_over(kind, file.date, today);
    let many = if file.lasting { LARGE_LASTING } else { LARGE_HOT };
    let crowded = || file.sessions.as_ref().is_none_or(|sessions| sessions.count() >= many);
    file.size >= LARGE || (stays && crowded())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::lake::Tags;

    const TODAY: i32 = 10;

    fn view(kind: TableKind) -> View {
        View { kind, today: TODAY, held_bytes: 64 << 20, thorough: false }
    }

    fn files(count: usize, date: i32, size: u64) -> Vec<Arc<TableFile>> {
        let file = |n| TableFile {
            path: format!("{date}/{size}/{n:04}"),
            size,
            date,
            sessions: Tags::list(vec![1]),
            lasting: false,
        };
        (0..count).map(|n| Arc::new(file(n))).collect()
    }

    fn chosen(view: View, files: &[Arc<TableFile>]) -> Option<usize> {
        view.choose(files).map(|files| files.len())
    }

    #[test]
    fn today_crowds_are_put_together_step_by_step() {
        let facts = view(TableKind::Facts);
        assert_eq!(chosen(facts, &files(31, TODAY, 100)), None);
        assert_eq!(chosen(facts, &[files(20, TODAY, 100), files(20, TODAY + 1, 100)].concat()), None);
        assert_eq!(chosen(facts, &files(40, TODAY, 100)), Some(40));
        assert_eq!(chosen(facts, &files(12, TODAY, 2 << 20)), Some(4), "within the memory for their row groups");
        assert_eq!(chosen(view(TableKind::Events), &files(30, TODAY - 1, 30 << 20)), None, "rows are replaced still");
        assert_eq!(chosen(facts, &files(90, TODAY, LARGE)), None);
    }

    /// As often as is asked, and whatever arrives: few files are left, and no row is written many times.
    #[test]
    fn a_busy_day_keeps_few_hot_files_and_writes_each_byte_a_few_times() {
        let facts = view(TableKind::Facts);
        let (mut lake, mut arrived, mut written) = (Vec::new(), 0u64, 0u64);
        for n in 0..20_000u64 {
            let size = 20_000 + (n * 7919) % 3_000_000;
            arrived += size;
            lake.push(Arc::new(TableFile {
                path: format!("{n:06}"),
                size,
                date: TODAY,
                sessions: Tags::list(vec![n]),
                lasting: false,
            }));
            while let Some(inputs) = facts.choose(&lake) {
                let size = inputs.iter().map(|file| file.size).sum();
                written += size;
                lake.retain(|file| !inputs.contains(file));
                let path = format!("{n:06}+");
                lake.push(Arc::new(TableFile {
                    path,
                    size,
                    date: TODAY,
                    sessions: Tags::list(vec![n]),
                    lasting: false,
                }));
            }
            let hot = lake.iter().filter(|file| !is_large(TableKind::Facts, file, TODAY)).count();
            assert!(hot <= 64, "{hot} hot files");
        }
        assert!(written < 4 * arrived, "{written} bytes written for {arrived}");
    }

    fn lasting(files: Vec<Arc<TableFile>>) -> Vec<Arc<TableFile>> {
        files.into_iter().map(|file| TableFile { lasting: true, ..TableFile::clone(&file) }.into()).collect()
    }

    #[test]
    fn a_day_that_is_over_becomes_few_files_and_is_then_left_alone() {
        for kind in TableKind::ALL {
            let (view, day) = (view(kind), TODAY - 2);
            let thorough = View { thorough: true, ..view };
            let mixed = [files(3, day, 100), files(3, day, 30 << 20)].concat();
            assert_eq!(chosen(view, &mixed), Some(6));
            let done = [lasting(files(5, day, 100 << 20)), files(3, day, 1 << 20), lasting(files(1, day, 60 << 20))];
            assert_eq!(chosen(view, &done.concat()), None, "little beside what is there");
            assert_eq!(chosen(thorough, &done.concat()), Some(4));
            assert_eq!((view.left(&done.concat()), thorough.left(&done.concat())), (0, 63 << 20));
            // A file alone, and one beside which there is nothing.
            assert_eq!(chosen(view, &files(1, day, 100)), Some(1));
            assert_eq!(chosen(view, &[files(1, day, 100), files(1, day, 30 << 20)].concat()), Some(2));
            for view in [view, thorough] {
                assert_eq!(chosen(view, &lasting(files(1, day, 100))), None);
            }
            assert_eq!(chosen(view, &files(1, TODAY, 100)), None);
        }
    }

    /// While its day goes on, a file of many sessions is let be; then it is given its final form, with others until they
    /// have as many as tags have room for, and let be for ever.
    #[test]
    fn files_of_many_sessions_get_their_final_form_too() {
        let crowded = |sessions: usize, date: i32, lasting: bool| -> Vec<Arc<TableFile>> {
            let tags: Vec<u64> = (0..sessions as u64).map(|n| n << 48).collect();
            let sessions = if lasting { Tags::lasting(tags) } else { Tags::list(tags) };
            let file = |file: Arc<TableFile>| TableFile { sessions: sessions.clone(), lasting, ..(*file).clone() };
            files(40, date, 2 << 20).into_iter().map(|it| file(it).into()).collect()
        };
        let ample = View { held_bytes: 1 << 30, ..view(TableKind::Facts) };
        assert_eq!(chosen(ample, &crowded(LARGE_HOT, TODAY, false)), None);
        assert_eq!(chosen(ample, &crowded(LARGE_HOT, TODAY - 1, false)), Some(40));
        assert_eq!(chosen(ample, &crowded(LARGE_HOT, TODAY - 1, true)), Some(40));
        assert_eq!(chosen(ample, &crowded(LARGE_LASTING, TODAY - 1, true)), None);
    }

    #[test]
    fn what_is_merged_is_bounded_in_files_and_in_bytes_held() {
        let ample = View { held_bytes: 1 << 30, ..view(TableKind::Facts) };
        assert_eq!(chosen(ample, &files(500, TODAY, 100)), Some(AT_ONCE));
        let form = |date, size| view(TableKind::Facts).form(&files(40, date, size));
        assert_eq!(
            (form(TODAY, 100), form(TODAY, 2 << 20), form(TODAY - 1, 100)),
            (Form::Hot, Form::Final, Form::Final)
        );
        let small = View { held_bytes: 22 << 20, ..view(TableKind::Facts) };
        assert_eq!(chosen(small, &files(40, TODAY, SMALL - 1)), Some(3));
    }
}
