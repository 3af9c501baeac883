//! What is wrong with the journal, for people.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::core::Core;
use super::disk::Space;
use super::{AppendError, locked, quarantine};

/// Why appends fail now. It passes when the disk heals, without a restart.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The disk is fuller than the journal may make it.
    DiskFull(Space),
    Write(Arc<std::io::Error>),
}

impl Trouble {
    pub(super) fn error(&self) -> AppendError {
        match self {
            Trouble::DiskFull(space) => AppendError::DiskFull { available: space.available },
            Trouble::Write(error) => AppendError::Failed(error.clone()),
        }
    }
}

/// Something that a person should know, or do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Appends fail for a reason that does not pass by itself.
    pub severe: bool,
    /// What happened, where, and what to do. No content.
    pub text: String,
}

impl Core {
    /// See [`super::Journal::findings`].
    pub(super) fn findings(&self) -> Vec<Finding> {
        let trouble = locked(&self.trouble).clone().map(|trouble| self.explain(&trouble));
        trouble.into_iter().chain(self.explain_full()).chain(self.explain_damage()).collect()
    }

    fn explain(&self, trouble: &Trouble) -> Finding {
        let dir = self.dir.display();
        match trouble {
            Trouble::DiskFull(space) => {
                let (free, total) = (space.available >> 20, space.total >> 20);
                let text = format!(
                    "the disk of {dir} is full ({free} of {total} MiB are free): requests are refused until there is \
                     room; delete something, or give the journal another disk"
                );
                Finding { severe: false, text }
            }
            Trouble::Write(error) => {
                let text = format!(
                    "{dir} cannot be written ({error}): requests are refused, and it is tried again every second; \
                     check the disk and its mount"
                );
                Finding { severe: true, text }
            }
        }
    }

    fn explain_full(&self) -> Option<Finding> {
        let (bytes, most) = (self.binding_bytes(), self.options.max_bytes);
        // A request that would still fit is small beside that.
        let full = bytes >= most - most / 64;
        let text = format!(
            "the journal is full ({} of {} MiB wait for the lake): requests are refused until the lake takes them; \
             check that the lake can be written, or raise journal.max_size",
            bytes >> 20,
            most >> 20,
        );
        full.then_some(Finding { severe: false, text })
    }

    fn explain_damage(&self) -> Option<Finding> {
        let names = quarantine::names(&*self.disk, &self.dir);
        let count = |end: &str| names.iter().filter(|name| name.contains(end)).count();
        let (segments, records, notes) = (count(".seg"), count(".json"), count("note-"));
        let folder = quarantine::folder(&self.dir);
        let found = match (names.is_empty(), self.unnoted.load(Relaxed)) {
            (true, false) => return None,
            (true, true) => "damage was found and could not be noted: see the log".to_owned(),
            (false, _) => format!(
                "{} has {segments} damaged segments, {records} records that could not be processed and {notes} notes: \
                 look at them, then delete them",
                folder.display()
            ),
        };
        let lost = self.counters.lost_records.load(Relaxed);
        let text = if lost > 0 { format!("{found}; {lost} records were lost") } else { found };
        Some(Finding { severe: false, text })
    }

    /// Remembers damage that quarantine does not show, until the process ends.
    pub(super) fn note_damage(&self) {
        self.unnoted.store(true, Relaxed);
    }
}
