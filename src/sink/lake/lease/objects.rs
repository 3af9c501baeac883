//! The lease of a lake on a store: one object per epoch, `_sessionlake/lease/<epoch>`.
//!
//! Whoever creates the next epoch's object (a put-if-absent, the only condition that every S3-compatible store can be
//! relied on for) is the holder. It writes the object anew every few seconds; one that stays the same for
//! [`LIFETIME`], by the clock of whoever watches, may be followed by the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::sink::lake::LakeError;
use crate::sink::lake::store::Store;

/// A holder that was not heard of for that long may be followed. With a look every second and the next holder's first
/// request that makes a takeover within 15 s, and four renewals may fail before.
pub const LIFETIME: Duration = Duration::from_secs(10);
/// How often the holder says that it lives.
const RENEW: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Word {
    holder: String,
    /// Tells an object that we created from one that another of our name created.
    nonce: Uuid,
    beat: u64,
    released: bool,
}

impl Word {
    fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("made of text and numbers").into()
    }
}

/// Looks at the lease and takes it.
pub struct Objects {
    store: Store,
    folder: Path,
    holder: String,
    /// The newest object as it was seen, and since when it is so.
    seen: Option<(i64, Bytes, Instant)>,
    /// Until the first time that we hold it: what one of our name holds is what our predecessor left.
    fresh: bool,
}

impl Objects {
    pub fn new(store: Store, folder: Path, holder: &str) -> Objects {
        Objects { store, folder, holder: holder.to_owned(), seen: None, fresh: true }
    }

    pub async fn attempt(&mut self, above: i64) -> Result<Option<(i64, Renewed)>, LakeError> {
        let newest = newest(&self.store, &self.folder).await?.unwrap_or(0);
        if newest > 0 && !self.is_free(newest).await? {
            return Ok(None);
        }
        let epoch = newest.max(above).saturating_add(1);
        let word = Word { holder: self.holder.clone(), nonce: Uuid::new_v4(), beat: 0, released: false };
        let path = object(&self.folder, epoch);
        if !self.store.create(&path, word.bytes()).await? {
            // Another was faster, or our own request was answered twice.
            let there = self.store.read(&path).await?;
            if there.is_none_or(|there| there != word.bytes()) {
                return Ok(None);
            }
        }
        self.fresh = false;
        self.seen = None;
        Ok(Some((epoch, Renewed::start(self.store.clone(), self.folder.clone(), epoch, word))))
    }

    async fn is_free(&mut self, newest: i64) -> Result<bool, LakeError> {
        // An object that is gone was tidied away by the next holder.
        let Some(bytes) = self.store.read(&object(&self.folder, newest)).await? else { return Ok(false) };
        let word = serde_json::from_slice::<Word>(&bytes).ok();
        if word.is_some_and(|word| word.released || (self.fresh && word.holder == self.holder)) {
            return Ok(true);
        }
        match &self.seen {
            Some((epoch, same, since)) if *epoch == newest && *same == bytes => Ok(since.elapsed() >= LIFETIME),
            _ => {
                self.seen = Some((newest, bytes, Instant::now()));
                Ok(false)
            }
        }
    }
}

fn object(folder: &Path, epoch: i64) -> Path {
    folder.clone().join(format!("{epoch:020}"))
}

async fn newest(store: &Store, folder: &Path) -> Result<Option<i64>, LakeError> {
    let listed = store.list(folder).await?;
    Ok(listed.iter().filter_map(epoch_of).max())
}

fn epoch_of(path: &Path) -> Option<i64> {
    path.filename()?.parse().ok()
}

/// A lease that a task of its own renews; the task ends with it.
pub struct Renewed {
    store: Store,
    path: Path,
    word: Arc<tokio::sync::Mutex<Word>>,
    lost: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Renewed {
    fn start(store: Store, folder: Path, epoch: i64, word: Word) -> Renewed {
        let (tell, lost) = watch::channel(false);
        let (word, path) = (Arc::new(tokio::sync::Mutex::new(word)), object(&folder, epoch));
        let task = tokio::spawn(renew(store.clone(), folder, epoch, word.clone(), tell));
        Renewed { store, path, word, lost, task }
    }

    pub fn lost(&self) -> watch::Receiver<bool> {
        self.lost.clone()
    }

    /// A failure only means that the next holder waits for [`LIFETIME`].
    pub async fn release(self) {
        self.task.abort();
        let mut word = self.word.lock().await;
        word.released = true;
        if let Err(error) = self.store.put(&self.path, word.bytes().into()).await {
            tracing::debug!(%error, "lease not released");
        }
    }
}

impl Drop for Renewed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(store: Store, folder: Path, epoch: i64, word: Arc<tokio::sync::Mutex<Word>>, tell: watch::Sender<bool>) {
    if let Err(error) = tidy(&store, &folder, epoch).await {
        tracing::debug!(%error, "objects of earlier leases not removed");
    }
    loop {
        tokio::time::sleep(RENEW).await;
        match step(&store, &folder, epoch, &word).await {
            Ok(true) => {}
            Ok(false) => {
                tell.send_replace(true);
                return;
            }
            Err(error) => tracing::warn!(%error, "lease not renewed, trying again"),
        }
    }
}

/// Says that the holder lives; `false` when another follows it.
async fn step(store: &Store, folder: &Path, epoch: i64, word: &tokio::sync::Mutex<Word>) -> Result<bool, LakeError> {
    if newest(store, folder).await?.is_some_and(|newest| newest > epoch) {
        return Ok(false);
    }
    let mut word = word.lock().await;
    word.beat += 1;
    store.put(&object(folder, epoch), word.bytes().into()).await?;
    Ok(true)
}

async fn tidy(store: &Store, folder: &Path, epoch: i64) -> Result<(), LakeError> {
    let listed = store.list(folder).await?;
    for old in listed.into_iter().filter(|path| epoch_of(path).is_some_and(|old| old < epoch)) {
        store.delete(&old).await?;
    }
    Ok(())
}
