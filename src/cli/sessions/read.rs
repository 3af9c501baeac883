//! Reads `sessions` and `events` from the lake.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::config::Config;
use crate::model::{Event, Session, Workspace};
use crate::sink::lake::{Lake, LakeError, LakeOptions, Table, TableKind};

use super::super::failure::Failure;
use super::LakeArgs;

/// A reader of one workspace's tables.
pub struct Reader {
    lake: Lake,
    workspace: Workspace,
}

/// A running collector rewrites files while we read: a read that failed is repeated at the newest version.
const ATTEMPTS: usize = 3;

impl Reader {
    pub fn new(lake: Lake, workspace: Workspace) -> Reader {
        Reader { lake, workspace }
    }

    /// Opens the lake that the flags name; never creates one.
    pub async fn open(args: &LakeArgs) -> Result<Reader, Failure> {
        let workspace = Workspace::parse(&args.workspace).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Reader::new(open_lake(&args.config.load()?).await?, workspace))
    }

    /// All sessions, the newest first.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        let mut sessions = self.all_sessions().await?;
        sessions.sort_by(|a, b| (b.start_time, &a.session_id).cmp(&(a.start_time, &b.session_id)));
        Ok(sessions)
    }

    /// The one session whose id starts with `prefix`; a whole id always wins.
    pub async fn find(&self, prefix: &str) -> Result<Session> {
        let mut matching = self.sessions().await?;
        if let Some(exact) = matching.iter().position(|s| s.session_id == prefix) {
            return Ok(matching.swap_remove(exact));
        }
        matching.retain(|session| session.session_id.starts_with(prefix));
        match matching.len() {
            1 => Ok(matching.swap_remove(0)),
            0 => bail!(
                "no session '{}' in workspace {}: 'sessionlake sessions list' shows what there is",
                prefix.escape_debug(),
                self.workspace
            ),
            n => Err(ambiguous(prefix, n, &matching)),
        }
    }

    /// The session's events in order.
    pub async fn events(&self, session: &Session) -> Result<Vec<Event>> {
        let mut events = self.all_events(session).await?;
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }

    async fn all_sessions(&self) -> Result<Vec<Session>> {
        for _ in 1..ATTEMPTS {
            if let Ok(sessions) = self.try_sessions().await {
                return Ok(sessions);
            }
        }
        self.try_sessions().await.with_context(|| format!("cannot read sessions of workspace {}", self.workspace))
    }

    async fn try_sessions(&self) -> Result<Vec<Session>, LakeError> {
        let Some(table) = self.lake.existing(&self.workspace, TableKind::Sessions).await? else {
            return Ok(Vec::new());
        };
        let mut sessions = Vec::new();
        for file in table.files().await? {
            sessions.extend(table.read_sessions(&file, None).await?);
        }
        Ok(sessions)
    }

    async fn all_events(&self, session: &Session) -> Result<Vec<Event>> {
        for _ in 1..ATTEMPTS {
            if let Ok(events) = self.try_events(session).await {
                return Ok(events);
            }
        }
        self.try_events(session).await.context("cannot read the session's events")
    }

    async fn try_events(&self, session: &Session) -> Result<Vec<Event>, LakeError> {
        match self.lake.existing(&self.workspace, TableKind::Events).await? {
            Some(table) => events_of(&table, session).await,
            None => Ok(Vec::new()),
        }
    }
}

/// Opens the lake that the configuration names; never creates one.
pub async fn open_lake(config: &Config) -> Result<Lake> {
    let options = config.lake_options();
    exists(&options)?;
    Lake::open(&options).await.with_context(|| format!("cannot open the lake at {}", config.lake_name()))
}

/// Opens only the files that can hold the session.
async fn events_of(table: &Table, session: &Session) -> Result<Vec<Event>, LakeError> {
    let tags = [table.session_tag(&session.session_id)];
    let wanted = HashSet::from([session.session_id.clone()]);
    let mut events = Vec::new();
    for file in table.files().await? {
        if file.date == session.date && file.may_hold(&tags) {
            events.extend(table.read_events(&file, Some(&wanted)).await?);
        }
    }
    Ok(events)
}

fn ambiguous(prefix: &str, n: usize, sessions: &[Session]) -> anyhow::Error {
    let shown: Vec<&str> = sessions.iter().take(3).map(|session| session.session_id.as_str()).collect();
    let shown = shown.join(", ").escape_debug().to_string();
    anyhow!("{n} sessions start with '{}' ({shown}...): write more of the id", prefix.escape_debug())
}

/// A mistyped directory would be created when it is opened.
fn exists(options: &LakeOptions) -> Result<()> {
    let path = options.url.strip_prefix("file://").unwrap_or(&options.url);
    if !path.contains("://") && !Path::new(path).is_dir() {
        let name = options.name();
        bail!("no lake at {name}: give --lake URL or --data-dir DIR, or run 'sessionlake serve' first");
    }
    Ok(())
}
