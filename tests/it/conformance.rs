//! The conformance checklist (tests/conformance), as data, against the real binary.

use std::process::Command;

use crate::harness::{binary, python, root};

#[test]
fn all_fifty_items_of_the_checklist_hold() {
    let output = Command::new(python()).arg(root().join("tests/conformance/run.py")).arg(binary()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = said.lines().filter(|line| !line.contains(" ok ")).collect();
    assert!(output.status.success() && said.contains("50 of 50"), "{failed:#?}");
}
