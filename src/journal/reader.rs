//! Readers: durable records in order, and cursors that say what is done with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::attempts::{AttemptFile, Suspicion};
use super::core::{Core, Tip};
use super::cursor::{self, Cursor};
use super::walk::Walk;
use super::{OpenError, Position, locked};

/// A record could not be read, or a cursor not be moved.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl ReadError {
    pub(super) fn at(path: PathBuf) -> impl FnOnce(io::Error) -> ReadError {
        move |source| ReadError::Io { path: path.display().to_string(), source }
    }
}

/// Reads durable records in order. While it lives, the journal's lock is held.
///
/// Reading blocks for the file; small records share the block of up to 512 KiB that they were read in.
pub struct Reader {
    walk: Walk,
    name: String,
    attempts: Option<AttemptFile>,
    tip: watch::Receiver<Tip>,
}

impl Reader {
    pub(super) fn new(core: Arc<Core>, name: &str, budget: Option<u64>) -> Result<Reader, OpenError> {
        let mut state = locked(&core.state);
        if !state.live.insert(name.to_owned()) {
            return Err(OpenError::ReaderTaken { name: name.to_owned() });
        }
        let known = state.cursors.get(name).copied();
        let start = Cursor { seq: state.start(), budget, dropped: 0 };
        let cursor = known.map_or(start, |known| Cursor { budget, ..known });
        // Before its file is written: what the reader will need must not go in the meantime.
        state.cursors.insert(name.to_owned(), cursor);
        drop(state);
        let tip = core.tip.subscribe();
        let reader = Reader { walk: Walk::new(core, cursor.seq), name: name.to_owned(), attempts: None, tip };
        if reader.tip.borrow().closed {
            return Err(OpenError::Closed);
        }
        if known != Some(cursor) {
            reader.write_first_cursor(known, cursor)?;
        }
        reader.with_attempts()
    }

    fn write_first_cursor(&self, known: Option<Cursor>, cursor: Cursor) -> Result<(), OpenError> {
        let core = &self.walk.core;
        let _moving = locked(&core.cursors);
        core.write_cursor(&self.name, cursor).map_err(|error| {
            let mut state = locked(&core.state);
            match known {
                Some(known) => drop(state.cursors.insert(self.name.clone(), known)),
                None => drop(state.cursors.remove(&self.name)),
            }
            drop(state);
            OpenError::at(&core.dir.join(cursor::file_name(&self.name)))(error)
        })
    }

    /// Without the file a deadly record is met again; that is no reason not to read.
    fn with_attempts(mut self) -> Result<Reader, OpenError> {
        let core = &self.walk.core;
        match AttemptFile::open(&*core.disk, &core.dir, &cursor::escaped(&self.name)) {
            Ok(attempts) => self.attempts = Some(attempts),
            Err(error) => tracing::warn!(reader = self.name, %error, "journal: attempts cannot be noted"),
        }
        Ok(self)
    }

    /// The next record (an encoded `Batch`), as soon as it is durable; `None` when the journal was closed and
    /// everything was read. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        loop {
            let closed = self.tip.borrow_and_update().closed;
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            if closed || self.tip.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The next record if it is durable by now.
    pub fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        let name = &self.name;
        self.walk.next(|state| state.cursors.get(name).map_or(0, |cursor| cursor.seq))
    }

    /// Everything up to and including `position` is done with: moves the cursor durably, and lets go of segments
    /// that every reader is past. Records before it that were not read yet are skipped. Blocks for two syncs.
    pub fn commit(&mut self, position: Position) -> Result<(), ReadError> {
        let core = self.walk.core.clone();
        let seq = position.seq.min(self.tip.borrow().seq);
        let moving = locked(&core.cursors);
        let known = locked(&core.state).cursors.get(&self.name).copied().unwrap_or_default();
        if known.seq >= seq {
            return Ok(());
        }
        let cursor = Cursor { seq, ..known };
        let path = core.dir.join(cursor::file_name(&self.name));
        core.write_cursor(&self.name, cursor).map_err(ReadError::at(path))?;
        self.walk.want = self.walk.want.max(seq + 1);
        let mut state = locked(&core.state);
        state.cursors.insert(self.name.clone(), cursor);
        let expired = state.take_expired();
        drop((state, moving));
        core.remove(expired);
        Ok(())
    }

    /// A record that was read and is not committed yet, once more; `None`: it was erased since, or is damaged. Reads its
    /// segment from the start.
    pub fn again(&self, position: Position) -> Result<Option<Bytes>, ReadError> {
        let mut walk = Walk::new(self.walk.core.clone(), position.seq.saturating_sub(1));
        let found = walk.next(|_| 0)?;
        Ok(found.filter(|(at, _)| *at == position).map(|(_, record)| record))
    }

    /// How a record is to be treated, after what earlier processes died of. One that is suspect is to be tried alone
    /// ([`Reader::begin`] with it as first and last); one that is condemned is to be set aside.
    pub fn suspicion(&self, position: Position) -> Suspicion {
        self.attempts.as_ref().map_or(Suspicion::None, |attempts| attempts.suspicion(position.seq))
    }

    /// Notes, for the next process, that this one works on the records from `first` to `last`.
    pub fn begin(&mut self, first: Position, last: Position) {
        self.note(|attempts| attempts.begin(first.seq..=last.seq));
    }

    /// Notes that the work begun last is done, and that the process has survived it.
    pub fn end(&mut self) {
        self.note(AttemptFile::end);
    }

    fn note(&mut self, note: impl FnOnce(&mut AttemptFile) -> io::Result<()>) {
        if let Some(attempts) = &mut self.attempts
            && let Err(error) = note(attempts)
        {
            tracing::warn!(reader = self.name, %error, "journal: attempts cannot be noted any more");
            self.attempts = None;
        }
    }

    /// Sets a record aside that cannot be processed: keeps it, as it stands in the journal, in quarantine, where
    /// people find it. `reason` is for them; it holds no content.
    pub fn set_aside(&self, position: Position, record: &[u8], reason: &'static str) {
        self.walk.core.set_aside(position, record, reason);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        locked(&self.walk.core.state).live.remove(&self.name);
        self.walk.core.unlock_if_idle();
    }
}

/// All records that the journal still holds, also those that its readers are done with while their segment is there;
/// none that was appended after it was made need be among them.
pub struct Retained(Walk);

impl Retained {
    pub(super) fn new(core: Arc<Core>) -> Retained {
        let after = locked(&core.state).start();
        Retained(Walk::new(core, after))
    }

    /// The next record (an encoded `Batch`), or `None` at the end. Blocks for the file.
    pub fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        self.0.next(|_| 0)
    }
}
