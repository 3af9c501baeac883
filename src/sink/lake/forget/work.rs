//! What is to be forgotten, and when it is worked on: the part of the lease's holder.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::error::LakeError;
use super::super::lease::Fence;
use super::super::open::Lake;
use super::super::tombstones::Tombstones;
use super::pass::Pass;
use super::request::{Request, Requests};
use crate::clock::Clock;
use crate::model::Workspace;

/// How often requests are looked for while there are none that anybody told of.
const LOOK: Duration = Duration::from_secs(30);
/// How often they are looked for, and the tables gone through, while there are some.
const AGAIN: Duration = Duration::from_secs(1);
/// Requests, and their sessions, that one pass takes on.
const AT_ONCE: usize = 256;
const SESSIONS_AT_ONCE: usize = 20_000;

/// What a turn of work came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows went: the tables are other than before.
    pub changed: bool,
    /// Sessions that got facts: they are to be sealed.
    pub kept_in: BTreeSet<String>,
}

/// Works requests off. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Forgetter(Arc<Inner>);

struct Inner {
    lake: Lake,
    requests: Requests,
    tombstones: Tombstones,
    clock: Clock,
    /// No process but this one maintains the lake, and this one has no journal.
    alone: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Vec<Request>,
    looked: Option<Instant>,
    /// What `Tombstones::changes` said then.
    changes: u64,
    /// When each was worked on last.
    turns: HashMap<String, Instant>,
}

impl std::fmt::Debug for Forgetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forgetter(..)")
    }
}

impl Forgetter {
    /// For a process that serves the lake, and says so all the time.
    pub fn new(lake: &Lake, tombstones: Tombstones, clock: Clock) -> Forgetter {
        Forgetter::make(lake, tombstones, clock, false)
    }

    /// For a command, which may be the only process there is.
    pub fn alone(lake: &Lake, tombstones: Tombstones, clock: Clock) -> Forgetter {
        Forgetter::make(lake, tombstones, clock, true)
    }

    fn make(lake: &Lake, tombstones: Tombstones, clock: Clock, alone: bool) -> Forgetter {
        let requests = Requests::new(lake);
        Forgetter(Arc::new(Inner { lake: lake.clone(), requests, tombstones, clock, alone, state: Mutex::default() }))
    }

    /// Sessions that nothing is kept of.
    pub fn tombstones(&self) -> &Tombstones {
        &self.0.tombstones
    }

    /// Works on requests of one workspace. The caller holds the lease, and does nothing else in the workspace meanwhile.
    ///
    /// # Errors
    /// `Fenced`: another process maintains the lake now. Others: the store; nothing is lost, call again.
    pub async fn work(
        &self,
        workspace: &Workspace,
        due: Vec<Request>,
        fence: Fence,
        outcome: &mut Forgotten,
    ) -> Result<(), LakeError> {
        let Inner { lake, requests, tombstones, clock, alone, state } = &*self.0;
        let pass = Pass {
            lake: lake.clone(),
            requests: requests.clone(),
            tombstones: tombstones.clone(),
            clock: clock.clone(),
            alone: *alone,
            workspace: workspace.clone(),
            fence,
        };
        let ids: Vec<String> = due.iter().map(|request| request.id.clone()).collect();
        let done = pass.run(due, outcome).await?;
        let mut state = state.lock().await;
        state.pending.retain(|request| !done.contains(&request.id));
        let again = ids.into_iter().filter(|id| !done.contains(id));
        state.turns.extend(again.map(|id| (id, Instant::now())));
        Ok(())
    }

    /// A request was stored: looks for it at the next turn.
    pub async fn hurry(&self) {
        self.0.state.lock().await.looked = None;
    }

    /// Workspaces that something is to be done in, also those that have no table.
    pub async fn workspaces(&self) -> BTreeSet<Workspace> {
        let state = self.0.state.lock().await;
        state.pending.iter().map(|request| request.workspace.clone()).collect()
    }

    /// Looks for requests, if it is time to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn look(&self) -> BoxFuture<'static, Result<(), LakeError>> {
        let this = self.clone();
        async move { this.look_with(&mut *this.0.state.lock().await).await }.boxed()
    }

    /// A workspace's requests that are to be worked on now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due(&self, workspace: &Workspace) -> Result<Vec<Request>, LakeError> {
        let mut state = self.0.state.lock().await;
        self.look_with(&mut state).await?;
        let rested = |id: &str| state.turns.get(id).is_none_or(|turn| turn.elapsed() >= AGAIN);
        let due = state.pending.iter().filter(|request| request.workspace == *workspace && rested(&request.id));
        let mut sessions = 0;
        let fits = |request: &&Request| {
            let before = sessions;
            sessions += request.sessions.len();
            before == 0 || sessions <= SESSIONS_AT_ONCE
        };
        Ok(due.take_while(fits).take(AT_ONCE).cloned().collect())
    }

    async fn look_with(&self, state: &mut State) -> Result<(), LakeError> {
        let changes = self.0.tombstones.changes();
        let every = if state.pending.is_empty() { LOOK } else { AGAIN };
        if state.changes != changes || state.looked.is_none_or(|at| at.elapsed() >= every) {
            state.pending = self.0.requests.pending_beside(std::mem::take(&mut state.pending)).await?;
            (state.looked, state.changes) = (Some(Instant::now()), changes);
            let known: HashSet<String> = state.pending.iter().map(|request| request.id.clone()).collect();
            state.turns.retain(|id, _| known.contains(id));
        }
        Ok(())
    }
}
