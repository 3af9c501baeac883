//! A table's rows in a flush, and the parts that they are committed in: all at once, or, where that fails for the rows'
//! own sake, halves of them, down to the one record whose rows cannot be written. So the others land, and it is known.

use super::pending::Rows;
use crate::model::Workspace;
use crate::sink::lake::TableKind;

/// So often a part is tried: what fails for a passing reason succeeds the second time.
const TRIES: u32 = 2;

/// One table's part of a flush.
#[derive(Debug)]
pub struct Share {
    pub workspace: Workspace,
    pub rows: Rows,
    /// The last records of the parts that are not settled, the next one at the end. Never empty while it is written.
    ends: Vec<u64>,
    /// Records up to here are in the table, or are known not to get there.
    settled: Option<u64>,
    failures: u32,
}

impl Share {
    /// Rows of records up to `last`.
    pub fn new(workspace: Workspace, rows: Rows, last: u64) -> Share {
        Share { workspace, rows, ends: vec![last], settled: None, failures: 0 }
    }

    /// The table that the rows are for.
    pub fn table(&self) -> (Workspace, TableKind) {
        (self.workspace.clone(), self.rows.kind())
    }

    /// The last record of the part to write; `None` when all is settled.
    pub fn end(&self) -> Option<u64> {
        self.ends.last().copied()
    }

    /// Records up to here need not be written. `landed`: so far the table is.
    pub fn after(&self, landed: Option<u64>) -> Option<u64> {
        self.settled.max(landed)
    }

    /// The part is in the table.
    pub fn landed(&mut self) {
        self.settled = self.settled.max(self.ends.pop());
        self.failures = 0;
    }

    /// The part cannot be written as it is. When that is a record's fault, says whose; the part is settled then.
    pub fn failed(&mut self, landed: Option<u64>) -> Option<u64> {
        self.failures += 1;
        if self.failures < TRIES {
            return None;
        }
        let records = self.rows.records(self.after(landed), self.end()?);
        match records.as_slice() {
            [] => None,
            [only] => {
                self.landed();
                Some(*only)
            }
            several => {
                self.failures = 0;
                self.ends.push(several[several.len() / 2 - 1]);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AuditEntry;

    /// What becomes of records 1 to `last`: those that land, in order, those that do not, and how often it was tried.
    fn settle(last: u64, poison: &[u64]) -> (Vec<u64>, Vec<u64>, usize) {
        let rows = Rows::Audit((1..=last).map(|seq| (seq, AuditEntry::default())).collect());
        let mut share = Share::new(Workspace::default(), rows, last);
        let (mut landed, mut found, mut tries) = (Vec::new(), Vec::new(), 0);
        while let Some(end) = share.end() {
            tries += 1;
            let part = share.rows.records(share.after(None), end);
            if part.iter().any(|seq| poison.contains(seq)) {
                found.extend(share.failed(None));
            } else {
                landed.extend(part);
                share.landed();
            }
        }
        (landed, found, tries)
    }

    #[test]
    fn every_record_lands_but_those_that_cannot_and_they_are_found_soon() {
        for poison in [&[][..], &[1], &[64], &[1000], &[999, 1000], &[1, 2, 3, 500, 777]] {
            let (landed, found, tries) = settle(1000, poison);
            assert_eq!(found, poison);
            assert_eq!(landed, (1..=1000).filter(|seq| !poison.contains(seq)).collect::<Vec<_>>());
            assert!(tries <= 1 + poison.len() * 32, "{tries} for {poison:?}");
        }
    }

    #[test]
    fn what_fails_once_is_not_poison() {
        let rows = Rows::Audit(vec![(7, AuditEntry::default())]);
        let mut share = Share::new(Workspace::default(), rows, 9);
        assert_eq!(share.failed(None), None);
        assert_eq!(share.end(), Some(9), "the same part again");
        assert_eq!(share.failed(None), Some(7));
        assert_eq!((share.end(), share.after(Some(3))), (None, Some(9)));
    }
}
