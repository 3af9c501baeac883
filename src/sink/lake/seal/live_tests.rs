use super::*;

const SECOND: i64 = 1_000_000;

/// Both clocks at `seconds`.
fn at(seconds: i64) -> Now {
    Now { mono: seconds * SECOND, wall: seconds * SECOND }
}

fn received(seconds: i64) -> Touch {
    Touch { received_at: seconds * SECOND, ended_at: None }
}

fn ended(seconds: i64) -> Touch {
    Touch { received_at: seconds * SECOND, ended_at: Some(seconds * SECOND) }
}

fn names(sessions: &Sessions, now: Now) -> Vec<String> {
    sessions.due(now, 64)
}

#[test]
fn a_new_session_gets_first_rows_then_regular_ones_then_ends_by_idleness() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.touch("s", 1, received(100), at(100));
    assert_eq!(sessions.next_due(), Some(105 * SECOND));
    assert!(names(&sessions, at(104)).is_empty());
    assert_eq!(names(&sessions, at(105)), ["s"]);
    assert!(!sessions.is_idle("s", 100 * SECOND, at(105)));
    assert_eq!(sessions.stored("s", Status::Running, at(105)), None);
    assert_eq!(sessions.next_due(), Some(700 * SECOND), "only idleness is left to come");

    sessions.touch("s", 2, received(110), at(110));
    assert_eq!(sessions.next_due(), Some(225 * SECOND), "rows are renewed at the interval");
    sessions.stored("s", Status::Running, at(225));
    assert_eq!(sessions.next_due(), Some(710 * SECOND));
    assert!(sessions.is_idle("s", 110 * SECOND, at(710)));
    sessions.stored("s", Status::Ended, at(710));
    assert_eq!(sessions.next_due(), None);
    sessions.prune(at(771));
    assert!(sessions.live.is_empty());
}

#[test]
fn an_end_is_due_at_once_and_late_facts_after_a_debounce() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.touch("s", 1, received(99), at(100));
    sessions.touch("s", 2, ended(101), at(102));
    assert_eq!(names(&sessions, at(102)), ["s"]);
    assert_eq!(sessions.stored("s", Status::Ended, at(103)), Some(101 * SECOND));
    sessions.touch("s", 3, received(104), at(105));
    assert!(names(&sessions, at(105)).is_empty());
    assert_eq!(names(&sessions, at(106)), ["s"]);
    assert_eq!(sessions.stored("s", Status::Ended, at(106)), None, "it was visible before");
}

#[test]
fn ends_go_first_and_others_do_not_starve() {
    let mut sessions = Sessions::new(Timing::default());
    (0..20).for_each(|n| sessions.touch(&format!("running{n:02}"), 1, received(0), at(0)));
    (0..20).for_each(|n| sessions.touch(&format!("ended{n:02}"), 1, ended(5), at(5)));
    assert_eq!(sessions.running(), 20);
    let due = names(&sessions, at(6));
    assert_eq!(due.iter().filter(|name| name.starts_with("ended")).count(), 20);
    assert!(due[..20].iter().all(|name| name.starts_with("ended")));
    assert_eq!(due.len(), 28);
    assert_eq!(sessions.due(at(6), 1).len(), 1);
    assert_eq!(sessions.due_count(at(6)), 40);
}

#[test]
fn a_changed_wall_clock_neither_ends_nor_delays_a_session() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.touch("s", 1, received(100), at(100));
    let jumped = Now { mono: 105 * SECOND, wall: -3_000 * SECOND };
    assert_eq!(names(&sessions, jumped), ["s"]);
    sessions.stored("s", Status::Running, jumped);
    assert_eq!(sessions.next_due(), Some(700 * SECOND));
}

#[test]
fn facts_that_waited_in_the_journal_are_as_old_as_they_are() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.touch("s", 1, received(100), at(2000));
    assert_eq!(names(&sessions, at(2000)), ["s"]);
    assert!(sessions.is_idle("s", 100 * SECOND, at(2000)));
}

#[test]
fn progress_stops_before_what_a_restart_would_not_find() {
    let mut sessions = Sessions::new(Timing::default());
    let none = HashSet::new();
    sessions.touch("stored", 3, received(1), at(1));
    sessions.stored("stored", Status::Running, at(1));
    assert_eq!((sessions.durable_through(4, &none), sessions.sealed_through(4)), (4, (4, 4)));
    sessions.touch("stored", 5, received(2), at(2));
    assert_eq!(sessions.durable_through(6, &none), 6, "a restart loads it, because it is stored as running");
    assert_eq!(sessions.sealed_through(6), (6, 4));
    sessions.touch("new", 7, ended(3), at(3));
    assert_eq!(sessions.durable_through(8, &none), 6);
    assert_eq!(sessions.durable_through(8, &HashSet::from(["new".to_owned()])), 8);
    assert_eq!(sessions.sealed_through(8), (6, 4));
}

#[test]
fn a_session_found_as_running_is_looked_at_once() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.resume("s".to_owned(), 9, at(5));
    assert_eq!(names(&sessions, at(5)), ["s"]);
    assert!(sessions.is_idle("s", -700 * SECOND, at(5)));
    assert!(!sessions.is_idle("s", 0, at(5)));
}

#[test]
fn too_many_sessions_push_the_quietest_out() {
    let mut sessions = Sessions::new(Timing::default());
    (0..4).for_each(|n| sessions.touch(&format!("s{n}"), 1, received(n), at(10)));
    sessions.evict(3);
    assert_eq!(names(&sessions, at(10)), ["s0"]);
    assert!(sessions.is_idle("s0", 0, at(10)));
    sessions.touch("s0", 2, received(10), at(10));
    assert!(!sessions.is_idle("s0", 10 * SECOND, at(10)));
}

#[test]
fn touches_name_each_session_with_its_latest_time_and_first_end() {
    let seen = |session: &str, kind, received_at| Seen { session_id: Some(session.to_owned()), kind, received_at };
    let facts = [
        seen("a", Kind::Prompt, 30),
        seen("a", Kind::SessionEnd, 20),
        seen("a", Kind::SessionEnd, 10),
        seen("b", Kind::Prompt, 5),
        Seen { session_id: None, kind: Kind::Metric, received_at: 1 },
    ];
    let touches = touches(&facts);
    assert_eq!(touches.len(), 2);
    assert_eq!(touches["a"], Touch { received_at: 30, ended_at: Some(10) });
    assert_eq!(touches["b"], Touch { received_at: 5, ended_at: None });
}

/// Rows of running sessions are a service; that nothing else waits for them is the rule.
#[test]
fn after_a_long_round_running_sessions_rest_and_others_do_not() {
    let mut sessions = Sessions::new(Timing::default());
    sessions.touch("runs", 1, received(0), at(0));
    sessions.touch("over", 1, received(-700), at(0));
    sessions.rest(at(5), at(8));
    sessions.touch("ended", 2, ended(9), at(9));
    assert_eq!(names(&sessions, at(10)), ["ended", "over"]);
    ["ended", "over"].iter().for_each(|name| {
        sessions.stored(name, Status::Ended, at(10));
    });
    assert_eq!(sessions.next_due(), Some(20 * SECOND), "four times three seconds after the eighth");
    assert_eq!(names(&sessions, at(20)), ["runs"]);
}

/// Memory, files and copying are bounded however many sessions run: the rest is stored when it ends.
#[test]
fn beyond_the_bound_running_sessions_are_stored_when_they_end() {
    let mut sessions = Sessions::new(Timing::default());
    for n in 0..OPEN {
        let name = format!("s{n}");
        sessions.touch(&name, 1, received(0), at(0));
        sessions.stored(&name, Status::Running, at(0));
    }
    sessions.touch("late", 2, received(1), at(1));
    assert_eq!(sessions.next_due(), Some(600 * SECOND), "the first one's idleness");
    assert!(names(&sessions, at(500)).is_empty());
    sessions.stored("s7", Status::Ended, at(500));
    assert_eq!(names(&sessions, at(500)), ["late"], "there is room again");
    sessions.stored("late", Status::Running, at(500));
    sessions.touch("last", 3, received(500), at(500));
    sessions.touch("last", 3, ended(501), at(501));
    assert_eq!(names(&sessions, at(501)), ["last"]);
}

/// A lake that is sealed from nothing: everything is due since the moment it was seen.
#[test]
fn sessions_that_wait_as_long_go_in_the_order_of_their_activity() {
    let mut sessions = Sessions::new(Timing::default());
    for n in 0..20 {
        let id = format!("s{:02}", n * 7 % 20);
        sessions.touch(&id, 1, ended(100 + n), at(1000));
    }
    let due = sessions.due(at(1000), 20);
    let by_activity: Vec<String> = (0..20).map(|n| format!("s{:02}", n * 7 % 20)).collect();
    assert_eq!(due, by_activity);
}
