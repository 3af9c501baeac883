//! `--set a.b.c=value`: one value at a dotted path, as a small document of its own.

use crate::document::{Problem, Source};

const HELP: &str = "write a dotted path and a value, as in --set exporters.lake.flush_interval=1s";

/// The YAML document that an argument of `--set` stands for.
pub fn document(argument: &str) -> Result<Source, Problem> {
    let name = format!("--set {}", shown(argument));
    let wrong = |message: &str| Problem::new(message, Some(HELP.to_owned())).of(&name);
    let (path, value) = argument.split_once('=').ok_or_else(|| wrong("no '=' in --set"))?;
    let keys: Vec<&str> = path.split('.').collect();
    if !keys.iter().all(|key| is_key(key)) {
        return Err(wrong("no dotted path before the '=' in --set"));
    }
    Ok(Source { text: nested(&keys, value), name })
}

/// The document that a flag such as `--lake` stands for. The value is taken literally.
pub fn flag(name: &str, path: &[&str], value: &str) -> Source {
    let literal = serde_json::Value::from(value.replace('$', "$$")).to_string();
    Source { text: nested(path, &literal), name: name.to_owned() }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b))
}

/// The path only: the value may be a secret.
fn shown(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(path, _)| path)
}

/// One key a line, each deeper by a column, and the value after the last.
fn nested(keys: &[&str], value: &str) -> String {
    let lines = keys.iter().enumerate().map(|(depth, key)| format!("{}{key}:", " ".repeat(depth)));
    let document = lines.collect::<Vec<_>>().join("\n");
    format!("{document} {value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_nested_keys() {
        let source = document("a.b-c.d/e=x=y").unwrap();
        assert_eq!(source.text, "a:\n b-c:\n  d/e: x=y\n");
        assert_eq!(source.name, "--set a.b-c.d/e");
    }

    #[test]
    fn a_flags_value_is_literal() {
        let source = flag("--data-dir", &["data_dir"], r#"C:\a "b" ${x}"#);
        assert_eq!(source.text, "data_dir: \"C:\\\\a \\\"b\\\" $${x}\"\n");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["a.b", "=x", "a..b=x", "a b=x", ".=x"] {
            assert!(document(bad).is_err(), "{bad}");
        }
    }
}
