//! What is gone from a table, gone from the store: data files by name, a versioned bucket's older versions, what the log
//! and its checkpoints say of them, and files that no commit ever named.
//!
//! Everything is found by looking, nothing is remembered: whatever cuts this off, the next call finishes it. Data files go
//! before the log forgets what was in them.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::scrub::scrub;
use crate::sink::lake::additions::Addition;
use crate::sink::lake::bucket::{Bucket, BucketError, Version};
use crate::sink::lake::commit::APPEND_LIFETIME;
use crate::sink::lake::store::Store;
use crate::sink::lake::{LakeError, Table, TableFile, TableKind, log, reader};

/// Files deleted at the same time.
const CONCURRENT: usize = 16;
/// Longer lists of what remains say how many more there are.
const MOST_NAMED: usize = 100;
/// A writer may take that long from its last look at an upload's age to the commit that names it, microseconds: the store's
/// own time for a request, and room.
pub(in crate::sink::lake) const COMMIT_MARGIN: i64 = 120_000_000;

/// A file that was not written to for that long was cut off, microseconds: a write to a local disk does not take that long
/// between two of its steps.
const CUT_OFF: i64 = 30_000_000;

/// What is to be gone. Files that the table has now are never touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gone<'a> {
    /// Files by their path in the log.
    pub paths: Option<&'a HashSet<String>>,
    /// Every file that holds rows of these sessions, whatever removed it, and whether a commit named it or not.
    pub sessions: Option<&'a HashSet<String>>,
    /// Every file that the log names and the table no longer has.
    pub superseded: bool,
    /// Since when nobody writes or commits a file of the sessions any more, UTC microseconds: every writer has said so, or
    /// has been silent for longer than an upload may wait. `None`: somebody may.
    pub uploads_over_since: Option<i64>,
}

/// What was deleted, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    pub files: usize,
    pub bytes: u64,
    /// Log entries that no longer describe gone files.
    pub entries: usize,
    /// Older versions of objects, with markers.
    pub versions: usize,
    /// Files of the sessions that no commit names yet and that are so new that their writer may still be about to, and
    /// files that may have been cut off while they were written: call again, after [`APPEND_LIFETIME`] and two minutes at
    /// the latest.
    pub waiting: usize,
    /// Objects that the store would not give up, with the reason: locked versions, for example.
    pub remaining: Vec<String>,
}

impl Purged {
    /// Adds what another one did.
    pub fn and(&mut self, other: Purged) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.entries += other.entries;
        self.versions += other.versions;
        self.waiting += other.waiting;
        other.remaining.into_iter().for_each(|object| self.remains(object));
    }

    fn remains(&mut self, object: String) {
        match self.remaining.len() {
            n if n < MOST_NAMED => self.remaining.push(object),
            n if n == MOST_NAMED => self.remaining.push("and more".to_owned()),
            _ => {}
        }
    }
}

/// Deletes what `gone` names. A reader that looked at the table before may find a file missing and must look again.
///
/// # Errors
/// The store cannot be read, or does not delete for a reason that may pass. Call it again.
pub async fn purge(table: &mut Table, gone: Gone<'_>) -> Result<Purged, LakeError> {
    table.refresh().await?;
    let mut purging = Purging {
        tags: gone.sessions.map(|sessions| table.session_tags(sessions)).unwrap_or_default(),
        now: table.clock.now(),
        table,
        gone,
        known: HashSet::new(),
        done: Purged::default(),
    };
    let entries = purging.entries().await?;
    let mut files = purging.files(&entries).await?;
    files.sort_by(|a, b| a.location.cmp(&b.location));
    purging.delete(&files).await?;
    purging.scrub(&entries).await?;
    purging.checkpoints().await?;
    purging.sweep(&files).await;
    purging.unfinished().await;
    Ok(purging.done)
}

struct Purging<'a> {
    table: &'a Table,
    gone: Gone<'a>,
    tags: Vec<u64>,
    /// UTC microseconds.
    now: i64,
    /// Files that the log names, and what they hold is known not to be wanted.
    known: HashSet<String>,
    done: Purged,
}

/// A log entry's version, and which of its additions are gone.
type Entries = BTreeMap<i64, HashMap<usize, String>>;

impl Purging<'_> {
    fn is_live(&self, path: &str) -> bool {
        self.table.state.files.contains_key(path)
    }

    /// Whether a file that the table no longer has is to go by what the log says of it.
    fn is_gone(&self, file: &TableFile) -> bool {
        let named = self.gone.paths.is_some_and(|paths| paths.contains(&file.path));
        self.gone.superseded || named || (self.gone.sessions.is_some() && file.may_hold(&self.tags))
    }

    /// Reads the log up to the version that is known of the table: what came since added files that the table has.
    async fn entries(&mut self) -> Result<Entries, LakeError> {
        let place = &self.table.place;
        let listed = place.store.list(&place.log).await?;
        let now = self.table.version();
        let mut versions: Vec<i64> = listed.iter().filter_map(entry_version).filter(|v| *v <= now).collect();
        versions.sort_unstable();
        let (mut entries, mut known) = (Entries::new(), HashSet::new());
        let sort = |addition: &Addition| {
            let Addition { version, at, file } = addition;
            if self.is_live(&file.path) {
                return;
            }
            if self.is_gone(file) {
                entries.entry(*version).or_default().insert(*at, file.path.clone());
            } else {
                known.insert(file.path.clone());
            }
        };
        place.additions.each(place, &versions, sort).await?;
        self.known = known;
        Ok(entries)
    }

    /// The data files that are to be deleted. Those that the log describes are known; of the others, those of the
    /// sessions are found by reading them.
    async fn files(&mut self, entries: &Entries) -> Result<Vec<ObjectMeta>, LakeError> {
        let place = &self.table.place;
        let named: HashSet<&str> = entries.values().flat_map(HashMap::values).map(String::as_str).collect();
        let mut gone = Vec::new();
        for object in place.store.objects(&place.root).await? {
            let Some(path) = self.path_of(&object.location) else { continue };
            if self.is_live(&path) || self.known.contains(&path) {
                continue;
            }
            if named.contains(path.as_str()) {
                gone.push(object);
            } else if self.holds(&path, &object).await {
                match self.may_be_committed(&object) {
                    true => self.done.waiting += 1,
                    false => gone.push(object),
                }
            }
        }
        Ok(gone)
    }

    /// The path of a data file as in the log.
    fn path_of(&self, location: &Path) -> Option<String> {
        self.table.place.relative(location).filter(|path| !path.starts_with('_'))
    }

    /// Whether a file that no commit names holds rows of the sessions. One that cannot be read may.
    async fn holds(&self, path: &str, object: &ObjectMeta) -> bool {
        let Some(sessions) = self.gone.sessions else { return false };
        let file = TableFile { path: path.to_owned(), size: object.size, date: 0, sessions: None, lasting: false };
        let place = &self.table.place;
        match reader::holds(&place.store, place.file(path), &file, sessions).await {
            Ok(holds) => holds,
            Err(error) => {
                tracing::debug!(path, %error, "a file that no commit names cannot be read");
                true
            }
        }
    }

    /// Whether a file's writer may be about to name it. Only facts are written by others than who maintains the lake; who
    /// did so before is fenced out.
    fn may_be_committed(&self, object: &ObjectMeta) -> bool {
        let written = object.last_modified.timestamp_micros();
        self.table.place.kind == TableKind::Facts
            && self.gone.uploads_over_since.is_none()
            && self.now.saturating_sub(written) < APPEND_LIFETIME.saturating_add(COMMIT_MARGIN)
    }

    async fn delete(&mut self, files: &[ObjectMeta]) -> Result<(), LakeError> {
        let store = &self.table.place.store;
        let paths: Vec<Path> = files.iter().map(|file| file.location.clone()).collect();
        let deletes = futures::stream::iter(paths).map(|path| async move { store.delete(&path).await });
        let mut deletes = deletes.buffer_unordered(CONCURRENT);
        while let Some(result) = deletes.next().await {
            result?;
        }
        self.done.files += files.len();
        self.done.bytes += files.iter().map(|file| file.size).sum::<u64>();
        let staged = store.remove_staged(&self.table.place.name, self.now.saturating_sub(CUT_OFF)).await?;
        // What a process was writing when it was killed may be of the sessions; what was begun since then is not.
        let over = self.gone.uploads_over_since.unwrap_or(i64::MIN);
        self.done.waiting += staged.left.iter().filter(|written| **written <= over).count();
        Ok(())
    }

    async fn scrub(&mut self, entries: &Entries) -> Result<(), LakeError> {
        let place = &self.table.place;
        for (version, gone) in entries {
            let path = place.entry(*version);
            let Some(bytes) = place.store.read(&path).await? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            if let Some(scrubbed) = scrub(&text, |add| gone.contains_key(&add)) {
                place.store.put(&path, scrubbed.into()).await?;
                self.done.entries += 1;
            }
        }
        Ok(())
    }

    /// Older checkpoints describe files that were there then: a new one takes their place.
    async fn checkpoints(&mut self) -> Result<(), LakeError> {
        let (place, now) = (&self.table.place, self.table.version());
        let listed = place.store.list(&place.log).await?;
        let summaries: Vec<(i64, &Path)> =
            listed.iter().filter_map(|path| Some((summary_version(path)?, path))).collect();
        let of = |older: bool| {
            let chosen =
                summaries.iter().filter(move |(version, _)| if older { *version < now } else { *version == now });
            chosen.map(|(_, path)| *path).collect::<Vec<_>>()
        };
        let (older, current) = (of(true), of(false));
        if older.is_empty() {
            return Ok(());
        }
        // Readers begin where the hint says: it must not name one that is about to go.
        if place.checkpoint().await?.is_none_or(|hint| hint < now) {
            // One that is there and is not hinted at was cut off: it would not be written again.
            for path in current {
                place.store.delete(path).await?;
            }
            self.table.checkpoint().await?;
            if place.checkpoint().await?.is_none_or(|hint| hint < now) {
                let source = object_store::Error::Generic { store: "log", source: "no hint was written".into() };
                return Err(LakeError::store(&place.log, source));
            }
        }
        for path in older {
            place.store.delete(path).await?;
        }
        Ok(())
    }

    /// Deletes what a versioned bucket keeps of deleted and overwritten objects: of the log all of it, of data files what
    /// is not known to hold other things.
    async fn sweep(&mut self, files: &[ObjectMeta]) {
        let place = &self.table.place;
        let deleted: HashSet<&str> = files.iter().map(|file| file.location.as_ref()).collect();
        let in_log = format!("{}/", place.log);
        let chosen = |key: &str| {
            let unknown = || self.path_of(&Path::from(key)).is_none_or(|path| !self.known.contains(&path));
            key.starts_with(&in_log)
                || deleted.contains(key)
                || ((self.gone.superseded || self.gone.sessions.is_some()) && unknown())
        };
        let swept = purge_versions(&place.store, &place.root, chosen).await;
        self.done.and(swept);
    }
}

impl Purging<'_> {
    /// Ends uploads in parts, which may hold anything: only who maintains the lake makes them, and that is the caller, who
    /// has none under way.
    async fn unfinished(&mut self) {
        let place = &self.table.place;
        let Some(bucket) = place.store.bucket.as_ref().filter(|_| self.gone.sessions.is_some()) else { return };
        match bucket.abort_uploads(&place.root, i64::MAX).await {
            Ok(count) => self.done.files += count,
            Err(error) if error.is_unsupported() => {}
            Err(error) => self.done.remains(format!("{}: unfinished uploads, if there are any ({error})", place.root)),
        }
    }
}

/// Deletes the versions of deleted objects below a folder that are chosen by their key, and the markers.
pub async fn purge_versions(store: &Store, folder: &Path, chosen: impl Fn(&str) -> bool) -> Purged {
    let mut purged = Purged::default();
    let Some(bucket) = &store.bucket else { return purged };
    match bucket.versions(folder).await {
        Ok(listed) => {
            let live: HashSet<String> =
                listed.iter().filter(|v| v.latest && !v.marker).map(|v| v.key.clone()).collect();
            let stale = listed.into_iter().filter(|v| chosen(&v.key) && !(v.latest && live.contains(&v.key)));
            delete_versions(bucket, stale.collect(), &mut purged).await;
        }
        Err(error) if error.is_unsupported() => {}
        Err(error) => purged.remains(format!("{folder}: older versions, if there are any ({error})")),
    }
    purged
}

async fn delete_versions(bucket: &Bucket, stale: Vec<Version>, purged: &mut Purged) {
    let (markers, contents): (Vec<Version>, Vec<Version>) = stale.into_iter().partition(|version| version.marker);
    // Markers last: without them an older version would be found by a plain read.
    for version in contents.into_iter().chain(markers) {
        match bucket.delete_version(&version).await {
            Ok(()) | Err(BucketError::Refused { status: 404, .. }) => purged.versions += 1,
            Err(error) => purged.remains(format!("{} version {} ({error})", version.key, version.id)),
        }
    }
}

/// The version of a log entry; `None`: the file is none.
pub(super) fn entry_version(path: &Path) -> Option<i64> {
    log::version_before(path, ".json")
}

/// The version of a checkpoint, a part of one, a checksum file or a compacted log (its first version); `None`: the file is
/// none of them.
pub(super) fn summary_version(path: &Path) -> Option<i64> {
    let (digits, rest) = path.filename()?.split_once('.')?;
    let known = rest.starts_with("checkpoint.") || rest == "crc" || rest.ends_with("compacted.json");
    (known && digits.len() == 20).then(|| digits.parse().ok())?
}
