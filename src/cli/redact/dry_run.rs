//! `redact dry-run`: what rules would change in stored sessions.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::{json as output, terminal};
use super::PolicyArgs;
use super::stored::StoredArgs;
use crate::clock::Clock;
use crate::model::{Event, Workspace};
use crate::redaction::{Redactor, recheck};

/// Tell what the rules would change in stored sessions
///
/// Stored sessions were redacted when they arrived: what is counted here is what these rules would
/// hide beyond that. Nothing is changed.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake redact dry-run --since 7d --rules new-rules.yaml
  sessionlake redact dry-run --lake s3://acme-sessions/prod --workspace payments --packs pii/structured"
)]
pub struct DryRun {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    stored: StoredArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How often each rule hits, by tool and by project.
#[derive(Default)]
pub struct Counts {
    pub rules: BTreeMap<String, Count>,
    pub events: u64,
}

/// One rule's hits.
#[derive(Default)]
pub struct Count {
    pub hits: u64,
    pub events: u64,
    tools: BTreeMap<String, u64>,
    projects: BTreeMap<String, u64>,
}

/// Names beyond this many are counted as `other`: a rule's report stays a page.
const MOST_NAMES: usize = 1000;

impl DryRun {
    pub async fn run(self) -> Result<(), Failure> {
        let redactor = self.policy.redactor()?;
        let stored = self.stored.open(&self.policy.config.load()?, &Clock::system()).await?;
        let mut counts = Counts::default();
        stored.each_event(|event| counts.add(&redactor, &stored.workspace, event)).await?;
        terminal::print(&if self.json { output::text(&counts.as_json()) } else { counts.table() })
    }
}

impl Counts {
    pub fn add(&mut self, redactor: &Redactor, workspace: &Workspace, mut event: Event) {
        self.events += 1;
        let subject = recheck::subject(workspace, &event.columns);
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let (tool, project) = (name(&event.columns.tool_name), name(&event.columns.project));
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for (place, text) in recheck::texts(&mut event.columns) {
            for hit in redactor.explain(text, &subject, place).hits {
                *found.entry(hit.rule).or_default() += 1;
            }
        }
        for (rule, hits) in found {
            let count = self.rules.entry(rule).or_default();
            count.hits += hits;
            count.events += 1;
            tally(&mut count.tools, &tool, hits);
            tally(&mut count.projects, &project, hits);
        }
    }

    pub fn table(&self) -> String {
        let mut out = format!("{} events read; what the rules would hide in them:\n", self.events);
        if self.rules.is_empty() {
            out.push_str("  nothing\n");
        }
        for (rule, count) in &self.rules {
            out.push_str(&format!("{rule}: {} hits in {} events\n", count.hits, count.events));
            out.push_str(&format!("  tools     {}\n", names(&count.tools)));
            out.push_str(&format!("  projects  {}\n", names(&count.projects)));
        }
        out
    }

    pub fn as_json(&self) -> Value {
        let rule = |(rule, count): (&String, &Count)| json!({"rule": rule, "hits": count.hits, "events": count.events, "tools": count.tools, "projects": count.projects});
        json!({"events": self.events, "rules": self.rules.iter().map(rule).collect::<Vec<_>>()})
    }
}

fn tally(names: &mut BTreeMap<String, u64>, name: &str, hits: u64) {
    let name = if names.len() < MOST_NAMES || names.contains_key(name) { name } else { "other" };
    *names.entry(name.to_owned()).or_default() += hits;
}

/// The names with the most hits first.
fn names(counts: &BTreeMap<String, u64>) -> String {
    const SHOWN: usize = 10;
    let mut ordered: Vec<_> = counts.iter().collect();
    ordered.sort_by_key(|(name, hits)| (std::cmp::Reverse(**hits), *name));
    let shown = ordered.iter().take(SHOWN).map(|(name, hits)| format!("{} {hits}", name.escape_debug()));
    let more = ordered.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("{more} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}
