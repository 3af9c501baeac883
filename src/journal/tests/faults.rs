//! Disks that fail while the journal is open.

use super::*;

async fn fails(journal: &Journal) -> bool {
    matches!(journal.append_bytes(b"lost?".to_vec()).await, Err(AppendError::Failed(_)))
}

#[tokio::test]
async fn a_failed_sync_fails_its_waiters_and_the_next_append_has_a_new_segment() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    append_all(&journal, &["a"]).await;
    assert!(!journal.degraded());
    disk.faults(|faults| faults.syncs = 1);
    assert!(fails(&journal).await && journal.degraded());
    assert_eq!(append_all(&journal, &["b"]).await[0].seq, 3, "the failed record's number is not used again");
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(payloads(&read_all(&mut reader)), ["a", "b"]);
    let mut names = disk.names(Path::new(DIR)).unwrap();
    names.retain(|name| segment::parse_name(name).is_some());
    assert_eq!(names, [segment::file_name(1), segment::file_name(3)]);
    drop((reader, journal));
    let journal = open_model(&disk.crash(), 2);
    let read = read_all(&mut journal.reader("audit").unwrap());
    let acknowledged: Vec<_> = read.iter().filter(|(position, _)| position.seq != 2).cloned().collect();
    assert_eq!(payloads(&acknowledged), ["a", "b"]);
    assert!(!journal.degraded(), "the failed record was promised to nobody");
}

#[tokio::test]
async fn a_disk_that_fails_for_long_fails_appends_and_then_recovers_without_a_reopen() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    append_all(&journal, &["a"]).await;
    let files = disk.names(Path::new(DIR)).unwrap().len();
    for (syncs, writes) in [(u64::MAX, 0), (0, u64::MAX)] {
        disk.faults(|faults| (faults.syncs, faults.writes) = (syncs, writes));
        for _ in 0..20 {
            assert!(fails(&journal).await);
        }
        disk.faults(|faults| (faults.syncs, faults.writes) = (0, 0));
        append_all(&journal, &["b"]).await;
    }
    assert_eq!(payloads(&read_all(&mut journal.reader("lake").unwrap())), ["a", "b", "b"]);
    assert!(disk.names(Path::new(DIR)).unwrap().len() <= files + 4, "failed attempts leave nothing behind");
}

#[tokio::test]
async fn a_group_fails_as_a_whole() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    disk.faults(|faults| faults.writes = u64::MAX);
    let appends = (0..40u32).map(|n| journal.append_bytes(n.to_le_bytes().to_vec()));
    let outcomes = futures::future::join_all(appends).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(AppendError::Failed(_)))));
    assert_eq!(journal.stats().durable_seq, 0);
    assert!(journal.reader("lake").is_err(), "a cursor that cannot be written is none");
    disk.faults(|faults| faults.writes = 0);
    assert!(read_all(&mut journal.reader("lake").unwrap()).is_empty());
}

#[tokio::test]
async fn a_deleted_directory_gives_errors_and_no_acknowledgement() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("journal");
    let journal = Journal::open(&dir, small(), 1).unwrap();
    let mut reader = journal.reader("lake").unwrap();
    let position = append_all(&journal, &["a"]).await[0];
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(fails(&journal).await);
    assert!(fails(&journal).await);
    assert!(matches!(reader.try_next(), Err(ReadError::Io { .. })));
    assert!(matches!(reader.commit(position), Err(ReadError::Io { .. })));
    assert!(journal.degraded() && journal.reader("other").is_err());
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_with_its_path() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    std::fs::write(&path, b"").unwrap();
    let error = Journal::open(&path, small(), 1).err().unwrap();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}
