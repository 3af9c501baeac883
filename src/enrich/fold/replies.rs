//! Replies that only hooks know. They name no request: they are placed by equal text, else by the length that the
//! client's log gives where it keeps the text back, else by what the hooks' own order says about them, else by their
//! position in the prompt; and what finds no place is a model call of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Draft, Drafts, is_reply};
use super::item::Item;
use super::links::request_of;
use super::merge::content_without_hooks;
use super::of;
use crate::model::{FactId, Kind, Source};

/// How the client shows a request that failed.
const SHOWN_ERROR: &str = "API Error";

/// One reply as the hooks tell it: the pieces of a displayed message, or the last message of a turn, or both.
struct Reply {
    items: Vec<usize>,
    text: String,
    /// When it was shown, in the hooks' own order.
    order: (i64, i64, FactId),
    /// A hook at the end of the turn says that it is the turn's last.
    last: bool,
    /// Names the event when no call is found.
    key: String,
}

/// Prompt and agent: replies and calls meet within these.
type Turn = (Option<String>, Option<String>);

/// Gives every reply that only hooks know to a draft.
pub fn place(items: &[Item<'_>], drafts: &mut Drafts) {
    for (turn, replies) in replies(items) {
        let calls = calls(items, drafts, &turn);
        let mut placement = Placement { items, drafts, calls, replies: &replies, given: vec![None; replies.len()] };
        placement.by_text();
        placement.by_length();
        placement.by_next_tool(&turn);
        placement.last_of_turn();
        placement.by_position();
        let given = placement.finish();
        for (reply, call) in replies.iter().zip(given) {
            attach(items, drafts, &turn, reply, call);
        }
    }
}

fn replies(items: &[Item<'_>]) -> BTreeMap<Turn, Vec<Reply>> {
    let mut turns: BTreeMap<Turn, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate().filter(|(_, i)| is_reply(i.fact)) {
        let columns = &item.fact.columns;
        let turn = (columns.prompt_id.clone(), columns.agent_id.clone());
        let message = match item.note("message_id") {
            Some(id) => format!("display:{id}"),
            None => format!("said:{}", text_name(columns.content.as_deref().unwrap_or_default())),
        };
        turns.entry(turn).or_default().entry(message).or_default().push(i);
    }
    turns.into_iter().map(|(turn, messages)| (turn, united(items, messages))).collect()
}

fn text_name(text: &str) -> String {
    blake3::hash(text.trim().as_bytes()).to_hex()[..16].to_owned()
}

/// Joins the pieces of displayed messages, and the end of a turn with the message that it repeats.
fn united(items: &[Item<'_>], messages: BTreeMap<String, Vec<usize>>) -> Vec<Reply> {
    let (shown, said): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(key, _)| key.starts_with("display:"));
    let mut replies: Vec<Reply> = shown.into_iter().map(|(key, members)| reply(items, key, members, false)).collect();
    replies.sort_by_key(|r| r.order);
    for (key, members) in said {
        let end = reply(items, key, members, true);
        match replies.iter_mut().rev().find(|r| !r.last && r.text.trim() == end.text.trim()) {
            Some(same) => {
                same.items.extend(end.items);
                same.last = true;
            }
            None => replies.push(end),
        }
    }
    replies.sort_by_key(|r| r.order);
    replies
}

fn reply(items: &[Item<'_>], key: String, members: Vec<usize>, last: bool) -> Reply {
    let mut pieces: BTreeMap<i64, &str> = BTreeMap::new();
    for i in &members {
        let index = items[*i].notes().get("index").and_then(|v| v.as_i64()).unwrap_or(0);
        let text = items[*i].fact.columns.content.as_deref().unwrap_or_default();
        let piece = pieces.entry(index).or_insert(text);
        *piece = (*piece).max(text);
    }
    let order = members.iter().map(|i| items[*i].order()).min().unwrap_or_default();
    Reply { text: pieces.into_values().collect(), items: members, order, last, key }
}

/// A model call that a reply may belong to.
struct Call {
    key: String,
    /// What other sources say that it replied.
    text: Option<(String, bool)>,
    /// How long the client says that the reply is, in UTF-16 units.
    length: Option<usize>,
    uses_tools: bool,
}

/// The turn's model calls in the order in which they began.
fn calls(items: &[Item<'_>], drafts: &Drafts, turn: &Turn) -> Vec<Call> {
    let tool_requests: BTreeSet<String> =
        drafts.values().filter(|d| d.kind == Kind::ToolCall).filter_map(|d| request_of(items, d)).collect();
    let mut calls: Vec<(i64, Call)> = drafts
        .values()
        .filter(|d| d.kind == Kind::ModelCall && d.agent_id == turn.1 && (turn.0.is_none() || d.prompt_id == turn.0))
        .filter(|d| !of(items, d).any(|i| i.note("query_source") == Some("compact")))
        .map(|d| {
            let begin = of(items, d).map(Item::begin).min().unwrap_or(0);
            let uses_tools = request_of(items, d).is_some_and(|r| tool_requests.contains(&r));
            let length = of(items, d)
                .find_map(|i| usize::try_from(i.notes_if("response_length")?.get("response_length")?.as_i64()?).ok());
            (begin, Call { key: d.key.clone(), text: content_without_hooks(items, d), length, uses_tools })
        })
        .collect();
    calls.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
    let mut calls: Vec<Call> = calls.into_iter().map(|(_, call)| call).collect();
    if calls.iter().any(|c| c.length.is_some()) {
        // the client tells of every reply that has text: the others have none
        calls.retain(|c| c.length.is_some() || c.text.is_some());
    }
    calls
}

struct Placement<'p, 'a> {
    items: &'p [Item<'a>],
    drafts: &'p Drafts,
    calls: Vec<Call>,
    replies: &'p [Reply],
    /// The call given to each reply, and whether that is inferred.
    given: Vec<Option<(usize, bool)>>,
}

impl Placement<'_, '_> {
    fn free(&self, call: usize) -> bool {
        !self.given.iter().flatten().any(|(taken, _)| *taken == call)
    }

    /// Equal texts meet, in order where several are equal.
    fn by_text(&mut self) {
        for r in 0..self.replies.len() {
            let found = (0..self.calls.len()).find(|c| self.free(*c) && self.same_text(r, *c));
            self.given[r] = found.map(|c| (c, false));
        }
    }

    fn same_text(&self, reply: usize, call: usize) -> bool {
        let Some((text, cut)) = &self.calls[call].text else { return false };
        let (reply, text) = (self.replies[reply].text.trim(), text.trim());
        let whole = text.rfind("[TRUNCATED").map_or(text, |at| text[..at].trim());
        reply == text || (*cut && !whole.is_empty() && reply.starts_with(whole))
    }

    /// A text as long as the client says is that reply's. One that redaction changed has another length now.
    fn by_length(&mut self) {
        for r in 0..self.replies.len() {
            if self.given[r].is_none() {
                let length = Some(self.replies[r].text.encode_utf16().count());
                let fits =
                    |c: &usize| self.free(*c) && self.calls[*c].text.is_none() && self.calls[*c].length == length;
                self.given[r] = (0..self.calls.len()).find(fits).map(|c| (c, true));
            }
        }
    }

    /// A shown text that a tool call follows, before anything else is shown, is of the same reply as the call.
    fn by_next_tool(&mut self, turn: &Turn) {
        let tools = self.tool_starts(turn);
        for r in 0..self.replies.len() {
            if self.given[r].is_some() || self.replies[r].last {
                continue;
            }
            let until = self.replies.get(r + 1).map(|next| next.order);
            let next = tools.range(self.replies[r].order..).next().filter(|(at, _)| until.is_none_or(|u| **at < u));
            let call = next.and_then(|(_, key)| self.calls.iter().position(|c| c.key == *key));
            self.given[r] = call.filter(|c| self.free(*c) && self.calls[*c].text.is_none()).map(|c| (c, true));
        }
    }

    /// When hooks saw the turn's tool calls start, and which request each is part of.
    fn tool_starts(&self, turn: &Turn) -> BTreeMap<(i64, i64, FactId), String> {
        let mut starts = BTreeMap::new();
        for draft in self.drafts.values().filter(|d| d.kind == Kind::ToolCall && d.agent_id == turn.1) {
            let Some(request) = request_of(self.items, draft) else { continue };
            for item in of(self.items, draft).filter(|i| i.fact.name == "PreToolUse") {
                starts.insert(item.order(), format!("request:{request}"));
            }
        }
        starts
    }

    /// The turn's last reply is its last call's, if that one asked for no tool.
    fn last_of_turn(&mut self) {
        for r in (0..self.replies.len()).filter(|r| self.replies[*r].last).rev().collect::<Vec<_>>() {
            if self.given[r].is_some() {
                continue;
            }
            let open = |c: &usize| self.free(*c) && self.calls[*c].text.is_none() && !self.calls[*c].uses_tools;
            self.given[r] = (0..self.calls.len()).rev().find(open).map(|c| (c, true));
        }
    }

    /// What is left takes the first open call between its neighbours' calls.
    fn by_position(&mut self) {
        for r in 0..self.replies.len() {
            if self.given[r].is_some() || self.replies[r].text.starts_with(SHOWN_ERROR) {
                continue;
            }
            let after = self.given[..r].iter().flatten().map(|(c, _)| c + 1).max().unwrap_or(0);
            let before = self.given[r..].iter().flatten().map(|(c, _)| *c).min().unwrap_or(self.calls.len());
            let open = |c: &usize| self.free(*c) && self.calls[*c].text.is_none();
            self.given[r] = (after..before).find(open).map(|c| (c, true));
        }
    }

    fn finish(self) -> Vec<Option<(String, bool)>> {
        self.given.iter().map(|g| g.map(|(c, inferred)| (self.calls[c].key.clone(), inferred))).collect()
    }
}

fn attach(items: &[Item<'_>], drafts: &mut Drafts, turn: &Turn, reply: &Reply, call: Option<(String, bool)>) {
    let (key, inferred) = match call {
        Some((key, inferred)) => (key, inferred),
        None if reply.text.starts_with(SHOWN_ERROR) => match error_of(items, drafts, turn) {
            Some(key) => (key, true),
            None => (own(drafts, Kind::Error, turn, reply), true),
        },
        None => (own(drafts, Kind::ModelCall, turn, reply), true),
    };
    if let Some(draft) = drafts.get_mut(&key) {
        draft.items.extend(&reply.items);
        draft.items.sort_unstable();
        draft.inferred |= inferred;
    }
}

/// The turn's last error that no shown text explains yet.
fn error_of(items: &[Item<'_>], drafts: &Drafts, turn: &Turn) -> Option<String> {
    drafts
        .values()
        .filter(|d| d.kind == Kind::Error && d.prompt_id == turn.0)
        .filter(|d| !of(items, d).any(|i| i.fact.source == Source::Hook))
        .max_by_key(|d| (of(items, d).map(Item::begin).max(), &d.key))
        .map(|d| d.key.clone())
}

fn own(drafts: &mut Drafts, kind: Kind, turn: &Turn, reply: &Reply) -> String {
    let prompt = turn.0.as_deref().or(turn.1.as_deref()).unwrap_or_default();
    let key = format!("reply:{prompt}:{}", reply.key);
    let draft = drafts.entry(key.clone()).or_insert_with(|| Draft::new(kind, key.clone()));
    (draft.prompt_id, draft.agent_id) = turn.clone();
    key
}
