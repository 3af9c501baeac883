//! Made-up facts of one session after the other.

use sessionlake::model::{Columns, Fact, FactId, Kind, Source};

pub const DAYS: u64 = 30;
const DAY: i64 = 86_400_000_000;
const USERS: u64 = 200;
const TOOLS: [&str; 8] = ["Bash", "Read", "Edit", "Grep", "Write", "WebFetch", "Task", "Glob"];
const MODELS: [&str; 3] = ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];
const WORDS: [&str; 48] = [
    "the", "file", "test", "error", "function", "returns", "value", "when", "request", "server", "cannot", "be",
    "found", "in", "module", "import", "let", "const", "async", "await", "build", "failed", "passed", "with", "and",
    "config", "path", "src", "lib", "main", "parse", "string", "number", "list", "map", "session", "token", "cache",
    "table", "query", "index", "commit", "branch", "merge", "update", "delete", "because", "should",
];

pub struct Maker {
    state: u64,
    events: u64,
    first_day: u64,
    made: u64,
}

impl Maker {
    /// Sessions of about `events` events, from `first_day` (since 1970-01-01) on.
    pub fn new(seed: u64, events: u64, first_day: u64) -> Maker {
        Maker { state: seed, events, first_day, made: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Text of about `bytes`, that compresses as prose and code do: words, and numbers among them.
    fn text(&mut self, bytes: u64) -> String {
        let mut text = String::new();
        while (text.len() as u64) < bytes {
            let dice = self.next();
            match dice % 12 {
                0 => text.push_str(&format!("{:x}", dice >> 40)),
                n => {
                    text.push_str(WORDS[(dice >> 8) as usize % WORDS.len()]);
                    if n == 1 {
                        text.push('\n');
                    }
                }
            }
            text.push(' ');
        }
        text
    }

    fn id(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a >> 32, a & 0xffff, (a >> 16) & 0xfff, b & 0xfff, b >> 16)
    }

    /// A session on the given day: its id and its facts, in order.
    pub fn session(&mut self, day: u64) -> (String, Vec<Fact>) {
        self.made += 1;
        let session = self.id();
        let user = self.below(USERS);
        let start = (self.first_day + day) as i64 * DAY + self.below(DAY as u64 - 4 * 3_600_000_000) as i64;
        let who = Columns {
            user_email: Some(format!("user{user}@example.com")),
            agent: Some("claude-code".to_owned()),
            agent_version: Some("2.1.0".to_owned()),
            project: Some(format!("/home/user{user}/project{}", user % 7)),
            git_branch: Some("main".to_owned()),
            resource: Some(r#"{"otlp_log":{"service.name":"claude-code","os.type":"linux"}}"#.to_owned()),
            ..Columns::default()
        };
        let mut facts = Vec::new();
        let (mut time, mut prompt) = (start, self.id());
        for n in 0..self.events / 2 + self.below(self.events) {
            time += self.below(60_000_000) as i64;
            let mut columns = Columns { prompt_id: Some(prompt.clone()), ..who.clone() };
            let (kind, source, name) = match (n, n % 12) {
                (0, _) => (Kind::SessionStart, Source::Hook, "SessionStart"),
                (_, 1) => {
                    prompt = self.id();
                    columns.prompt_id = Some(prompt.clone());
                    let length = 40 + self.below(400);
                    columns.content = Some(self.text(length));
                    (Kind::Prompt, Source::Hook, "UserPromptSubmit")
                }
                (_, of) if of % 3 == 0 => {
                    self.call(&mut columns);
                    (Kind::ModelCall, Source::OtlpLog, "api_request")
                }
                _ => {
                    self.tool(&mut columns);
                    (Kind::ToolCall, Source::Hook, "PostToolUse")
                }
            };
            facts.push(self.fact(&session, n, time, (kind, source, name), columns));
        }
        let n = facts.len() as u64;
        facts.push(self.fact(&session, n, time + 1, (Kind::SessionEnd, Source::Hook, "SessionEnd"), who));
        (session, facts)
    }

    fn call(&mut self, columns: &mut Columns) {
        let (input, output) = (self.below(20_000) as i64, self.below(3_000) as i64);
        columns.request_id = Some(format!("req_{:016x}", self.next()));
        columns.model = Some(MODELS[self.below(3) as usize].to_owned());
        columns.cost_usd = Some(input * 3_000 + output * 15_000);
        columns.cost_source = Some("reported".to_owned());
        (columns.input_tokens, columns.output_tokens) = (Some(input), Some(output));
        columns.cache_read_tokens = Some(self.below(100_000) as i64);
        columns.duration_ms = Some(self.below(30_000) as i64);
    }

    fn tool(&mut self, columns: &mut Columns) {
        columns.tool_use_id = Some(format!("toolu_{:016x}", self.next()));
        columns.tool_name = Some(TOOLS[self.below(8) as usize].to_owned());
        let (input, output) = (40 + self.below(300), 100 + self.below(6_000));
        columns.tool_input = Some(format!("{{\"command\":\"{}\"}}", self.text(input).replace('\n', " ")));
        columns.tool_output = Some(self.text(output));
        columns.success = Some(self.below(20) > 0);
        columns.error = (columns.success == Some(false)).then(|| self.text(80));
        columns.duration_ms = Some(self.below(5_000) as i64);
    }

    fn fact(
        &mut self,
        session: &str,
        n: u64,
        time: i64,
        (kind, source, name): (Kind, Source, &str),
        columns: Columns,
    ) -> Fact {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.made.to_be_bytes());
        id[8..].copy_from_slice(&n.to_be_bytes());
        Fact {
            fact_id: FactId(*blake3::hash(&id).as_bytes().first_chunk().unwrap()),
            session_id: Some(session.to_owned()),
            source,
            kind,
            name: name.to_owned(),
            sequence: Some(n as i64),
            time,
            end_time: None,
            received_at: time + 1_000_000,
            writer: "generator".to_owned(),
            policy: "none".to_owned(),
            columns,
        }
    }
}
