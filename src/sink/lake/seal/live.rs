//! Which sessions are due for sealing, and when: a bookkeeping of ids and times, without content and without I/O.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::{Kind, Status};
use crate::sink::lake::table::Seen;

/// Sessions followed at most, per workspace (about 20 MiB). Beyond that, the least recently active ones are sealed
/// as idle ahead of their time.
const FOLLOWED: usize = 100_000;

/// Running sessions whose rows are stored at most, per workspace. One that starts beyond that gets rows when it ends;
/// its facts are in the lake all the same. They stand 16 to a file, and when one ends its file is written anew: more of
/// them would make more files and more copying than they are worth.
const OPEN: usize = 10_000;

/// After storing rows of running sessions no more are stored for that many times as long as it took: they are renewed
/// less often under load, and leave the machine to what must be done.
const REST: i64 = 4;

/// How long an ended session is remembered, so that a fact that comes late is sealed within a second and not treated
/// as a new session. Exporters deliver their last batch within seconds of the end.
const REMEMBER_ENDED: Duration = Duration::from_secs(60);

/// A moment by both clocks, microseconds. Waiting is measured on `mono`, which no clock change moves; `wall` (since
/// 1970, UTC) is only compared to receive times.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub mono: i64,
    pub wall: i64,
}

/// When sessions are sealed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A session without end is over when nothing was received for that long. Default 10 min, at least 1 s.
    pub idle_timeout: Duration,
    /// How often the rows of a running session are renewed. Default 2 min.
    pub provisional_interval: Duration,
    /// How soon a session that was never stored gets its first rows. Default 5 s.
    pub first_rows: Duration,
    /// How long facts that come after the end wait for others. Default 1 s.
    pub late_debounce: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            idle_timeout: Duration::from_secs(600),
            provisional_interval: Duration::from_secs(120),
            first_rows: Duration::from_secs(5),
            late_debounce: Duration::from_secs(1),
        }
    }
}

/// A duration as a span of [`Now::mono`].
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// What new facts say about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Latest receive time, UTC microseconds.
    pub received_at: i64,
    /// Receive time of the first end among them.
    pub ended_at: Option<i64>,
}

/// The sessions that facts speak of.
pub fn touches(facts: &[Seen]) -> HashMap<&str, Touch> {
    let mut touches = HashMap::new();
    for fact in facts {
        let Some(session) = fact.session_id.as_deref() else { continue };
        let touch = touches.entry(session).or_insert(Touch { received_at: fact.received_at, ended_at: None });
        touch.received_at = touch.received_at.max(fact.received_at);
        if fact.kind == Kind::SessionEnd {
            touch.ended_at = Some(touch.ended_at.map_or(fact.received_at, |at: i64| at.min(fact.received_at)));
        }
    }
    touches
}

/// Facts that the stored rows do not know yet.
#[derive(Clone, Copy, Debug)]
struct Dirty {
    /// The first `facts` version that brought one.
    version: i64,
    /// Since when (mono).
    since: i64,
    /// Receive time of the first end among them (wall).
    ended_at: Option<i64>,
}

/// One session.
#[derive(Clone, Copy, Debug)]
struct Live {
    /// When its last fact was received (mono).
    active: i64,
    dirty: Option<Dirty>,
    /// What its stored rows say; `None`: this process knows of none.
    stored: Option<Status>,
    /// When they were stored (mono).
    stored_at: i64,
    /// Out of turn: too many sessions are followed.
    evicted: bool,
}

impl Live {
    fn idle_at(&self, timing: &Timing) -> i64 {
        // Evicted ones go in the order of their last activity: those of one time stand in the same files.
        if self.evicted { self.active } else { self.active.saturating_add(micros(timing.idle_timeout)) }
    }

    fn ends(&self) -> bool {
        self.dirty.is_some_and(|dirty| dirty.ended_at.is_some()) || self.stored == Some(Status::Ended)
    }
}

/// Why a session is to be sealed, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its end was seen, or facts came after it.
    Ended,
    /// Nothing came for long.
    Over,
    /// Its rows are to show it while it runs.
    Runs,
}

/// A session that is due: since when, when it was last active, and its id.
type Due<'a> = (i64, i64, &'a str);

/// The `limit` longest due; of those that wait as long, the ones that were active at the same time together: they stand
/// in the same files.
fn first(mut due: Vec<Due>, limit: usize) -> impl Iterator<Item = String> {
    if limit < due.len() {
        due.select_nth_unstable(limit);
        due.truncate(limit);
    }
    due.sort_unstable();
    due.into_iter().map(|(.., session)| session.to_owned())
}

/// The sessions of a workspace that are not settled.
pub struct Sessions {
    timing: Timing,
    live: HashMap<String, Live>,
    /// How many of them are stored as running.
    open: usize,
    /// Rows of running sessions are not stored before (mono).
    rest_until: i64,
}

impl Sessions {
    pub fn new(timing: Timing) -> Sessions {
        Sessions { timing, live: HashMap::new(), open: 0, rest_until: i64::MIN }
    }

    /// Follows a session that is stored as running. It is due at once, because when it was last active is known only
    /// from its facts.
    pub fn resume(&mut self, session: String, version: i64, now: Now) {
        let dirty = Some(Dirty { version, since: now.mono, ended_at: None });
        let stored_at = now.mono.saturating_sub(micros(self.timing.provisional_interval));
        let live = Live { active: now.mono, dirty, stored: Some(Status::Running), stored_at, evicted: false };
        self.live.insert(session, live);
        self.open += 1;
    }

    /// Facts came with version `version` of the table.
    pub fn touch(&mut self, session: &str, version: i64, touch: Touch, now: Now) {
        let received = age(touch.received_at, now);
        let fresh = Live { active: received, dirty: None, stored: None, stored_at: 0, evicted: false };
        // Ids are copied only for sessions that are new.
        if !self.live.contains_key(session) {
            self.live.insert(session.to_owned(), fresh);
        }
        let Some(live) = self.live.get_mut(session) else { return };
        live.active = live.active.max(received);
        live.evicted = false;
        let dirty = live.dirty.get_or_insert(Dirty { version, since: now.mono, ended_at: None });
        if dirty.ended_at.is_none() && touch.ended_at.is_some() {
            dirty.ended_at = touch.ended_at;
            // The end starts its own wait: earlier facts' waiting says nothing about it.
            dirty.since = now.mono;
        }
    }

    /// Whether a session counts as over. `received_at` is the latest receive time of its facts.
    pub fn is_idle(&mut self, session: &str, received_at: i64, now: Now) -> bool {
        let Some(live) = self.live.get_mut(session) else { return false };
        live.active = age(received_at, now);
        live.idle_at(&self.timing) <= now.mono
    }

    /// Its rows are stored. Returns the receive time of the end that they are the first to show.
    pub fn stored(&mut self, session: &str, status: Status, now: Now) -> Option<i64> {
        let live = self.live.get_mut(session)?;
        let dirty = live.dirty.take();
        let first = live.stored != Some(Status::Ended) && status == Status::Ended;
        self.open =
            self.open + usize::from(status == Status::Running) - usize::from(live.stored == Some(Status::Running));
        (live.stored, live.stored_at) = (Some(status), now.mono);
        dirty.and_then(|dirty| dirty.ended_at).filter(|_| first)
    }

    /// Its facts cannot be folded, or are gone: it is followed again when facts come.
    pub fn forget(&mut self, session: &str) {
        let gone = self.live.remove(session);
        self.open -= usize::from(gone.is_some_and(|live| live.stored == Some(Status::Running)));
    }

    /// Whether its stored rows say `running`.
    pub fn is_stored_running(&self, session: &str) -> bool {
        self.live.get(session).is_some_and(|live| live.stored == Some(Status::Running))
    }

    /// When a session is to be sealed (mono), and why; `None`: not unless facts come.
    fn due_at(&self, live: &Live) -> Option<(Why, i64)> {
        let over = (Why::Over, live.idle_at(&self.timing));
        let runs = |since: i64, wait: Duration| {
            let at = since.saturating_add(micros(wait)).max(self.rest_until);
            if at < over.1 { (Why::Runs, at) } else { over }
        };
        Some(match (live.dirty, live.stored) {
            (None, None | Some(Status::Ended)) => return None,
            (None, Some(Status::Running)) => over,
            (Some(dirty), Some(Status::Ended)) => {
                (Why::Ended, dirty.since.saturating_add(micros(self.timing.late_debounce)))
            }
            (Some(dirty), _) if dirty.ended_at.is_some() => (Why::Ended, dirty.since),
            (Some(_), Some(Status::Running)) => runs(live.stored_at, self.timing.provisional_interval),
            (Some(_), None) if self.open >= OPEN => over,
            (Some(dirty), None) => runs(dirty.since, self.timing.first_rows),
        })
    }

    /// How many sessions run, whether their rows are stored or not.
    pub fn running(&self) -> usize {
        self.live.values().filter(|live| !live.ends()).count()
    }

    /// Sessions whose stored rows say `running`.
    pub fn stored_running(&self) -> impl Iterator<Item = &String> {
        self.live.iter().filter(|(_, live)| live.stored == Some(Status::Running)).map(|(session, _)| session)
    }

    /// Sessions to seal now, in each kind the longest due first: up to `limit` whose end was seen; those that are over
    /// in the places left, or in an eighth; and an eighth as many that run. So none waits for long behind the others.
    pub fn due(&self, now: Now, limit: usize) -> Vec<String> {
        let [mut ended, mut over, mut running] = [const { Vec::<Due>::new() }; 3];
        for (session, live) in &self.live {
            let Some((why, at)) = self.due_at(live).filter(|(_, at)| *at <= now.mono) else { continue };
            let due = match why {
                Why::Ended => &mut ended,
                Why::Over => &mut over,
                Why::Runs => &mut running,
            };
            due.push((at, live.active, session));
        }
        let share = limit / 8;
        let left = limit.saturating_sub(ended.len()).max(share);
        let beside = share.max(usize::from(ended.is_empty() && over.is_empty()));
        first(ended, limit).chain(first(over, left)).chain(first(running, beside)).collect()
    }

    /// How many are due now.
    pub fn due_count(&self, now: Now) -> usize {
        self.live.values().filter(|live| self.due_at(live).is_some_and(|(_, at)| at <= now.mono)).count()
    }

    /// When the next one is due (mono).
    pub fn next_due(&self) -> Option<i64> {
        self.live.values().filter_map(|live| Some(self.due_at(live)?.1)).min()
    }

    /// Rows of running sessions were stored in a round that took from `started` until now.
    pub fn rest(&mut self, started: Now, now: Now) {
        self.rest_until = now.mono.saturating_add(REST.saturating_mul(now.mono.saturating_sub(started.mono).max(0)));
    }

    /// Lets go of ended sessions that stayed quiet, and keeps the number of others within bounds.
    pub fn prune(&mut self, now: Now) {
        let before = now.mono.saturating_sub(micros(REMEMBER_ENDED));
        self.live
            .retain(|_, live| live.dirty.is_some() || live.stored != Some(Status::Ended) || live.stored_at > before);
        self.evict(FOLLOWED);
    }

    fn evict(&mut self, bound: usize) {
        let excess = self.live.len().saturating_sub(bound);
        if excess == 0 {
            return;
        }
        let mut all: Vec<&mut Live> = self.live.values_mut().filter(|live| !live.ends()).collect();
        if excess < all.len() {
            all.select_nth_unstable_by_key(excess, |live| live.active);
        }
        all.into_iter().take(excess).for_each(|live| live.evicted = true);
    }

    /// The `facts` version up to which nothing is lost when this state is: every session touched up to there is
    /// stored, or stored as running, which a restart looks at again. `scanned` is the last version looked at, and
    /// `stored` counts as stored already.
    pub fn durable_through(&self, scanned: i64, stored: &HashSet<String>) -> i64 {
        let open = self
            .live
            .iter()
            .filter(|(session, live)| live.stored != Some(Status::Running) && !stored.contains(session.as_str()));
        before_first(open.map(|(_, live)| live), scanned)
    }

    /// The `facts` version up to which all ends are stored, and the one up to which everything is.
    pub fn sealed_through(&self, scanned: i64) -> (i64, i64) {
        let ends = before_first(self.live.values().filter(|live| live.ends()), scanned);
        (ends, before_first(self.live.values(), scanned))
    }
}

fn before_first<'a>(sessions: impl Iterator<Item = &'a Live>, scanned: i64) -> i64 {
    let first = sessions.filter_map(|live| live.dirty.map(|dirty| dirty.version)).min();
    first.map_or(scanned, |version| scanned.min(version - 1))
}

/// A receive time on the monotonic clock; never in the future.
fn age(received_at: i64, now: Now) -> i64 {
    now.mono.saturating_sub(now.wall.saturating_sub(received_at).max(0))
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
