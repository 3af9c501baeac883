//! Rules compiled, and what is wrong with those that do not compile, as data: whoever read the rule knows file and line.

use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use regex_automata::meta;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::rules::{
    AllowSpec, Find, Glob, Mode, NearSpec, Origin, RegexSpec, RuleSpec, ScopeSpec, Severity, Validator,
};

/// The most bytes that one pattern's automaton may take: what real rules need a tenth of.
pub const MAX_COMPILED_BYTES: usize = 2 << 20;
/// `x{20000}`: nobody means that.
const MAX_REPEAT: u32 = 10_000;
const MAX_KEYWORDS: usize = 1_000;
/// Shorter keywords stand everywhere.
const MIN_DERIVED_KEYWORD: usize = 3;
/// How far before a keyword a match is looked for where the pattern does not tell.
const BEFORE: usize = 128;
/// How far after it, at first.
const WINDOW: usize = 256;

/// One thing that is wrong with a rule or a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", Subject(.rule, .policy))]
pub struct CompileError {
    /// The rule's id, where a rule is to blame.
    pub rule: Option<String>,
    /// The policy's name, where a policy is to blame.
    pub policy: Option<String>,
    pub origin: Origin,
    /// The key to blame: `regex`, `near`, `keywords`, `allow`, `id`, `secret_group`, `disable`, ...
    pub key: &'static str,
    /// Bytes into the pattern, where a pattern is to blame.
    pub offset: Option<usize>,
    pub fault: Fault,
}

struct Subject<'a>(&'a Option<String>, &'a Option<String>);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.iter().try_for_each(|policy| write!(f, "policy '{policy}': "))?;
        self.0.iter().try_for_each(|rule| write!(f, "rule '{rule}': "))
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the pattern is no regular expression: {0}")]
    Syntax(String),
    #[error("the pattern's automaton takes more than {} KiB", MAX_COMPILED_BYTES >> 10)]
    TooLarge,
    #[error("a repeat of {0} is above {MAX_REPEAT}")]
    HugeRepeat(u32),
    #[error("the pattern matches the empty text, so it would match everywhere")]
    MatchesEmpty,
    #[error("the pattern has no group {0}")]
    NoGroup(usize),
    #[error("keywords are empty, or more than {MAX_KEYWORDS}")]
    Keywords,
    #[error("'{0}' is no rule id: use 1 to 64 of a-z, 0-9 and '-'")]
    BadId(String),
    #[error("the id is taken by a rule of {0}")]
    DuplicateId(String),
    #[error("there is nothing to look for")]
    Nothing,
    #[error("there is no pack '{0}'")]
    NoPack(String),
    #[error("no rule matches '{0}'")]
    NoRule(String),
    #[error("it loosens the secrets rule '{0}'")]
    Loosens(String),
    #[error("'{0}' is no key id: use 1 to 32 of a-z, 0-9 and '-'")]
    BadKeyId(String),
    #[error("there are more than {0} policies")]
    TooManyPolicies(usize),
}

impl Fault {
    /// What to write instead.
    pub fn advice(&self) -> &'static str {
        match self {
            Fault::Syntax(_) => "write Rust regex syntax: no look-around, no back references; a literal { is \\{",
            Fault::TooLarge | Fault::HugeRepeat(_) => "shorten its repeats, or use + and {n,} instead of {n,m}",
            Fault::MatchesEmpty => "require at least one character: + instead of *, or a fixed prefix",
            Fault::NoGroup(_) => "count opening parentheses without (?:, from 1; or name the group: (?<secret>...)",
            Fault::Keywords => "give one to a thousand words that stand in or near every match",
            Fault::BadId(_) | Fault::BadKeyId(_) => "it appears in marks and metrics",
            Fault::DuplicateId(_) => "choose another id; to change a shipped rule, disable it and write your own",
            Fault::Nothing => "give at least one term, name or place",
            Fault::NoPack(_) => "'sessionlake redact rules' lists the packs",
            Fault::NoRule(_) => "'sessionlake redact rules' lists the rules",
            Fault::Loosens(_) => "say 'loosen_secrets: true' in that policy if it is meant",
            Fault::TooManyPolicies(_) => "merge policies: their conditions are lists",
        }
    }
}

/// A rule ready to run.
pub struct Compiled {
    pub id: String,
    pub severity: Severity,
    pub finder: Finder,
    pub validators: Vec<Validator>,
    pub allow: Allow,
    pub scope: ScopeSpec,
    pub action: Option<super::rules::Action>,
    pub mode: Option<Mode>,
    /// From a pack that guards secrets.
    pub guards_secrets: bool,
    /// The pack's name, empty for own rules.
    pub pack: String,
}

/// How a compiled rule finds.
pub enum Finder {
    Pattern(Pattern),
    Terms(AhoCorasick),
    /// Names of those who issue tokens without a form of their own.
    NamedTokens(AhoCorasick),
    Names(Vec<Glob>),
    Fields(Vec<Glob>),
    SecretNames,
    SecretPairs,
}

/// A pattern and when it is tried.
pub struct Pattern {
    pub regex: meta::Regex,
    /// What `regex` was made of.
    pub hir: Hir,
    /// The group to hide; 0: the whole match.
    pub group: usize,
    pub trigger: Trigger,
    /// 0: a match starts at its keyword's first byte.
    pub before: usize,
    pub window: usize,
    /// Keywords count only where a word starts.
    pub word_start: bool,
    /// Keywords count only inside a word.
    pub within_word: bool,
    pub near: Option<(Regex, usize)>,
}

/// What makes a pattern be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Lower case.
    Keywords(Vec<String>),
    /// Where a number starts: a digit after no letter or digit, or `+` or `(` before it.
    Number,
    /// Two letters and a digit at a word's start.
    Coded,
    /// The whole text is searched.
    Everywhere,
}

/// What is let through, compiled.
#[derive(Default)]
pub struct Allow {
    values: Vec<Regex>,
    stopwords: Option<AhoCorasick>,
    lines: Vec<Regex>,
}

impl Allow {
    /// Whether `text[span]` is let through.
    pub fn covers(&self, text: &[u8], span: std::ops::Range<usize>) -> bool {
        let value = &text[span.clone()];
        let line = || {
            const MOST: usize = 1024;
            let start = text[..span.start].iter().rev().take(MOST).take_while(|b| **b != b'\n').count();
            let end = text[span.end..].iter().take(MOST).take_while(|b| **b != b'\n').count();
            &text[span.start - start..span.end + end]
        };
        self.values.iter().any(|regex| regex.is_match(value))
            || self.stopwords.as_ref().is_some_and(|words| words.is_match(value))
            || (!self.lines.is_empty() && self.lines.iter().any(|regex| regex.is_match(line())))
    }
}

/// Compiles a rule.
///
/// # Errors
/// What is wrong with it; the first fault.
pub fn compile(spec: &RuleSpec, pack: &str) -> Result<Compiled, Box<CompileError>> {
    let fail = |key: &'static str, offset: Option<usize>, fault: Fault| {
        let (rule, origin) = (Some(spec.id.clone()), spec.origin.clone());
        Box::new(CompileError { rule, policy: None, origin, key, offset, fault })
    };
    if !is_id(&spec.id, 64) {
        return Err(fail("id", None, Fault::BadId(spec.id.clone())));
    }
    let some =
        |list: &[Glob]| if list.is_empty() { Err(fail("names", None, Fault::Nothing)) } else { Ok(list.to_vec()) };
    let finder = match &spec.find {
        Find::Regex(regex) => {
            let shipped = pack.starts_with("pii/");
            Finder::Pattern(pattern(regex, shipped).map_err(|(key, offset, fault)| fail(key, offset, fault))?)
        }
        Find::Terms { terms, case_sensitive } => {
            let terms: Vec<&str> = terms.iter().map(|t| t.trim()).filter(|t| !t.is_empty()).collect();
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .ascii_case_insensitive(!case_sensitive)
                .build(&terms);
            match built {
                Ok(automaton) if !terms.is_empty() => Finder::Terms(automaton),
                _ => return Err(fail("terms", None, Fault::Nothing)),
            }
        }
        Find::NamedTokens { names } if names.is_empty() || names.len() > MAX_KEYWORDS => {
            return Err(fail("keywords", None, Fault::Keywords));
        }
        Find::NamedTokens { names } => Finder::NamedTokens(automaton(names)),
        Find::Names(names) => Finder::Names(some(names)?),
        Find::Fields(places) => Finder::Fields(some(places)?),
        Find::SecretNames => Finder::SecretNames,
        Find::SecretPairs => Finder::SecretPairs,
    };
    let allow = allow(&spec.allow).map_err(|(offset, fault)| fail("allow", offset, fault))?;
    Ok(Compiled {
        id: spec.id.clone(),
        severity: spec.severity,
        finder,
        validators: spec.validators.clone(),
        allow,
        scope: spec.scope.clone(),
        action: spec.action.clone(),
        mode: spec.mode,
        guards_secrets: pack.starts_with("secrets/"),
        pack: pack.to_owned(),
    })
}

/// Whether `id` is 1 to `longest` of `a-z`, `0-9`, `-`.
pub fn is_id(id: &str, longest: usize) -> bool {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=longest).contains(&id.len()) && id.bytes().all(part)
}

/// Compiles an allow list.
pub fn allow(spec: &AllowSpec) -> Result<Allow, (Option<usize>, Fault)> {
    let list = |patterns: &[String]| patterns.iter().map(|pattern| small(pattern)).collect::<Result<Vec<_>, _>>();
    let words = AhoCorasick::builder().ascii_case_insensitive(true).build(&spec.stopwords);
    let stopwords = if spec.stopwords.is_empty() { None } else { words.ok() };
    Ok(Allow { values: list(&spec.values)?, stopwords, lines: list(&spec.lines)? })
}

/// A regex that is tried on short texts only.
fn small(pattern: &str) -> Result<Regex, (Option<usize>, Fault)> {
    parse(pattern)?;
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|_| (None, Fault::TooLarge))
}

type PatternFault = (&'static str, Option<usize>, Fault);

/// `numbers`: a match that starts with a digit starts a number, and has seven digits or three dots.
fn pattern(spec: &RegexSpec, numbers: bool) -> Result<Pattern, PatternFault> {
    let of = |key: &'static str| move |(offset, fault): (Option<usize>, Fault)| (key, offset, fault);
    let hir = parse(&spec.pattern).map_err(of("regex"))?;
    if hir.properties().minimum_len() == Some(0) {
        return Err(("regex", None, Fault::MatchesEmpty));
    }
    let config = meta::Config::new().nfa_size_limit(Some(MAX_COMPILED_BYTES)).utf8_empty(false);
    let regex = meta::Builder::new().configure(config).build_from_hir(&hir);
    let regex = regex.map_err(|_| ("regex", None, Fault::TooLarge))?;
    let group = match spec.group {
        Some(group) if group >= regex.captures_len() => return Err(("secret_group", None, Fault::NoGroup(group))),
        Some(group) => group,
        None => regex.group_info().to_index(regex_automata::PatternID::ZERO, "secret").unwrap_or(0),
    };
    let keywords: Vec<String> = spec.keywords.iter().map(|word| word.to_ascii_lowercase()).collect();
    if keywords.len() > MAX_KEYWORDS || keywords.iter().any(String::is_empty) {
        return Err(("keywords", None, Fault::Keywords));
    }
    let near = match &spec.near {
        Some(NearSpec { pattern, within }) => Some((small(pattern).map_err(of("near"))?, *within)),
        None => None,
    };
    let (trigger, before) = trigger(&hir, keywords, spec.before, numbers);
    let window = spec.window.unwrap_or(WINDOW);
    Ok(Pattern {
        regex,
        hir,
        group,
        trigger,
        before,
        window,
        word_start: spec.word_start,
        within_word: spec.within_word,
        near,
    })
}

/// Reads a pattern and refuses what cannot be meant.
fn parse(pattern: &str) -> Result<Hir, (Option<usize>, Fault)> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).nest_limit(100).build();
    let hir = parser.parse(pattern).map_err(|error| {
        let (offset, message) = match &error {
            regex_syntax::Error::Parse(e) => (Some(e.span().start.offset), e.kind().to_string()),
            regex_syntax::Error::Translate(e) => (Some(e.span().start.offset), e.kind().to_string()),
            _ => (None, "it cannot be read".to_owned()),
        };
        (offset, Fault::Syntax(message))
    })?;
    match widest_repeat(&hir) {
        repeat if repeat > MAX_REPEAT => Err((None, Fault::HugeRepeat(repeat))),
        _ => Ok(hir),
    }
}

/// As deep as the pattern nests, which its parser bounds.
fn widest_repeat(hir: &Hir) -> u32 {
    match hir.kind() {
        HirKind::Repetition(r) => r.min.max(r.max.unwrap_or(0)).max(widest_repeat(&r.sub)),
        HirKind::Capture(c) => widest_repeat(&c.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(widest_repeat).max().unwrap_or(0),
        _ => 0,
    }
}

/// When a pattern is tried, and how far before its keyword a match may start.
fn trigger(hir: &Hir, keywords: Vec<String>, before: Option<usize>, numbers: bool) -> (Trigger, usize) {
    let prefixes = prefixes(hir, 64, 10, 512);
    if !keywords.is_empty() {
        let starts =
            prefixes.iter().all(|prefix| keywords.iter().any(|keyword| prefix.starts_with(keyword.as_bytes())));
        let found = if starts && !prefixes.is_empty() { 0 } else { BEFORE };
        return (Trigger::Keywords(keywords), before.unwrap_or(found));
    }
    if numbers && starts_number(hir) {
        return (Trigger::Number, 0);
    }
    let words = || prefixes.iter().map(|prefix| std::str::from_utf8(prefix).ok().map(str::to_owned)).collect();
    let long = !prefixes.is_empty() && prefixes.iter().all(|prefix| prefix.len() >= MIN_DERIVED_KEYWORD);
    if long && let Some(words) = words() {
        return (Trigger::Keywords(words), 0);
    }
    match starts_coded(hir) {
        true => (Trigger::Coded, 0),
        false => (Trigger::Everywhere, 0),
    }
}

/// Whether every match starts with a digit or a sign before one.
fn starts_number(hir: &Hir) -> bool {
    let mut bytes = [false; 256];
    !first_bytes(hir, &mut bytes)
        && (0..=u8::MAX).all(|b| !bytes[usize::from(b)] || b.is_ascii_digit() || b"+(".contains(&b))
}

/// Notes the bytes that a match may start with; returns whether it may be empty. As deep as the pattern nests, which its
/// parser bounds.
fn first_bytes(hir: &Hir, bytes: &mut [bool; 256]) -> bool {
    let mut note = |start: u8, end: u8| bytes[usize::from(start)..=usize::from(end)].fill(true);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => return true,
        HirKind::Literal(literal) => literal.0.first().into_iter().for_each(|b| note(*b, *b)),
        HirKind::Class(Class::Bytes(class)) => class.iter().for_each(|range| note(range.start(), range.end())),
        HirKind::Class(Class::Unicode(class)) => class.iter().for_each(|range| {
            let byte = |c: char| u8::try_from(c).unwrap_or(u8::MAX);
            note(
                byte(range.start()).min(0x80),
                byte(range.end()).max(if range.end().is_ascii() { 0 } else { u8::MAX }),
            );
        }),
        HirKind::Repetition(r) => return first_bytes(&r.sub, bytes) || r.min == 0,
        HirKind::Capture(c) => return first_bytes(&c.sub, bytes),
        HirKind::Concat(parts) => return parts.iter().all(|part| first_bytes(part, bytes)),
        HirKind::Alternation(parts) => {
            // All of them are asked, whatever the first one says.
            return parts.iter().filter(|part| first_bytes(part, bytes)).count() > 0;
        }
    }
    false
}

/// Whether every match starts a word with two letters and a digit, as country codes of accounts do.
fn starts_coded(hir: &Hir) -> bool {
    let HirKind::Concat(parts) = hir.kind() else { return false };
    if !matches!(parts.first().map(Hir::kind), Some(HirKind::Look(Look::WordAscii))) {
        return false;
    }
    let mut parts = parts.iter().filter(|part| !matches!(part.kind(), HirKind::Look(_)));
    let only = |part: &Hir, accepts: fn(&u8) -> bool| match part.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().all(|range| (range.start()..=range.end()).all(|b| accepts(&b)))
        }
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().all(|range| (range.start()..=range.end()).all(|c| u8::try_from(c).is_ok_and(|b| accepts(&b))))
        }
        _ => false,
    };
    let repeated = |part: Option<&Hir>, times: u32, accepts: fn(&u8) -> bool| match part.map(Hir::kind) {
        Some(HirKind::Repetition(r)) => r.min >= times && (times == 1 || r.max == Some(times)) && only(&r.sub, accepts),
        Some(HirKind::Class(_)) => times == 1 && part.is_some_and(|part| only(part, accepts)),
        _ => false,
    };
    repeated(parts.next(), 2, u8::is_ascii_alphabetic) && repeated(parts.next(), 1, u8::is_ascii_digit)
}

/// What every match starts with, in lower case; empty where that is not a short list.
fn prefixes(hir: &Hir, length: usize, class: usize, total: usize) -> Vec<Vec<u8>> {
    let mut extractor = Extractor::new();
    extractor.limit_literal_len(length).limit_class(class).limit_total(total);
    let sequence = extractor.extract(hir);
    let mut prefixes: Vec<Vec<u8>> =
        sequence.literals().unwrap_or_default().iter().map(|l| l.as_bytes().to_ascii_lowercase()).collect();
    prefixes.sort();
    prefixes.dedup();
    if prefixes.iter().any(Vec::is_empty) { Vec::new() } else { prefixes }
}

/// All keywords of `rules` go into one automaton.
pub fn automaton(keywords: &[String]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(keywords)
        .expect("an automaton of bounded keywords is far below the limit of 2^31 states")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Result<Pattern, PatternFault> {
        pattern_of(pattern, &[])
    }

    fn pattern_of(pattern: &str, keywords: &[&str]) -> Result<Pattern, PatternFault> {
        let keywords = keywords.iter().map(|k| (*k).to_owned()).collect();
        super::pattern(&RegexSpec { pattern: pattern.to_owned(), keywords, ..RegexSpec::default() }, true)
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (pattern, offset, fault) in [
            ("a*", None, Fault::MatchesEmpty),
            ("x|", None, Fault::MatchesEmpty),
            ("a{20000}", None, Fault::HugeRepeat(20_000)),
            ("(?:[a-z]{1000}){1000}", None, Fault::TooLarge),
        ] {
            assert_eq!(regex(pattern).err(), Some(("regex", offset, fault)), "{pattern}");
        }
        let (_, offset, fault) = regex("ab(?=c)").err().expect("look-around is not known");
        assert!(matches!(fault, Fault::Syntax(_)));
        assert_eq!(offset, Some(2));
        let group = RegexSpec { pattern: "a(b)".to_owned(), group: Some(2), ..RegexSpec::default() };
        assert_eq!(super::pattern(&group, false).err(), Some(("secret_group", None, Fault::NoGroup(2))));
    }

    #[test]
    fn triggers_are_found_where_the_pattern_tells() {
        let trigger = |pattern: &str| regex(pattern).expect("it compiles").trigger;
        assert!(matches!(trigger(r"\bE-(\d{7})\b"), Trigger::Keywords(words) if words.contains(&"e-42".to_owned())));
        assert!(matches!(trigger(r"\bEMP-[a-z]+"), Trigger::Keywords(words) if words == ["emp-"]));
        assert_eq!(trigger(r"\b\d{3}-\d{2}-\d{4}\b"), Trigger::Number);
        assert_eq!(trigger(r"\+?\(?\d{3}\)?"), Trigger::Number);
        assert_eq!(trigger(r"\b(?:25[0-5]|1?\d?\d)(?:\.\d{1,3}){3}\b"), Trigger::Number);
        assert_eq!(trigger(r"\b(?:\d{2})?\d{6}[-+]\d{4}\b"), Trigger::Number);
        assert_eq!(trigger(r"\d?x"), Trigger::Everywhere);
        assert_eq!(trigger(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}"), Trigger::Coded);
        assert_eq!(trigger(r"[a-z]+@x"), Trigger::Everywhere);
        let own = RegexSpec { pattern: r"\b\d{3}[A-Z]{3}".to_owned(), ..RegexSpec::default() };
        let own = super::pattern(&own, false).expect("it compiles");
        assert_eq!(own.trigger, Trigger::Everywhere, "an administrator's number may be a short one");
        assert_eq!(trigger(r"[A-Z]{2}\d{6}"), Trigger::Everywhere, "it may stand inside a word");
    }

    #[test]
    fn a_pattern_that_begins_with_its_keywords_starts_there() {
        let before = |pattern: &str, keywords: &[&str]| pattern_of(pattern, keywords).expect("it compiles").before;
        assert_eq!(before(r"\bgh[po]_\w+", &["ghp_", "gho_"]), 0);
        assert_eq!(before(r"\bgh[pos]_\w+", &["ghp_", "gho_"]), BEFORE);
        assert_eq!(before(r"\w+@x", &["@"]), BEFORE);
    }
}
