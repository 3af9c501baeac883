//! Replies that name no request: what hooks show, and what the logs of clients say that name none there. They are
//! placed by equal text, else as a block of a reply that has several, else by the length that the client's log gives
//! where it keeps the text back, else by what the hooks' own order says about them, else by their position in the
//! prompt; and what finds no place is a model call of its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::errors::is_failed_request;
use super::group::{Draft, Drafts};
use super::item::Item;
use super::links::request_of;
use super::merge::content_without_hooks;
use super::of;
use super::shown::{Reply, Turn, replies};
use crate::model::{FactId, Kind};

/// How the client shows a request that failed.
const SHOWN_ERROR: &str = "API Error";

/// A reply may be a block of one of that many calls, counted from the last that had one: blocks come in order.
const BLOCK_WINDOW: usize = 16;

/// Gives every reply that names no request to a draft.
pub fn place(items: &[Item<'_>], drafts: &mut Drafts) {
    let replies = replies(items, drafts);
    let mut calls = calls(items, drafts, |turn| replies.contains_key(turn));
    let tools = tool_starts(items, drafts);
    let none = BTreeMap::new();
    let mut rest = Rest::new(items, drafts);
    for (turn, replies) in &replies {
        let mut placement = Placement::new(replies, calls.remove(turn).unwrap_or_default());
        placement.by_text();
        placement.by_block();
        placement.by_length();
        placement.by_next_tool(tools.get(&turn.1).unwrap_or(&none));
        placement.last_of_turn();
        placement.by_position(|reply| rest.is_error(turn, reply));
        let given = placement.finish();
        for (reply, call) in replies.iter().zip(given) {
            let (key, inferred) = call.unwrap_or_else(|| (rest.find(items, drafts, turn, reply), true));
            if let Some(draft) = drafts.get_mut(&key) {
                draft.items.extend(&reply.items);
                draft.items.sort_unstable();
                draft.inferred |= inferred;
            }
        }
    }
}

/// A model call that a reply may belong to.
struct Call {
    key: String,
    /// What sources other than hooks say that it replied, and whether that was cut.
    text: Option<(String, bool)>,
    /// How long the client says that the reply is, in UTF-16 units.
    length: Option<usize>,
    uses_tools: bool,
}

/// The model calls of each turn that is asked for, in the order in which they began.
fn calls(items: &[Item<'_>], drafts: &Drafts, asked: impl Fn(&Turn) -> bool) -> HashMap<Turn, Vec<Call>> {
    let tool_requests: HashSet<String> =
        drafts.values().filter(|d| d.kind == Kind::ToolCall).filter_map(|d| request_of(items, d)).collect();
    let mut calls: HashMap<Turn, Vec<(i64, Call)>> = HashMap::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::ModelCall) {
        if draft.agent_id.is_none() && is_compaction(items, draft) {
            continue;
        }
        let turns = match &draft.agent_id {
            Some(agent) => [Some((None, Some(agent.clone()))), None],
            // a reply that names no prompt may be any's
            None => [draft.prompt_id.clone().map(|p| (Some(p), None)), Some((None, None))],
        };
        for turn in turns.into_iter().flatten().filter(&asked) {
            let begin = of(items, draft).map(Item::begin).min().unwrap_or(0);
            calls.entry(turn).or_default().push((begin, call(items, draft, &tool_requests)));
        }
    }
    calls.into_iter().map(|(turn, calls)| (turn, in_order(calls))).collect()
}

fn is_compaction(items: &[Item<'_>], draft: &Draft) -> bool {
    of(items, draft).any(|i| i.note("query_source") == Some("compact"))
}

fn call(items: &[Item<'_>], draft: &Draft, tool_requests: &HashSet<String>) -> Call {
    Call {
        key: draft.key.clone(),
        text: content_without_hooks(items, draft),
        length: of(items, draft).find_map(|i| usize::try_from(i.number("response_length")?).ok()),
        uses_tools: request_of(items, draft).is_some_and(|r| tool_requests.contains(&r)),
    }
}

fn in_order(mut calls: Vec<(i64, Call)>) -> Vec<Call> {
    calls.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
    let mut calls: Vec<Call> = calls.into_iter().map(|(_, call)| call).collect();
    if calls.iter().any(|c| c.length.is_some()) {
        // the client tells of every reply that has text: the others have none
        calls.retain(|c| c.length.is_some() || c.text.is_some());
    }
    calls
}

/// When hooks saw tool calls start, and which request's draft each is part of, by agent.
type ToolStarts = HashMap<Option<String>, BTreeMap<(i64, i64, FactId), String>>;

fn tool_starts(items: &[Item<'_>], drafts: &Drafts) -> ToolStarts {
    let mut starts = ToolStarts::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::ToolCall) {
        let Some(request) = request_of(items, draft) else { continue };
        for item in of(items, draft).filter(|i| i.fact.name == "PreToolUse") {
            let of_agent = starts.entry(draft.agent_id.clone()).or_default();
            of_agent.insert(item.order(), format!("request:{request}"));
        }
    }
    starts
}

struct Placement<'p> {
    replies: &'p [Reply],
    calls: Vec<Call>,
    /// Which calls have a reply.
    taken: Vec<bool>,
    /// The call given to each reply, and whether that is inferred.
    given: Vec<Option<(usize, bool)>>,
}

impl<'p> Placement<'p> {
    fn new(replies: &'p [Reply], calls: Vec<Call>) -> Placement<'p> {
        Placement { replies, taken: vec![false; calls.len()], calls, given: vec![None; replies.len()] }
    }

    fn give(&mut self, reply: usize, call: usize, inferred: bool) {
        self.taken[call] = true;
        self.given[reply] = Some((call, inferred));
    }

    /// Whether the call may have a text that only hooks know.
    fn is_open(&self, call: usize) -> bool {
        !self.taken[call] && self.calls[call].text.is_none()
    }

    fn left(&self) -> Vec<usize> {
        (0..self.replies.len()).filter(|r| self.given[*r].is_none()).collect()
    }

    /// Equal texts meet, in order where several are equal; so do a text and what the client left of it.
    fn by_text(&mut self) {
        let mut calls = Queues::new(self.calls.iter().map(|c| c.text.as_ref().map(|(text, _)| text.trim().to_owned())));
        let cut = self.calls.iter().enumerate().filter_map(|(c, call)| Some((c, beginning(call.text.as_ref()?)?)));
        let cut: Vec<(usize, String)> = cut.map(|(c, text)| (c, text.to_owned())).collect();
        for r in self.left() {
            let text = self.replies[r].text.trim();
            let begun = || cut.iter().find(|(c, begin)| !self.taken[*c] && text.starts_with(begin)).map(|(c, _)| *c);
            if let Some(c) = calls.take(text).or_else(begun) {
                self.give(r, c, false);
            }
        }
    }

    /// A reply of several blocks is shown block by block.
    fn by_block(&mut self) {
        let told: Vec<usize> = (0..self.calls.len()).filter(|c| self.calls[*c].text.is_some()).collect();
        let mut from = 0;
        for r in self.left() {
            let reply = &self.replies[r];
            let is_block = |c: &usize| {
                let whole = self.calls[*c].text.as_ref().map(|(text, _)| text.as_str()).unwrap_or_default();
                has_block(whole, &reply.text) || has_pieces(whole, &reply.pieces)
            };
            let found = told[from..].iter().take(BLOCK_WINDOW).position(is_block);
            if let Some(at) = found {
                from += at;
                self.give(r, told[from], true);
            }
        }
    }

    /// A text as long as the client says is that reply's. One that redaction changed has another length now.
    fn by_length(&mut self) {
        let open = (0..self.calls.len()).map(|c| self.calls[c].length.filter(|_| self.is_open(c)));
        let mut calls = Queues::new(open);
        for r in self.left() {
            if let Some(c) = calls.take(&self.replies[r].text.encode_utf16().count()) {
                self.give(r, c, true);
            }
        }
    }

    /// A shown text that a tool call follows, before anything else is shown, is of the same reply as the call.
    fn by_next_tool(&mut self, tools: &BTreeMap<(i64, i64, FactId), String>) {
        let by_key: HashMap<String, usize> =
            self.calls.iter().enumerate().map(|(c, call)| (call.key.clone(), c)).collect();
        for r in self.left() {
            if self.replies[r].last {
                continue;
            }
            let until = self.replies.get(r + 1).map(|next| next.order);
            let next = tools.range(self.replies[r].order..).next().filter(|(at, _)| until.is_none_or(|u| **at < u));
            let call = next.and_then(|(_, key)| by_key.get(key)).copied();
            if let Some(c) = call.filter(|c| self.is_open(*c)) {
                self.give(r, c, true);
            }
        }
    }

    /// The turn's last reply is its last call's, if that one asked for no tool.
    fn last_of_turn(&mut self) {
        let open = (0..self.calls.len()).rev().filter(|c| self.is_open(*c) && !self.calls[*c].uses_tools);
        let open: Vec<usize> = open.collect();
        let lasts: Vec<usize> = self.left().into_iter().filter(|r| self.replies[*r].last).collect();
        for (r, c) in lasts.into_iter().rev().zip(open) {
            self.give(r, c, true);
        }
    }

    /// What is left takes the first open call between its neighbours' calls.
    fn by_position(&mut self, is_error: impl Fn(&Reply) -> bool) {
        let mut before = vec![self.calls.len(); self.replies.len() + 1];
        for r in (0..self.replies.len()).rev() {
            before[r] = self.given[r].map_or(before[r + 1], |(c, _)| before[r + 1].min(c));
        }
        let mut next = 0;
        for (r, before) in before.into_iter().enumerate().take(self.replies.len()) {
            if let Some((c, _)) = self.given[r] {
                next = next.max(c + 1);
                continue;
            }
            while next < before && !self.is_open(next) {
                next += 1;
            }
            if next < before && !is_error(&self.replies[r]) {
                self.give(r, next, true);
                next += 1;
            }
        }
    }

    fn finish(self) -> Vec<Option<(String, bool)>> {
        self.given.iter().map(|g| g.map(|(c, inferred)| (self.calls[c].key.clone(), inferred))).collect()
    }
}

/// Calls by something that they have in common, to be taken in order.
struct Queues<K>(HashMap<K, Vec<usize>>);

impl<K: Eq + std::hash::Hash> Queues<K> {
    fn new(keys: impl DoubleEndedIterator<Item = Option<K>> + ExactSizeIterator) -> Queues<K> {
        let mut queues: HashMap<K, Vec<usize>> = HashMap::new();
        for (call, key) in keys.enumerate().rev() {
            if let Some(key) = key {
                queues.entry(key).or_default().push(call);
            }
        }
        Queues(queues)
    }

    fn take<Q: ?Sized + Eq + std::hash::Hash>(&mut self, key: &Q) -> Option<usize>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get_mut(key)?.pop()
    }
}

/// What the client left of a text that it cut, without its mark.
fn beginning((text, cut): &(String, bool)) -> Option<&str> {
    let whole = text.rfind("[TRUNCATED").map_or(text.as_str(), |at| &text[..at]).trim();
    (*cut && !whole.is_empty()).then_some(whole)
}

/// Whether a text is one of the blocks that were joined to a whole.
fn has_block(whole: &str, block: &str) -> bool {
    let (whole, block) = (whole.trim(), block.trim());
    let bounded = |at: usize| {
        let (left, right) = (&whole[..at], &whole[at + block.len()..]);
        (left.is_empty() || left.ends_with('\n')) && (right.is_empty() || right.starts_with('\n'))
    };
    !block.is_empty() && block.len() < whole.len() && whole.match_indices(block).any(|(at, _)| bounded(at))
}

/// Whether the pieces, of which there are some, stand in the whole one after the other.
fn has_pieces(whole: &str, pieces: &[String]) -> bool {
    let after = |rest: Option<&'_ str>, piece: &String| -> Option<usize> {
        let rest = rest?;
        rest.find(piece.as_str()).map(|at| whole.len() - rest.len() + at + piece.len())
    };
    let end = pieces.iter().try_fold(0, |at, piece| after(whole.get(at..), piece));
    !pieces.is_empty() && end.is_some()
}

/// Where replies go that no call takes: to the error that they show, to the compaction that they made, or nowhere.
struct Rest {
    /// Each prompt's errors, the first last; those that no shown text explains yet.
    errors: HashMap<Option<String>, Vec<String>>,
    /// What errors say.
    said: HashSet<(Option<String>, String)>,
    /// Compaction requests, the first last; their replies come from forks of the session that are no subagents.
    compactions: Vec<String>,
}

impl Rest {
    fn new(items: &[Item<'_>], drafts: &Drafts) -> Rest {
        let mut rest = Rest { errors: HashMap::new(), said: HashSet::new(), compactions: Vec::new() };
        let mut ordered: Vec<&Draft> = drafts.values().collect();
        ordered.sort_by_cached_key(|d| std::cmp::Reverse((of(items, d).map(Item::begin).max(), &d.key)));
        for draft in ordered {
            if is_failed_request(items, draft) {
                rest.errors.entry(draft.prompt_id.clone()).or_default().push(draft.key.clone());
                let said = of(items, draft).filter_map(|i| i.fact.columns.error.clone());
                rest.said.extend(said.map(|text| (draft.prompt_id.clone(), text)));
            } else if draft.kind == Kind::ModelCall && is_compaction(items, draft) {
                rest.compactions.push(draft.key.clone());
            }
        }
        rest
    }

    /// Whether a reply is a failure that the client shows like a reply.
    fn is_error(&self, turn: &Turn, reply: &Reply) -> bool {
        reply.text.starts_with(SHOWN_ERROR) || self.said.contains(&(prompt_of(turn, reply), reply.text.clone()))
    }

    fn find(&mut self, items: &[Item<'_>], drafts: &mut Drafts, turn: &Turn, reply: &Reply) -> String {
        if self.is_error(turn, reply) {
            let told = self.errors.get_mut(&prompt_of(turn, reply)).and_then(Vec::pop);
            return told.unwrap_or_else(|| own(drafts, Kind::Error, turn, reply));
        }
        let forked = reply.items.iter().any(|i| items[*i].notes().get("agent_type").is_some_and(|t| t == ""));
        let compaction = if forked { self.compactions.pop() } else { None };
        compaction.unwrap_or_else(|| own(drafts, Kind::ModelCall, turn, reply))
    }
}

fn own(drafts: &mut Drafts, kind: Kind, turn: &Turn, reply: &Reply) -> String {
    let prompt = turn.0.as_deref().or(turn.1.as_deref()).unwrap_or_default();
    let key = format!("reply:{prompt}:{}", reply.key);
    let draft = drafts.entry(key.clone()).or_insert_with(|| Draft::new(kind, key.clone()));
    (draft.prompt_id, draft.agent_id) = (prompt_of(turn, reply), turn.1.clone());
    key
}

fn prompt_of(turn: &Turn, reply: &Reply) -> Option<String> {
    turn.0.clone().or_else(|| reply.prompt_id.clone())
}
