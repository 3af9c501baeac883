//! How long data is kept: for all workspaces, and for some of them otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layer::Layer;
use super::values::{self, Wrong, wrong};
use super::written;
use crate::document::Problem;
use crate::model::Workspace;
use crate::sink::lake::{Retention, Retentions};

/// What was said of a workspace, or of all. `Some(None)`: for ever.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    facts: Option<Option<Duration>>,
    rows: Option<Option<Duration>>,
    content: Option<Option<Duration>>,
}

/// `exporters.lake`'s keys of retention.
#[derive(Clone, Debug, Default)]
pub struct RetentionConfig {
    all: Said,
    workspaces: BTreeMap<Workspace, Said>,
}

impl RetentionConfig {
    /// What holds for each workspace: what is not said of it is as for all.
    pub fn meant(&self) -> Retentions {
        let default = self.all.over(Retention::default());
        let workspaces = self.workspaces.iter().map(|(name, said)| (name.clone(), said.over(default))).collect();
        Retentions { default, workspaces }
    }
}

impl Said {
    fn over(&self, below: Retention) -> Retention {
        Retention {
            facts: self.facts.unwrap_or(below.facts),
            rows: self.rows.unwrap_or(below.rows),
            content: self.content.unwrap_or(below.content),
        }
    }
}

/// `30d` or `forever`.
fn age(value: &str) -> Result<Option<Duration>, Wrong> {
    if value == "forever" {
        return Ok(None);
    }
    let in_range = values::duration_in(value, "1d", "36500d").map(Some);
    in_range.map_err(|e| wrong(e.message, "write a duration from 1d to 36500d, as in 30d, or forever"))
}

impl Layer<'_> {
    pub(super) fn retention(&mut self, lake: &written::Lake, retention: &mut RetentionConfig) {
        let all = written::Kept {
            facts_retention: lake.facts_retention.clone(),
            retention: lake.retention.clone(),
            content_retention: lake.content_retention.clone(),
        };
        self.said(&all, &mut retention.all);
        for (name, kept) in lake.workspaces.iter().flatten() {
            match Workspace::parse(name) {
                Ok(workspace) => self.said(kept, retention.workspaces.entry(workspace).or_default()),
                Err(error) => self.wrong(Problem::new(
                    format!("exporters.lake.workspaces: {error}"),
                    Some("name a workspace as tokens name it".to_owned()),
                )),
            }
        }
    }

    fn said(&mut self, kept: &written::Kept, said: &mut Said) {
        self.set(&kept.facts_retention, age, |age| said.facts = Some(age));
        self.set(&kept.retention, age, |age| said.rows = Some(age));
        self.set(&kept.content_retention, age, |age| said.content = Some(age));
    }
}
