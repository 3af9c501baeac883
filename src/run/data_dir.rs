//! The data directory is nobody else's business.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::private;

/// What only a data directory of ours holds.
const OURS: [&str; 5] = ["journal", "auth", "lake.key", "lake", "private"];

/// A directory that data must not be put into.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    #[error("cannot use the data directory {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no directory: give another path with --data-dir", path.display())]
    NotDirectory { path: PathBuf },
    #[error(
        "{} is a symbolic link, which whoever may change it can point elsewhere: give the directory itself, {}",
        path.display(),
        target.as_deref().map_or("where the link leads".to_owned(), |to| format!("--data-dir {}", to.display()))
    )]
    Symlink { path: PathBuf, target: Option<PathBuf> },
    #[error(
        "the data directory {} can be entered by others (mode {mode:03o}), and holds what agents said and did: run \
         `chmod 700 {}`, or give a directory that is missing or empty, as in --data-dir {}/sessionlake",
        path.display(), path.display(), path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
}

/// Creates the directory (mode 0700) where it is missing. One that others may enter is closed to them, as long as it is
/// ours and holds nothing of anybody else: `Ok(true)`.
///
/// # Errors
/// When it is a link, or open to others and not ours alone.
pub fn prepare(path: &Path) -> Result<bool, Unsafe> {
    // A slash at the end would have a link followed.
    let path: PathBuf = path.components().collect();
    let failed = |source| Unsafe::Io { path: path.clone(), source };
    let metadata = match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return private::create_dir(&path).map(|()| false).map_err(failed);
        }
        found => found.map_err(failed)?,
    };
    for name in [Path::new(""), Path::new("journal"), Path::new("auth"), Path::new("private")] {
        let inner: PathBuf = path.join(name).components().collect();
        if inner.is_symlink() {
            let target = std::fs::canonicalize(&inner).ok().filter(|_| name == Path::new(""));
            return Err(Unsafe::Symlink { path: inner, target });
        }
    }
    if !metadata.is_dir() {
        return Err(Unsafe::NotDirectory { path });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    if !is_ours(&path, &metadata).map_err(failed)? {
        return Err(Unsafe::Exposed { path, mode });
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(true)
}

/// Owned by this user, and empty or known by what it holds. Directories like /tmp keep their mode.
fn is_ours(path: &Path, metadata: &Metadata) -> io::Result<bool> {
    let sticky = metadata.mode() & 0o1000 != 0;
    if sticky || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let known = OURS.iter().any(|name| path.join(name).exists());
    Ok(known || std::fs::read_dir(path)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(mode: u32, inside: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        inside.iter().for_each(|name| fs::create_dir(dir.path().join(name)).unwrap());
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        dir
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_missing_directory_is_made_private_and_ours_is_closed() {
        let parent = directory(0o700, None);
        let path = parent.path().join("a/data");
        assert!(!prepare(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        for inside in [None, Some("journal"), Some("lake")] {
            let dir = directory(0o755, inside);
            assert!(prepare(dir.path()).unwrap());
            assert_eq!(mode(dir.path()), 0o700);
            assert!(!prepare(dir.path()).unwrap());
        }
    }

    #[test]
    fn a_directory_of_others_is_refused_and_left_as_it_is() {
        for (bits, inside) in [(0o755, "photos"), (0o770, "photos"), (0o1777, "journal")] {
            let dir = directory(bits, Some(inside));
            let error = prepare(dir.path()).unwrap_err().to_string();
            assert!(error.contains("chmod 700") && error.contains(&format!("{bits:03o}")), "{error}");
            assert_eq!(mode(dir.path()), bits);
        }
        assert!(!prepare(directory(0o700, Some("photos")).path()).unwrap(), "private already");
    }

    #[test]
    fn links_are_refused_with_the_path_to_give_instead() {
        let (parent, real) = (directory(0o700, None), directory(0o700, Some("other")));
        let link = parent.path().join("data");
        std::os::unix::fs::symlink(real.path(), &link).unwrap();
        let real_path = fs::canonicalize(real.path()).unwrap();
        for path in [link.clone(), PathBuf::from(format!("{}/", link.display()))] {
            let error = prepare(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("--data-dir {}", real_path.display())), "{error}");
        }
        std::os::unix::fs::symlink(real.path().join("other"), real.path().join("journal")).unwrap();
        assert!(matches!(prepare(real.path()), Err(Unsafe::Symlink { .. })));
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(prepare(file.path()), Err(Unsafe::NotDirectory { .. })));
    }
}
