//! The tokens that a running server knows.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::door::Denied;
use super::login::Login;
use super::scram::Verifier;
use super::store::{Contents, Store, StoreError};
use super::{Caller, Entry, Permission, Standing, Token};

/// Shared and always up to date, as far as [`Tokens::refresh`] is called. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    store: Store,
    known: RwLock<Known>,
}

/// What was read last.
struct Known {
    stamp: Stamp,
    key: [u8; 32],
    by_id: HashMap<String, Entry>,
}

/// Of both files: inode, size, and the time of the last change (of contents or permissions) in seconds and nanoseconds.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl Tokens {
    /// Reads the store of a data directory; no token is known where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn open(data_dir: &Path) -> Result<Tokens, StoreError> {
        let store = Store::new(data_dir);
        let stamp = stamp(&store);
        let known = Known::new(stamp, store.read()?);
        Ok(Tokens(Arc::new(Shared { store, known: RwLock::new(known) })))
    }

    /// Looks at the file, and reads it when it was replaced: `true`. Blocks on files.
    ///
    /// # Errors
    /// When the new file cannot be read, or is damaged; what was known stays. Said once for each file.
    pub fn refresh(&self) -> Result<bool, StoreError> {
        // Taken before the file is read: a replacement in between is noticed the next time.
        let stamp = stamp(&self.0.store);
        if self.0.known.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(false);
        }
        let read = self.0.store.read();
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.stamp = stamp;
        *known = Known::new(stamp, read?);
        Ok(true)
    }

    /// How many tokens are good at `now`, UTC microseconds.
    pub fn active(&self, now: i64) -> usize {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.values().filter(|entry| entry.standing(now) == Standing::Active).count()
    }

    /// Who shows `token`, if it is good at `now` (UTC microseconds) and may do what is asked for. Whether a token's
    /// secret is right takes the same time to say for every token, known or not.
    pub fn check(&self, token: &Token, asks: Permission, now: i64) -> Result<Caller, Denied> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let digest = token.digest(&known.key);
        let entry = known.by_id.get(token.id());
        let stored = entry.and_then(|entry| blake3::Hash::from_hex(&entry.hash).ok());
        // The comparison of hashes takes constant time (blake3's documentation). The zero hash is nobody's.
        let right = digest == stored.unwrap_or(blake3::Hash::from_bytes([0; 32]));
        let entry = entry.filter(|_| right).ok_or(Denied::Unknown)?;
        match entry.standing(now) {
            Standing::Revoked => Err(Denied::Revoked),
            Standing::Expired => Err(Denied::Expired),
            Standing::Active if !entry.role.may(asks) => Err(Denied::Role(entry.role)),
            Standing::Active => {
                Ok(Caller { workspace: entry.workspace.clone(), principal: Some(entry.principal().to_owned()) })
            }
        }
    }
}

impl Tokens {
    /// What checks the login of a user, by name or id, to a workspace, and the token's id; for a user that is not known,
    /// a decoy. Of tokens with one name (a rotation) the newest that is good counts.
    pub fn verifier(&self, workspace: &str, user: &str, now: i64) -> (Verifier, Option<String>) {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let named = |entry: &&Entry| entry.workspace.as_str() == workspace && (entry.name == user || entry.id == user);
        let best = |entry: &&Entry| (entry.standing(now) == Standing::Active, entry.created_at);
        let entry = known.by_id.values().filter(named).max_by_key(best);
        let decoy = || Verifier::decoy(&known.key, &format!("{workspace}/{user}"));
        match entry.and_then(|entry| Some((Verifier::parse(&entry.scram)?, entry.id.clone()))) {
            Some((verifier, id)) => (verifier, Some(id)),
            None => (decoy(), None),
        }
    }

    /// Who holds the token with this id, if it is good at `now` and may do what is asked for.
    pub fn standing(&self, id: &str, asks: Permission, now: i64) -> Result<Login, Denied> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.by_id.get(id).ok_or(Denied::Unknown)?;
        match entry.standing(now) {
            Standing::Revoked => Err(Denied::Revoked),
            Standing::Expired => Err(Denied::Expired),
            Standing::Active if !entry.role.may(asks) => Err(Denied::Role(entry.role)),
            Standing::Active => Ok(Login {
                workspace: entry.workspace.clone(),
                principal: Some(entry.principal().to_owned()),
                role: entry.role,
                token: Some(id.to_owned()),
            }),
        }
    }
}

impl Known {
    fn new(stamp: Stamp, contents: Contents) -> Known {
        let by_id = contents.entries.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
        Known { stamp, key: contents.key, by_id }
    }
}

fn stamp(store: &Store) -> Stamp {
    store.files().map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
    })
}
