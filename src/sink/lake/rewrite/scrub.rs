//! A log entry without what it says of files that are gone: their statistics hold ids of sessions and addresses of users,
//! their tags keyed hashes of sessions. That there was such a file stays, so that the log is as long as it was, and whoever
//! replays it comes to the same table.

use serde_json::{Map, Value};

/// The entry's text without them; `None`: it says nothing of that kind. `gone` is asked for each added file, by its place
/// among the entry's additions.
pub fn scrub(text: &str, gone: impl Fn(usize) -> bool) -> Option<String> {
    let (mut lines, mut adds, mut changed) = (Vec::new(), 0, false);
    for line in text.lines() {
        let mut action: Value = serde_json::from_str(line).unwrap_or(Value::Null);
        let mut told = false;
        if let Some(add) = action.get_mut("add").and_then(Value::as_object_mut) {
            told = gone(adds) && strip(add);
            adds += 1;
        } else if let Some(remove) = action.get_mut("remove").and_then(Value::as_object_mut) {
            told = strip(remove);
        }
        changed |= told;
        lines.push(if told { action.to_string() } else { line.to_owned() });
    }
    changed.then(|| lines.join("\n"))
}

fn strip(file: &mut Map<String, Value>) -> bool {
    let stats = file.remove("stats").is_some_and(|stats| !stats.is_null());
    let tags = file.remove("tags").is_some_and(|tags| !tags.is_null());
    stats || tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_gone_files_goes_and_every_other_line_stays_as_it_is() {
        let entry = concat!(
            r#"{"commitInfo":{"timestamp":1.50}}"#,
            "\n",
            r#"{"add":{"path":"a","stats":"{\"minValues\":{\"session_id\":\"s1\"}}","tags":{"t":"AA"},"size":1}}"#,
            "\n",
            r#"{"add":{"path":"b","stats":"{}","size": 2}}"#,
            "\n",
            r#"{"remove":{"path":"c","tags":{"t":"BB"},"size":3}}"#
        );
        let scrubbed = scrub(entry, |add| add == 0).unwrap();
        let lines: Vec<&str> = scrubbed.lines().collect();
        assert_eq!(lines[0], r#"{"commitInfo":{"timestamp":1.50}}"#);
        assert_eq!(lines[1], r#"{"add":{"path":"a","size":1}}"#);
        assert_eq!(lines[2], r#"{"add":{"path":"b","stats":"{}","size": 2}}"#);
        assert_eq!(lines[3], r#"{"remove":{"path":"c","size":3}}"#);
        assert_eq!(scrub(&scrubbed, |add| add == 0), None, "nothing is left to take away");
    }
}
