//! Every cut of the last 64 KiB, and ten thousand flipped bits.

use super::*;

const LAST: usize = 64 << 10;
const FLIPS: u64 = 10_000;

/// One segment with records of about 700 bytes; its files, and where each record ends.
async fn one_segment(records: usize) -> (ModelDisk, Vec<usize>) {
    let disk = ModelDisk::new(1);
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
    let journal = Journal::open_on(Arc::new(disk.clone()), Path::new(DIR), options, 1).unwrap();
    let mut ends = Vec::new();
    let mut at = DATA_START as usize;
    for n in 0..records {
        let mark = if n > 0 { frame::FRAME_HEADER } else { 0 };
        let length = 500 + n * 37 % 400;
        journal.append_bytes(vec![n as u8; length]).await.unwrap();
        at += mark + frame::FRAME_HEADER + length;
        ends.push(at);
    }
    drop(journal);
    (disk, ends)
}

/// What a scan by recovery and a walk by a reader make of a segment's bytes: both agree on every prefix.
#[tokio::test]
async fn a_cut_at_every_byte_of_the_last_64_kib_leaves_the_exact_prefix() {
    let (disk, ends) = one_segment(120).await;
    let (_, whole) = disk.files().into_iter().find(|(path, _)| *path == segment_path(1)).unwrap();
    let stamp = frame::Stamp { first_seq: 1, epoch: 1 };
    assert!(whole.len() > LAST + DATA_START as usize);
    for cut in whole.len() - LAST..=whole.len() {
        let found = scan::scan(&whole[..cut], stamp);
        let kept = ends.partition_point(|end| *end <= cut) as u64;
        assert_eq!((found.last_seq, found.missing.len(), found.extents.len()), (kept, 0, 1), "cut at {cut}");
        // The journal as a whole at a sample of them: each costs an open.
        if cut % 97 == 0 {
            let disk = disk.copy();
            disk.edit(&segment_path(1), |file| file.truncate(cut));
            let journal = open_model(&disk, 2);
            let mut reader = journal.reader("audit").unwrap();
            let read = std::iter::from_fn(|| reader.try_next().unwrap()).count() as u64;
            assert_eq!((read, journal.degraded()), (kept, false), "cut at {cut}");
            assert_eq!(append_all(&journal, &["next"]).await[0].seq, kept + 1);
        }
    }
}

#[tokio::test]
async fn ten_thousand_flipped_bits_are_all_detected_and_cost_one_record_each() {
    let (disk, ends) = one_segment(12).await;
    let payload_of = |record: usize| vec![record as u8; 500 + record * 37 % 400];
    let mut random = 0x5eed_u64;
    for _ in 0..FLIPS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Anywhere from the headers to the last mark.
        let bit = (random >> 20) as usize % ((ends[11] + frame::FRAME_HEADER) * 8);
        let disk = disk.copy();
        disk.edit(&segment_path(1), |file| file[bit / 8] ^= 1 << (bit % 8));
        let journal = open_model(&disk, 2);
        let mut reader = journal.reader("audit").unwrap();
        let read: Vec<_> = std::iter::from_fn(|| reader.try_next().unwrap()).collect();
        let lost = 12 - read.len();
        assert_eq!(journal.stats().lost_records, lost as u64, "bit {bit}");
        assert!(lost <= 1, "bit {bit} costs {lost} records");
        // A damaged mark behind the last record looks like one that was being written.
        assert!(journal.degraded() || bit / 8 >= ends[11], "bit {bit} was not detected");
        assert!(lost == 0 || bit / 8 >= DATA_START as usize, "a header has a copy");
        for (position, payload) in read {
            assert_eq!(payload, payload_of(position.seq as usize - 1), "bit {bit}");
        }
    }
}
