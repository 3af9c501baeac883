//! An event: one thing that happened in a session, computed from all facts that speak of it.

use super::fact::{Columns, FactId, Kind, Source};

/// How the facts of an event met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Several sources, by natural key.
    Exact,
    /// At least one fact was placed by the context of the session.
    Inferred,
    /// One source only.
    OneSided,
}

impl Joined {
    pub fn as_str(self) -> &'static str {
        match self {
            Joined::Exact => "exact",
            Joined::Inferred => "inferred",
            Joined::OneSided => "one_sided",
        }
    }

    pub fn parse(text: &str) -> Option<Joined> {
        [Joined::Exact, Joined::Inferred, Joined::OneSided].into_iter().find(|j| j.as_str() == text)
    }
}

/// One row of the `events` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub session_id: String,
    /// Stable across folds: derived from the natural key.
    pub event_id: String,
    /// Position in the session, from 0.
    pub seq: i64,
    pub kind: Kind,
    /// UTC day of the session's start, days since 1970-01-01.
    pub date: i32,
    /// UTC microseconds.
    pub time: i64,
    pub end_time: Option<i64>,
    /// First receive time of its facts, UTC microseconds.
    pub received_at: i64,
    pub sources: Vec<Source>,
    pub fact_ids: Vec<FactId>,
    pub joined: Joined,
    pub parent_event_id: Option<String>,
    /// A prompt that no human wrote (task notifications, hook feedback, resumed turns).
    pub synthetic: bool,
    /// Copied from another session by a fork: shown, not counted.
    pub inherited: bool,
    pub columns: Columns,
}
