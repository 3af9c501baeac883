//! What is too old goes: facts, events and sessions, and content before costs.
//!
//! - A session's facts go together, when the last of them is too old: a session that goes on keeps those that its rows are
//!   computed from. When it goes on after that, its rows are kept, and what is new is put behind them (`seal`).
//! - Rows in `events` and `sessions` go by the day of the session's start, once it is over.
//! - Partitions that nobody holds and no session still needs go whole, without being read.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::slices::{Checked, slice};
use super::{Gone, Judge, Purged, Rewritten, Selection, Verdict, drop_files, purge, rewrite};
use crate::model::{Columns, Event, Fact, Session, Status, Workspace};
use crate::sink::lake::holds::Held;
use crate::sink::lake::lease::Fence;
use crate::sink::lake::row::day_of;
use crate::sink::lake::{LakeError, Table, TableFile};

const DAY: i64 = 86_400_000_000;

/// How long a workspace's data is kept. `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Facts, from when they were received; never longer than `rows`. Default 30 days.
    pub facts: Option<Duration>,
    /// Events and sessions, from the session's start. Default for ever.
    pub rows: Option<Duration>,
    /// Content in all tables: prompts, replies, inputs and outputs of tools, errors, attributes. Default as long as the row.
    pub content: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { facts: Some(Duration::from_secs(30 * 86_400)), rows: None, content: None }
    }
}

/// How long each workspace's data is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retentions {
    pub default: Retention,
    pub workspaces: BTreeMap<Workspace, Retention>,
}

impl Retentions {
    pub fn of(&self, workspace: &Workspace) -> Retention {
        self.workspaces.get(workspace).copied().unwrap_or(self.default)
    }
}

impl Retention {
    pub const FOR_EVER: Retention = Retention { facts: None, rows: None, content: None };

    /// The first day of facts that is kept, days since 1970-01-01; `None`: all are.
    pub fn first_fact_day(&self, now: i64) -> Option<i32> {
        let facts = [self.facts, self.rows].into_iter().flatten().min()?;
        Some(first_day(facts, now))
    }
}

/// The first day that is kept whole or in part.
fn first_day(age: Duration, now: i64) -> i32 {
    let from = now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    day_of(from)
}

fn before(day: i32) -> RangeInclusive<i32> {
    i32::MIN..=day.saturating_sub(1)
}

/// A workspace's tables.
pub struct Tables<'a> {
    pub facts: &'a mut Table,
    pub events: &'a mut Table,
    pub sessions: &'a mut Table,
}

/// What expiring did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub facts: Rewritten,
    pub events: Rewritten,
    pub sessions: Rewritten,
    pub purged: Purged,
    /// More is to be done at once: call again.
    pub more: bool,
}

impl Expired {
    pub fn is_nothing(&self) -> bool {
        self.facts.is_nothing() && self.events.is_nothing() && self.sessions.is_nothing()
    }
}

/// Takes away what is older than `retention` and not held. Whatever cuts it off, the next call goes on.
///
/// # Errors
/// As [`rewrite()`] and [`purge()`].
pub async fn expire(
    tables: Tables<'_>,
    fence: Fence,
    retention: Retention,
    held: &Arc<Held>,
    checked: &mut Checked,
) -> Result<Expired, LakeError> {
    let now = tables.facts.clock.now();
    let mut expired = Expired::default();
    if let Some(day) = retention.first_fact_day(now) {
        expired.facts.and(expire_facts(tables.facts, fence, day, held).await?);
    }
    if let Some(age) = retention.rows {
        let (events, sessions) = expire_rows(tables.events, tables.sessions, fence, first_day(age, now), held).await?;
        expired.events.and(events);
        expired.sessions.and(sessions);
    }
    if let Some(age) = retention.content {
        let days = before(first_day(age, now));
        let (facts, more_facts) = expire_content::<Fact>(tables.facts, fence, &days, held, checked).await?;
        let (events, more_events) = expire_content::<Event>(tables.events, fence, &days, held, checked).await?;
        let (sessions, more_sessions) = expire_content::<Session>(tables.sessions, fence, &days, held, checked).await?;
        expired.facts.and(facts);
        expired.events.and(events);
        expired.sessions.and(sessions);
        expired.more = more_facts || more_events || more_sessions;
    }
    for (table, done) in
        [(tables.facts, &expired.facts), (tables.events, &expired.events), (tables.sessions, &expired.sessions)]
    {
        if !done.is_nothing() {
            expired.purged.and(purge(table, Gone { paths: Some(&done.removed), ..Gone::default() }).await?);
        }
    }
    Ok(expired)
}

async fn expire_facts(table: &mut Table, fence: Fence, day: i32, held: &Arc<Held>) -> Result<Rewritten, LakeError> {
    table.refresh().await?;
    let (old, young): (Vec<TableFile>, Vec<TableFile>) =
        table.state.files.values().cloned().partition(|file| file.date < day);
    if old.is_empty() {
        return Ok(Rewritten::default());
    }
    let going_on = Arc::new(tags_of(table, &young).await?);
    let (mut whole, mut mixed) = (Vec::new(), Vec::new());
    for file in old {
        let unneeded = held.is_empty() && !table.tags_of(&file).await?.iter().any(|tag| going_on.contains(tag));
        if unneeded { whole.push(file) } else { mixed.push(file) }
    }
    let mut done = drop_files(table, fence, whole).await?;
    if !mixed.is_empty() {
        let (held, key) = (held.clone(), table.key.clone());
        let tag = move |session: &str| crate::sink::lake::table::session_tag(&key, session);
        let judge: Judge<Fact> = Arc::new(move |fact: &Fact| {
            let session = fact.session_id.as_deref();
            let needed = session.is_some_and(|session| going_on.contains(&tag(session)));
            if needed || held.holds(session, &fact.columns) { Verdict::Keep } else { Verdict::Drop }
        });
        done.and(rewrite(table, fence, &Selection { dates: before(day), ..Selection::ALL }, &judge).await?);
    }
    Ok(done)
}

/// Tags of the sessions in these files: 8 bytes for each.
async fn tags_of(table: &Table, files: &[TableFile]) -> Result<HashSet<u64>, LakeError> {
    let mut tags = HashSet::new();
    for file in files {
        tags.extend(table.tags_of(file).await?);
    }
    Ok(tags)
}

async fn expire_rows(
    events: &mut Table,
    sessions: &mut Table,
    fence: Fence,
    day: i32,
    held: &Arc<Held>,
) -> Result<(Rewritten, Rewritten), LakeError> {
    events.refresh().await?;
    sessions.refresh().await?;
    let old = |table: &Table| -> Vec<TableFile> {
        table.state.files.values().filter(|file| file.date < day).cloned().collect()
    };
    let (old_events, old_sessions) = (old(events), old(sessions));
    let from = i64::from(day).saturating_mul(DAY);
    let stays = move |session: &Session, held: &Held| {
        session.end_time >= from || session.status == Status::Running || held.sessions.contains(&session.session_id)
    };
    let mut kept = HashSet::new();
    for file in &old_sessions {
        let rows = sessions.read_sessions(file, None).await?;
        kept.extend(rows.into_iter().filter(|session| stays(session, held)).map(|session| session.session_id));
    }
    // Events before their session: a row in `sessions` says what is still to be looked at.
    if kept.is_empty() {
        return Ok((drop_files(events, fence, old_events).await?, drop_files(sessions, fence, old_sessions).await?));
    }
    let kept = Arc::new(kept);
    let of_event = kept.clone();
    let judge: Judge<Event> = Arc::new(move |event: &Event| match of_event.contains(&event.session_id) {
        true => Verdict::Keep,
        false => Verdict::Drop,
    });
    let selection = Selection { dates: before(day), ..Selection::ALL };
    let events = rewrite(events, fence, &selection, &judge).await?;
    let judge: Judge<Session> = Arc::new(move |session: &Session| match kept.contains(&session.session_id) {
        true => Verdict::Keep,
        false => Verdict::Drop,
    });
    Ok((events, rewrite(sessions, fence, &selection, &judge).await?))
}

/// A row whose content can go before it.
trait Emptied: super::Row + Clone + 'static {
    fn is_held(&self, held: &Held) -> bool;
    /// The row without content; `None`: it has none.
    fn emptied(&self) -> Option<Self>;
}

fn emptied(columns: &Columns) -> Option<Columns> {
    let empty = Columns {
        content: None,
        thinking: None,
        tool_input: None,
        tool_output: None,
        error: None,
        attributes: None,
        resource: None,
        ..columns.clone()
    };
    (empty != *columns).then_some(empty)
}

impl Emptied for Fact {
    fn is_held(&self, held: &Held) -> bool {
        held.holds(self.session_id.as_deref(), &self.columns)
    }

    fn emptied(&self) -> Option<Fact> {
        Some(Fact { columns: emptied(&self.columns)?, ..self.clone() })
    }
}

impl Emptied for Event {
    fn is_held(&self, held: &Held) -> bool {
        held.holds(Some(&self.session_id), &self.columns)
    }

    fn emptied(&self) -> Option<Event> {
        Some(Event { columns: emptied(&self.columns)?, ..self.clone() })
    }
}

impl Emptied for Session {
    fn is_held(&self, held: &Held) -> bool {
        held.sessions.contains(&self.session_id)
    }

    fn emptied(&self) -> Option<Session> {
        (!self.prompts.is_empty()).then(|| Session { prompts: Vec::new(), ..self.clone() })
    }
}

/// Empties the rows of some files that were not looked at yet; says whether there are more.
async fn expire_content<R: Emptied>(
    table: &mut Table,
    fence: Fence,
    days: &RangeInclusive<i32>,
    held: &Arc<Held>,
    checked: &mut Checked,
) -> Result<(Rewritten, bool), LakeError> {
    let held = held.clone();
    let judge: Judge<R> = Arc::new(move |row: &R| match row.emptied() {
        Some(empty) if !row.is_held(&held) => Verdict::Replace(Box::new(empty)),
        _ => Verdict::Keep,
    });
    slice(table, fence, days, &judge, checked).await
}
