//! Erased records: no byte of them is left, and nothing else is touched.

use super::*;

fn raw(disk: &ModelDisk) -> Vec<u8> {
    disk.files().into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn holds(disk: &ModelDisk, text: &str) -> bool {
    raw(disk).windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_record_is_erased_wherever_it_stands_and_no_other() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let records = ["a", "b", "c", "d", "e"].map(|letter| letter.repeat(1500));
    let written = append_all(&journal, &records.each_ref().map(String::as_str)).await;
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(reader.try_next().unwrap().unwrap().0, written[0]);
    // One that a reader has in its block already, one of a sealed segment, and one of the segment in use.
    let gone = [written[1], written[2], written[4], Position { seq: 4, epoch: 9 }, Position { seq: 77, epoch: 1 }];
    assert_eq!(journal.erase(&gone).unwrap(), 3);
    assert_eq!(journal.erase(&gone).unwrap(), 0, "again");
    for (record, erased) in records.iter().zip([false, true, true, false, true]) {
        assert_eq!(holds(&disk, record), !erased);
    }
    append_all(&journal, &["f"]).await;
    assert_eq!(payloads(&read_all(&mut reader)), [&records[3], "f"]);
    let mut retained = journal.retained();
    let kept: Vec<u64> = std::iter::from_fn(|| retained.try_next().unwrap()).map(|(at, _)| at.seq).collect();
    assert_eq!(kept, [1, 4, 6]);
    assert!(!journal.degraded());
    drop((reader, journal));
    let journal = open_model(&disk.crash(), 2);
    assert_eq!(read_all(&mut journal.reader("audit").unwrap()).len(), 3);
    assert!(!journal.degraded() && journal.stats().lost_records == 0);
}

#[tokio::test]
async fn an_erasure_that_was_cut_off_is_finished_at_the_next_open() {
    let disk = ModelDisk::new(7);
    let journal = open_model(&disk, 1);
    let secret = "to be forgotten ".repeat(90);
    let written = append_all(&journal, &["kept", &secret, "kept too"]).await;
    for changes in 0..12 {
        let disk = disk.copy();
        let journal = open_model(&disk, 2);
        disk.faults(|faults| faults.power_for = Some(changes));
        let erased = journal.erase(&[written[1]]);
        assert!(changes > 8 || erased.is_err(), "{changes} changes are too few");
        let disk = disk.crash();
        drop(journal);
        let journal = open_model(&disk, 3);
        let left = read_all(&mut journal.reader("audit").unwrap());
        assert!(!journal.degraded(), "after {changes} changes: {:?}", journal.findings());
        match erased.is_ok() || left.len() == 2 {
            true => assert_eq!((payloads(&left), holds(&disk, &secret[..64])), (vec!["kept", "kept too"], false)),
            false => assert_eq!(payloads(&left), ["kept", &secret, "kept too"]),
        }
    }
}

#[tokio::test]
async fn copies_in_quarantine_are_erased_too() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let written = append_all(&journal, &["damaged one", "secret text", "poison text"]).await;
    disk.edit(&segment_path(1), |file| file[DATA_START as usize + 20] ^= 1);
    let mut reader = journal.reader("lake").unwrap();
    assert_eq!(read_all(&mut reader).len(), 2);
    reader.set_aside(written[2], b"poison text", "payload does not decode");
    let count = |text: &str| raw(&disk).windows(text.len()).filter(|window| *window == text.as_bytes()).count();
    assert_eq!((count("secret text"), count("poison text")), (2, 3));
    assert_eq!(journal.erase(&written[1..]).unwrap(), 2);
    assert_eq!((count("secret text"), count("poison text")), (0, 0));
    assert_eq!(disk.names(&Path::new(DIR).join("quarantine")).unwrap(), [segment::file_name(1)]);
}

#[tokio::test]
async fn what_is_in_quarantine_goes_by_what_it_holds_when_the_journal_has_nothing_of_it_any_more() {
    let disk = ModelDisk::new(1);
    let journal = open_model(&disk, 1);
    let records = ["damaged", "session-1 says", "session-2 says"].map(|text| format!("{text:-<1500}"));
    let written = append_all(&journal, &records.each_ref().map(String::as_str)).await;
    disk.edit(&segment_path(1), |file| file[DATA_START as usize + 20] ^= 1);
    let mut reader = journal.reader("lake").unwrap();
    read_all(&mut reader);
    reader.set_aside(written[2], records[2].as_bytes(), "payload does not decode");
    reader.commit(written[2]).unwrap();
    let quarantined = || disk.names(&Path::new(DIR).join("quarantine")).unwrap_or_default();
    let before = quarantined();
    assert!(before.len() > 2, "{before:?}");
    assert_eq!(journal.erase_quarantined(&["session-3"]).unwrap(), 0);
    assert_eq!(quarantined(), before);
    assert!(journal.erase_quarantined(&["session-1"]).unwrap() > 0);
    let held = |text: &str| {
        let files = disk.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("quarantine"));
        files.into_iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(!held("session-1 says"));
    assert!(journal.erase_quarantined(&["session-2"]).unwrap() > 0);
    assert!(!held("session-2 says"));
}
