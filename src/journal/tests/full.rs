//! Full disks, and readers that must not fill them.

use super::*;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_full_disk_is_refused_before_it_is_full_and_taken_again_when_there_is_room() {
    let disk = ModelDisk::new(1);
    disk.faults(|faults| faults.capacity = Some(MIB));
    let journal = open_model(&disk, 1);
    let record = vec![7; 2000];
    let refused = loop {
        if let Err(error) = journal.append_bytes(record.clone()).await {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::DiskFull { available } if available > MIB / 20), "{refused:?}");
    let findings = journal.findings();
    assert!(findings.len() == 1 && !findings[0].severe && findings[0].text.contains("is full"), "{findings:?}");
    drop(journal);
    // A start on the full disk: what is there can be read, and leaves room when it is done with.
    let journal = open_model(&disk, 2);
    assert!(matches!(journal.append_bytes(record.clone()).await, Err(AppendError::DiskFull { .. })));
    let mut reader = journal.reader("lake").unwrap();
    let read = read_all_bytes(&mut reader);
    assert!(read.len() > 100, "{}", read.len());
    reader.commit(*read.last().unwrap()).unwrap();
    let taken = async {
        while journal.append_bytes(record.clone()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), taken).await.expect("takes records again");
    assert!(!journal.degraded());
}

#[tokio::test]
async fn a_cursor_moves_on_a_disk_without_a_byte_left() {
    let disk = ModelDisk::new(1);
    disk.faults(|faults| faults.capacity = Some(MIB));
    let journal = open_model(&disk, 1);
    let mut reader = journal.reader("lake").unwrap();
    let written = append_all(&journal, &["x".repeat(1500).as_str(); 7]).await;
    disk.fill(0);
    assert!(matches!(journal.append_bytes(vec![1]).await, Err(AppendError::DiskFull { available: 0 })));
    reader.commit(written[6]).unwrap();
    assert_eq!(journal.bytes(), 0);
}

#[tokio::test]
async fn a_reader_with_a_budget_never_makes_appends_fail() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { max_bytes: 60_000, ..JournalOptions::default() };
    let journal = Journal::open(dir.path(), options.clone(), 1).unwrap();
    let mut lake = journal.reader("lake").unwrap();
    drop(journal.reader_with_budget("forward", 30_000).unwrap());
    for _ in 0..200 {
        let position = journal.append_bytes(vec![7; 1000]).await.unwrap();
        lake.commit(position).unwrap();
    }
    let forward = |journal: &Journal| journal.stats().readers.into_iter().find(|r| r.name == "forward").unwrap();
    let state = forward(&journal);
    assert!(state.dropped_records > 100 && state.backlog_bytes <= 60_000, "{state:?}");
    assert!(journal.findings().is_empty());
    drop((lake, journal));
    let journal = Journal::open(dir.path(), options, 2).unwrap();
    assert_eq!(forward(&journal).dropped_records, state.dropped_records, "also after a restart");
    let mut reader = journal.reader_with_budget("forward", 30_000).unwrap();
    let read = read_all_bytes(&mut reader);
    assert_eq!(read.len() as u64 + state.dropped_records, 200, "what is not dropped is there");
    // The lake's reader is gone, and its data is never dropped: it fills the journal.
    let full = loop {
        if let Err(error) = journal.append_bytes(vec![7; 1000]).await {
            break error;
        }
    };
    assert!(matches!(full, AppendError::Full { .. }), "{full:?}");
    assert!(journal.findings()[0].text.contains("journal is full"), "{:?}", journal.findings());
}

/// Positions of everything that is durable and not read yet.
fn read_all_bytes(reader: &mut Reader) -> Vec<Position> {
    std::iter::from_fn(|| reader.try_next().unwrap()).map(|(position, _)| position).collect()
}
