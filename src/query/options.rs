//! What a query may take.

use std::path::PathBuf;
use std::time::Duration;

/// Bounds of the engine. Bytes, unless said otherwise.
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// Working memory of all queries together.
    pub memory: usize,
    /// Working memory of one session's queries.
    pub session_memory: usize,
    /// Sorts, joins and groups that need more go to files below here. Emptied when the engine starts and ends.
    pub spill_dir: PathBuf,
    pub spill: u64,
    /// Queries that run at a time.
    pub running: usize,
    /// Queries that wait for their turn; more are refused.
    pub waiting: usize,
    /// How long a query may wait for its turn.
    pub patience: Duration,
    /// How long a statement may take, its rows sent; clients may ask for less.
    pub deadline: Duration,
    pub result_rows: u64,
    pub result: u64,
    /// Of one statement's text.
    pub text: usize,
    /// Running sessions that one read of a `live_` table folds, and the bytes of their facts.
    pub live_sessions: usize,
    pub live_bytes: usize,
    /// A session without a new fact for that long is not running.
    pub idle_timeout: Duration,
}

impl QueryOptions {
    /// With a quarter of the process's memory limit for all queries, half of that for one.
    pub fn within(memory_limit: u64, spill_dir: PathBuf) -> QueryOptions {
        let memory = usize::try_from(memory_limit / 4).unwrap_or(usize::MAX);
        QueryOptions {
            memory,
            session_memory: memory / 2,
            spill_dir,
            spill: 4 << 30,
            running: 4,
            waiting: 64,
            patience: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            result_rows: 1_000_000,
            result: 256 << 20,
            text: 256 << 10,
            live_sessions: 200,
            live_bytes: memory / 4,
            idle_timeout: Duration::from_secs(600),
        }
    }
}
