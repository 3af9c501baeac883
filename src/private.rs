//! Files and directories for their owner's eyes only.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How the name of a file ends that is being written: what a crash leaves of it was never whole.
pub const STAGED: &str = "new";

/// Opens a file to read and write (mode 0600), and creates it where it is missing.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Replaces a file's contents as a whole: after a crash there are the old ones or the new ones, and after `Ok` the new
/// ones, also when the power fails.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{STAGED}"));
    let fresh = path.with_file_name(name);
    // What a crash left there may have another mode.
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

/// Creates a directory and those above it where they are missing (mode 0700), all of them durable.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync(path.parent().unwrap_or(Path::new(".")))?,
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_whole_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, file) = (dir.path().join("a/b"), dir.path().join("a/b/c.json"));
        create_dir(&inner).unwrap();
        create_dir(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&dir.path().join("a"))), (0o700, 0o700));
        std::fs::write(inner.join("c.json.new"), "left by a crash").unwrap();
        for text in ["one", "two"] {
            replace(&file, text.as_bytes()).unwrap();
            assert_eq!((std::fs::read_to_string(&file).unwrap().as_str(), mode(&file)), (text, 0o600));
        }
        assert!(!inner.join("c.json.new").exists());
        open(&inner.join("lock")).unwrap();
        assert_eq!(mode(&inner.join("lock")), 0o600);
    }
}
