#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessionlake::fuzzing::redact_apply(data));
