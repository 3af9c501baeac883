//! An ended session is readable soon. The measurement over 1,000 sessions is `make bench-latency`; this holds that the
//! path works for many sessions at once.

use serde_json::Value;

use crate::harness::binary;
use crate::query::run_python;

#[test]
fn fifty_sessions_are_readable_soon_after_their_end() {
    let answer = run_python("latency.py", &["--sessions", "50", "--binary", binary(), "--json"], b"");
    let figures: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!(figures["visible"], 50, "{figures}");
    assert!(figures["p99_s"].as_f64().unwrap() < 30.0, "{figures}");
}
