//! The tokens of a data directory, as a file.
//!
//! `auth/tokens.json` holds what proves each token, never its text: a keyed hash for the door, and a SCRAM verifier for a
//! login over PostgreSQL's protocol. The hashes' key is `auth/key`, apart from them, so that a copy of the one file alone
//! proves nothing. Both are for the owner's eyes only, replaced as a whole, and synced; `auth/lock` keeps writers apart.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Randomness, Standing, Wanted};
use super::{Token, scram};
use crate::model::Workspace;
use crate::private;

/// Tokens in a store, with those that are over.
pub const MOST_TOKENS: usize = 10_000;
/// About 400 bytes a token.
const MAX_BYTES: u64 = 16 << 20;
/// Of the file's form.
const VERSION: u32 = 1;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is damaged: {reason}; restore it from a backup, or delete it and create new tokens", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("a name is 1 to 64 of a-z, A-Z, 0-9, '.', '_', '@' and '-'")]
    Name,
    #[error("workspace {workspace} has a token named '{name}' already: rotate it, revoke it, or choose another name")]
    Taken { workspace: Workspace, name: String },
    #[error("there are {MOST_TOKENS} tokens, all of them in use: revoke some")]
    Full,
    #[error("no token has the id or name '{0}': `token list` shows those that there are")]
    Unknown(String),
    #[error("several tokens are named '{name}': give one of their ids, {}", ids.join(", "))]
    Ambiguous { name: String, ids: Vec<String> },
    #[error("token {id} is {} already", standing.as_str())]
    Over { id: String, standing: Standing },
}

/// A store's contents.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub key: [u8; 32],
    pub entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    tokens: Vec<Entry>,
}

/// The store of a data directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Touches nothing yet.
    pub fn new(data_dir: &Path) -> Store {
        Store { dir: data_dir.join("auth") }
    }

    /// The files that make it up: the tokens, and the key.
    pub fn files(&self) -> [PathBuf; 2] {
        [self.dir.join("tokens.json"), self.dir.join("key")]
    }

    /// What is stored; nothing where there is no store yet.
    ///
    /// # Errors
    /// When a file cannot be read, or is damaged.
    pub fn read(&self) -> Result<Contents, StoreError> {
        let Some(text) = self.text("tokens.json")? else { return Ok(Contents::default()) };
        let [path, key] = self.files();
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        // The parser's own words could quote what it found.
        let document: Document = serde_json::from_str(&text)
            .map_err(|e| damaged(format!("not a list of tokens, line {} column {}", e.line(), e.column())))?;
        if document.version != VERSION {
            return Err(damaged(format!("its format is {}, and this version knows {VERSION}", document.version)));
        }
        let missing = || StoreError::Damaged { path: key, reason: "it is missing".to_owned() };
        let key = self.key()?.ok_or_else(missing)?;
        Ok(Contents { key, entries: document.tokens })
    }

    /// Makes a token, and keeps all but its secret. `fresh_key` becomes the store's key when it has none yet.
    ///
    /// # Errors
    /// When the name cannot be used, or the store cannot be read or written.
    pub fn create(
        &self,
        wanted: Wanted,
        random: Randomness,
        fresh_key: [u8; 32],
        now: i64,
    ) -> Result<(Token, Entry), StoreError> {
        self.change(Some(fresh_key), |contents| {
            let token = Token::new(random.token);
            let name = wanted.name.unwrap_or_else(|| format!("{}-{}", wanted.role.as_str(), token.id()));
            check_names(&name, wanted.group.as_deref())?;
            let same = |e: &&Entry| e.workspace == wanted.workspace && e.name == name;
            if contents.entries.iter().filter(same).any(|e| e.standing(now) == Standing::Active) {
                return Err(StoreError::Taken { workspace: wanted.workspace, name });
            }
            let entry = Entry {
                id: token.id().to_owned(),
                name,
                group: wanted.group,
                workspace: wanted.workspace,
                role: wanted.role,
                created_at: now,
                expires_at: wanted.expires_at,
                revoked_at: None,
                hash: token.digest(&contents.key).to_hex().to_string(),
                scram: scram::verifier(token.reveal(), random.salt),
            };
            add(&mut contents.entries, entry.clone(), now)?;
            Ok((token, entry))
        })
    }

    /// Replaces an active token by a new one that is the same but for its secret. The old one is over at `old_until`
    /// (UTC microseconds), at once where that is `None`. The new one expires as long after `now` as the old one did
    /// after it was created.
    ///
    /// # Errors
    /// When no active token is meant, or the store cannot be read or written.
    pub fn rotate(
        &self,
        which: &Which,
        random: Randomness,
        old_until: Option<i64>,
        now: i64,
    ) -> Result<(Token, Entry), StoreError> {
        self.change(None, |contents| {
            let old = active(&mut contents.entries, which, now)?;
            let token = Token::new(random.token);
            let lifetime = old.expires_at.map(|end| end - old.created_at);
            let entry = Entry {
                id: token.id().to_owned(),
                created_at: now,
                expires_at: lifetime.map(|lifetime| now.saturating_add(lifetime)),
                hash: token.digest(&contents.key).to_hex().to_string(),
                scram: scram::verifier(token.reveal(), random.salt),
                ..old.clone()
            };
            match old_until {
                None => old.revoked_at = Some(now),
                Some(until) => old.expires_at = Some(old.expires_at.map_or(until, |end| end.min(until))),
            }
            add(&mut contents.entries, entry.clone(), now)?;
            Ok((token, entry))
        })
    }

    /// Ends an active token at once.
    ///
    /// # Errors
    /// When no active token is meant, or the store cannot be read or written.
    pub fn revoke(&self, which: &Which, now: i64) -> Result<Entry, StoreError> {
        self.change(None, |contents| {
            let entry = active(&mut contents.entries, which, now)?;
            entry.revoked_at = Some(now);
            Ok(entry.clone())
        })
    }

    /// Reads, changes and replaces, alone. Nothing is written when `change` fails. Without `fresh_key` no store is made
    /// where there is none.
    fn change<T>(
        &self,
        fresh_key: Option<[u8; 32]>,
        change: impl FnOnce(&mut Contents) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if fresh_key.is_none() && !self.dir.exists() {
            return change(&mut Contents::default());
        }
        private::create_dir(&self.dir).map_err(|e| io("create", &self.dir, e))?;
        let lock = self.dir.join("lock");
        let file = private::open(&lock).map_err(|e| io("open", &lock, e))?;
        file.lock().map_err(|e| io("lock", &lock, e))?;
        let mut contents = self.read()?;
        contents.key = match (self.key()?, fresh_key) {
            (Some(key), _) => key,
            (None, Some(fresh)) => {
                self.write("key", &format!("{}\n", blake3::Hash::from_bytes(fresh).to_hex()))?;
                fresh
            }
            (None, None) => contents.key,
        };
        let done = change(&mut contents)?;
        let document = Document { version: VERSION, tokens: contents.entries };
        let text = serde_json::to_string_pretty(&document).expect("entries have string keys and plain values only");
        self.write("tokens.json", &format!("{text}\n"))?;
        Ok(done)
    }

    fn key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        let Some(text) = self.text("key")? else { return Ok(None) };
        let reason = || "it is no key of 64 hexadecimal digits".to_owned();
        let hash = blake3::Hash::from_hex(text.trim());
        let hash = hash.map_err(|_| StoreError::Damaged { path: self.dir.join("key"), reason: reason() })?;
        Ok(Some(*hash.as_bytes()))
    }

    /// A file's text; `None` where there is none.
    fn text(&self, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.dir.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path, error)),
        };
        let mut text = String::new();
        match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
            Err(error) => Err(io("read", &path, error)),
            Ok(bytes) if bytes as u64 > MAX_BYTES => {
                Err(StoreError::Damaged { path, reason: format!("it is larger than {MAX_BYTES} bytes") })
            }
            Ok(_) => Ok(Some(text)),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        private::replace(&path, text.as_bytes()).map_err(|e| io("write", &path, e))
    }
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { what, path: path.to_owned(), source }
}

/// Which token is meant.
#[derive(Clone, Debug)]
pub struct Which {
    /// An id or a name.
    pub text: String,
    /// Only in that workspace.
    pub workspace: Option<Workspace>,
}

/// The one active token that is meant.
fn active<'e>(entries: &'e mut [Entry], which: &Which, now: i64) -> Result<&'e mut Entry, StoreError> {
    let meant = |e: &Entry| {
        (e.id == which.text || e.name == which.text) && which.workspace.as_ref().is_none_or(|w| *w == e.workspace)
    };
    let found: Vec<usize> = (0..entries.len()).filter(|i| meant(&entries[*i])).collect();
    let by_id = found.iter().copied().find(|i| entries[*i].id == which.text);
    let active: Vec<usize> = found.iter().copied().filter(|i| entries[*i].standing(now) == Standing::Active).collect();
    let one = match (by_id, active.as_slice()) {
        (Some(one), _) => one,
        (None, [one]) => *one,
        (None, []) => *found.last().ok_or_else(|| StoreError::Unknown(which.text.clone()))?,
        (None, several) => {
            let ids = several.iter().map(|i| entries[*i].id.clone()).collect();
            return Err(StoreError::Ambiguous { name: which.text.clone(), ids });
        }
    };
    match entries[one].standing(now) {
        Standing::Active => Ok(&mut entries[one]),
        standing => Err(StoreError::Over { id: entries[one].id.clone(), standing }),
    }
}

/// A full store forgets the oldest token that is over.
fn add(entries: &mut Vec<Entry>, entry: Entry, now: i64) -> Result<(), StoreError> {
    if entries.len() >= MOST_TOKENS {
        let over = |e: &Entry| e.standing(now) != Standing::Active;
        let oldest = (0..entries.len()).filter(|i| over(&entries[*i])).min_by_key(|i| entries[*i].created_at);
        entries.remove(oldest.ok_or(StoreError::Full)?);
    }
    entries.push(entry);
    Ok(())
}

fn check_names(name: &str, group: Option<&str>) -> Result<(), StoreError> {
    let good = |text: &str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
    };
    if good(name) && group.is_none_or(good) { Ok(()) } else { Err(StoreError::Name) }
}
