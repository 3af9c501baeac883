//! Which sessions are meant.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::super::failure::Failure;
use crate::config;
use crate::model::{Fact, Session, Workspace};
use crate::sink::lake::{Lake, TableKind};

/// Sessions that have no row yet have facts that are at most so old, days.
const UNSEALED_DAYS: i32 = 2;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Options that choose sessions; one kind of them at a time.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Choice {
    /// A session by its whole id; may be given several times
    #[arg(long, value_name = "ID")]
    session: Vec<String>,
    /// All sessions of a user: e-mail address, user id, or the name of a token
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All sessions in a directory, or below it
    #[arg(long, value_name = "DIR")]
    project: Option<String>,
    /// All sessions that ended longer ago than that, as in 400d
    #[arg(long, value_name = "AGE")]
    older_than: Option<String>,
}

impl Choice {
    /// What the receipt says of the choice: the option, and nothing that names a person.
    pub fn checked(&self) -> Result<String, Failure> {
        self.age()?;
        let how = match (&self.user, &self.project, &self.older_than) {
            (Some(_), ..) => "--user".to_owned(),
            (_, Some(_), _) => "--project".to_owned(),
            (.., Some(age)) => format!("--older-than {age}"),
            _ => "--session".to_owned(),
        };
        Ok(how)
    }

    fn age(&self) -> Result<Option<Duration>, Failure> {
        let wrong = |help| Failure::Usage(format!("--older-than: {help}"));
        self.older_than.as_deref().map(|age| config::duration(age, "1s", "36500d").map_err(wrong)).transpose()
    }

    /// The ids, sorted. A session that is named is taken whether there is anything of it or not: it may be on its way.
    pub async fn sessions(&self, lake: &Lake, workspace: &Workspace, now: i64) -> Result<Vec<String>, Failure> {
        let mut found: BTreeSet<String> = self.session.iter().cloned().collect();
        if found.is_empty() {
            let age = self.age()?.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
            let oldest = age.map(|age| now.saturating_sub(age));
            self.stored(lake, workspace, oldest, &mut found).await.context("cannot read the table sessions")?;
            if oldest.is_none() {
                self.arriving(lake, workspace, now, &mut found).await.context("cannot read the table facts")?;
            }
        }
        Ok(found.into_iter().collect())
    }

    async fn stored(
        &self,
        lake: &Lake,
        workspace: &Workspace,
        oldest: Option<i64>,
        found: &mut BTreeSet<String>,
    ) -> Result<()> {
        let Some(table) = lake.existing(workspace, TableKind::Sessions).await? else { return Ok(()) };
        for file in table.files().await? {
            let sessions = table.read_sessions(&file, None).await?;
            found.extend(sessions.into_iter().filter(|s| self.means(s, oldest)).map(|s| s.session_id));
        }
        Ok(())
    }

    fn means(&self, session: &Session, oldest: Option<i64>) -> bool {
        let who = [&session.user_email, &session.user_id, &session.user_account_id, &session.principal];
        match oldest {
            Some(oldest) => session.end_time < oldest,
            None => self.is_of(&who, session.project.as_deref()),
        }
    }

    fn is_of(&self, who: &[&Option<String>], project: Option<&str>) -> bool {
        let user = |user: &String| who.iter().any(|name| name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(user)));
        let below = |dir: &String| {
            let dir = dir.trim_end_matches('/');
            let rest = project.and_then(|project| project.strip_prefix(dir));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.user.as_ref().is_some_and(user) || self.project.as_ref().is_some_and(below)
    }

    /// Sessions whose first rows are still to come.
    async fn arriving(&self, lake: &Lake, workspace: &Workspace, now: i64, found: &mut BTreeSet<String>) -> Result<()> {
        let Some(table) = lake.existing(workspace, TableKind::Facts).await? else { return Ok(()) };
        let today = i32::try_from(now.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX);
        for file in table.files().await?.into_iter().filter(|file| file.date > today - UNSEALED_DAYS) {
            let facts = table.read_facts(&file, None).await?;
            found.extend(facts.into_iter().filter(|fact| self.speaks_of(fact)).filter_map(|fact| fact.session_id));
        }
        Ok(())
    }

    fn speaks_of(&self, fact: &Fact) -> bool {
        let c = &fact.columns;
        self.is_of(&[&c.user_email, &c.user_id, &c.user_account_id, &c.principal], c.project.as_deref())
    }
}
