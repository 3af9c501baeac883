//! The file operations that the journal needs, behind a seam: tests put a model of a failing disk in their place.

use std::any::Any;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Holds an exclusive lock until it is dropped.
pub(super) type DiskLock = Box<dyn Any + Send + Sync>;

/// A directory tree. Nothing is durable before the `sync` of the file, or of the directory that names it.
pub(super) trait Disk: Send + Sync {
    /// Creates `dir` with its missing ancestors (mode 0700), all of them durable.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names of the directory's entries, in no order.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates or empties a file (mode 0600).
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How full the file system is that holds `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    fn lock(&self, path: &Path) -> Result<DiskLock, TryLockError>;
}

/// Of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub total: u64,
    /// What this process may still use.
    pub available: u64,
}

/// An open file.
pub(super) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file `len` bytes long, of which the new ones are zeros that have their place on the disk: writing
    /// them later takes no space, and their sync does not write the file's length.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn sync_all(&self) -> io::Result<()>;
}

/// The operating system's files.
pub(super) struct StdDisk;

impl Disk for StdDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.sync_dir(&parent(path))?,
            }
        }
        self.sync_dir(dir)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        // A name that is not UTF-8 is none of ours.
        names.filter_map(Result::transpose).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(private().create(true).truncate(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(private().open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        // Blocks that only root may use are full to everybody else.
        let total = bytes(found.f_blocks.saturating_sub(found.f_bfree.saturating_sub(found.f_bavail)));
        Ok(Space { total, available: bytes(found.f_bavail) })
    }

    fn lock(&self, path: &Path) -> Result<DiskLock, TryLockError> {
        let file = private().create(true).open(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        use rustix::io::Errno;
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, len) {
            // Not every file system can.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => File::set_len(self, len),
            done => Ok(done?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)?;
        // The sync of a file without a name succeeds, and what it holds is gone when the process ends.
        match self.metadata()?.nlink() {
            0 => Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted while in use")),
            _ => Ok(()),
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }
}

/// Replaces `dir/name` by `bytes`, durably: after a crash it is the old file or the new one.
pub(super) fn write_atomic(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    create_whole(disk, dir, name, |file| file.write_all_at(bytes, 0)).map(drop)
}

/// Creates or replaces `dir/name`: it has its name only when what `fill` made of it is durable. Leaves nothing behind
/// when it fails.
pub(super) fn create_whole(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<Box<dyn DiskFile>> {
    let temporary = dir.join(format!("{name}.tmp"));
    let make = || {
        let file = disk.create(&temporary)?;
        fill(&*file)?;
        file.sync_all()?;
        disk.rename(&temporary, &dir.join(name))?;
        Ok(file)
    };
    let made = make();
    match &made {
        Ok(_) => disk.sync_dir(dir)?,
        // Best effort: the next open removes it too.
        Err(_) => drop(disk.remove(&temporary)),
    }
    made
}

/// Overwrites the bytes from `at` to `end` with zeros.
pub(super) fn overwrite(file: &dyn DiskFile, mut at: u64, end: u64) -> io::Result<()> {
    const AT_ONCE: u64 = 64 << 10;
    let zeros = vec![0; AT_ONCE.min(end.saturating_sub(at)) as usize];
    while at < end {
        let count = (end - at).min(AT_ONCE);
        file.write_all_at(&zeros[..count as usize], at)?;
        at += count;
    }
    Ok(())
}

/// Fills `buffer` from `offset` on; an end of file before that is an error.
pub(super) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The first `len` bytes of a file, zeros where they cannot be read: damage of one block must not hide the rest.
/// Also says whether all could be read.
pub(super) fn read_lossy(file: &dyn DiskFile, len: u64) -> (Vec<u8>, bool) {
    const BLOCK: usize = 4096;
    let mut bytes = vec![0; len as usize];
    if read_exact_at(file, &mut bytes, 0).is_ok() {
        return (bytes, true);
    }
    for (index, block) in bytes.chunks_mut(BLOCK).enumerate() {
        if read_exact_at(file, block, (index * BLOCK) as u64).is_err() {
            block.fill(0);
        }
    }
    (bytes, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_private_directories_and_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        StdDisk.create_dir(&dir).unwrap();
        StdDisk.create_dir(&dir).unwrap();
        write_atomic(&StdDisk, &dir, "x", b"one").unwrap();
        write_atomic(&StdDisk, &dir, "x", b"two").unwrap();
        assert_eq!(StdDisk.names(&dir).unwrap(), ["x"]);
        assert_eq!(std::fs::read(dir.join("x")).unwrap(), b"two");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&root.path().join("a")), mode(&dir), mode(&dir.join("x"))), (0o700, 0o700, 0o600));
    }

    #[test]
    fn allocated_bytes_are_zeros_with_a_place_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let before = StdDisk.space(root.path()).unwrap();
        let file = StdDisk.create(&root.path().join("x")).unwrap();
        file.allocate(1 << 20).unwrap();
        let found = std::fs::metadata(root.path().join("x")).unwrap();
        assert_eq!((found.len(), found.blocks() * 512 >= 1 << 20), (1 << 20, true));
        assert!(before.available > 0 && before.available <= before.total);
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let failed = create_whole(&StdDisk, root.path(), "x", |_| Err(io::Error::other("full")));
        assert!(failed.is_err() && StdDisk.names(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_deleted_file_does_not_sync() {
        let root = tempfile::tempdir().unwrap();
        let file = StdDisk.create(&root.path().join("x")).unwrap();
        file.sync_data().unwrap();
        StdDisk.remove(&root.path().join("x")).unwrap();
        assert_eq!(file.sync_data().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
