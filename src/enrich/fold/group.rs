//! Facts that speak of the same thing meet by natural key.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::is_call;
use super::item::Item;
use super::nearest::Nearest;
use super::pairs::pairs;
use crate::model::{Fact, Kind, Source};

/// An event in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    pub kind: Kind,
    /// What the event is named by: stable whatever other facts arrive.
    pub key: String,
    /// Indices into the items, ascending.
    pub items: Vec<usize>,
    /// A fact was placed by context.
    pub inferred: bool,
    /// The prompt and the agent that it belongs to, from its own facts or from those around it.
    pub prompt_id: Option<String>,
    pub agent_id: Option<String>,
    /// The parent's key.
    pub parent: Option<String>,
}

impl Draft {
    pub fn new(kind: Kind, key: String) -> Draft {
        Draft { kind, key, items: Vec::new(), inferred: false, prompt_id: None, agent_id: None, parent: None }
    }
}

/// Drafts by key, so that their order is no accident.
pub type Drafts = BTreeMap<String, Draft>;

/// Two hook envelopes with the same data within this time are one hook that was configured twice.
const TWIN_MICROS: i64 = 2_000_000;

/// Groups all facts but the replies that name no request: those have no key and are placed later.
pub fn by_key(items: &[Item<'_>]) -> Drafts {
    let index = Index::new(items);
    let twins = twins(items);
    let mut drafts = Drafts::new();
    let mut keys: Vec<String> = vec![String::new(); items.len()];
    let mut counts: HashMap<(String, Source, &str), usize> = HashMap::new();
    // a twin takes the key of the item that it repeats
    let (repeated, first): (Vec<usize>, Vec<usize>) = (0..items.len()).partition(|i| twins[*i].is_some());
    for (i, item) in first.into_iter().chain(repeated).map(|i| (i, &items[i])) {
        let fact = item.fact;
        let key = match (twins[i], key(item, &index)) {
            (Some(twin), _) => keys[twin].clone(),
            (None, Some(Key::Of(key))) => key,
            (None, Some(Key::Nth(key))) => {
                let n = counts.entry((key.clone(), fact.source, &fact.name)).or_default();
                *n += 1;
                format!("{key}:{n}")
            }
            (None, None) => format!("fact:{}", fact.fact_id),
        };
        keys[i].clone_from(&key);
        if is_reply(fact) || (fact.name == "assistant_response" && key.starts_with("fact:")) {
            continue;
        }
        let draft = drafts.entry(key.clone()).or_insert_with(|| Draft::new(fact.kind, key));
        draft.items.push(i);
        draft.kind = draft.kind.min(fact.kind);
        let paired = fact.columns.trace_id.as_ref().is_some_and(|trace| index.paired.contains(trace));
        draft.inferred |= paired && fact.kind == Kind::Prompt;
    }
    for ((key, ..), n) in counts.iter().filter(|(_, n)| **n > 1) {
        for n in 1..=*n {
            if let Some(draft) = drafts.get_mut(&format!("{key}:{n}")) {
                draft.inferred = true;
            }
        }
    }
    split_prompts(items, &mut drafts);
    for draft in drafts.values_mut() {
        draft.items.sort_unstable();
        settle_kind(items, draft);
    }
    drafts
}

/// For each hook item, the earlier item that says the same at nearly the same time: the hook was configured twice. A
/// hook without a clock is the twin of any that says the same: nothing tells when it was.
fn twins(items: &[Item<'_>]) -> Vec<Option<usize>> {
    let mut last: HashMap<String, (i64, usize)> = HashMap::new();
    let mut twins = vec![None; items.len()];
    let (clocked, clockless): (Vec<usize>, Vec<usize>) = hooks(items).partition(|i| items[*i].clocked());
    for i in clocked {
        let time = items[i].time();
        let entry = last.entry(said(&items[i])).or_insert((time, i));
        let (before, first) = *entry;
        *entry = if time.saturating_sub(before) <= TWIN_MICROS { (time, first) } else { (time, i) };
        twins[i] = (entry.1 != i).then_some(entry.1);
    }
    for i in clockless {
        let first = last.entry(said(&items[i])).or_insert((items[i].time(), i)).1;
        twins[i] = (first != i).then_some(first);
    }
    twins
}

fn hooks(items: &[Item<'_>]) -> impl Iterator<Item = usize> {
    items.iter().enumerate().filter(|(_, item)| item.fact.source == Source::Hook).map(|(i, _)| i)
}

/// All that a hook says, whoever forwarded it.
fn said(item: &Item<'_>) -> String {
    let mut said = item.fact.columns.clone();
    said.redactions.clear();
    said.principal = None;
    format!("{}{:?}{said:?}", item.fact.name, item.fact.kind)
}

/// What brings a fact together with others.
enum Key {
    /// A name of one thing.
    Of(String),
    /// A name of things that have no name of their own: the n-th that one source tells of is the n-th of any other.
    Nth(String),
}

/// A reply that a hook shows: it names no request.
fn is_reply(fact: &Fact) -> bool {
    fact.source == Source::Hook && fact.kind == Kind::ModelCall && fact.columns.request_id.is_none()
}

/// What other facts tell about keys that a fact lacks.
struct Index {
    request_of_message: HashMap<String, String>,
    request_of_uuid: HashMap<String, String>,
    request_of_span: HashMap<String, String>,
    tool_of_span: HashMap<String, String>,
    /// Where a trace's prompts were told.
    prompts_of_trace: Nearest,
    /// Traces whose prompt is inferred.
    paired: BTreeSet<String>,
    /// Where anything was told of a trace's prompts.
    work_of_trace: Nearest,
}

impl Index {
    fn new(items: &[Item<'_>]) -> Index {
        let mut index = Index {
            request_of_message: HashMap::new(),
            request_of_uuid: HashMap::new(),
            request_of_span: HashMap::new(),
            tool_of_span: HashMap::new(),
            prompts_of_trace: Nearest::default(),
            paired: BTreeSet::new(),
            work_of_trace: Nearest::default(),
        };
        for item in items {
            index.learn(item);
        }
        for pair in pairs(items) {
            index.prompts_of_trace.learn(&pair.trace, pair.time, &pair.prompt);
            index.paired.insert(pair.trace);
        }
        index.prompts_of_trace = index.prompts_of_trace.sorted();
        index.work_of_trace = index.work_of_trace.sorted();
        index
    }

    fn learn(&mut self, item: &Item<'_>) {
        let columns = &item.fact.columns;
        if let (Some(request), Source::Transcript) = (&columns.request_id, item.fact.source) {
            if let Some(message) = &columns.message_id {
                self.request_of_message.entry(message.clone()).or_insert_with(|| request.clone());
            }
            if let Some(uuid) = item.uuid() {
                self.request_of_uuid.entry(uuid.to_owned()).or_insert_with(|| request.clone());
            }
        }
        if let (Some(span), Source::OtlpSpan) = (&columns.span_id, item.fact.source) {
            if let Some(tool) = &columns.tool_use_id {
                self.tool_of_span.insert(span.clone(), tool.clone());
            }
            if let Some(request) = &columns.request_id {
                self.request_of_span.insert(span.clone(), request.clone());
            }
        }
        if let (Source::OtlpLog, Some(trace), Some(prompt)) = (item.fact.source, &columns.trace_id, &columns.prompt_id)
        {
            self.work_of_trace.learn(trace, item.fact.time, prompt);
            if item.fact.kind == Kind::Prompt {
                self.prompts_of_trace.learn(trace, item.fact.time, prompt);
            }
        }
    }

    /// The prompt of a trace; of several (a client that was given one trace for all), the one nearest in time.
    fn prompt_of_trace(&self, trace: &str, time: i64) -> Option<&String> {
        self.prompts_of_trace.find(trace, time).or_else(|| self.work_of_trace.find(trace, time))
    }
}

fn key(item: &Item<'_>, index: &Index) -> Option<Key> {
    let (fact, columns) = (item.fact, &item.fact.columns);
    let key = match fact.kind {
        kind if is_call(kind) => call_key(item, index)?,
        Kind::ToolCall => tool_key(item, index)?,
        Kind::Span if fact.name.starts_with("tool.") => format!("tool:{}", tool_above(item, index)?),
        Kind::Prompt => prompt_key(item, index)?,
        Kind::Permission => match &columns.tool_use_id {
            Some(id) => format!("permission:{id}"),
            None => format!("permission:{}", what_tool(fact)?),
        },
        Kind::Skill => {
            let prompt = columns.prompt_id.as_deref().unwrap_or_default();
            return Some(Key::Nth(of_fork(item, format!("skill:{prompt}:{}", columns.skill.as_deref()?))));
        }
        Kind::Subagent => format!("agent:{}", columns.agent_id.as_deref()?),
        Kind::Compaction => return Some(Key::Nth(of_fork(item, "compaction".to_owned()))),
        Kind::Metric if columns.temporality.as_deref() == Some("cumulative") => series_key(item),
        _ => return None,
    };
    Some(Key::Of(key))
}

/// What a fork copied is not counted among the session's own.
fn of_fork(item: &Item<'_>, key: String) -> String {
    if item.inherited() { format!("inherited:{key}") } else { key }
}

fn call_key(item: &Item<'_>, index: &Index) -> Option<String> {
    let columns = &item.fact.columns;
    let request = columns
        .request_id
        .as_ref()
        .or_else(|| columns.message_id.as_ref().and_then(|m| index.request_of_message.get(m)))
        .or_else(|| item.uuid().and_then(|u| index.request_of_uuid.get(u)))
        .or_else(|| index.request_of_span.get(columns.span_id.as_ref().filter(|_| !is_client_log(item.fact))?));
    match (request, &columns.message_id, &columns.span_id) {
        (Some(request), _, _) => Some(format!("request:{request}")),
        (None, Some(message), _) => Some(format!("message:{message}")),
        // a call that only a span and the logs inside it know
        (None, None, Some(span)) if !is_client_log(item.fact) => Some(format!("span:{span}")),
        _ => None,
    }
}

/// The client's logs carry the span of the whole turn: it does not tell one request from another.
fn is_client_log(fact: &Fact) -> bool {
    fact.source == Source::OtlpLog && fact.sequence.is_some()
}

fn tool_key(item: &Item<'_>, index: &Index) -> Option<String> {
    let columns = &item.fact.columns;
    if let Some(id) = &columns.tool_use_id {
        return Some(format!("tool:{id}"));
    }
    if item.fact.source == Source::OtlpSpan {
        return match (tool_above(item, index), &columns.span_id) {
            (Some(tool), _) => Some(format!("tool:{tool}")),
            (None, Some(span)) => Some(format!("span:{span}")),
            (None, None) => None,
        };
    }
    what_tool(item.fact).map(|what| format!("tool:{what}"))
}

/// The tool call that a span is part of.
fn tool_above<'i>(item: &Item<'_>, index: &'i Index) -> Option<&'i String> {
    index.tool_of_span.get(item.note("otel.parent_span_id")?)
}

/// A call described by prompt, tool and input: what there is when no id was given.
pub fn what_tool(fact: &Fact) -> Option<String> {
    let columns = &fact.columns;
    let tool = columns.tool_name.as_deref()?;
    let input = blake3::hash(columns.tool_input.as_deref().unwrap_or_default().as_bytes());
    Some(format!("{}:{tool}:{}", columns.prompt_id.as_deref().unwrap_or_default(), &input.to_hex()[..16]))
}

fn prompt_key(item: &Item<'_>, index: &Index) -> Option<String> {
    let columns = &item.fact.columns;
    let traced = || columns.trace_id.as_ref().and_then(|t| index.prompt_of_trace(t, item.fact.time));
    match (columns.prompt_id.as_ref().or_else(traced), item.uuid(), &columns.span_id) {
        (Some(prompt), _, _) => Some(format!("prompt:{prompt}")),
        (None, Some(uuid), _) => Some(format!("uuid:{uuid}")),
        (None, None, Some(span)) if item.fact.source == Source::OtlpSpan => Some(format!("span:{span}")),
        _ => None,
    }
}

/// Cumulative points count once per series and start. What grows from point to point does not name the series.
fn series_key(item: &Item<'_>) -> String {
    let grows = ["otel.metric_int_value", "otel.metric_count", "otel.metric_point", "otel.metric_flags"];
    let mut series = item.notes().clone();
    series.retain(|name, _| !grows.contains(&name.as_str()));
    let sender = item.fact.columns.resource.as_deref().unwrap_or_default();
    let series = blake3::hash(format!("{}{sender}", serde_json::Value::Object(series)).as_bytes());
    format!("metric:{}:{}:{}", item.fact.name, item.fact.columns.start_time.unwrap_or(0), &series.to_hex()[..16])
}

/// A prompt id with several messages is several prompts (the user wrote while the agent was at work). Messages are told
/// apart by their uuid, and what names none goes with an equal text, or with the message of its place.
fn split_prompts(items: &[Item<'_>], drafts: &mut Drafts) {
    let split: Vec<String> =
        drafts.values().filter(|d| d.kind == Kind::Prompt && messages(items, d) > 1).map(|d| d.key.clone()).collect();
    for key in split {
        let Some(whole) = drafts.remove(&key) else { continue };
        let names = message_names(items, &whole.items);
        for (i, name) in whole.items.into_iter().zip(names) {
            let key = format!("{key}:{name}");
            drafts.entry(key.clone()).or_insert_with(|| Draft::new(Kind::Prompt, key)).items.push(i);
        }
    }
}

/// How many messages a prompt's draft has: by their uuids, and without any by the texts that were submitted.
fn messages(items: &[Item<'_>], draft: &Draft) -> usize {
    let uuids: BTreeSet<&str> = draft.items.iter().filter_map(|i| items[*i].uuid()).collect();
    let submitted = draft.items.iter().filter(|i| items[**i].fact.name == "UserPromptSubmit");
    let texts: BTreeSet<&str> = submitted.filter_map(|i| items[*i].fact.columns.content.as_deref()).collect();
    uuids.len().max(texts.len())
}

/// For each item of a prompt, the message that it speaks of.
fn message_names(items: &[Item<'_>], whole: &[usize]) -> Vec<String> {
    let text = |i: usize| items[i].fact.columns.content.as_deref().map(str::trim);
    let mut by_text: HashMap<&str, String> = HashMap::new();
    let mut uuids: Vec<&str> = Vec::new();
    for i in whole {
        let Some(uuid) = items[*i].uuid() else { continue };
        if let Some(text) = text(*i) {
            by_text.entry(text).or_insert_with(|| uuid.to_owned());
        }
        uuids.push(uuid);
    }
    let mut seen: BTreeSet<&str> = by_text.values().map(String::as_str).collect();
    let mut textless: Vec<String> = Vec::new();
    textless.extend(uuids.iter().filter(|uuid| seen.insert(uuid)).map(|uuid| (*uuid).to_owned()));
    let mut textless = textless.into_iter();
    let mut before = uuids.first().map(|uuid| (*uuid).to_owned());
    let mut names = Vec::with_capacity(whole.len());
    for i in whole {
        let uuid = items[*i].uuid().map(str::to_owned);
        let name = uuid.unwrap_or_else(|| match text(*i) {
            Some(said) => {
                let own = || blake3::hash(said.as_bytes()).to_hex()[..16].to_owned();
                by_text.entry(said).or_insert_with(|| textless.next().unwrap_or_else(own)).clone()
            }
            None => before.clone().unwrap_or_default(),
        });
        before = Some(name.clone());
        names.push(name);
    }
    names
}

/// A request that ended in an error and gave nothing is an error, not a model call.
fn settle_kind(items: &[Item<'_>], draft: &mut Draft) {
    if !draft.items.iter().all(|i| is_call(items[*i].fact.kind)) {
        return;
    }
    let failed = draft.items.iter().any(|i| failed(items[*i].fact));
    let answered = draft.items.iter().any(|i| {
        let columns = &items[*i].fact.columns;
        let replied = columns.content.is_some() || columns.thinking.is_some() || columns.output_tokens > Some(0);
        items[*i].fact.kind == Kind::ModelCall && (columns.cost_usd.is_some() || replied)
    });
    draft.kind = if failed && !answered { Kind::Error } else { Kind::ModelCall };
}

fn failed(fact: &Fact) -> bool {
    fact.kind == Kind::Error || (fact.source == Source::OtlpSpan && fact.columns.success == Some(false))
}
