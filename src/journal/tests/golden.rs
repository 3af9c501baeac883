//! The formats as they are on the disks of those who run this: committed files, read and written by every version.
//!
//! After a change of format: `cargo test --lib journal::tests::golden -- --ignored` writes the present one's.

use super::*;

fn fixtures(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/journal/v{version}"))
}

fn text(n: u64) -> String {
    format!("record {n} {}", "x".repeat(1400))
}

/// Two lives of a journal: records 1 to 7, of which the first is committed. From format 2 on, 3 is erased.
async fn write(dir: &Path) {
    let journal = Journal::open(dir, small(), 0x1111).unwrap();
    let mut reader = journal.reader("lake").unwrap();
    let mut written = append_all(&journal, &[1, 2, 3, 4, 5].map(text).each_ref().map(String::as_str)).await;
    reader.commit(written.remove(0)).unwrap();
    assert_eq!(journal.erase(&[written[1]]).unwrap(), 1);
    drop((reader, journal));
    let journal = Journal::open(dir, small(), 0x2222).unwrap();
    append_all(&journal, &[6, 7].map(text).each_ref().map(String::as_str)).await;
}

/// The files by name; without the reserve, which is as large as the disk allows, and the lock, which is empty.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = StdDisk.names(dir).unwrap();
    names.retain(|name| name != "reserve" && name != "lock");
    names.sort();
    names.into_iter().map(|name| (name.clone(), std::fs::read(dir.join(name)).unwrap())).collect()
}

fn copy(from: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files(from).into_iter().for_each(|(name, bytes)| std::fs::write(dir.path().join(name), bytes).unwrap());
    dir
}

#[tokio::test]
async fn journals_of_every_format_are_read_and_carried_on() {
    for (version, expected) in [(1, vec![2, 3, 4, 5, 6, 7]), (2, vec![2, 4, 5, 6, 7])] {
        let dir = copy(&fixtures(version));
        let journal = Journal::open(dir.path(), small(), 0x3333).unwrap();
        assert_eq!(journal.id(), "42d4ed63e3256a76");
        let mut reader = journal.reader("lake").unwrap();
        let read = read_all(&mut reader);
        assert_eq!(payloads(&read), expected.into_iter().map(text).collect::<Vec<_>>(), "format {version}");
        assert_eq!(read.last().unwrap().0, Position { seq: 7, epoch: 0x2222 });
        assert!(!journal.degraded(), "{:?}", journal.findings());
        let next = append_all(&journal, &["next"]).await[0];
        assert_eq!(next, Position { seq: 8, epoch: 0x3333 });
        let old = Position { seq: 4, epoch: 0x1111 };
        assert_eq!(journal.erase(&[old]).unwrap(), 1, "an old segment takes tombstones");
        reader.commit(next).unwrap();
    }
}

#[tokio::test]
async fn the_present_format_is_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path()).await;
    let (written, committed) = (files(dir.path()), files(&fixtures(segment::FORMAT)));
    assert_eq!(written.len(), committed.len());
    for ((name, mut ours), (_, mut theirs)) in written.into_iter().zip(committed) {
        // The build, and with it the checksum, differs from version to version.
        for header in [&mut ours, &mut theirs].into_iter().filter(|_| name.ends_with(".seg")) {
            for block in [0, 4096] {
                header[block + 64..block + 128].fill(0);
                header[block + 4092..block + 4096].fill(0);
            }
        }
        assert!(ours == theirs, "{name} is not what format {} is: raise it", segment::FORMAT);
    }
}

#[tokio::test]
#[ignore = "writes the committed files"]
async fn write_the_present_format() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path()).await;
    let to = fixtures(segment::FORMAT);
    std::fs::create_dir_all(&to).unwrap();
    files(dir.path()).into_iter().for_each(|(name, bytes)| std::fs::write(to.join(name), bytes).unwrap());
}
