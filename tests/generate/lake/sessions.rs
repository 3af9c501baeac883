//! Made-up facts of one session after the other.

use sessionlake::model::{Columns, Fact, FactId, Kind, Source};

use super::random::Random;
use super::steps::{Step, call, prompt, tool};

pub const DAYS: u64 = 30;
const DAY: i64 = 86_400_000_000;
const USERS: u64 = 200;
const VERSIONS: [&str; 3] = ["2.1.0", "2.1.4", "2.2.0"];

pub struct Maker {
    random: Random,
    events: u64,
    first_day: u64,
    made: u64,
}

/// What is alike in all records of a session.
struct Scene {
    session: String,
    who: Columns,
    start: i64,
    /// Whether hooks speak, or the logs alone.
    hooks: bool,
}

impl Maker {
    /// Sessions of about `events` events, from `first_day` (since 1970-01-01) on.
    pub fn new(seed: u64, events: u64, first_day: u64) -> Maker {
        Maker { random: Random::new(seed), events, first_day, made: 0 }
    }

    /// A session on the given day: its id and its facts, in order. One in twelve has no hooks, one in ten no end.
    pub fn session(&mut self, day: u64) -> (String, Vec<Fact>) {
        self.made += 1;
        let scene = self.scene(day);
        let mut facts = Vec::new();
        let (mut time, mut numbers) = (scene.start, [0; 2]);
        let mut tell = |maker: &mut Maker, time: i64, steps: Vec<Step>| {
            for step in steps {
                // The client counts its logs: what is lost on the way leaves a hole.
                let number = &mut numbers[usize::from(step.source == Source::OtlpLog)];
                *number += 1;
                if step.source != Source::OtlpLog || !maker.random.once_in(400) {
                    let n = facts.len() as u64;
                    facts.push(maker.fact(&scene.session, (n, *number - 1), time, step));
                }
            }
        };
        if scene.hooks {
            tell(self, time, vec![Step::hook(Kind::SessionStart, "SessionStart", scene.who.clone())]);
        }
        let mut base = scene.who.clone();
        for n in 0..self.events / 2 + self.random.below(self.events) {
            time += self.random.below(60_000_000) as i64;
            let random = &mut self.random;
            let steps = match n % 12 {
                0 => {
                    base.prompt_id = Some(random.id());
                    prompt(random, &base, scene.hooks)
                }
                of if of % 3 == 1 => call(random, &base, scene.hooks),
                _ => tool(random, &base, scene.hooks),
            };
            tell(self, time, steps);
        }
        if scene.hooks && !self.random.once_in(10) {
            tell(self, time + 1, vec![Step::hook(Kind::SessionEnd, "SessionEnd", scene.who.clone())]);
        }
        (scene.session, facts)
    }

    fn scene(&mut self, day: u64) -> Scene {
        let random = &mut self.random;
        let (session, user) = (random.id(), random.often_small(USERS));
        let agent = if user % 5 == 4 { "cowork" } else { "claude-code" };
        let who = Columns {
            user_email: Some(format!("user{user}@example.com")),
            user_id: Some(format!("{user:016x}")),
            agent: Some(agent.to_owned()),
            agent_version: Some(random.one_of(&VERSIONS).to_owned()),
            project: Some(format!("/home/user{user}/project{}", random.below(3) + user % 7)),
            git_branch: Some(if random.once_in(3) { "main" } else { "feature" }.to_owned()),
            permission_mode: Some("default".to_owned()),
            resource: Some(format!(r#"{{"otlp_log":{{"service.name":"{agent}","os.type":"linux"}}}}"#)),
            ..Columns::default()
        };
        let start = (self.first_day + day) as i64 * DAY + random.below(DAY as u64 - 4 * 3_600_000_000) as i64;
        Scene { session, who, start, hooks: !random.once_in(12) }
    }

    fn fact(&mut self, session: &str, (n, sequence): (u64, i64), time: i64, step: Step) -> Fact {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.made.to_be_bytes());
        id[8..].copy_from_slice(&n.to_be_bytes());
        // A hook is sent at once, logs in batches.
        let lag = if step.source == Source::OtlpLog { 5_000_000 } else { 400_000 };
        Fact {
            fact_id: FactId(*blake3::hash(&id).as_bytes().first_chunk().unwrap()),
            session_id: Some(session.to_owned()),
            source: step.source,
            kind: step.kind,
            name: step.name.to_owned(),
            sequence: Some(sequence),
            time,
            end_time: None,
            received_at: time + 50_000 + self.random.below(lag) as i64,
            writer: "generator".to_owned(),
            policy: "none".to_owned(),
            columns: step.columns,
        }
    }
}
