use insta::assert_snapshot;

use super::*;
use crate::model::{Columns, Event, FactId, Gap, Joined, Kind, Prompt, Redaction, Session, Source, Status};

const START: i64 = 1_795_346_338_804_000;
const PLAIN: RenderOptions = RenderOptions { width: 96, color: false, full: false };

fn session() -> Session {
    Session {
        session_id: "9ffbc996-316e-5f2d-a628-342a8493e797".into(),
        date: 20_779,
        user_email: Some("dev@example.com".into()),
        user_id: None,
        user_account_id: None,
        organization_id: None,
        principal: None,
        agent: Some("claude-code".into()),
        agent_version: Some("2.1.330".into()),
        project: Some("/home/dev/project".into()),
        git_branch: None,
        start_time: START,
        end_time: START + 9_303_000,
        received_at: START,
        status: Status::Ended,
        end_reason: Some("hook".into()),
        events: 6,
        prompt_count: 1,
        synthetic_prompt_count: 0,
        model_calls: 2,
        tool_calls: 2,
        errors: 1,
        denials: 0,
        input_tokens: Some(27),
        output_tokens: Some(87),
        cache_read_tokens: Some(11_500),
        cache_creation_tokens: Some(2_340),
        cost_usd: Some(5_674_000),
        models: vec!["claude-sonnet-5".into()],
        tools: vec!["Bash".into(), "Agent".into()],
        mcp_servers: vec![],
        skills: vec![],
        prompts: vec![Prompt { time: START, text: "Check the project\nand write a summary.".into() }],
        sources: vec![Source::Hook, Source::OtlpLog],
        gaps: vec![Gap { kind: "model_call_without_cost".into(), detail: "1 of 2".into() }],
        redactions: vec![Redaction { rule: "aws-access-key".into(), count: 2 }],
        parent_session_id: None,
        parent_relation: None,
        fold_version: 1,
    }
}

fn event(seq: i64, kind: Kind, columns: Columns) -> Event {
    Event {
        session_id: session().session_id,
        event_id: format!("e{seq}"),
        seq,
        kind,
        date: 20_779,
        time: START + seq * 700_000,
        end_time: None,
        received_at: START,
        sources: vec![Source::Hook],
        fact_ids: vec![FactId::default()],
        joined: Joined::Exact,
        parent_event_id: None,
        synthetic: false,
        inherited: false,
        columns,
    }
}

fn text(content: &str) -> Columns {
    Columns { content: Some(content.into()), ..Columns::default() }
}

fn reply() -> Event {
    let columns = Columns {
        thinking: Some("The user wants a summary.\nFirst look around.".into()),
        content: Some(
            "I will start with a quick check of the project, then read its files one after the other.".into(),
        ),
        model: Some("claude-sonnet-5".into()),
        cost_usd: Some(5_674_000),
        input_tokens: Some(12),
        output_tokens: Some(40),
        cache_read_tokens: Some(0),
        cache_creation_tokens: Some(2_100),
        duration_ms: Some(1_250),
        ttft_ms: Some(410),
        ..Columns::default()
    };
    event(1, Kind::ModelCall, columns)
}

fn tool() -> Event {
    let columns = Columns {
        tool_name: Some("Bash".into()),
        tool_input: Some(r#"{"command":"cat config.env","description":"Show config"}"#.into()),
        tool_output: Some(r#"{"stdout":"A=1\nKEY=[REDACTED:aws-access-key]","stderr":"","interrupted":false}"#.into()),
        decision: Some("accept".into()),
        success: Some(true),
        duration_ms: Some(53),
        redactions: vec![Redaction { rule: "aws-access-key".into(), count: 1 }],
        ..Columns::default()
    };
    event(2, Kind::ToolCall, columns)
}

/// An agent's call with a model call and a failed tool call inside, and a reply that is known from a hook alone.
fn nested() -> Vec<Event> {
    let call = Columns { tool_name: Some("Agent".into()), ..Columns::default() };
    let inside = Columns { model: Some("claude-haiku-5".into()), ..text("Looking.") };
    let failed = Columns {
        tool_name: Some("Read".into()),
        success: Some(false),
        error: Some("File does not exist.".into()),
        ..Columns::default()
    };
    let mut events =
        vec![event(3, Kind::ToolCall, call), event(5, Kind::ModelCall, inside), event(6, Kind::ToolCall, failed)];
    events[1].parent_event_id = Some("e3".into());
    events[1].joined = Joined::Inferred;
    events[2].parent_event_id = Some("e3".into());
    events
}

fn events() -> Vec<Event> {
    let mut events = vec![event(0, Kind::Prompt, text("Check the project\nand write a summary.")), reply(), tool()];
    events.extend(nested());
    events.push(event(4, Kind::Compaction, Columns::default()));
    events.push(event(7, Kind::Error, Columns { error: Some("529 overloaded".into()), ..Columns::default() }));
    events.push(event(8, Kind::Metric, Columns::default()));
    events.push(event(9, Kind::SessionEnd, Columns::default()));
    events
}

#[test]
fn a_timeline_shows_each_step_with_its_cost_beside_it() {
    assert_snapshot!(timeline(&session(), &events(), PLAIN), @r#"
    Session 9ffbc996-316e-5f2d-a628-342a8493e797 · claude-code 2.1.330 · dev@example.com
    /home/dev/project · 2026-11-22 11:18:58 UTC, 9.3 s · ended (hook)
    1 prompt · 2 model calls · 2 tool calls · 1 error · cost $0.005674

     +0:00.0  ❯ prompt
                Check the project
                and write a summary.
     +0:00.7  ◆ claude-sonnet-5                                       $0.005674
                (thinking) The user wants a summary.                  12 in · 40 out
                First look around.                                    0 cached · 2,100 written
                I will start with a quick check of the project,       1.2 s, first token 410 ms
                then read its files one after the other.
     +0:01.4  ⚙ Bash                                                  ok
                command: cat config.env                               decision: accept
                description: Show config                              53 ms
                → stdout: A=1                                         redacted: aws-access-key ×1
                KEY=[REDACTED:aws-access-key]
     +0:02.1  ⚙ Agent                                                 no result seen
     +0:03.5    ◆ claude-haiku-5                                      –
                  Looking.                                            placed by context
     +0:04.2    ⚙ Read                                                failed
                  File does not exist.
     +0:02.8  ≡ compaction
     +0:04.9  ✗ error
                529 overloaded
     +0:06.3  ■ session end

    Not shown: 1 metric (--json has everything).
    "#);
}

#[test]
fn a_narrow_terminal_gets_the_side_below_the_title() {
    assert_snapshot!(timeline(&session(), &[reply()], RenderOptions { width: 60, ..PLAIN }), @r#"
    Session 9ffbc996-316e-5f2d-a628-342a8493e797 · claude-code
    2.1.330 · dev@example.com
    /home/dev/project · 2026-11-22 11:18:58 UTC, 9.3 s · ended
    (hook)
    1 prompt · 2 model calls · 2 tool calls · 1 error · cost
    $0.005674

     +0:00.7  ◆ claude-sonnet-5
                $0.005674 · 12 in · 40 out · 0 cached · 2,100 w…
                (thinking) The user wants a summary.
                First look around.
                I will start with a quick check of the
                project, then read its files one after the
                other.
    "#);
}

#[test]
fn details_name_what_is_missing() {
    assert_snapshot!(details(&session(), PLAIN), @r#"
    tokens       27 in · 87 out · 11,500 read from cache · 2,340 written to cache
    models       claude-sonnet-5
    tools        Bash, Agent
    sources      hook, otlp_log
    redacted     aws-access-key ×2
    prompts      Check the project and write a summary.
    gaps         model_call_without_cost: 1 of 2
    "#);
}

#[test]
fn a_table_has_a_line_per_session_and_missing_cost_is_no_zero() {
    let running = Session {
        status: Status::Running,
        cost_usd: None,
        prompts: vec![Prompt { time: START, text: format!("\x1b[2J{}", "long ".repeat(99)) }],
        ..session()
    };
    assert_snapshot!(table::sessions(&[session(), running], RenderOptions { width: 190, ..PLAIN }, false), @r#"
    START (UTC)          SESSION                               STATUS   AGENT        USER             PROMPTS  CALLS  TOOLS  ERRORS       COST  FIRST PROMPT
    2026-11-22 11:18:58  9ffbc996-316e-5f2d-a628-342a8493e797  ended    claude-code  dev@example.com        1      2      2       1  $0.005674  Check the project and write a summary.
    2026-11-22 11:18:58  9ffbc996-316e-5f2d-a628-342a8493e797  running  claude-code  dev@example.com        1      2      2       1          –  ␛[2Jlong long long long long long long long long …
    "#);
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_of_the_table() {
    let narrow = RenderOptions { width: 112, ..PLAIN };
    assert_snapshot!(table::sessions(&[session()], narrow, true), @r#"
    START (UTC)          SESSION                               USER                  COST  FIRST PROMPT
    2026-11-22 11:18:58  9ffbc996-316e-5f2d-a628-342a8493e797  dev@example.com  $0.005674  Check the project and wr…
    "#);
}

#[test]
fn order_of_rows_changes_nothing_and_circles_end() {
    let mut shuffled = events();
    shuffled.reverse();
    assert_eq!(timeline(&session(), &shuffled, PLAIN), timeline(&session(), &events(), PLAIN));
    let mut circle = nested();
    circle[0].parent_event_id = Some("e6".into());
    circle[2].parent_event_id = Some("e3".into());
    assert_eq!(tree::order(&circle).len(), circle.len());
}

#[test]
fn a_hook_without_a_clock_that_came_later_has_no_offset() {
    let late = START + 47_030_900_000;
    let hook = Event { time: late, received_at: late, ..event(0, Kind::Compaction, Columns::default()) };
    let enveloped = Event { received_at: late + 1, ..hook.clone() };
    let joined = Event { sources: vec![Source::Hook, Source::OtlpLog], ..hook.clone() };
    let shown = |event: Event| timeline(&session(), &[event], PLAIN);
    assert!(shown(hook).contains("       –  ≡ compaction"));
    for known in [enveloped, joined] {
        assert!(shown(known).contains("+13:03:50.9  ≡ compaction"));
    }
}

#[test]
fn without_colour_hostile_content_leaves_no_control_character() {
    let hostile = "\x1b]0;owned\x07\x1b[2Jx\u{202e}y\u{9b}31m\r";
    let columns = Columns {
        tool_name: Some(hostile.into()),
        tool_input: Some(hostile.into()),
        tool_output: Some(serde_json::json!({ hostile: hostile }).to_string()),
        error: Some(hostile.into()),
        decision: Some(hostile.into()),
        model: Some(hostile.into()),
        content: Some(hostile.into()),
        thinking: Some(hostile.into()),
        skill: Some(hostile.into()),
        redactions: vec![Redaction { rule: hostile.into(), count: 1 }],
        ..Columns::default()
    };
    let events: Vec<Event> =
        Kind::ALL.into_iter().enumerate().map(|(i, k)| event(i as i64, k, columns.clone())).collect();
    let session = Session { project: Some(hostile.into()), session_id: hostile.into(), ..session() };
    let shown =
        timeline(&session, &events, PLAIN) + &details(&session, PLAIN) + &table::sessions(&[session], PLAIN, false);
    assert!(shown.chars().all(|c| c == '\n' || (!c.is_control() && !safe::is_deceptive(c))), "{shown:?}");
}

#[test]
fn long_texts_are_cut_unless_everything_is_asked_for() {
    let prompt = event(0, Kind::Prompt, text(&"line\n".repeat(500)));
    let cut = timeline(&session(), std::slice::from_ref(&prompt), PLAIN);
    assert!(cut.lines().count() < 40 && cut.contains("… 2500 characters in all"), "{cut}");
    assert!(timeline(&session(), &[prompt], RenderOptions { full: true, ..PLAIN }).lines().count() > 500);
}
