//! Steps in order, with what happened inside a call indented under it.

use std::collections::{HashMap, HashSet};

use crate::model::{Event, Kind};

/// The events in order of `seq`, each with its depth; those whose parent is a tool call or a subagent come right
/// after it. Every event comes exactly once, even when parents are missing or form a circle.
pub fn order(events: &[Event]) -> Vec<(usize, &Event)> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| event.seq);
    let calls: HashSet<&str> = sorted.iter().filter(|e| nests(e.kind)).map(|e| e.event_id.as_str()).collect();
    let parent = |event: &Event| {
        event.parent_event_id.as_deref().filter(|p| calls.contains(p) && *p != event.event_id).map(str::to_owned)
    };
    let mut children: HashMap<String, Vec<&Event>> = HashMap::new();
    let mut roots = Vec::new();
    for event in &sorted {
        match parent(event) {
            Some(parent) => children.entry(parent).or_default().push(event),
            None => roots.push(*event),
        }
    }
    let mut walk = Walk { children, seen: HashSet::new(), out: Vec::with_capacity(events.len()) };
    walk.run(roots);
    // What only a circle of parents leads to.
    walk.run(sorted);
    walk.out
}

fn nests(kind: Kind) -> bool {
    matches!(kind, Kind::ToolCall | Kind::Subagent)
}

struct Walk<'a> {
    children: HashMap<String, Vec<&'a Event>>,
    seen: HashSet<&'a str>,
    out: Vec<(usize, &'a Event)>,
}

impl<'a> Walk<'a> {
    /// Depth first with a stack of its own: nesting is up to the data.
    fn run(&mut self, roots: Vec<&'a Event>) {
        let mut stack: Vec<(usize, &Event)> = roots.into_iter().rev().map(|event| (0, event)).collect();
        while let Some((depth, event)) = stack.pop() {
            if !self.seen.insert(&event.event_id) {
                continue;
            }
            self.out.push((depth, event));
            let children = self.children.remove(&event.event_id).unwrap_or_default();
            stack.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
        }
    }
}
