//! What the journal promises while nothing goes wrong.

use super::*;

#[tokio::test]
async fn a_reader_resumes_where_it_committed_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 100).unwrap();
    let id = journal.id().to_owned();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let written = append_all(&journal, &["a", "b", "c"]).await;
    assert_eq!(written, [1, 2, 3].map(|seq| Position { seq, epoch: 100 }));
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(payloads(&read_all(&mut reader)), ["a", "b", "c"]);
    reader.commit(written[1]).unwrap();
    drop((reader, journal));

    let journal = Journal::open(dir.path(), small(), 200).unwrap();
    assert_eq!(journal.id(), id);
    assert_eq!(append_all(&journal, &["d"]).await, [Position { seq: 4, epoch: 200 }]);
    let mut reader = journal.reader("lake").unwrap();
    let expected = [(written[2], "c".to_owned()), (Position { seq: 4, epoch: 200 }, "d".to_owned())];
    assert_eq!(read_all(&mut reader), expected);
    assert!(!journal.degraded());
}

#[tokio::test]
async fn numbers_go_on_also_when_all_records_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    for epoch in 0..4 {
        let journal = Journal::open(dir.path(), small(), epoch).unwrap();
        let mut reader = journal.reader("lake").unwrap();
        let expected = if epoch == 3 { 3 } else { epoch + 1 };
        if epoch == 2 {
            continue;
        }
        assert_eq!(append_all(&journal, &["x"]).await, [Position { seq: expected, epoch }]);
        let records = read_all(&mut reader);
        assert_eq!(records.len(), 1);
        reader.commit(records[0].0).unwrap();
    }
}

#[tokio::test]
async fn only_one_process_uses_a_journal_until_its_last_reader_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open(dir.path(), small(), 1);
    let journal = open().unwrap();
    let reader = journal.reader("lake").unwrap();
    let message = open().err().unwrap().to_string();
    assert!(message.contains("in use by another process: stop that one"), "{message}");
    journal.close();
    assert!(matches!(open(), Err(OpenError::Locked { .. })));
    drop(reader);
    open().unwrap();
}

#[tokio::test]
async fn a_name_has_one_reader_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 1).unwrap();
    let reader = journal.reader("lake").unwrap();
    assert!(matches!(journal.reader("lake"), Err(OpenError::ReaderTaken { .. })));
    assert!(matches!(journal.forget("lake"), Err(OpenError::ReaderTaken { .. })));
    let other = journal.reader("otlp_http/grafana").unwrap();
    drop((reader, other));
    journal.reader("lake").unwrap();
}

#[tokio::test]
async fn next_waits_for_a_record_and_ends_when_the_journal_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 1).unwrap();
    let mut reader = journal.reader("lake").unwrap();
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while let Some((_, payload)) = reader.next().await.unwrap() {
            read.push(payload);
        }
        read
    });
    append_all(&journal, &["a", "b"]).await;
    journal.close();
    assert!(matches!(journal.append_bytes(b"c".to_vec()).await, Err(AppendError::Closed)));
    assert!(matches!(journal.reader("other"), Err(OpenError::Closed)));
    assert_eq!(reading.await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn the_last_drop_writes_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 1).unwrap();
    let mut waiting: Vec<_> = (0..50u8).map(|n| Box::pin(journal.append_bytes(vec![b'a' + n % 26; 10]))).collect();
    // Queues each, and waits for none.
    for append in &mut waiting {
        let _ = futures::poll!(append.as_mut());
    }
    drop(waiting);
    drop(journal);
    let journal = Journal::open(dir.path(), small(), 2).unwrap();
    assert_eq!(read_all(&mut journal.reader("lake").unwrap()).len(), 50);
}

#[tokio::test]
async fn concurrent_appends_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), JournalOptions::default(), 1).unwrap();
    let appends = (0..200).map(|n: u32| journal.append_bytes(n.to_le_bytes().to_vec()));
    let mut positions: Vec<u64> =
        futures::future::join_all(appends).await.into_iter().map(|position| position.unwrap().seq).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=200).collect::<Vec<u64>>());
    let stats = journal.stats();
    assert_eq!((stats.appended_records, stats.durable_seq), (200, 200));
    assert!(stats.syncs <= 50, "{} syncs", stats.syncs);
}

#[tokio::test]
async fn segments_go_when_every_reader_is_past_and_the_active_one_stays() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let segments = || -> Vec<u64> {
        disk.names(Path::new(DIR)).unwrap().iter().filter_map(|name| segment::parse_name(name)).collect()
    };
    let mut lake = journal.reader("lake").unwrap();
    drop(journal.reader("forward").unwrap());
    let record = "x".repeat(1500);
    let written = append_all(&journal, &[record.as_str(); 7]).await;
    assert_eq!(segments(), [1, 3, 5, 7]);
    lake.commit(written[6]).unwrap();
    assert_eq!(segments(), [1, 3, 5, 7]);
    let mut forward = journal.reader("forward").unwrap();
    forward.commit(written[2]).unwrap();
    assert_eq!(segments(), [3, 5, 7]);
    assert_eq!(read_all(&mut forward).len(), 4, "goes on behind what it committed");
    let backlog = |name: &str| journal.stats().readers.into_iter().find(|reader| reader.name == name).unwrap();
    assert_eq!((backlog("lake").backlog_records, backlog("lake").backlog_bytes), (0, 0));
    assert_eq!((backlog("forward").backlog_records, backlog("forward").backlog_bytes), (4, journal.bytes()));
    assert!(journal.bytes() > 6000);
    drop(forward);
    journal.forget("forward").unwrap();
    assert_eq!((segments(), journal.bytes()), (vec![7], 0));
    assert!(!open_model(&disk.copy(), 2).degraded());
}

#[tokio::test]
async fn a_full_journal_takes_records_again_when_its_readers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { max_bytes: 60_000, ..JournalOptions::default() };
    let journal = Journal::open(dir.path(), options, 1).unwrap();
    let mut reader = journal.reader("lake").unwrap();
    for _ in 0..3 {
        let full = loop {
            if let Err(error) = journal.append_bytes(vec![7; 1000]).await {
                break error;
            }
        };
        assert!(matches!(full, AppendError::Full { bytes } if bytes > 50_000), "{full:?}");
        assert!(journal.bytes() <= 60_000);
        let last = std::iter::from_fn(|| reader.try_next().unwrap()).last().unwrap();
        reader.commit(last.0).unwrap();
        assert_eq!(journal.bytes(), 0);
    }
    assert!(!journal.degraded());
    assert!(matches!(journal.append_bytes(vec![0; 60_001]).await, Err(AppendError::TooLarge(60_001))));
}

#[tokio::test]
async fn a_record_may_be_larger_than_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 1).unwrap();
    let sizes = [10, 2_000_000, 10, 5000, 4096];
    for size in sizes {
        journal.append_bytes(vec![b'x'; size]).await.unwrap();
    }
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(read_all(&mut reader).iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), sizes);
    drop((reader, journal));
    let journal = Journal::open(dir.path(), small(), 2).unwrap();
    assert_eq!(read_all(&mut journal.reader("again").unwrap()).len(), sizes.len());
    let too_large = vec![0; MAX_RECORD_BYTES + 1];
    assert!(matches!(journal.append_bytes(too_large).await, Err(AppendError::TooLarge(_))));
}
