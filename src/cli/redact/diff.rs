//! `redact diff`: what two rule files do differently.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::options::ConfigArgs;
use super::super::{json as output, terminal};
use super::dry_run::Counts;
use super::inputs;
use super::stored::StoredArgs;
use crate::clock::Clock;
use crate::model::LakeKey;
use crate::redaction::rules::{PolicySetSpec, RuleSpec, Subject};
use crate::redaction::{Redactor, RuleFiles};
use crate::run;

/// Tell what two rule files do differently
///
/// Lists rules that were added, removed and changed; with --text, counts each rule's hits on files,
/// with --stored on the lake's sessions.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake redact diff rules.yaml new-rules.yaml
  sessionlake redact diff rules.yaml new-rules.yaml --text build.log
  sessionlake redact diff rules.yaml new-rules.yaml --stored --since 30d"
)]
pub struct Diff {
    /// The rule file in force
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The rule file to compare it with
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Count hits on this file as well; -: standard input
    #[arg(long, value_name = "FILE")]
    text: Vec<PathBuf>,
    /// Count hits on stored sessions as well
    #[arg(long)]
    stored: bool,
    #[command(flatten)]
    which: StoredArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Hits by rule, of the old and of the new file.
type Hits = BTreeMap<String, [u64; 2]>;

impl Diff {
    pub async fn run(self) -> Result<(), Failure> {
        let read = |path: &PathBuf| run::rules::read(std::slice::from_ref(path));
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let redactors = [old.compile(&LakeKey::NONE)?, new.compile(&LakeKey::NONE)?];
        let changes = Changes::between(&old, &new);
        let mut hits = Hits::new();
        if !self.text.is_empty() {
            self.count_texts(&redactors, &mut hits)?;
        }
        if self.stored {
            self.count_stored(&redactors, &mut hits).await?;
        }
        let counted = self.stored || !self.text.is_empty();
        terminal::print(&match self.json {
            true => output::text(&changes.as_json(&hits)),
            false => changes.table(counted.then_some(&hits)),
        })
    }

    fn count_texts(&self, redactors: &[Redactor; 2], hits: &mut Hits) -> Result<(), Failure> {
        let subject = Subject { workspace: "default".to_owned(), ..Subject::default() };
        for (name, mut input) in inputs(&self.text)? {
            let mut text = Vec::new();
            input.read_to_end(&mut text).map_err(|error| anyhow::anyhow!("cannot read {name}: {error}"))?;
            let text = String::from_utf8_lossy(&text);
            for (side, redactor) in redactors.iter().enumerate() {
                for hit in redactor.explain(&text, &subject, "").hits {
                    hits.entry(hit.rule).or_default()[side] += 1;
                }
            }
        }
        Ok(())
    }

    async fn count_stored(&self, redactors: &[Redactor; 2], hits: &mut Hits) -> Result<(), Failure> {
        let stored = self.which.open(&self.config.load()?, &Clock::system()).await?;
        let mut counts = [Counts::default(), Counts::default()];
        let each = |event: crate::model::Event| {
            for (counts, redactor) in counts.iter_mut().zip(redactors) {
                counts.add(redactor, &stored.workspace, event.clone());
            }
        };
        stored.each_event(each).await?;
        for (side, counts) in counts.into_iter().enumerate() {
            counts.rules.into_iter().for_each(|(rule, count)| hits.entry(rule).or_default()[side] += count.hits);
        }
        Ok(())
    }
}

/// Ids of rules.
struct Changes {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    changed: BTreeSet<String>,
    /// Packs, policies, actions or lists of allowed values are not the same.
    policies: bool,
}

impl Changes {
    fn between(old: &RuleFiles, new: &RuleFiles) -> Changes {
        let (before, after) = (in_force(old.spec()), in_force(new.spec()));
        let ids = |rules: &BTreeMap<&str, &RuleSpec>, other: &BTreeMap<&str, &RuleSpec>| {
            rules.keys().filter(|id| !other.contains_key(*id)).map(|id| (*id).to_owned()).collect()
        };
        let differs = |(id, rule): (&&str, &&RuleSpec)| {
            let other = after.get(*id)?;
            (json!(rule) != json!(other)).then(|| (*id).to_owned())
        };
        let rest = |spec: &PolicySetSpec| json!([spec.allow, spec.base, spec.policies, spec.key_id]);
        Changes {
            added: ids(&after, &before),
            removed: ids(&before, &after),
            changed: before.iter().filter_map(differs).collect(),
            policies: rest(old.spec()) != rest(new.spec()),
        }
    }

    fn table(&self, hits: Option<&Hits>) -> String {
        let mut out = String::new();
        for (what, rules) in [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)] {
            rules.iter().for_each(|rule| out.push_str(&format!("{what:<8} {rule}\n")));
        }
        if self.policies {
            out.push_str("changed  packs, policies, actions or allowed values\n");
        }
        if out.is_empty() {
            out.push_str("no difference in the rules\n");
        }
        for (rule, [old, new]) in hits.into_iter().flatten() {
            out.push_str(&format!("hits     {rule}: {old} before, {new} after\n"));
        }
        out
    }

    fn as_json(&self, hits: &Hits) -> Value {
        let hits = hits.iter().map(|(rule, [old, new])| json!({"rule": rule, "old": old, "new": new}));
        json!({
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "policies_changed": self.policies,
            "hits": hits.collect::<Vec<_>>(),
        })
    }
}

/// The rules that apply where no policy does.
fn in_force(spec: &PolicySetSpec) -> BTreeMap<&str, &RuleSpec> {
    let base = &spec.base;
    let on = |name: &String| base.packs.iter().flatten().chain(&base.add_packs).any(|pack| pack == name);
    let packs = spec.packs.iter().filter(|pack| on(&pack.name)).flat_map(|pack| &pack.rules);
    let rules = packs.chain(&spec.rules).filter(|rule| !base.disable.iter().any(|glob| glob.matches(&rule.id)));
    rules.map(|rule| (rule.id.as_str(), rule)).collect()
}
