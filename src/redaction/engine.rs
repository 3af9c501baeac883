//! Finds secrets in one text. One pass of Aho-Corasick over all keywords; where one stands, its rule's regex is tried
//! there, in a window; where a secret's name stands, the value beside it is read (`pairs`). Time is linear in the text:
//! an anchored rule looks at a bounded stretch per keyword, and the windows of the others are merged.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::{Regex, RegexBuilder};

use super::rule::{Check, Rule};
use super::{names, pairs};

/// Secrets of one text that are looked for in the rest of it: each costs a pass over the text.
const MAX_ECHOES: usize = 32;
/// Longer secrets (key blocks) are not looked for.
const MAX_ECHO: usize = 512;

/// A rule compiled. `anchored` rules match from their keyword's first byte on.
struct Compiled {
    id: &'static str,
    regex: Regex,
    /// For anchored rules: the keyword must start a word.
    boundary: bool,
    anchored: bool,
    back: usize,
    ahead: usize,
    check: Check,
}

/// What a keyword calls for.
#[derive(Clone, Copy)]
enum Target {
    Rule(usize),
    Name,
}

/// A stretch of the text to hide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub span: Range<usize>,
    pub rule: &'static str,
    /// Position of the rule in the list; earlier wins ties.
    rank: usize,
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Only rules that know a secret by its own form: the text is an id that joins need.
    Forms,
}

/// The compiled rules.
pub struct Engine {
    rules: Vec<Compiled>,
    keywords: AhoCorasick,
    /// By keyword.
    targets: Vec<Vec<Target>>,
}

/// Why the rules do not compile.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("rule {0}: {1}")]
    Pattern(&'static str, regex::Error),
    #[error("keywords: {0}")]
    Keywords(#[from] aho_corasick::BuildError),
}

impl Engine {
    pub fn new(rules: &[Rule]) -> Result<Engine, EngineError> {
        let mut by_keyword: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        for (i, rule) in rules.iter().enumerate() {
            for keyword in rule.keywords {
                by_keyword.entry((*keyword).to_owned()).or_default().push(Target::Rule(i));
            }
        }
        for name in pairs::keywords() {
            by_keyword.entry(name).or_default().push(Target::Name);
        }
        let (keywords, targets): (Vec<_>, Vec<_>) = by_keyword.into_iter().unzip();
        let keywords =
            AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(keywords)?;
        let rules = rules.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Engine { rules, keywords, targets })
    }

    /// The secrets in `text`: ascending, apart, on character boundaries.
    pub fn scan(&self, text: &str, scope: Scope) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut windows: Vec<(usize, Range<usize>)> = Vec::new();
        let mut names = pairs::Reader::new(text);
        // By rule: up to where its last match went, hit or not. A keyword inside it would only read its tail again.
        let mut matched: Vec<(usize, usize)> = Vec::new();
        for found in self.keywords.find_overlapping_iter(text) {
            for target in &self.targets[found.pattern().as_usize()] {
                match target {
                    Target::Rule(i) if self.rules[*i].anchored => {
                        if !matched.iter().any(|(rule, end)| rule == i && found.start() < *end)
                            && let Some(end) = self.at(*i, text.as_bytes(), found.start(), &mut hits)
                        {
                            matched.retain(|(rule, _)| rule != i);
                            matched.push((*i, end));
                        }
                    }
                    Target::Rule(i) => windows.push((*i, self.window(*i, found.start(), text.len()))),
                    Target::Name if scope == Scope::All => hits.extend(names.read(found.range()).map(|span| Hit {
                        span,
                        rule: pairs::RULE,
                        rank: self.rules.len(),
                    })),
                    Target::Name => {}
                }
            }
        }
        if !windows.is_empty() {
            self.search(text.as_bytes(), windows, &mut hits);
        }
        if hits.is_empty() {
            return hits;
        }
        echo(text, &mut hits);
        settle(text, hits)
    }

    /// Whether any keyword stands in `text`: if not, [`Engine::scan`] finds nothing.
    pub fn may_hit(&self, text: &str) -> bool {
        self.keywords.is_match(text)
    }

    fn window(&self, rule: usize, keyword: usize, length: usize) -> Range<usize> {
        let rule = &self.rules[rule];
        keyword.saturating_sub(rule.back)..keyword.saturating_add(rule.ahead).min(length)
    }

    /// Tries an anchored rule at `start`. Returns where its match ends, hit or not.
    fn at(&self, rule: usize, text: &[u8], start: usize, hits: &mut Vec<Hit>) -> Option<usize> {
        let compiled = &self.rules[rule];
        if compiled.boundary && start > 0 && is_word(text[start - 1]) && !after_escape(&text[..start]) {
            return None;
        }
        let mut ahead = compiled.ahead;
        loop {
            let end = start.saturating_add(ahead).min(text.len());
            let (whole, secret) = compiled.find(&text[..end], start, end)?;
            if whole.end == end && end < text.len() {
                ahead = ahead.saturating_mul(4);
                continue;
            }
            if compiled.check.passes(&text[secret.clone()]) {
                hits.push(Hit { span: secret, rule: compiled.id, rank: rule });
            }
            return Some(whole.end);
        }
    }

    /// Searches the windows of the rules that are not anchored, merged so that no byte is read twice by one rule.
    fn search(&self, text: &[u8], mut windows: Vec<(usize, Range<usize>)>, hits: &mut Vec<Hit>) {
        windows.sort_by_key(|(rule, window)| (*rule, window.start));
        let mut rest = windows.into_iter().peekable();
        let mut from = 0;
        while let Some((rule, mut window)) = rest.next() {
            while let Some((_, next)) = rest.next_if(|(r, next)| *r == rule && next.start <= window.end) {
                window.end = window.end.max(next.end);
            }
            let done = self.search_window(rule, text, window.start.max(from)..window.end, hits);
            from = if rest.peek().is_some_and(|(r, _)| *r == rule) { done } else { 0 };
        }
    }

    /// Returns where the search stopped.
    fn search_window(&self, rule: usize, text: &[u8], window: Range<usize>, hits: &mut Vec<Hit>) -> usize {
        let compiled = &self.rules[rule];
        let (mut at, mut end) = (window.start, window.end);
        while at < end {
            let Some((whole, secret)) = compiled.find(&text[..end], at, end) else { break };
            if whole.end == end && end < text.len() {
                end = end.saturating_add((end - at).max(64) * 3).min(text.len());
                continue;
            }
            at = whole.end.max(at + 1);
            if compiled.check.passes(&text[secret.clone()]) {
                hits.push(Hit { span: secret, rule: compiled.id, rank: rule });
            }
        }
        at.max(window.end)
    }
}

impl Compiled {
    /// The next match in `text[from..end]` and the secret in it.
    fn find(&self, text: &[u8], from: usize, end: usize) -> Option<(Range<usize>, Range<usize>)> {
        // An anchored pattern starts with `\A`, so it gets a haystack of its own.
        let (haystack, start, shift) = if self.anchored { (&text[from..end], 0, from) } else { (text, from, 0) };
        if self.regex.captures_len() == 1 {
            let found = self.regex.find_at(haystack, start)?;
            let whole = found.start() + shift..found.end() + shift;
            return Some((whole.clone(), whole));
        }
        let captures = self.regex.captures_at(haystack, start)?;
        let whole = captures.get(0)?;
        let secret = captures.name("s").unwrap_or(whole);
        Some((whole.start() + shift..whole.end() + shift, secret.start() + shift..secret.end() + shift))
    }
}

fn compile(rule: &Rule) -> Result<Compiled, EngineError> {
    let anchored = rule.back == 0;
    let bare = rule.pattern.strip_prefix(r"\b").filter(|_| anchored);
    let pattern = match anchored {
        true => format!(r"\A(?:{})", bare.unwrap_or(rule.pattern)),
        false => rule.pattern.to_owned(),
    };
    let regex = RegexBuilder::new(&pattern).unicode(false).build().map_err(|e| EngineError::Pattern(rule.id, e))?;
    let Rule { id, back, ahead, check, .. } = *rule;
    Ok(Compiled { id, regex, boundary: bare.is_some(), anchored, back, ahead, check })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a written escape ends here: `\n`, `%3D`, a terminal's `ESC[32m`. Its last letter starts no word.
fn after_escape(before: &[u8]) -> bool {
    let colour = || {
        let code = before.strip_suffix(b"m").unwrap_or_default();
        let digits = code.iter().rev().take(12).take_while(|b| b.is_ascii_digit() || **b == b';').count();
        code[..code.len() - digits].ends_with(b"[")
    };
    match before {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        _ => colour(),
    }
}

/// Adds the other places where a secret that was found stands in the same text, up to [`MAX_ECHOES`] secrets.
fn echo(text: &str, hits: &mut Vec<Hit>) {
    let mut found: Vec<Hit> = Vec::new();
    for hit in hits.iter().filter(|hit| hit.span.len() <= MAX_ECHO) {
        if found.len() == MAX_ECHOES {
            break;
        }
        if !found.iter().any(|f| text.get(f.span.clone()) == text.get(hit.span.clone())) {
            found.push(hit.clone());
        }
    }
    for hit in found {
        let Some(secret) = text.get(hit.span.clone()).filter(|secret| names::secretive(secret)) else { continue };
        for (start, _) in text.match_indices(secret) {
            hits.push(Hit { span: start..start + secret.len(), ..hit.clone() });
        }
    }
}

/// Makes one hit of each heap of overlapping ones, named after the longest, then the earliest rule: the union is
/// hidden, so that no end of a shorter hit shows. Spans are widened to characters.
fn settle(text: &str, mut hits: Vec<Hit>) -> Vec<Hit> {
    for hit in &mut hits {
        hit.span = text.floor_char_boundary(hit.span.start)..text.ceil_char_boundary(hit.span.end);
    }
    hits.retain(|hit| !hit.span.is_empty());
    hits.sort_by_key(|hit| (hit.span.start, hit.rank));
    let mut settled: Vec<Hit> = Vec::with_capacity(hits.len());
    let mut longest = 0;
    for hit in hits {
        let length = hit.span.len();
        match settled.last_mut() {
            Some(last) if hit.span.start < last.span.end => {
                if length > longest || (length == longest && hit.rank < last.rank) {
                    (last.rule, last.rank, longest) = (hit.rule, hit.rank, length);
                }
                last.span.end = last.span.end.max(hit.span.end);
            }
            _ => {
                longest = length;
                settled.push(hit);
            }
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &'static str, keywords: &'static [&'static str], pattern: &'static str, back: usize) -> Rule {
        Rule { id, keywords, pattern, back, ahead: 16, check: Check::None }
    }

    fn spans(rules: &[Rule], text: &str) -> Vec<(&'static str, Range<usize>)> {
        let hits = Engine::new(rules).expect("the rules compile").scan(text, Scope::Forms);
        hits.into_iter().map(|hit| (hit.rule, hit.span)).collect()
    }

    #[test]
    fn the_longest_names_a_heap_of_hits_and_the_union_is_hidden() {
        let rules =
            [rule("short", &["abc"], "abc", 0), rule("long", &["bcd"], "bcdef", 0), rule("late", &["bcd"], "bcdef", 0)];
        assert_eq!(spans(&rules, "-abcdef-abc-"), [("long", 1..7), ("short", 8..11)]);
    }

    #[test]
    fn matches_grow_beyond_the_first_window() {
        let text = format!("k-{} end", "a".repeat(1000));
        assert_eq!(spans(&[rule("anchored", &["k-"], r"\bk-a+", 0)], &text), [("anchored", 0..1002)]);
        assert_eq!(spans(&[rule("searched", &["k-"], r"\bk-a+", 1)], &text), [("searched", 0..1002)]);
    }

    /// Quadratic would be minutes here.
    #[test]
    fn keywords_inside_a_long_match_are_not_tried_again() {
        let text = "k-".repeat(500_000);
        let mixed = Rule { check: Check::Mixed, ..rule("mixed", &["k-"], r"\bk-[a-z-]+", 0) };
        assert_eq!(spans(&[rule("r", &["k-"], r"\bk-[a-z-]+", 0), mixed], &text), [("r", 0..1_000_000)]);
    }

    #[test]
    fn each_of_many_keywords_in_one_window_is_tried() {
        let rules = [rule("r", &["k-"], r"\bk-\d+", 2)];
        assert_eq!(spans(&rules, "k-x k-1 k-y k-22"), [("r", 4..7), ("r", 12..16)]);
    }

    #[test]
    fn a_word_around_the_keyword_is_no_match() {
        assert_eq!(spans(&[rule("r", &["k-"], r"\bk-\d+", 0)], "ask-12 _k-12 é k-12"), [("r", 16..20)]);
    }

    #[test]
    fn an_equal_secret_elsewhere_in_the_text_is_hidden_too() {
        let rules = [rule("r", &["key "], r"key (?P<s>\w+)", 0)];
        assert_eq!(spans(&rules, "key a1b2c3d4 or a1b2c3d4"), [("r", 4..12), ("r", 16..24)]);
    }

    #[test]
    fn a_bad_pattern_is_an_error_with_the_rule() {
        let error = Engine::new(&[rule("broken", &["k"], "(", 0)]).err().expect("the pattern is no regex");
        assert!(error.to_string().starts_with("rule broken: "));
    }
}
