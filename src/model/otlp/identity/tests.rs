use proptest::prelude::*;

use super::*;
use crate::model::otlp::check::request_message;
use crate::model::otlp::schema::{LOG_RECORD, NUMBER_DATA_POINT};
use crate::model::otlp::testing::{Choices, SIGNALS, change_one, encode, encode_shuffled, request, through_prost};
use crate::model::otlp::wire::{put_bytes, put_fixed64, put_varint_field};

fn key() -> LakeKey {
    LakeKey::new([7; 32])
}

fn identity(message: &'static Message, record: &[u8]) -> [u8; 16] {
    record_identity(&key(), b"", b"", "", message, record)
}

proptest! {
    /// A whole request is taken as the record: so every message type and field goes through the hash.
    #[test]
    fn encodings_of_the_same_telemetry_have_one_identity(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..1500),
        order in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let message = request_message(signal).unwrap();
        let tree = request(signal, &mut Choices(&content));
        let shuffled = encode_shuffled(&tree, &mut Choices(&order));
        let prost = through_prost(signal, &shuffled).unwrap();
        prop_assert_eq!(identity(message, &encode(&tree)), identity(message, &prost));
        prop_assert_eq!(identity(message, &shuffled), identity(message, &prost));
    }

    #[test]
    fn a_changed_value_has_another_identity(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..1500),
        place in any::<[u8; 2]>(),
    ) {
        let message = request_message(signal).unwrap();
        let mut tree = request(signal, &mut Choices(&content));
        let before = identity(message, &encode(&tree));
        if change_one(&mut tree, &mut Choices(&place)) {
            prop_assert_ne!(before, identity(message, &encode(&tree)));
        }
    }
}

#[test]
fn what_encloses_a_record_is_part_of_its_identity() {
    let (mut scope, mut resource) = (Vec::new(), Vec::new());
    put_bytes(&mut scope, 1, b"com.example");
    put_varint_field(&mut resource, 2, 3);
    let of = |resource: &[u8], scope: &[u8], metric: &str, message: &'static Message| {
        record_identity(&key(), resource, scope, metric, message, b"")
    };
    let all = [
        of(b"", b"", "", &LOG_RECORD),
        of(&resource, b"", "", &LOG_RECORD),
        of(b"", &scope, "", &LOG_RECORD),
        of(b"", b"", "tokens", &LOG_RECORD),
        of(b"", b"", "", &NUMBER_DATA_POINT),
        record_identity(&LakeKey::new([8; 32]), b"", b"", "", &LOG_RECORD, b""),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "case {at} collides");
    }
}

#[test]
fn a_value_moved_between_fields_has_another_identity() {
    let record = |number: u32| {
        let mut out = Vec::new();
        put_fixed64(&mut out, number, 5);
        identity(&LOG_RECORD, &out)
    };
    assert_ne!(record(1), record(11));
}

#[test]
fn the_last_of_repeated_singular_fields_counts() {
    let mut once = Vec::new();
    put_bytes(&mut once, 3, b"INFO");
    let mut twice = Vec::new();
    put_bytes(&mut twice, 3, b"WARN");
    twice.extend_from_slice(&once);
    assert_eq!(identity(&LOG_RECORD, &once), identity(&LOG_RECORD, &twice));
}

#[test]
fn bytes_that_do_not_decode_still_have_their_own_identity() {
    let broken: [&[u8]; 4] = [b"\xff", b"\xff\xff", b"\x1a\x05abc", b"\x09\x01"];
    let mut seen: Vec<[u8; 16]> = broken.iter().map(|bytes| identity(&LOG_RECORD, bytes)).collect();
    seen.push(identity(&LOG_RECORD, b""));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5);
}
