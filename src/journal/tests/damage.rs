//! What an earlier process, or a decaying disk, left behind.

use super::*;

/// A closed journal with three segments: records 1 and 2, 3 and 4, and 5.
async fn three_segments() -> (ModelDisk, Vec<String>) {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let records: Vec<String> = ["a", "b", "c", "d", "e"].map(|letter| letter.repeat(1500)).into();
    append_all(&journal, &records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    (disk.copy(), records)
}

/// Opens the journal and reads it as a new reader.
fn reopen(disk: &ModelDisk) -> (Journal, Vec<(Position, String)>) {
    let journal = open_model(disk, 2);
    let records = read_all(&mut journal.reader("audit").unwrap());
    (journal, records)
}

fn quarantined(disk: &ModelDisk) -> Vec<String> {
    disk.names(&Path::new(DIR).join("quarantine")).unwrap()
}

#[tokio::test]
async fn a_tail_cut_at_any_byte_leaves_the_exact_prefix() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let records = ["first", "", "third", "the fourth"];
    append_all(&journal, &records).await;
    drop(journal);
    let mut ends = vec![DATA_START as usize];
    for (record, marks) in records.iter().zip([0, 1, 1, 1]) {
        ends.push(ends[ends.len() - 1] + (marks + 1) * frame::FRAME_HEADER + record.len());
    }
    for cut in ends[0]..ends[4] + 20 {
        let disk = disk.copy();
        disk.edit(&segment_path(1), |file| file.truncate(cut));
        let (journal, read) = reopen(&disk);
        let whole = ends[1..].iter().filter(|end| **end <= cut).count();
        assert_eq!(payloads(&read), records[..whole], "cut at {cut}");
        assert!(!journal.degraded(), "cut at {cut}");
        let next = append_all(&journal, &["next"]).await[0];
        assert_eq!(next, Position { seq: whole as u64 + 1, epoch: 2 });
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_does_not_come_back() {
    let (disk, records) = three_segments().await;
    disk.edit(&segment_path(5), |file| file[DATA_START as usize + 1516..][..200].fill(0xa5));
    let (journal, read) = reopen(&disk);
    assert_eq!(payloads(&read), records);
    assert!(!journal.degraded());
    drop(journal);
    disk.edit(&segment_path(5), |file| assert_eq!(file.len(), DATA_START as usize + 1516));
    assert!(quarantined(&disk).is_empty());
}

#[tokio::test]
async fn a_flipped_bit_is_detected_and_costs_one_record() {
    let (disk, records) = three_segments().await;
    let (frame, mark) = (1516, 16);
    // Bits of all frames of a sealed segment (record, mark, record): their headers as a whole, and some of the payloads.
    let bytes = (0..2 * frame + mark)
        .filter(|byte| byte % (frame + mark) < 16 || byte / mark == frame / mark || byte % 97 == 0);
    for (bit, byte) in bytes.flat_map(|byte| (0..8).map(move |bit| (bit, byte))) {
        let disk = disk.copy();
        disk.edit(&segment_path(3), |file| file[DATA_START as usize + byte] ^= 1 << bit);
        let (journal, read) = reopen(&disk);
        let mut expected = records.clone();
        let hits_mark = (frame..frame + mark).contains(&byte);
        if !hits_mark {
            expected.remove(2 + byte / frame);
        }
        assert_eq!(payloads(&read), expected, "bit {bit} of byte {byte}");
        assert!(journal.degraded());
        assert_eq!(journal.stats().lost_records, u64::from(!hits_mark));
        assert_eq!(quarantined(&disk), [segment::file_name(3)]);
        assert_eq!(append_all(&journal, &["x"]).await[0].seq, 6);
    }
}

#[tokio::test]
async fn one_damaged_header_costs_nothing_and_both_cost_the_segment() {
    let (disk, records) = three_segments().await;
    disk.edit(&segment_path(3), |file| file[20] ^= 1);
    let (journal, read) = reopen(&disk.copy());
    assert_eq!((payloads(&read), journal.degraded()), (records.iter().map(String::as_str).collect(), true));
    disk.edit(&segment_path(3), |file| file[4096 + 20] ^= 1);
    let (journal, read) = reopen(&disk);
    assert_eq!(payloads(&read), [&records[0][..], &records[1], &records[4]]);
    assert!(journal.degraded());
    assert!(quarantined(&disk).contains(&segment::file_name(3)));
    assert_eq!(journal.stats().lost_records, 2);
}

#[tokio::test]
async fn the_numbers_of_an_unreadable_last_segment_are_not_used_again() {
    let (disk, records) = three_segments().await;
    disk.edit(&segment_path(5), |file| file[..2 * 4096].fill(0));
    let (journal, read) = reopen(&disk);
    assert_eq!(payloads(&read), records[..4]);
    assert!(journal.degraded() && append_all(&journal, &["x"]).await[0].seq > 5);
}

#[tokio::test]
async fn a_missing_end_or_segment_is_noticed() {
    let (disk, _) = three_segments().await;
    let cut = disk.copy();
    cut.edit(&segment_path(3), |file| file.truncate(DATA_START as usize + 1516));
    let (journal, read) = reopen(&cut);
    assert_eq!((read.len(), journal.stats().lost_records, journal.degraded()), (4, 1, true));
    disk.remove(&segment_path(3)).unwrap();
    let (journal, read) = reopen(&disk);
    assert_eq!((read.len(), journal.stats().lost_records, journal.degraded()), (3, 2, true));
}

#[tokio::test]
async fn a_segment_of_another_journal_is_set_aside() {
    let (disk, records) = three_segments().await;
    let other = Journal::open_on(Arc::new(disk.clone()), Path::new("/other"), small(), 9).unwrap();
    append_all(&other, &["foreign"]).await;
    drop(other);
    let first = |dir: &str| Path::new(dir).join(segment::file_name(1));
    disk.rename(&first("/other"), &first(DIR)).unwrap();
    let (journal, read) = reopen(&disk);
    assert_eq!(payloads(&read), records[2..]);
    assert!(journal.degraded());
    assert_eq!(quarantined(&disk), [segment::file_name(1)]);
}

#[tokio::test]
async fn damage_that_comes_while_the_journal_is_open_is_skipped_and_counted() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    append_all(&journal, &["a", "b", "c"]).await;
    disk.edit(&segment_path(1), |file| file[DATA_START as usize + 2 * 17 + 15] ^= 1);
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(payloads(&read_all(&mut reader)), ["a", "c"]);
    assert!(journal.degraded());
    append_all(&journal, &["d"]).await;
    disk.edit(&segment_path(1), |file| file[DATA_START as usize + 3 * 33 + 16] ^= 1);
    assert!(read_all(&mut reader).is_empty(), "the last record of all is damaged");
    append_all(&journal, &["e"]).await;
    assert_eq!(payloads(&read_all(&mut reader)), ["e"]);
    assert_eq!(quarantined(&disk), [segment::file_name(1)]);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let (disk, _) = three_segments().await;
    for copy in [0, 4096] {
        disk.edit(&segment_path(5), |file| {
            file[copy + 8] = 3;
            let checksum = crc32c::crc32c(&file[copy..copy + 4092]);
            file[copy + 4092..copy + 4096].copy_from_slice(&checksum.to_le_bytes());
        });
    }
    let opened = Journal::open_on(Arc::new(disk.clone()), Path::new(DIR), small(), 2);
    assert!(matches!(opened, Err(OpenError::Format { found: 3, known: 2, .. })));
    assert!(quarantined(&disk).is_empty());
}

#[tokio::test]
async fn a_lost_id_or_cursor_is_noticed_and_nothing_is_skipped() {
    let (disk, records) = three_segments().await;
    let journal = open_model(&disk, 2);
    let id = journal.id().to_owned();
    let mut reader = journal.reader("lake").unwrap();
    reader.commit(Position { seq: 1, epoch: 1 }).unwrap();
    drop((reader, journal));
    let lost_id = disk.copy();
    lost_id.remove(&Path::new(DIR).join("id")).unwrap();
    let journal = open_model(&lost_id, 3);
    assert_eq!((journal.id(), journal.degraded()), (&id[..], true));
    disk.edit(&Path::new(DIR).join("lake.cursor"), |file| file[9] ^= 1);
    let journal = open_model(&disk, 3);
    assert!(journal.degraded());
    assert_eq!(payloads(&read_all(&mut journal.reader("lake").unwrap())), records);
}
