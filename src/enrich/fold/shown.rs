//! Replies as they were shown: the pieces of a displayed message, the last message of a turn, or both, put together.

use std::collections::{BTreeMap, HashMap};

use super::group::Drafts;
use super::item::Item;
use crate::model::{FactId, Kind, Source};

/// A turn's last message repeats blocks that were shown at most that many messages before the end.
const BLOCK_WINDOW: usize = 16;

/// One reply that names no request.
pub struct Reply {
    pub items: Vec<usize>,
    pub text: String,
    /// What is there of a text of which pieces are missing.
    pub pieces: Vec<String>,
    /// When it was shown, in the hooks' own order.
    pub order: (i64, i64, FactId),
    /// A hook at the end of the turn says that it is the turn's last.
    pub last: bool,
    /// Names the event when no call is found.
    pub key: String,
    pub prompt_id: Option<String>,
}

/// Prompt and agent: replies and calls meet within these. An agent's turn is all that the agent does: its hooks may
/// name the prompt that its session was at meanwhile.
pub type Turn = (Option<String>, Option<String>);

/// The replies that are in no draft, by turn and in order.
pub fn replies(items: &[Item<'_>], drafts: &Drafts) -> BTreeMap<Turn, Vec<Reply>> {
    let mut placed = vec![false; items.len()];
    drafts.values().flat_map(|d| &d.items).for_each(|i| placed[*i] = true);
    let mut turns: BTreeMap<Turn, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate().filter(|(i, item)| !placed[*i] && item.fact.kind == Kind::ModelCall) {
        let columns = &item.fact.columns;
        let turn = match &columns.agent_id {
            Some(agent) => (None, Some(agent.clone())),
            None => (columns.prompt_id.clone(), None),
        };
        turns.entry(turn).or_default().entry(name(item)).or_default().push(i);
    }
    turns.into_iter().map(|(turn, messages)| (turn, united(items, messages))).collect()
}

fn name(item: &Item<'_>) -> String {
    let text = item.fact.columns.content.as_deref().unwrap_or_default();
    match item.note("message_id") {
        Some(id) => format!("display:{id}"),
        None if item.fact.source != Source::Hook => format!("log:{}", item.fact.fact_id),
        None => format!("said:{}", &blake3::hash(text.trim().as_bytes()).to_hex()[..16]),
    }
}

/// Joins the pieces of displayed messages, and what was said of them elsewhere with the message that it repeats.
fn united(items: &[Item<'_>], messages: BTreeMap<String, Vec<usize>>) -> Vec<Reply> {
    let (shown, said): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(key, _)| key.starts_with("display:"));
    let in_order = |messages: Vec<(String, Vec<usize>)>| {
        let mut replies: Vec<Reply> = messages.into_iter().map(|(key, members)| reply(items, key, members)).collect();
        replies.sort_by_key(|r| r.order);
        replies
    };
    let mut united = Uniting::new(in_order(shown));
    in_order(said).into_iter().for_each(|said| united.add(said));
    let mut replies: Vec<Reply> = united.replies.into_iter().flatten().collect();
    replies.sort_by_key(|r| r.order);
    replies
}

fn reply(items: &[Item<'_>], key: String, members: Vec<usize>) -> Reply {
    let mut pieces: BTreeMap<i64, &str> = BTreeMap::new();
    for item in members.iter().map(|i| &items[*i]) {
        let text = item.fact.columns.content.as_deref().unwrap_or_default();
        let piece = pieces.entry(item.number("index").unwrap_or(0)).or_insert(text);
        *piece = (*piece).max(text);
    }
    let order = members.iter().map(|i| items[*i].order()).min().unwrap_or_default();
    let prompt_id = members.iter().find_map(|i| items[*i].fact.columns.prompt_id.clone());
    let whole = pieces.keys().copied().eq(0..pieces.len() as i64);
    let known = pieces.values().filter(|_| !whole).map(|p| (*p).to_owned()).collect();
    Reply {
        pieces: known,
        text: pieces.into_values().collect(),
        items: members,
        order,
        last: key.starts_with("said:"),
        key,
        prompt_id,
    }
}

struct Uniting {
    /// `None`: united with another.
    replies: Vec<Option<Reply>>,
    /// Replies that nothing repeated yet, by text, the last one last.
    by_text: HashMap<String, Vec<usize>>,
}

impl Uniting {
    fn new(shown: Vec<Reply>) -> Uniting {
        let mut by_text: HashMap<String, Vec<usize>> = HashMap::new();
        for (r, reply) in shown.iter().enumerate() {
            by_text.entry(reply.text.trim().to_owned()).or_default().push(r);
        }
        Uniting { replies: shown.into_iter().map(Some).collect(), by_text }
    }

    fn add(&mut self, said: Reply) {
        let same = self.by_text.get_mut(said.text.trim()).and_then(|found| {
            // the end of a turn repeats the last message, a log each in order
            if said.last || found.is_empty() { found.pop() } else { Some(found.remove(0)) }
        });
        let blocks = if same.is_none() { self.blocks(&said.text) } else { Vec::new() };
        match same.and_then(|r| self.replies[r].as_mut()) {
            Some(same) => {
                same.items.extend(said.items);
                same.last |= said.last;
            }
            None => {
                let whole = self.with_blocks(said, blocks);
                self.replies.push(Some(whole));
            }
        }
    }

    /// The shown messages that together, one after the other, are the text.
    fn blocks(&self, text: &str) -> Vec<usize> {
        for end in (0..self.replies.len()).rev().take(BLOCK_WINDOW) {
            let (mut rest, mut found) = (text.trim(), Vec::new());
            for r in (0..=end).rev() {
                let Some(shown) = self.replies[r].as_ref().filter(|s| !s.text.trim().is_empty()) else { break };
                let Some(before) = rest.strip_suffix(shown.text.trim()) else { break };
                found.push(r);
                rest = before.trim_end();
                if rest.is_empty() {
                    return found;
                }
            }
        }
        Vec::new()
    }

    fn with_blocks(&mut self, mut said: Reply, blocks: Vec<usize>) -> Reply {
        for block in blocks.into_iter().filter_map(|r| self.replies[r].take()) {
            said.items.extend(block.items);
            said.order = said.order.min(block.order);
        }
        said
    }
}
