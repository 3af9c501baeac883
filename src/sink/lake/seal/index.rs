//! Which files of a table may hold rows of a session.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::sink::lake::{LakeError, Table, TableFile};

/// What the log says was added after some version.
#[derive(Debug)]
pub struct Added {
    pub version: i64,
    pub file: Arc<TableFile>,
}

/// The files of one table at one version, by session tag. About 12 bytes per pair of file and session.
#[derive(Default)]
pub struct FileIndex {
    version: i64,
    next: u32,
    files: HashMap<u32, Arc<TableFile>>,
    by_path: HashMap<String, u32>,
    /// Numbers of files; those of removed files stay until the tag is next looked up.
    by_tag: HashMap<u64, Vec<u32>>,
    /// Files without tags: they may hold any session.
    untagged: BTreeSet<u32>,
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
        if table.version() == self.version {
            return Ok(Vec::new());
        }
        let Some(commits) = table.changes_since(self.version).await? else {
            return self.reload(table).await;
        };
        let mut new = Vec::new();
        for commit in commits {
            let append = commit.data_change && commit.removed.is_empty();
            commit.removed.iter().for_each(|path| self.remove(path));
            for file in commit.added {
                let file = self.add(file);
                if append {
                    new.push(Added { version: commit.version, file });
                }
            }
        }
        self.version = table.version();
        Ok(new)
    }

    /// When the log no longer reaches back: every file not known before counts as new.
    async fn reload(&mut self, table: &Table) -> Result<Vec<Added>, LakeError> {
        let fresh = FileIndex::load(table).await?;
        let known = std::mem::replace(self, fresh).by_path;
        let new = self.files.values().filter(|file| !known.contains_key(&file.path));
        Ok(new.map(|file| Added { version: self.version, file: file.clone() }).collect())
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.files.values()
    }

    fn add(&mut self, file: TableFile) -> Arc<TableFile> {
        self.remove(&file.path);
        let number = self.next;
        self.next += 1;
        match &file.sessions {
            Some(tags) => tags.iter().for_each(|tag| self.by_tag.entry(*tag).or_default().push(number)),
            None => {
                self.untagged.insert(number);
            }
        }
        self.by_path.insert(file.path.clone(), number);
        let file = Arc::new(file);
        self.files.insert(number, file.clone());
        file
    }

    fn remove(&mut self, path: &str) {
        let Some(number) = self.by_path.remove(path) else { return };
        self.untagged.remove(&number);
        let Some(file) = self.files.remove(&number) else { return };
        for tag in file.sessions.iter().flatten() {
            let Some(numbers) = self.by_tag.get_mut(tag) else { continue };
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.by_tag.remove(tag);
            }
        }
    }

    /// The files that may hold rows of any of these sessions, oldest first.
    pub fn holding(&self, tags: impl Iterator<Item = u64>) -> Vec<Arc<TableFile>> {
        let mut numbers = self.untagged.clone();
        tags.filter_map(|tag| self.by_tag.get(&tag)).for_each(|found| numbers.extend(found));
        numbers.iter().filter_map(|number| self.files.get(number).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, sessions: Option<&[u64]>) -> TableFile {
        TableFile { path: path.to_owned(), size: 1, date: 0, sessions: sessions.map(<[u64]>::to_vec) }
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
        assert!(!index.by_tag.contains_key(&1));
        assert_eq!(index.files().count(), 1);
    }
}
