#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessionlake::fuzzing::otlp_proto(data));
