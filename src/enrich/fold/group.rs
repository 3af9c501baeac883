//! Facts that speak of the same thing meet by natural key.

use std::collections::{BTreeMap, HashMap};

use super::is_call;
use super::item::Item;
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

/// Groups all facts but the replies that only hooks know: those have no key and are placed later.
pub fn by_key(items: &[Item<'_>]) -> Drafts {
    let index = Index::new(items);
    let twins = twins(items);
    let mut drafts = Drafts::new();
    let mut keys: Vec<String> = Vec::with_capacity(items.len());
    let mut counts: HashMap<(String, Source, &str), usize> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
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
        keys.push(key.clone());
        if is_reply(fact) {
            continue;
        }
        let draft = drafts.entry(key.clone()).or_insert_with(|| Draft::new(fact.kind, key));
        draft.items.push(i);
        draft.kind = draft.kind.min(fact.kind);
    }
    for ((key, ..), n) in counts.iter().filter(|(_, n)| **n > 1) {
        for n in 1..=*n {
            if let Some(draft) = drafts.get_mut(&format!("{key}:{n}")) {
                draft.inferred = true;
            }
        }
    }
    split_prompts(items, &mut drafts);
    drafts.values_mut().for_each(|draft| settle_kind(items, draft));
    drafts
}

/// For each hook item, the earlier item that says the same at nearly the same time: the hook was configured twice.
fn twins(items: &[Item<'_>]) -> Vec<Option<usize>> {
    let mut last: HashMap<String, (i64, usize)> = HashMap::new();
    let mut twin = |(i, item): (usize, &Item<'_>)| {
        if item.fact.source != Source::Hook {
            return None;
        }
        let mut said = item.fact.columns.clone();
        said.redactions.clear();
        let time = item.time();
        let entry = last.entry(format!("{}{said:?}", item.fact.name)).or_insert((time, i));
        let (before, first) = *entry;
        *entry = if time - before <= TWIN_MICROS { (time, first) } else { (time, i) };
        (entry.1 != i).then_some(entry.1)
    };
    items.iter().enumerate().map(&mut twin).collect()
}

/// What brings a fact together with others.
enum Key {
    /// A name of one thing.
    Of(String),
    /// A name of things that have no name of their own: the n-th that one source tells of is the n-th of any other.
    Nth(String),
}

/// A reply that a hook shows: it names no request.
pub fn is_reply(fact: &Fact) -> bool {
    fact.source == Source::Hook && fact.kind == Kind::ModelCall && fact.columns.request_id.is_none()
}

/// What other facts tell about keys that a fact lacks.
struct Index {
    request_of_message: HashMap<String, String>,
    request_of_uuid: HashMap<String, String>,
    tool_of_span: HashMap<String, String>,
    prompts_of_trace: HashMap<String, Vec<(i64, String)>>,
}

impl Index {
    fn new(items: &[Item<'_>]) -> Index {
        let mut index = Index {
            request_of_message: HashMap::new(),
            request_of_uuid: HashMap::new(),
            tool_of_span: HashMap::new(),
            prompts_of_trace: HashMap::new(),
        };
        for item in items {
            index.learn(item);
        }
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
        if let (Some(span), Some(tool), Source::OtlpSpan) = (&columns.span_id, &columns.tool_use_id, item.fact.source) {
            self.tool_of_span.insert(span.clone(), tool.clone());
        }
        if let (Kind::Prompt, Source::OtlpLog, Some(trace), Some(prompt)) =
            (item.fact.kind, item.fact.source, &columns.trace_id, &columns.prompt_id)
        {
            self.prompts_of_trace.entry(trace.clone()).or_default().push((item.fact.time, prompt.clone()));
        }
    }

    /// The prompt of a trace; of several (a client that was given one trace for all), the one nearest in time.
    fn prompt_of_trace(&self, trace: &str, time: i64) -> Option<&String> {
        let prompts = self.prompts_of_trace.get(trace)?;
        prompts.iter().min_by_key(|(at, prompt)| (at.abs_diff(time), prompt)).map(|(_, prompt)| prompt)
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
            return Some(Key::Nth(format!("skill:{prompt}:{}", columns.skill.as_deref()?)));
        }
        Kind::Subagent => format!("agent:{}", columns.agent_id.as_deref()?),
        Kind::Compaction => return Some(Key::Nth("compaction".to_owned())),
        Kind::Metric if columns.temporality.as_deref() == Some("cumulative") => series_key(fact),
        _ => return None,
    };
    Some(Key::Of(key))
}

fn call_key(item: &Item<'_>, index: &Index) -> Option<String> {
    let columns = &item.fact.columns;
    let request = columns
        .request_id
        .as_ref()
        .or_else(|| columns.message_id.as_ref().and_then(|m| index.request_of_message.get(m)))
        .or_else(|| item.uuid().and_then(|u| index.request_of_uuid.get(u)));
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

/// Cumulative points count once per series and start.
fn series_key(fact: &Fact) -> String {
    let attributes = fact.columns.attributes.as_deref().unwrap_or_default();
    let series = blake3::hash(attributes.as_bytes());
    format!("metric:{}:{}:{}", fact.name, fact.columns.start_time.unwrap_or(0), &series.to_hex()[..16])
}

/// A prompt id with several messages is several prompts (the user wrote while the agent was at work).
fn split_prompts(items: &[Item<'_>], drafts: &mut Drafts) {
    let mut split = Vec::new();
    for draft in drafts.values() {
        if draft.kind == Kind::Prompt {
            let mut uuids: Vec<&str> = draft.items.iter().filter_map(|i| items[*i].uuid()).collect();
            uuids.sort_unstable();
            uuids.dedup();
            if uuids.len() > 1 {
                split.push((draft.key.clone(), uuids.iter().map(|u| (*u).to_owned()).collect::<Vec<_>>()));
            }
        }
    }
    for (key, uuids) in split {
        let Some(whole) = drafts.remove(&key) else { continue };
        for i in whole.items {
            let uuid = items[i].uuid().map(str::to_owned).or_else(|| {
                let text = items[i].fact.columns.content.as_deref();
                let same = |u: &&String| {
                    items.iter().any(|o| o.uuid() == Some(u) && o.fact.columns.content.as_deref() == text)
                };
                uuids.iter().find(same).cloned()
            });
            let key = format!("{key}:{}", uuid.unwrap_or_else(|| uuids[0].clone()));
            drafts.entry(key.clone()).or_insert_with(|| Draft::new(Kind::Prompt, key)).items.push(i);
        }
    }
}

/// A request that ended in an error and gave nothing is an error, not a model call.
fn settle_kind(items: &[Item<'_>], draft: &mut Draft) {
    if !draft.items.iter().all(|i| is_call(items[*i].fact.kind)) {
        return;
    }
    let failed = draft.items.iter().any(|i| items[*i].fact.kind == Kind::Error);
    let answered = draft.items.iter().any(|i| {
        let columns = &items[*i].fact.columns;
        items[*i].fact.kind == Kind::ModelCall && (columns.cost_usd.is_some() || columns.content.is_some())
    });
    draft.kind = if failed && !answered { Kind::Error } else { Kind::ModelCall };
}
