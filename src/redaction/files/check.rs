//! The tests that rule files hold.

use std::collections::BTreeSet;

use super::super::Redactor;
use super::super::rules::Subject;
use super::written::{Record, Test};
use crate::document::{Place, Problem, Source};

/// A test, and where it was written.
pub struct Check {
    pub source: usize,
    pub place: Place,
    pub test: Test,
}

impl Check {
    /// What is wrong, if the test fails. The text is not quoted: it may be a real secret.
    pub fn run(&self, redactor: &Redactor, sources: &[Source]) -> Option<Problem> {
        let Test { text, place, record, expect } = &self.test;
        let explained = redactor.explain(text, &subject(record), place);
        let found: BTreeSet<&str> = explained.hits.iter().map(|hit| hit.rule.as_str()).collect();
        let expected: BTreeSet<&str> = expect.iter().map(String::as_str).collect();
        if found == expected {
            return None;
        }
        let message = format!("this test fails: its text is hit by {}, and expects {}", list(&found), list(&expected));
        let help = "correct the rule or the test; 'sessionlake redact --explain --rules FILE' shows what hits where";
        Some(Problem::new(message, Some(help.to_owned())).hidden_at(&sources[self.source], self.place))
    }
}

fn list(rules: &BTreeSet<&str>) -> String {
    match rules.is_empty() {
        true => "no rule".to_owned(),
        false => rules.iter().copied().collect::<Vec<_>>().join(", "),
    }
}

fn subject(record: &Record) -> Subject {
    Subject {
        workspace: record.workspace.clone().unwrap_or_else(|| "default".to_owned()),
        users: record.user.iter().cloned().collect(),
        project: record.project.clone(),
        agent: record.agent.clone(),
        tool: record.tool.clone(),
        mcp_server: record.mcp_server.clone(),
        event: record.event.clone(),
    }
}
