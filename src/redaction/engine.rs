//! Finds what the rules look for in one text. One pass of Aho-Corasick over all keywords; where one stands, its rule's
//! pattern is tried there, in a window; where a secret's name stands, the value beside it is read (`pairs`); rules about
//! numbers are tried where a number starts. Time is linear in the text: an anchored rule looks at a bounded stretch per
//! keyword, and the windows of the others are merged.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};

use super::compile::{Allow, Compiled, Finder, MAX_COMPILED_BYTES, Pattern, Trigger, automaton};
use super::marks;
use super::pairs;
use super::rules::{Action, Glob};
use super::shape;
use super::tokens;

/// A rule in force: compiled, with what the policy makes of its hits.
#[derive(Clone)]
pub struct Rule {
    pub compiled: Arc<Compiled>,
    pub action: Action,
    /// Hits are counted and change nothing.
    pub report: bool,
}

/// Position of a rule in its engine.
pub type RuleIndex = u32;

/// A stretch of the text that a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub span: Range<usize>,
    pub rule: RuleIndex,
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Only rules that know a thing by its own form: names beside it have been heard, or it is an id that joins need.
    Forms,
}

/// Where a text stands in its record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The key of the text itself.
    pub key: Option<&'a str>,
    /// All keys from the top, joined by dots; empty unless a rule asks for it ([`Engine::wants_paths`]).
    pub path: &'a str,
}

/// What a keyword calls for.
#[derive(Clone, Copy)]
enum Target {
    Rule(RuleIndex),
    Name,
}

/// Rules that are tried at the same places, and one automaton of all their patterns that tells where none matches.
#[derive(Default)]
struct Together {
    rules: Vec<RuleIndex>,
    /// `None`: all are tried everywhere.
    any: Option<meta::Regex>,
}

impl Together {
    fn compile(&mut self, rules: &[Rule]) {
        let patterns: Vec<&regex_syntax::hir::Hir> = self
            .rules
            .iter()
            .filter_map(|rule| match &rules[*rule as usize].compiled.finder {
                Finder::Pattern(pattern) => Some(&pattern.hir),
                _ => None,
            })
            .collect();
        let config =
            meta::Config::new().nfa_size_limit(Some(8 * MAX_COMPILED_BYTES)).which_captures(WhichCaptures::Implicit);
        self.any = meta::Builder::new().configure(config.utf8_empty(false)).build_many_from_hir(&patterns).ok();
    }

    /// Whether any of the patterns may match at `at`.
    fn any_at(&self, text: &str, at: usize) -> bool {
        let input = Input::new(text).range(at..).anchored(Anchored::Yes);
        self.any.as_ref().is_none_or(|any| any.is_match(input.clone()))
    }
}

/// The rules of one policy, ready to run. Severer rules come first, then earlier ones.
pub struct Engine {
    rules: Vec<Rule>,
    keywords: AhoCorasick,
    /// By keyword.
    targets: Vec<Vec<Target>>,
    numbers: Together,
    coded: Together,
    everywhere: Vec<RuleIndex>,
    terms: Vec<RuleIndex>,
    names: Vec<RuleIndex>,
    fields: Vec<RuleIndex>,
    tokens: Vec<RuleIndex>,
    secret_names: Option<RuleIndex>,
    secret_pairs: Option<RuleIndex>,
    allow: Arc<Allow>,
    wants_paths: bool,
}

impl Engine {
    /// `allow`: what no rule hides.
    pub fn new(mut rules: Vec<Rule>, allow: Arc<Allow>) -> Engine {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.compiled.severity));
        let mut by_keyword: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        let mut engine = Engine {
            keywords: automaton(&[]),
            targets: Vec::new(),
            numbers: Together::default(),
            coded: Together::default(),
            everywhere: Vec::new(),
            terms: Vec::new(),
            names: Vec::new(),
            fields: Vec::new(),
            tokens: Vec::new(),
            secret_names: None,
            secret_pairs: None,
            allow,
            wants_paths: rules
                .iter()
                .any(|r| !r.compiled.scope.is_everywhere() || matches!(r.compiled.finder, Finder::Fields(_))),
            rules: Vec::new(),
        };
        for (i, rule) in (0..).zip(&rules) {
            engine.enlist(i, rule, &mut by_keyword);
        }
        engine.numbers.compile(&rules);
        engine.coded.compile(&rules);
        let (keywords, targets): (Vec<_>, Vec<_>) = by_keyword.into_iter().unzip();
        Engine { keywords: automaton(&keywords), targets, rules, ..engine }
    }

    fn enlist(&mut self, i: RuleIndex, rule: &Rule, by_keyword: &mut BTreeMap<String, Vec<Target>>) {
        let mut name = |keyword: String| {
            let targets = by_keyword.entry(keyword).or_default();
            if !targets.iter().any(|target| matches!(target, Target::Name)) {
                targets.push(Target::Name);
            }
        };
        match &rule.compiled.finder {
            Finder::Pattern(Pattern { trigger: Trigger::Keywords(words), .. }) => {
                for word in words {
                    by_keyword.entry(word.clone()).or_default().push(Target::Rule(i));
                }
            }
            Finder::Pattern(Pattern { trigger: Trigger::Number, .. }) => self.numbers.rules.push(i),
            Finder::Pattern(Pattern { trigger: Trigger::Coded, .. }) => self.coded.rules.push(i),
            Finder::Pattern(Pattern { trigger: Trigger::Everywhere, .. }) => self.everywhere.push(i),
            Finder::Terms(_) => self.terms.push(i),
            Finder::NamedTokens(_) => self.tokens.push(i),
            Finder::Fields(_) => self.fields.push(i),
            Finder::SecretNames => self.secret_names = Some(i),
            Finder::SecretPairs => {
                self.secret_pairs = Some(i);
                pairs::keywords().into_iter().for_each(name);
            }
            Finder::Names(globs) => {
                self.names.push(i);
                globs.iter().map(Glob::longest_literal).filter(|l| !l.is_empty()).for_each(|l| name(l.to_owned()));
            }
        }
    }

    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.rules[index as usize]
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether any keyword stands in `text`.
    pub fn has_keyword(&self, text: &str) -> bool {
        self.keywords.find_overlapping_iter(text).next().is_some()
    }

    /// Whether places have to be told by their whole path.
    pub fn wants_paths(&self) -> bool {
        self.wants_paths
    }

    /// The rule that hides everything at `path`, if any.
    pub fn field_rule(&self, path: &str) -> Option<RuleIndex> {
        let covers = |i: &&RuleIndex| match &self.rule(**i).compiled.finder {
            Finder::Fields(globs) => globs.iter().any(|glob| glob.covers(path)),
            _ => false,
        };
        self.fields.iter().find(covers).copied()
    }

    /// The own rule that hides every value under `name`, if any.
    pub fn name_rule(&self, name: &str) -> Option<RuleIndex> {
        let matches = |i: &&RuleIndex| match &self.rule(**i).compiled.finder {
            Finder::Names(globs) => globs.iter().any(|glob| glob.matches(name)),
            _ => false,
        };
        self.names.iter().find(matches).copied()
    }

    /// The built-in rule of values under keys that name secrets, if it is in force.
    pub fn secret_names(&self) -> Option<RuleIndex> {
        self.secret_names
    }

    /// Whether a hit of `rule` at `span` counts, apart from its pattern.
    pub fn accepts(&self, rule: RuleIndex, text: &[u8], span: &Range<usize>, place: &Place<'_>) -> bool {
        let compiled = &self.rule(rule).compiled;
        let value = &text[span.clone()];
        compiled.validators.iter().all(|validator| validator.passes(value))
            && (compiled.scope.is_everywhere() || compiled.scope.covers(place.path))
            && !compiled.allow.covers(text, span.clone())
            && !self.allow.covers(text, span.clone())
    }

    /// What the rules find in `text`: in any order, and overlapping.
    pub fn scan(&self, text: &str, scope: Scope, place: &Place<'_>) -> Vec<Hit> {
        let mut search = Search { engine: self, text, place, hits: Vec::new(), matched: Vec::new(), near: Vec::new() };
        search.keywords(scope);
        if !self.numbers.rules.is_empty() || !self.coded.rules.is_empty() {
            search.numbers();
        }
        for rule in &self.everywhere {
            search.window(*rule, 0..text.len());
        }
        for rule in &self.terms {
            search.terms(*rule);
        }
        for rule in &self.tokens {
            search.tokens(*rule);
        }
        if !search.hits.is_empty() {
            // Fingerprints may look like what an own rule looks for.
            let marks = marks::within(text);
            let marked =
                |span: &Range<usize>| marks.iter().any(|mark| mark.start <= span.start && span.end <= mark.end);
            search.hits.retain(|hit| !marked(&hit.span));
        }
        for hit in &mut search.hits {
            hit.span = text.floor_char_boundary(hit.span.start)..text.ceil_char_boundary(hit.span.end);
        }
        search.hits
    }
}

/// One scan of one text.
struct Search<'e, 't> {
    engine: &'e Engine,
    text: &'t str,
    place: &'e Place<'e>,
    hits: Vec<Hit>,
    /// By anchored rule: up to where its last match went, hit or not. A keyword inside it would only read its tail again.
    matched: Vec<(RuleIndex, usize)>,
    /// By rule: whether what has to stand near its matches stands in the text.
    near: Vec<(RuleIndex, bool)>,
}

impl Search<'_, '_> {
    fn keywords(&mut self, scope: Scope) {
        let mut windows: Vec<(RuleIndex, Range<usize>)> = Vec::new();
        let mut names = pairs::Reader::new(self.text);
        for found in self.engine.keywords.find_overlapping_iter(self.text) {
            for target in &self.engine.targets[found.pattern().as_usize()] {
                match target {
                    Target::Rule(i) => match self.pattern(*i) {
                        Some(pattern)
                            if pattern.word_start && !shape::starts_word(self.text.as_bytes(), found.start()) => {}
                        Some(pattern)
                            if pattern.within_word && !shape::within_word(self.text.as_bytes(), &found.range()) => {}
                        Some(pattern) if pattern.before == 0 => self.at(*i, found.start()),
                        Some(pattern) => {
                            let end = found.start().saturating_add(pattern.window).min(self.text.len());
                            windows.push((*i, found.start().saturating_sub(pattern.before)..end));
                        }
                        None => {}
                    },
                    Target::Name if scope == Scope::All => self.pair(&mut names, found.range()),
                    Target::Name => {}
                }
            }
        }
        if !windows.is_empty() {
            self.windows(windows);
        }
    }

    fn pattern(&self, rule: RuleIndex) -> Option<&Pattern> {
        match &self.engine.rules[rule as usize].compiled.finder {
            Finder::Pattern(pattern) => Some(pattern),
            _ => None,
        }
    }

    fn pair(&mut self, names: &mut pairs::Reader<'_>, keyword: Range<usize>) {
        let engine = self.engine;
        let found = names.read(keyword, &|name| engine.name_rule(name), engine.secret_pairs.is_some());
        if let Some((span, own)) = found
            && let Some(rule) = own.or(engine.secret_pairs)
            && engine.accepts(rule, self.text.as_bytes(), &span, self.place)
        {
            self.hits.push(Hit { span, rule });
        }
    }

    /// Tries an anchored rule at `start`.
    fn at(&mut self, rule: RuleIndex, start: usize) {
        if self.matched.iter().any(|(other, end)| *other == rule && start < *end) {
            return;
        }
        let engine = self.engine;
        let Finder::Pattern(pattern) = &engine.rules[rule as usize].compiled.finder else { return };
        let mut ahead = pattern.window;
        loop {
            let end = start.saturating_add(ahead).min(self.text.len());
            let input = Input::new(self.text).range(start..end).anchored(Anchored::Yes);
            let Some((whole, secret)) = find(pattern, &input) else { return };
            if whole.end == end && end < self.text.len() {
                ahead = ahead.saturating_mul(4);
                continue;
            }
            self.matched.retain(|(other, _)| *other != rule);
            self.matched.push((rule, whole.end));
            self.hit(rule, pattern, whole, secret);
            return;
        }
    }

    fn hit(&mut self, rule: RuleIndex, pattern: &Pattern, whole: Range<usize>, secret: Range<usize>) {
        let text = self.text.as_bytes();
        let beside = |(regex, within): &(regex::bytes::Regex, usize)| {
            let (start, end) = (whole.start.saturating_sub(*within), whole.end.saturating_add(*within).min(text.len()));
            regex.is_match(&text[start..whole.start]) || regex.is_match(&text[whole.end..end])
        };
        // Numbers of people repeat themselves as they like.
        let drawn = !self.engine.rules[rule as usize].compiled.pack.starts_with("pii/");
        if (!drawn || shape::could_be_random(&text[secret.clone()]))
            && !shape::inside_blob(text, &whole)
            && pattern.near.as_ref().is_none_or(beside)
            && self.engine.accepts(rule, text, &secret, self.place)
        {
            self.hits.push(Hit { span: secret, rule });
        }
    }

    /// Searches the windows of the rules that are not anchored, merged so that no byte is read twice by one rule.
    fn windows(&mut self, mut windows: Vec<(RuleIndex, Range<usize>)>) {
        windows.sort_by_key(|(rule, window)| (*rule, window.start));
        let mut rest = windows.into_iter().peekable();
        let mut from = 0;
        while let Some((rule, mut window)) = rest.next() {
            while let Some((_, next)) = rest.next_if(|(r, next)| *r == rule && next.start <= window.end) {
                window.end = window.end.max(next.end);
            }
            let done = self.window(rule, window.start.max(from)..window.end);
            from = if rest.peek().is_some_and(|(r, _)| *r == rule) { done } else { 0 };
        }
    }

    /// Whether what has to stand near the rule's matches stands anywhere in the text.
    fn may_be_near(&mut self, rule: RuleIndex, pattern: &Pattern) -> bool {
        let Some((regex, _)) = &pattern.near else { return true };
        if let Some((_, stands)) = self.near.iter().find(|(known, _)| *known == rule) {
            return *stands;
        }
        let stands = regex.is_match(self.text.as_bytes());
        self.near.push((rule, stands));
        stands
    }

    /// Returns where the search stopped.
    fn window(&mut self, rule: RuleIndex, window: Range<usize>) -> usize {
        let engine = self.engine;
        let Finder::Pattern(pattern) = &engine.rules[rule as usize].compiled.finder else { return window.end };
        if !self.may_be_near(rule, pattern) {
            return window.end;
        }
        let (mut at, mut end) = (window.start, window.end);
        while at < end {
            let Some((whole, secret)) = find(pattern, &Input::new(self.text).range(at..end)) else { break };
            if whole.end == end && end < self.text.len() {
                end = end.saturating_add((end - at).max(64) * 3).min(self.text.len());
                continue;
            }
            at = whole.end.max(at + 1);
            self.hit(rule, pattern, whole, secret);
        }
        at.max(window.end)
    }

    /// Tries the rules about numbers where one starts, and those about codes where two letters and a digit do.
    fn numbers(&mut self) {
        /// The fewest digits of a number that such a rule knows; an address has three dots instead.
        const FEWEST: usize = 7;
        let text = self.text.as_bytes();
        let word = |at: usize| text[at].is_ascii_alphanumeric() || text[at] == b'_';
        let mut at = 0;
        while let Some(next) = shape::next_digit(&text[at..]) {
            let start = at + next;
            at = start + text[start..].iter().take_while(|b| b.is_ascii_digit()).count();
            if start == 0 || !word(start - 1) {
                let run = text[start..].iter().take(24).take_while(|b| b.is_ascii_digit() || b" -.()/+".contains(b));
                let (digits, dots) = run.fold((0, 0), |(digits, dots), b| {
                    (digits + usize::from(b.is_ascii_digit()), dots + usize::from(*b == b'.'))
                });
                if digits >= FEWEST || dots >= 3 {
                    let signs = text[..start].iter().rev().take(2).take_while(|b| b"+(".contains(b)).count();
                    self.number(start - signs, start);
                }
            } else if start >= 2
                && text[start - 2..start].iter().all(u8::is_ascii_alphabetic)
                && (start == 2 || !word(start - 3))
            {
                let engine = self.engine;
                if engine.coded.any_at(self.text, start - 2) {
                    engine.coded.rules.iter().for_each(|rule| self.at(*rule, start - 2));
                }
            }
        }
    }

    /// Tries the rules about numbers at a sign before a number, and at its first digit where that finds nothing.
    fn number(&mut self, signed: usize, start: usize) {
        let engine = self.engine;
        let numbers = &engine.numbers;
        let sign = signed < start && numbers.any_at(self.text, signed);
        let digit = numbers.any_at(self.text, start);
        for rule in numbers.rules.iter().filter(|_| sign || digit) {
            let before = self.hits.len();
            if sign {
                self.at(*rule, signed);
            }
            if digit && self.hits.len() == before {
                self.at(*rule, start);
            }
        }
    }

    fn tokens(&mut self, rule: RuleIndex) {
        let Finder::NamedTokens(names) = &self.engine.rules[rule as usize].compiled.finder else { return };
        for span in tokens::named(self.text, names) {
            if self.engine.accepts(rule, self.text.as_bytes(), &span, self.place) {
                self.hits.push(Hit { span, rule });
            }
        }
    }

    fn terms(&mut self, rule: RuleIndex) {
        let engine = self.engine;
        let Finder::Terms(terms) = &engine.rules[rule as usize].compiled.finder else { return };
        let whole_word = |span: &Range<usize>| {
            let before = self.text[..span.start].chars().next_back();
            let after = self.text[span.end..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        };
        let found: Vec<Hit> = terms
            .find_iter(self.text)
            .map(|found| found.range())
            .filter(|span| whole_word(span) && engine.accepts(rule, self.text.as_bytes(), span, self.place))
            .map(|span| Hit { span, rule })
            .collect();
        self.hits.extend(found);
    }
}

/// The next match and what is to be hidden of it.
fn find(pattern: &Pattern, input: &Input<'_>) -> Option<(Range<usize>, Range<usize>)> {
    if pattern.group == 0 {
        let whole = pattern.regex.search(input)?.range();
        return Some((whole.clone(), whole));
    }
    /// Groups whose places need no memory of their own.
    const FEW: usize = 4;
    let (mut few, mut many) = ([None::<NonMaxUsize>; 2 * FEW], Vec::new());
    let slots = match 2 * (pattern.group + 1) {
        wanted if wanted <= few.len() => &mut few[..wanted],
        wanted => {
            many.resize(wanted, None);
            &mut many[..]
        }
    };
    pattern.regex.search_slots(input, slots)?;
    let span = |group: usize| Some(slots[2 * group]?.get()..slots[2 * group + 1]?.get());
    let whole = span(0)?;
    Some((whole.clone(), span(pattern.group).unwrap_or(whole)))
}
