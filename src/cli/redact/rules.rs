//! `redact rules`: what the shipped packs find.

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::{json as output, terminal};
use crate::redaction::rules::{BUILTIN_PACKS, Pack, RuleSpec, builtin_pack};

/// List the shipped packs and their rules
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sessionlake redact rules
  sessionlake redact rules --json | jq -r '.[].rules[].id'")]
pub struct Rules {
    /// Print a JSON array, one object per pack
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub fn run(self) -> Result<(), Failure> {
        let packs: Vec<Pack> = BUILTIN_PACKS.iter().filter_map(|(name, _)| builtin_pack(name)).collect();
        if self.json {
            return terminal::print(&output::text(&Value::Array(packs.iter().map(as_json).collect())));
        }
        terminal::print(&packs.iter().map(table).collect::<Vec<_>>().join("\n"))
    }
}

fn table(pack: &Pack) -> String {
    let width = pack.rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let lines = pack.rules.iter().map(|rule| {
        format!("  {:<width$}  {:<8}  {}\n", rule.id, severity(rule).as_str().unwrap_or_default(), rule.description)
    });
    let head = format!(
        "{} {} ({} rules, hash {}): {}\n",
        pack.name,
        pack.version,
        pack.rules.len(),
        pack.hash(),
        pack.description
    );
    head + &lines.collect::<String>()
}

fn severity(rule: &RuleSpec) -> Value {
    json!(rule.severity)
}

fn as_json(pack: &Pack) -> Value {
    let rule = |rule: &RuleSpec| {
        json!({
            "id": rule.id,
            "description": rule.description,
            "severity": rule.severity,
            "validators": rule.validators,
        })
    };
    json!({
        "pack": pack.name,
        "version": pack.version,
        "hash": pack.hash(),
        "description": pack.description,
        "rules": pack.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}
