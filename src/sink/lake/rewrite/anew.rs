//! Rows redacted anew: by today's rules, or because sealing found in an event what its facts show in pieces.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::{Checked, Gone, Judge, Purged, Rewritten, Selection, Tables, Verdict, purge, rewrite, slices::slice};
use crate::model::{Columns, Event, Fact, Session, Workspace};
use crate::sink::lake::holds::Held;
use crate::sink::lake::lease::Fence;
use crate::sink::lake::marks::Mark;
use crate::sink::lake::row::day_of;
use crate::sink::lake::{LakeError, Table};

/// A session lives in the partition of its start: events of longer ones are not looked at.
const MAX_SESSION_DAYS: i32 = 30;

/// Stands where a piece of a secret, or what stood beside it, was.
const PIECES: &str = "[REDACTED:pieces]";

/// Redacts a row's texts; says whether it hid anything. Twice is as once. Cheap to clone.
#[derive(Clone)]
pub struct Anew(Arc<Redact>);

type Redact = dyn Fn(&Workspace, &mut Columns) -> bool + Send + Sync;

impl Anew {
    pub fn new(redact: impl Fn(&Workspace, &mut Columns) -> bool + Send + Sync + 'static) -> Anew {
        Anew(Arc::new(redact))
    }

    fn session(&self, workspace: &Workspace, session: &Session) -> Option<Session> {
        let mut new = session.clone();
        let mut hid = false;
        for prompt in &mut new.prompts {
            let mut columns = Columns {
                user_email: session.user_email.clone(),
                user_id: session.user_id.clone(),
                user_account_id: session.user_account_id.clone(),
                project: session.project.clone(),
                agent: session.agent.clone(),
                content: Some(std::mem::take(&mut prompt.text)),
                ..Columns::default()
            };
            hid |= (self.0)(workspace, &mut columns);
            prompt.text = columns.content.unwrap_or_default();
        }
        hid.then_some(new)
    }
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anew(..)")
    }
}

/// What redacting anew did, as far as it has come.
#[derive(Debug, Default)]
pub struct Redacted {
    pub facts: Rewritten,
    pub events: Rewritten,
    pub sessions: Rewritten,
    pub purged: Purged,
}

/// Redacts some files' rows since `since` (UTC microseconds) that were not shown yet; `true`: there are more. Facts first:
/// rows are computed of them. What is held stays as it is.
///
/// # Errors
/// As [`rewrite()`] and [`purge()`].
pub async fn redact_anew(
    tables: &mut Tables<'_>,
    fence: Fence,
    (workspace, since): (&Workspace, i64),
    held: &Arc<Held>,
    anew: &Anew,
    checked: &mut Checked,
    done: &mut Redacted,
) -> Result<bool, LakeError> {
    let day = day_of(since);
    let (received, started) = (day..=i32::MAX, day.saturating_sub(MAX_SESSION_DAYS)..=i32::MAX);
    let columns = |old: &Columns, anew: &Anew, workspace: &Workspace| {
        let mut new = old.clone();
        (anew.0)(workspace, &mut new).then_some(new)
    };
    let (a, w, h) = (anew.clone(), workspace.clone(), held.clone());
    let judge: Judge<Fact> = Arc::new(move |fact: &Fact| {
        let free = fact.received_at >= since && !h.holds(fact.session_id.as_deref(), &fact.columns);
        let new = free.then(|| columns(&fact.columns, &a, &w)).flatten();
        new.map_or(Verdict::Keep, |columns| Verdict::Replace(Box::new(Fact { columns, ..fact.clone() })))
    });
    let (facts, more_facts) = slice(tables.facts, fence, &received, &judge, checked).await?;
    let (a, w, h) = (anew.clone(), workspace.clone(), held.clone());
    let judge: Judge<Event> = Arc::new(move |event: &Event| {
        let recent = event.time >= since || event.received_at >= since;
        let free = recent && !h.holds(Some(&event.session_id), &event.columns);
        let new = free.then(|| columns(&event.columns, &a, &w)).flatten();
        new.map_or(Verdict::Keep, |columns| Verdict::Replace(Box::new(Event { columns, ..event.clone() })))
    });
    let (events, more_events) = slice(tables.events, fence, &started, &judge, checked).await?;
    let (a, w, h) = (anew.clone(), workspace.clone(), held.clone());
    let judge: Judge<Session> = Arc::new(move |session: &Session| {
        let free = session.end_time >= since && !h.sessions.contains(&session.session_id);
        let new = free.then(|| a.session(&w, session)).flatten();
        new.map_or(Verdict::Keep, |new| Verdict::Replace(Box::new(new)))
    });
    let (sessions, more_sessions) = slice(tables.sessions, fence, &started, &judge, checked).await?;
    done.purged.and(purge_removed(tables.facts, &facts).await?);
    done.purged.and(purge_removed(tables.events, &events).await?);
    done.purged.and(purge_removed(tables.sessions, &sessions).await?);
    done.facts.and(facts);
    done.events.and(events);
    done.sessions.and(sessions);
    Ok(more_facts || more_events || more_sessions)
}

/// Deletes every file that the tables no longer have, when an order is done: a run that was cut off left some that nobody
/// else knows to hold what was hidden.
///
/// # Errors
/// As [`purge()`].
pub async fn purge_superseded(tables: Tables<'_>) -> Result<Purged, LakeError> {
    let mut purged = Purged::default();
    for table in [tables.facts, tables.events, tables.sessions] {
        purged.and(purge(table, Gone { superseded: true, ..Gone::default() }).await?);
    }
    Ok(purged)
}

async fn purge_removed(table: &mut Table, done: &Rewritten) -> Result<Purged, LakeError> {
    match done.is_nothing() {
        true => Ok(Purged::default()),
        false => purge(table, Gone { paths: Some(&done.removed), ..Gone::default() }).await,
    }
}

/// Hides the content of marked facts as a whole: which part of it is a piece of a secret shows only beside the others. What
/// the event says, redacted, is stored already; a later fold shows the mark in its place.
///
/// # Errors
/// As [`rewrite()`] and [`purge()`].
pub async fn hide_pieces(table: &mut Table, fence: Fence, marks: &[Mark]) -> Result<Purged, LakeError> {
    let marked: HashMap<String, HashSet<_>> =
        marks.iter().map(|mark| (mark.session_id.clone(), mark.fact_ids.iter().copied().collect())).collect();
    let sessions: HashSet<String> = marked.keys().cloned().collect();
    let judge: Judge<Fact> = Arc::new(move |fact: &Fact| {
        let of_session = fact.session_id.as_ref().and_then(|session| marked.get(session));
        match of_session.is_some_and(|facts| facts.contains(&fact.fact_id)) {
            true => hidden(fact).map_or(Verdict::Keep, |fact| Verdict::Replace(Box::new(fact))),
            false => Verdict::Keep,
        }
    });
    let selection = Selection { sessions: Some(&sessions), ..Selection::ALL };
    let done = rewrite(table, fence, &selection, &judge).await?;
    let mut purged = purge_removed(table, &done).await?;
    // A run that was cut off removed files that this one does not know of: those of the sessions go all the same.
    purged.and(purge(table, Gone { sessions: Some(&sessions), ..Gone::default() }).await?);
    Ok(purged)
}

fn hidden(fact: &Fact) -> Option<Fact> {
    let mut new = fact.clone();
    let Columns { content, thinking, tool_input, tool_output, error, .. } = &mut new.columns;
    for text in [content, thinking, tool_input, tool_output, error].into_iter().flatten() {
        *text = PIECES.to_owned();
    }
    (new != *fact).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::sink::lake::TableKind;
    use crate::sink::lake::testing::{TestLake, fact};

    const DAY: i64 = 86_400_000_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn marked_facts_are_hidden_and_no_others() {
        let lake = TestLake::new().await;
        lake.append(&[fact("s", 1, Kind::Prompt, 0), fact("s", 2, Kind::Prompt, 0), fact("t", 1, Kind::Prompt, 0)])
            .await;
        let marked = fact("s", 1, Kind::Prompt, 0).fact_id;
        let mark = Mark { session_id: "s".to_owned(), fact_ids: [marked].into() };
        let mut table = lake.table(TableKind::Facts).await;
        hide_pieces(&mut table, Fence::new(1), std::slice::from_ref(&mark)).await.unwrap();
        let facts = lake.facts().await;
        assert_eq!(facts.len(), 3);
        for fact in &facts {
            assert_eq!(fact.columns.content.as_deref() == Some(PIECES), fact.fact_id == marked);
        }
        let version = table.version();
        hide_pieces(&mut table, Fence::new(1), &[mark]).await.unwrap();
        assert_eq!(table.version(), version, "twice is as once");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_since_then_are_redacted_by_todays_rules_and_older_ones_left() {
        let lake = TestLake::new().await;
        lake.append(&[fact("old", 1, Kind::Prompt, 5 * DAY)]).await;
        lake.append(&[fact("new", 2, Kind::Prompt, 9 * DAY), fact("held", 3, Kind::Prompt, 9 * DAY)]).await;
        let held = Arc::new(Held { sessions: ["held".to_owned()].into(), ..Held::default() });
        let anew = Anew::new(|_, columns| {
            let found = columns.content.as_deref().is_some_and(|text| text.starts_with("content"));
            if found {
                columns.content = Some("[REDACTED:x]".to_owned());
            }
            found
        });
        let [mut facts, mut events, mut sessions] = [
            lake.table(TableKind::Facts).await,
            lake.table(TableKind::Events).await,
            lake.table(TableKind::Sessions).await,
        ];
        let mut tables = Tables { facts: &mut facts, events: &mut events, sessions: &mut sessions };
        let (mut checked, mut done) = (Checked::default(), Redacted::default());
        let scope = (&lake.workspace, 8 * DAY);
        let more = redact_anew(&mut tables, Fence::new(1), scope, &held, &anew, &mut checked, &mut done).await.unwrap();
        assert!(!more && done.facts.rows_replaced == 1 && done.purged.files == 1, "{done:?}");
        for fact in lake.facts().await {
            assert_eq!(
                fact.columns.content.as_deref() == Some("[REDACTED:x]"),
                fact.session_id.as_deref() == Some("new")
            );
        }
    }
}
