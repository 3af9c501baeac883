//! Which files of a table may hold rows of a session.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::sink::lake::{LakeError, Table, TableFile};

/// What the log says was added after some version.
#[derive(Debug)]
pub struct Added {
    pub version: i64,
    pub file: Arc<TableFile>,
}

/// The files of one table at one version. The sessions' tags are those that the table's own state holds, once.
#[derive(Default)]
pub struct FileIndex {
    version: i64,
    next: u32,
    /// By number: oldest first.
    files: BTreeMap<u32, Arc<TableFile>>,
    by_path: HashMap<String, u32>,
}

impl FileIndex {
    /// Indexes the table at its handle's version.
    pub async fn load(table: &Table) -> Result<FileIndex, LakeError> {
        let mut index = FileIndex::at(table.version());
        table.files().await?.into_iter().for_each(|file| {
            index.add(file);
        });
        Ok(index)
    }

    /// An empty index: everything after `version` will be new.
    pub fn at(version: i64) -> FileIndex {
        FileIndex { version, ..FileIndex::default() }
    }

    /// The table's version that it shows.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Follows the table to its handle's version. Returns the files with rows that are new: a commit that removes
    /// files as well rearranges rows, or takes some away.
    pub async fn advance(&mut self, table: &Table) -> Result<Vec<Added>, LakeError> {
        self.advance_past(table, &HashSet::new()).await
    }

    /// As `advance`, where the rows of `unread` files were not looked at yet: what takes the place of one of them has new
    /// rows as well. So may a file that changed rows of one that was never met here: it may hold what is kept of a session
    /// that was erased while nobody looked.
    pub async fn advance_past(&mut self, table: &Table, unread: &HashSet<String>) -> Result<Vec<Added>, LakeError> {
        if table.version() == self.version {
            return Ok(Vec::new());
        }
        let Some(commits) = table.changes_since(self.version).await? else {
            return self.reload(table).await;
        };
        let (mut new, mut unread) = (Vec::<Added>::new(), unread.clone());
        for commit in commits {
            let unmet = |path: &String| commit.data_change && !self.by_path.contains_key(path);
            let unseen = |path: &String| unread.contains(path) || unmet(path);
            let append = match commit.removed.is_empty() {
                true => commit.data_change,
                false => commit.removed.iter().any(unseen),
            };
            commit.removed.iter().for_each(|path| self.remove(path));
            for file in commit.added {
                let file = self.add(file);
                if append {
                    unread.insert(file.path.clone());
                    new.push(Added { version: commit.version, file });
                }
            }
        }
        self.version = table.version();
        new.retain(|added| self.by_path.contains_key(&added.file.path));
        Ok(new)
    }

    /// When the log no longer reaches back: every file not known before counts as new.
    async fn reload(&mut self, table: &Table) -> Result<Vec<Added>, LakeError> {
        let fresh = FileIndex::load(table).await?;
        let known = std::mem::replace(self, fresh).by_path;
        let new = self.files.values().filter(|file| !known.contains_key(&file.path));
        Ok(new.map(|file| Added { version: self.version, file: file.clone() }).collect())
    }

    /// Whether the table has the file.
    pub fn has(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.files.values()
    }

    fn add(&mut self, file: TableFile) -> Arc<TableFile> {
        self.remove(&file.path);
        let number = self.next;
        self.next += 1;
        self.by_path.insert(file.path.clone(), number);
        let file = Arc::new(file);
        self.files.insert(number, file.clone());
        file
    }

    fn remove(&mut self, path: &str) {
        if let Some(number) = self.by_path.remove(path) {
            self.files.remove(&number);
        }
    }

    /// The files that may hold rows of any of these sessions, oldest first: those without tags, too.
    pub fn holding(&self, tags: impl Iterator<Item = u64>) -> Vec<Arc<TableFile>> {
        let tags: BTreeSet<u64> = tags.collect();
        let tags: Vec<u64> = tags.into_iter().collect();
        self.files.values().filter(|file| file.may_hold(&tags)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::lake::Tags;

    fn file(path: &str, sessions: Option<&[u64]>) -> TableFile {
        TableFile {
            path: path.to_owned(),
            size: 1,
            date: 0,
            sessions: sessions.and_then(|tags| Tags::list(tags.to_vec())),
            lasting: false,
        }
    }

    fn paths(index: &FileIndex, tags: &[u64]) -> Vec<String> {
        index.holding(tags.iter().copied()).iter().map(|f| f.path.clone()).collect()
    }

    #[test]
    fn finds_the_files_of_a_session_and_those_that_may_hold_any() {
        let mut index = FileIndex::default();
        index.add(file("a", Some(&[1, 2])));
        index.add(file("b", Some(&[2, 3])));
        index.add(file("c", None));
        assert_eq!(paths(&index, &[1]), ["a", "c"]);
        assert_eq!(paths(&index, &[1, 2]), ["a", "b", "c"]);
        assert_eq!(paths(&index, &[9]), ["c"]);
    }

    #[test]
    fn removed_files_are_forgotten_with_their_tags() {
        let mut index = FileIndex::default();
        index.add(file("a", Some(&[1, 2])));
        index.add(file("b", Some(&[2])));
        index.add(file("a", Some(&[1, 2])));
        index.remove("a");
        index.remove("never there");
        assert_eq!(paths(&index, &[1, 2]), ["b"]);
        assert!(paths(&index, &[1]).is_empty());
        assert_eq!(index.files().count(), 1);
    }
}
