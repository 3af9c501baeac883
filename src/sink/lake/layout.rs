//! The Arrow schema, the Delta schema and the text dump, made from the column tables.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Value, json};

use super::schema::{Column, Storage, Type};
use super::table::TableKind;

/// A struct's members: name, type, nullable.
pub(super) type Members = &'static [(&'static str, Type, bool)];

impl Type {
    /// The members of a list's items; `None` for scalars and lists of text.
    pub(super) fn members(self) -> Option<Members> {
        match self {
            Type::Redactions => Some(&[("rule", Type::Text, false), ("count", Type::Int, false)]),
            Type::Truncations => Some(&[("column", Type::Text, false), ("original_bytes", Type::Int, true)]),
            Type::Prompts => Some(&[("time", Type::Time, false), ("text", Type::Text, false)]),
            Type::Gaps => Some(&[("kind", Type::Text, false), ("detail", Type::Text, false)]),
            Type::Skills => Some(&[("name", Type::Text, false), ("version_hash", Type::Text, true)]),
            _ => None,
        }
    }

    pub(super) fn arrow(self) -> DataType {
        match self {
            Type::Text => DataType::Utf8,
            Type::Int => DataType::Int64,
            Type::Int32 => DataType::Int32,
            Type::Real => DataType::Float64,
            Type::Flag => DataType::Boolean,
            Type::Day => DataType::Date32,
            Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Type::Usd => DataType::Decimal128(18, 9),
            Type::Texts => list(DataType::Utf8),
            _ => list(DataType::Struct(self.fields())),
        }
    }

    /// The members as Arrow fields; none for what is no list of structs.
    pub(super) fn fields(self) -> Fields {
        let members = self.members().unwrap_or_default().iter();
        members.map(|(name, ty, nullable)| Field::new(*name, ty.arrow(), *nullable)).collect()
    }

    /// As in the Delta log's `schemaString` (PROTOCOL.md, "Schema Serialization Format").
    fn delta(self) -> Value {
        match self {
            Type::Text => json!("string"),
            Type::Int => json!("long"),
            Type::Int32 => json!("integer"),
            Type::Real => json!("double"),
            Type::Flag => json!("boolean"),
            Type::Day => json!("date"),
            Type::Time => json!("timestamp"),
            Type::Usd => json!("decimal(18,9)"),
            Type::Texts => json!({"type": "array", "elementType": "string", "containsNull": false}),
            _ => {
                let members = self.members().unwrap_or_default().iter();
                let fields: Vec<Value> = members.map(|(name, ty, null)| delta_field(name, *ty, *null, "")).collect();
                let element = json!({"type": "struct", "fields": fields});
                json!({"type": "array", "elementType": element, "containsNull": false})
            }
        }
    }

    fn sql(self) -> String {
        match self {
            Type::Text => "text".to_owned(),
            Type::Int => "bigint".to_owned(),
            Type::Int32 => "integer".to_owned(),
            Type::Real => "double".to_owned(),
            Type::Flag => "boolean".to_owned(),
            Type::Day => "date".to_owned(),
            Type::Time => "timestamp".to_owned(),
            Type::Usd => "decimal(18,9)".to_owned(),
            Type::Texts => "list of text".to_owned(),
            _ => {
                let members = self.members().unwrap_or_default().iter();
                let names: Vec<&str> = members.map(|(name, ..)| *name).collect();
                format!("list of {{{}}}", names.join(", "))
            }
        }
    }
}

/// `element` is what Parquet's format and Delta's readers call a list's item.
pub(super) fn element(item: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", item, false))
}

fn list(item: DataType) -> DataType {
    DataType::List(element(item))
}

fn delta_field(name: &str, ty: Type, nullable: bool, comment: &str) -> Value {
    let metadata = if comment.is_empty() { json!({}) } else { json!({"comment": comment}) };
    json!({"name": name, "type": ty.delta(), "nullable": nullable, "metadata": metadata})
}

/// The schema of a table's files: without the partition.
pub fn file_schema(kind: TableKind) -> SchemaRef {
    static SCHEMAS: LazyLock<[SchemaRef; 4]> = LazyLock::new(|| TableKind::ALL.map(build));
    SCHEMAS[kind as usize].clone()
}

fn build(kind: TableKind) -> SchemaRef {
    let columns = kind.columns().filter(|column| !column.is_partition());
    Arc::new(Schema::new(
        columns.map(|column| Field::new(column.name, column.ty.arrow(), column.nullable)).collect::<Vec<_>>(),
    ))
}

/// The table's schema as the Delta log holds it.
pub(super) fn delta_schema(kind: TableKind) -> Value {
    let fields: Vec<Value> = kind.columns().map(|c| delta_field(c.name, c.ty, c.nullable, c.doc)).collect();
    json!({"type": "struct", "fields": fields})
}

/// The columns whose minimum and maximum any writer may put into the log: never content.
pub(super) fn logged_columns(kind: TableKind) -> String {
    let names: Vec<&str> = kind.columns().filter(|c| c.is_logged()).map(|c| c.name).collect();
    names.join(",")
}

/// All tables as text, one line a column: for people, and for the test that pins the schema.
pub fn dump() -> String {
    let mut text = String::new();
    for kind in TableKind::ALL {
        let _ = writeln!(
            text,
            "## {}\n\n| column | type | stored | origin | fold | meaning |\n|---|---|---|---|---|---|",
            kind.name()
        );
        kind.columns().for_each(|column| dump_column(&mut text, column));
        text.push('\n');
    }
    text
}

fn dump_column(text: &mut String, column: &Column) {
    let null = if column.nullable { "" } else { " not null" };
    let stored = match column.storage {
        Storage::Partition => "partition",
        Storage::Logged => "logged",
        Storage::Plain => "",
        Storage::Bloom => "bloom",
        Storage::LoggedBloom => "logged, bloom",
        Storage::Content => "content",
    };
    let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
    let Column { name, ty, origin, fold, doc, .. } = column;
    // Writing to a string does not fail.
    let _ = writeln!(text, "| `{name}` | {}{null} | {stored} | {origin} | {fold} | {doc}{unit} |", ty.sql());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns are only ever added. Write the file anew with `SESSIONLAKE_BLESS=1` and look at the difference.
    #[test]
    fn the_schema_is_the_one_pinned() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sink/lake/schema.md");
        if std::env::var_os("SESSIONLAKE_BLESS").is_some() {
            std::fs::write(file, dump()).unwrap();
        }
        assert_eq!(dump(), include_str!("schema.md"));
    }

    #[test]
    fn no_column_stands_twice_and_partitions_are_not_stored() {
        for kind in TableKind::ALL {
            let names: std::collections::BTreeSet<_> = kind.columns().map(|c| c.name).collect();
            assert_eq!(names.len(), kind.columns().count());
            let partitions: Vec<_> = kind.columns().filter(|c| c.is_partition()).map(|c| c.name).collect();
            assert_eq!(partitions, [kind.partition()]);
            assert!(file_schema(kind).field_with_name(kind.partition()).is_err());
        }
    }

    #[test]
    fn no_content_is_logged() {
        for kind in TableKind::ALL {
            let logged = logged_columns(kind);
            assert!(logged.contains(if kind == TableKind::Audit { "request_id" } else { "session_id" }));
            assert!(kind.columns().filter(|c| c.is_content()).all(|c| !logged.split(',').any(|name| name == c.name)));
        }
    }
}
