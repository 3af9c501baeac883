//! The mapping tables (`mapping.yaml`): which attribute feeds which column, which record is which kind of fact.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::columns::{Int, Text};
use crate::model::Kind;

/// Where an attribute's value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Text(Text),
    Int(Int),
    /// `cost_usd` in millionths: exact, so it wins over `cost_usd`.
    CostMicros,
    Success,
    /// Stays in `attributes`.
    Keep,
    /// Says nothing that another attribute does not say.
    Drop,
}

impl Target {
    fn parse(name: Option<&str>) -> Option<Target> {
        match name {
            None => Some(Target::Drop),
            Some("attributes") => Some(Target::Keep),
            Some("success") => Some(Target::Success),
            Some("cost_usd_micros") => Some(Target::CostMicros),
            Some(name) => Text::parse(name).map(Target::Text).or_else(|| Int::parse(name).map(Target::Int)),
        }
    }
}

/// What becomes of a record's attributes, by their names; asked for each attribute of each record.
pub type Targets = HashMap<String, Target, ahash::RandomState>;

/// What a named record is.
#[derive(Clone, Debug)]
pub struct RecordMap {
    pub kind: Kind,
    pub targets: Targets,
}

/// One agent family's table.
#[derive(Clone, Debug)]
pub struct Table {
    #[cfg(test)]
    pub name: String,
    scopes: Vec<String>,
    prefixes: Vec<String>,
    services: Vec<String>,
    attributes: Vec<String>,
    /// Attributes that name the session, best first.
    pub session: Vec<String>,
    /// A trace without a session's name is a session of its own.
    pub trace_is_session: bool,
    pub input_tokens_include_cache: bool,
    columns: Targets,
    logs: HashMap<String, RecordMap>,
    spans: HashMap<String, RecordMap>,
    operations: HashMap<String, Kind>,
}

impl Table {
    /// The record's own name without the table's prefix: `claude_code.api_request` is `api_request`.
    pub fn short_name<'n>(&self, name: &'n str) -> &'n str {
        self.prefixes.iter().find_map(|p| name.strip_prefix(p.as_str()).filter(|_| self.scopes_named())).unwrap_or(name)
    }

    fn scopes_named(&self) -> bool {
        !self.scopes.is_empty()
    }

    pub fn log(&self, short_name: &str) -> Option<&RecordMap> {
        self.logs.get(short_name)
    }

    pub fn span(&self, short_name: &str) -> Option<&RecordMap> {
        self.spans.get(short_name)
    }

    /// The kind of a span by its `gen_ai.operation.name`.
    pub fn operation(&self, operation: &str) -> Option<Kind> {
        self.operations.get(operation).copied()
    }

    /// The targets of records that have no map of their own.
    pub fn columns(&self) -> &Targets {
        &self.columns
    }

    fn fits<'k>(&self, scope: &str, service: &str, name: &str, keys: &mut impl Iterator<Item = &'k str>) -> bool {
        self.scopes.iter().any(|s| scope.starts_with(s.as_str()))
            || self.services.iter().any(|s| s == service)
            || self.prefixes.iter().any(|p| name.starts_with(p.as_str()))
            || (!self.attributes.is_empty() && keys.any(|key| self.attributes.iter().any(|a| a == key)))
    }
}

/// The table for a record, by the names of its scope, its service and itself, and by its attributes' keys. The last
/// table fits all.
pub fn table_for<'k>(
    scope: &str,
    service: &str,
    name: &str,
    mut keys: impl Iterator<Item = &'k str>,
) -> &'static Table {
    let (last, tables) = TABLES.split_last().expect("mapping.yaml holds tables, as a test shows");
    tables.iter().find(|t| t.fits(scope, service, name, &mut keys)).unwrap_or(last)
}

static TABLES: LazyLock<Vec<Table>> =
    LazyLock::new(|| parse(include_str!("mapping.yaml")).expect("mapping.yaml is valid, as a test shows"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableYaml {
    #[cfg_attr(not(test), expect(dead_code, reason = "names the table to its readers"))]
    name: String,
    scopes: Vec<String>,
    prefixes: Vec<String>,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    attributes: Vec<String>,
    session: Vec<String>,
    #[serde(default)]
    trace_is_session: bool,
    input_tokens_include_cache: bool,
    columns: HashMap<String, Option<String>>,
    logs: HashMap<String, RecordYaml>,
    spans: HashMap<String, RecordYaml>,
    #[serde(default)]
    operations: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordYaml {
    kind: String,
    #[serde(default)]
    columns: HashMap<String, Option<String>>,
}

fn parse(yaml: &str) -> Result<Vec<Table>, String> {
    let tables: Vec<TableYaml> = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    tables.into_iter().map(table).collect()
}

fn table(yaml: TableYaml) -> Result<Table, String> {
    let columns = targets(&yaml.columns, &Targets::default())?;
    let records = |map: HashMap<String, RecordYaml>| {
        map.into_iter()
            .map(|(name, record)| {
                let map = RecordMap { kind: kind(&record.kind)?, targets: targets(&record.columns, &columns)? };
                Ok::<_, String>((name, map))
            })
            .collect::<Result<HashMap<_, _>, _>>()
    };
    Ok(Table {
        logs: records(yaml.logs)?,
        spans: records(yaml.spans)?,
        operations: yaml.operations.into_iter().map(|(o, k)| Ok((o, kind(&k)?))).collect::<Result<_, String>>()?,

        #[cfg(test)]
        name: yaml.name,
        scopes: yaml.scopes,
        prefixes: yaml.prefixes,
        services: yaml.services,
        attributes: yaml.attributes,
        session: yaml.session,
        trace_is_session: yaml.trace_is_session,
        input_tokens_include_cache: yaml.input_tokens_include_cache,
        columns,
    })
}

fn targets(own: &HashMap<String, Option<String>>, inherited: &Targets) -> Result<Targets, String> {
    let mut targets = inherited.clone();
    for (attribute, column) in own {
        let target = Target::parse(column.as_deref()).ok_or_else(|| format!("{attribute}: no column {column:?}"))?;
        targets.insert(attribute.clone(), target);
    }
    Ok(targets)
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::parse(name).ok_or_else(|| format!("no kind '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_parse_and_the_last_fits_everything() {
        let tables = parse(include_str!("mapping.yaml")).unwrap();
        assert_eq!(tables.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["claude", "genai", "other"]);
        assert_eq!(table_for("my.app", "", "hello", std::iter::empty()).name, "other");
    }

    #[test]
    fn records_choose_their_table_by_scope_name_or_attribute() {
        assert_eq!(table_for("com.anthropic.claude_code.events", "", "x", std::iter::empty()).name, "claude");
        assert_eq!(table_for("", "", "claude_code.api_request", std::iter::empty()).name, "claude");
        assert_eq!(table_for("relabelled", "cowork", "", std::iter::empty()).name, "claude");
        assert_eq!(table_for("my.sdk", "", "chat gpt", ["gen_ai.operation.name"].into_iter()).name, "genai");
    }

    #[test]
    fn a_record_map_adds_to_its_tables_columns() {
        let table = table_for("com.anthropic.claude_code.events", "", "", std::iter::empty());
        let map = table.log(table.short_name("claude_code.api_request")).unwrap();
        assert_eq!(map.kind, Kind::ModelCall);
        assert_eq!(map.targets["request_id"], Target::Text(Text::RequestId));
        assert_eq!(map.targets["cost_usd_micros"], Target::CostMicros);
        assert_eq!(map.targets["mcp_tool.name"], Target::Keep);
    }
}
