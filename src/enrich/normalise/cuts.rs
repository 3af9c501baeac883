//! Which columns of a fact were cut by the limits on what a record may hold: they carry the mark `[TRUNCATED:n]`.

use crate::enrich::columns::Text;
use crate::model::{Columns, Truncation};

const MARK: &str = "[TRUNCATED:";

/// Lists the columns that carry a mark in `truncated`.
pub fn note(columns: &mut Columns) {
    for column in Text::ALL {
        if let Some(original_bytes) = column.get(columns).as_deref().and_then(cut) {
            list(&mut columns.truncated, column.name(), original_bytes);
        }
    }
    let rest = [("attributes", &columns.attributes), ("resource", &columns.resource)];
    for (name, json) in rest {
        if let Some(original_bytes) = json.as_deref().and_then(cut) {
            list(&mut columns.truncated, name, original_bytes);
        }
    }
}

/// Whether a text was cut, and how long it was if all of it was one text.
fn cut(text: &str) -> Option<Option<i64>> {
    if text.ends_with(']')
        && let Some((_, mark)) = text.rsplit_once(MARK)
        && let Ok(bytes) = mark[..mark.len() - 1].parse()
    {
        return Some(Some(bytes));
    }
    let holds_texts = text.starts_with(['{', '[']);
    (holds_texts && text.split(MARK).skip(1).any(ends_a_string)).then_some(None)
}

/// Whether what follows a mark's beginning is its end, and the end of a JSON string.
fn ends_a_string(rest: &str) -> bool {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && rest[digits..].starts_with("]\"")
}

fn list(truncated: &mut Vec<Truncation>, column: &str, original_bytes: Option<i64>) {
    match truncated.iter_mut().find(|t| t.column == column) {
        Some(listed) => listed.original_bytes = listed.original_bytes.or(original_bytes),
        None => truncated.push(Truncation { column: column.to_owned(), original_bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_with_a_mark_are_listed_once_and_with_their_length_where_it_is_known() {
        let text = |text: &str| Some(text.to_owned());
        let mut columns = Columns {
            content: text("beginning[TRUNCATED:5000000]"),
            tool_input: text(r#"{"command":"x[TRUNCATED:7]"}"#),
            tool_output: text("[TRUNCATED: by hand]"),
            error: text("see [TRUNCATED:7] above"),
            attributes: text(r#"{"a":"[TRUNCATED:9]","b":1}"#),
            truncated: vec![Truncation { column: "content".to_owned(), original_bytes: None }],
            ..Columns::default()
        };
        note(&mut columns);
        let listed: Vec<_> = columns.truncated.iter().map(|t| (t.column.as_str(), t.original_bytes)).collect();
        assert_eq!(listed, [("content", Some(5_000_000)), ("tool_input", None), ("attributes", None)]);
    }
}
