//! What a session is made of: prompts, calls, tools, as the client's hooks and logs tell them.

use sessionlake::model::{Columns, Kind, Redaction, Source};

use super::random::Random;

const TOOLS: [&str; 7] = ["Bash", "Read", "Edit", "Grep", "Write", "WebFetch", "Glob"];
const MCP: [(&str, &str); 3] = [("github", "list_issues"), ("github", "get_file"), ("tracker", "search")];
const SKILLS: [&str; 5] = ["code-review", "release-notes", "pdf", "commit-message", "onboarding"];
/// Names, and dollars for a million tokens of input and of output.
const MODELS: [(&str, i64, i64); 4] = [
    ("claude-opus-4-5", 5, 25),
    ("claude-sonnet-4-5", 3, 15),
    ("claude-haiku-4-5", 1, 5),
    ("claude-sonnet-4-5", 3, 15),
];
const RULES: [&str; 4] = ["aws-access-key-id", "github-token", "password-pair", "private-key"];

/// One record: what it is of, who said it, its name there.
pub struct Step {
    pub kind: Kind,
    pub source: Source,
    pub name: &'static str,
    pub columns: Columns,
}

impl Step {
    pub fn hook(kind: Kind, name: &'static str, columns: Columns) -> Step {
        Step { kind, source: Source::Hook, name, columns }
    }

    fn log(kind: Kind, name: &'static str, columns: Columns) -> Step {
        Step { kind, source: Source::OtlpLog, name, columns }
    }
}

/// What a person asked.
pub fn prompt(random: &mut Random, base: &Columns, hooks: bool) -> Vec<Step> {
    let (length, mut columns) = (40 + random.below(400), base.clone());
    columns.content = Some(random.text(length));
    if random.once_in(40) {
        redacted(random, &mut columns, |columns| &mut columns.content);
    }
    match hooks {
        true => vec![Step::hook(Kind::Prompt, "UserPromptSubmit", columns)],
        false => vec![Step::log(Kind::Prompt, "user_prompt", Columns { content: None, ..columns })],
    }
}

/// A call of the model: its price by the log, what it said by the transcript. Now and then it fails, or has no price.
pub fn call(random: &mut Random, base: &Columns, hooks: bool) -> Vec<Step> {
    let (input, output) = (random.below(20_000) as i64, random.below(3_000) as i64);
    let (model, input_price, output_price) = random.one_of(&MODELS);
    let mut columns = base.clone();
    columns.request_id = Some(format!("req_{:016x}", random.next()));
    columns.model = Some(model.to_owned());
    columns.duration_ms = Some(random.below(30_000) as i64);
    if random.once_in(60) {
        columns.error = Some("529 overloaded".to_owned());
        return vec![Step::log(Kind::Error, "api_error", columns)];
    }
    let mut steps = Vec::new();
    if hooks && !random.once_in(50) {
        let length = 60 + random.below(900);
        let said = Columns { content: Some(random.text(length)), duration_ms: None, ..columns.clone() };
        steps.push(Step { kind: Kind::ModelCall, source: Source::Transcript, name: "assistant/text", columns: said });
    }
    // Nano-dollars: a dollar for a million tokens is 1,000 for one.
    columns.cost_usd = Some(1_000 * (input * input_price + output * output_price));
    columns.cost_source = Some("reported".to_owned());
    (columns.input_tokens, columns.output_tokens) = (Some(input), Some(output));
    columns.cache_read_tokens = Some(random.below(100_000) as i64);
    columns.cache_creation_tokens = Some(random.below(8_000) as i64);
    columns.ttft_ms = Some(200 + random.below(3_000) as i64);
    if steps.is_empty() || !random.once_in(80) {
        steps.push(Step::log(Kind::ModelCall, "api_request", columns));
    }
    steps
}

/// A tool, a tool of an MCP server, or a skill; some fail, some are refused, some never answer.
pub fn tool(random: &mut Random, base: &Columns, hooks: bool) -> Vec<Step> {
    let mut columns = base.clone();
    columns.tool_use_id = Some(format!("toolu_{:016x}", random.next()));
    let (input, output) = (40 + random.below(300), 100 + random.below(6_000));
    let mut asked = format!("{{\"command\":\"{}\"}}", random.text(input).replace('\n', " "));
    let name = match random.below(20) {
        0 => {
            let skill = random.one_of(&SKILLS);
            asked = format!("{{\"skill\":\"{skill}\"}}");
            columns.skill = Some(skill.to_owned());
            "Skill".to_owned()
        }
        1 | 2 => {
            let (server, tool) = random.one_of(&MCP);
            (columns.mcp_server, columns.mcp_tool) = (Some(server.to_owned()), Some(tool.to_owned()));
            format!("mcp__{server}__{tool}")
        }
        _ => random.one_of(&TOOLS).to_owned(),
    };
    columns.tool_name = Some(name);
    if random.once_in(40) {
        columns.decision = Some("reject".to_owned());
        columns.success = Some(false);
        return vec![Step::log(Kind::ToolCall, "tool_decision", columns)];
    }
    columns.decision = Some("accept".to_owned());
    columns.tool_input = Some(asked);
    if hooks && random.once_in(80) {
        return vec![Step::hook(Kind::ToolCall, "PreToolUse", columns)];
    }
    columns.success = Some(random.below(20) > 0);
    columns.duration_ms = Some(random.below(5_000) as i64);
    if !hooks {
        return vec![Step::log(Kind::ToolCall, "tool_result", Columns { tool_input: None, ..columns })];
    }
    columns.tool_output = Some(random.text(output));
    columns.error = (columns.success == Some(false)).then(|| random.text(80));
    if random.once_in(30) {
        redacted(random, &mut columns, |columns| &mut columns.tool_output);
    }
    vec![Step::hook(Kind::ToolCall, "PostToolUse", columns)]
}

/// A secret stood in a text: its mark, and what counts it.
fn redacted(random: &mut Random, columns: &mut Columns, which: impl Fn(&mut Columns) -> &mut Option<String>) {
    let (rule, print) = (random.one_of(&RULES), random.next() & 0xff_ffff);
    if let Some(text) = which(columns) {
        text.push_str(&format!("[REDACTED:{rule}:{print:06x}]"));
    }
    columns.redactions.push(Redaction { rule: rule.to_owned(), count: 1 });
}
