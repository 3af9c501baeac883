//! Redacts the strings of one record, one after the other, and counts what was done to them.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Explained;
use super::clean::Clean;
use super::decode;
use super::echo::{Echo, Found};
use super::engine::{Engine, Place, RuleIndex, Scope};
use super::finding::{Finding, apply, origin, settle};
use super::marks::{Keys, UNSCANNED, UNSCANNED_RULE};
use super::policy::Policy;
use super::rules::Action;
use super::seen::{self, Known, Seen};
use super::{ids, json, names, values};

/// Longer strings are not scanned, so not kept. Four times the largest message that receivers take by default.
const MAX_TEXT: usize = 16 * 1024 * 1024;
/// JSON in JSON in base64 in percent: what is wrapped deeper is not kept. Each layer of JSON doubles the backslashes before
/// a quote, so nobody comes near it by chance.
const MAX_LAYERS: usize = 12;
/// Layers of escapes, base64 and hex in text that is no JSON: what is wrapped deeper stays as it is.
const MAX_WRAPPINGS: usize = 5;
/// A redacted text is scanned again until nothing hits, so that redacting it once more changes nothing. The second pass
/// finds nothing but in texts made to that end.
const MAX_PASSES: usize = 4;

/// How often each rule hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<(String, u32)>);

impl Tally {
    pub fn add(&mut self, rule: &str, count: u32) {
        match self.0.iter_mut().find(|(r, _)| *r == rule) {
            Some((_, n)) => *n = n.saturating_add(count),
            None => self.0.push((rule.to_owned(), count)),
        }
    }

    pub fn merge(&mut self, other: &Tally) {
        other.0.iter().for_each(|(rule, count)| self.add(rule, *count));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By rule id.
    pub fn into_sorted(mut self) -> Vec<(String, u32)> {
        self.0.sort_unstable();
        self.0
    }
}

/// One thing that was found in a text, as `--explain` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub rule: String,
    /// Bytes of the text that was given.
    pub span: Range<usize>,
    /// [`Action::name`], or `unscanned`.
    pub action: &'static str,
    /// Only counted.
    pub report: bool,
}

impl Hit {
    fn new(engine: &Engine, finding: Finding) -> Hit {
        let rule = finding.rule.map(|rule| engine.rule(rule));
        Hit {
            rule: rule.map_or(UNSCANNED_RULE, |rule| &rule.compiled.id).to_owned(),
            span: finding.span,
            action: rule.map_or(UNSCANNED_RULE, |rule| rule.action.name()),
            report: finding.report,
        }
    }
}

/// Redacts strings, one after the other.
pub struct Texts<'p> {
    policy: &'p Policy,
    keys: &'p Keys,
    tally: Tally,
    /// What would have been hidden, by rules that only report.
    reported: Tally,
    /// Kept where strings come again: records of one request repeat themselves, a single text does not.
    clean: Option<Clean>,
    /// Secrets of the record at hand.
    found: Found,
    /// While set, what was found before is looked for too.
    echo: Option<Echo>,
    /// The strings that come have been redacted: nothing but echoes can be in them.
    settled: bool,
    /// Only echoes are looked for in this pass.
    only_echo: bool,
    seen: Seen,
    /// A rule says that the record is to be left out.
    drop_event: bool,
    /// Bytes that the string at hand may still be scanned for, all layers together.
    budget: usize,
}

impl<'p> Texts<'p> {
    pub fn new(policy: &'p Policy, keys: &'p Keys) -> Texts<'p> {
        Texts {
            policy,
            keys,
            tally: Tally::default(),
            reported: Tally::default(),
            clean: None,
            found: Found::default(),
            echo: None,
            settled: false,
            only_echo: false,
            seen: Seen::default(),
            drop_event: false,
            budget: 0,
        }
    }

    /// As [`Texts::new`], for the strings of many records, with secrets that are known already.
    pub fn knowing(policy: &'p Policy, keys: &'p Keys, found: Found) -> Texts<'p> {
        Texts { found, clean: Some(Clean::default()), ..Texts::new(policy, keys) }
    }

    /// The secrets that were found after the first `count`, with what stands for them.
    pub fn found_after(&self, count: usize) -> impl Iterator<Item = (&str, &Finding)> {
        self.found.after(count)
    }

    /// The policy for what comes next.
    pub fn set_policy(&mut self, policy: &'p Policy) {
        if !std::ptr::eq(self.policy, policy) {
            self.clean.iter_mut().for_each(Clean::forget);
        }
        self.policy = policy;
    }

    /// What was done since the last call.
    pub fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// What rules that only report would have hidden, since the last call.
    pub fn take_reported(&mut self) -> Tally {
        std::mem::take(&mut self.reported)
    }

    /// Whether the record is to be left out, as found since the last call.
    pub fn take_drop(&mut self) -> bool {
        std::mem::take(&mut self.drop_event)
    }

    /// How many secrets were found so far.
    pub fn found(&self) -> usize {
        self.found.len()
    }

    /// Forgets the secrets that were found after the first `count`.
    pub fn forget(&mut self, count: usize) {
        self.found.truncate(count);
    }

    /// From now on the secrets found so far are looked for too, wherever they stand; `false`: there are none.
    pub fn start_echo(&mut self) -> bool {
        self.echo = self.found.echo();
        self.echo.is_some()
    }

    /// As [`Texts::start_echo`], for strings that were redacted already: nothing else is looked for.
    pub fn start_echo_of_redacted(&mut self) -> bool {
        self.settled = self.start_echo();
        self.settled
    }

    pub fn end_echo(&mut self) {
        self.echo = None;
        self.settled = false;
    }

    /// Lets the next string be scanned for so many bytes, all layers together.
    pub(super) fn refill(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    pub fn engine(&self) -> &'p Engine {
        &self.policy.engine
    }

    /// Redacts a string that stands under the key `context`. `None`: unchanged.
    pub fn string(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        self.redact(text, place, &mut |_| ())
    }

    /// Redacts one JSON document. What is not JSON after all is replaced as a whole.
    pub fn document(&mut self, text: &str) -> Option<String> {
        self.settled(text, &mut |_| (), &|texts, text| {
            json::findings(text, &Place::default(), texts, 0).unwrap_or_else(|| {
                let whole = texts.unscanned(0..text.len());
                vec![Finding { text: format!("\"{UNSCANNED}\""), ..whole }]
            })
        })
    }

    /// As [`Texts::string`]; `tell` hears of every finding, in stretches of the given text.
    pub fn redact(&mut self, text: &str, place: &Place<'_>, tell: &mut dyn FnMut(&Finding)) -> Option<String> {
        if self.is_clean(0, place.key, text) {
            return None;
        }
        self.settled(text, tell, &|texts, text| {
            let found = texts.findings(text, place, 0);
            texts.drop_field(text, found)
        })
    }

    /// Redacts one text by itself, with everything that was found in it.
    pub fn explain(&mut self, text: &str, place: &Place<'_>) -> Explained {
        let engine = self.engine();
        let mut findings: Vec<Finding> = Vec::new();
        let new = self.redact(text, place, &mut |finding| findings.push(finding.clone()));
        // A secret is hidden wherever else it stands; what is found there is traced through the first result.
        let mut echoes: Vec<Finding> = Vec::new();
        let first = new.as_deref().unwrap_or(text).to_owned();
        let echoed = match self.start_echo_of_redacted() {
            true => self.redact(&first, place, &mut |finding| echoes.push(finding.clone())),
            false => None,
        };
        self.end_echo();
        let settled = settle(findings.clone());
        findings.extend(echoes.into_iter().map(|f| Finding { span: origin(&settled, &f.span), ..f }));
        findings.sort_by_key(|f| (f.span.start, f.span.end));
        let hits = findings.into_iter().map(|f| Hit::new(engine, f)).collect();
        let text = echoed.or(new).unwrap_or(first);
        Explained { text, hits, drops_event: self.take_drop() }
    }

    /// Repeats a pass until it changes nothing. A text that does not settle, or on which a pass panics, is replaced.
    fn settled(
        &mut self,
        text: &str,
        tell: &mut dyn FnMut(&Finding),
        pass: &dyn Fn(&mut Self, &str) -> Vec<Finding>,
    ) -> Option<String> {
        let mut current: Option<String> = None;
        let mut passes: Vec<Vec<Finding>> = Vec::new();
        self.seen.clear();
        while passes.len() < MAX_PASSES {
            let input = current.as_deref().unwrap_or(text);
            self.only_echo = self.settled && passes.is_empty();
            self.seen.again = !passes.is_empty() && !self.settled;
            self.refill(input.len().saturating_mul(16).saturating_add(1 << 20));
            let Ok(findings) = catch_unwind(AssertUnwindSafe(|| settle(pass(self, input)))) else { break };
            for finding in &findings {
                // What only reports is heard of once.
                if !finding.report || passes.is_empty() {
                    self.count(finding);
                    let back = |span, earlier: &Vec<Finding>| origin(earlier, &span);
                    let span = passes.iter().rev().fold(finding.span.clone(), back);
                    tell(&Finding { span, ..finding.clone() });
                }
            }
            match apply(input, &findings) {
                Some(new) => current = Some(new),
                None => {
                    self.only_echo = false;
                    return current;
                }
            }
            passes.push(findings);
        }
        self.only_echo = false;
        let whole = self.unscanned(0..text.len());
        self.count(&whole);
        tell(&whole);
        Some(whole.text)
    }

    fn count(&mut self, finding: &Finding) {
        let rule = finding.rule.map_or(UNSCANNED_RULE, |rule| &self.policy.engine.rule(rule).compiled.id);
        if finding.report { self.reported.add(rule, 1) } else { self.tally.add(rule, 1) }
    }

    /// Whether nothing was found in such a string before. Secrets of a record and places in it are known to that record
    /// alone.
    fn is_clean(&mut self, layer: usize, key: Option<&str>, text: &str) -> bool {
        self.echo.is_none()
            && !self.engine().wants_paths()
            && self.clean.as_mut().is_some_and(|clean| clean.knows(layer, key, text))
    }

    /// What is to be done to one string. `layer`: how many texts enclose it.
    pub(super) fn findings(&mut self, text: &str, place: &Place<'_>, layer: usize) -> Vec<Finding> {
        // The outermost text was asked for before its first pass.
        if layer > 0 && self.is_clean(layer, place.key, text) {
            return Vec::new();
        }
        let found = self.scanned(text, place, layer);
        if !self.only_echo {
            self.seen.note(layer, place, text, &found);
        }
        let everywhere = self.echo.is_none() && !self.engine().wants_paths();
        if let Some(clean) = self.clean.as_mut().filter(|_| everywhere && found.is_empty()) {
            clean.remember(layer, place.key, text);
        }
        found
    }

    fn scanned(&mut self, text: &str, place: &Place<'_>, layer: usize) -> Vec<Finding> {
        let Some(budget) =
            self.budget.checked_sub(text.len()).filter(|_| text.len() <= MAX_TEXT && layer <= MAX_LAYERS)
        else {
            return vec![self.unscanned(0..text.len())];
        };
        self.budget = budget;
        let id = place.key.is_some_and(|name| ids::is_id(name, text));
        if let Some(whole) = self.whole(text, place, id) {
            return vec![whole];
        }
        let known = self.seen.knows(layer, place, text);
        if known == Some(Known::Clean) {
            return Vec::new();
        }
        if let Some(found) = self.as_json(text, place, layer) {
            return settle(found);
        }
        let scope = if id { Scope::Forms } else { Scope::All };
        let wrapped = layer < MAX_WRAPPINGS && !id;
        if known == Some(Known::Redacted) {
            return settle(self.around_marks(text, place, layer, scope, wrapped));
        }
        let mut found = self.plain(text, scope, place);
        if wrapped {
            self.wrapped(text, place, layer, &mut found);
        }
        settle(found)
    }

    /// The findings near the marks of a text that the pass before wrote: away from them it has been scanned as it stands.
    fn around_marks(
        &mut self,
        text: &str,
        place: &Place<'_>,
        layer: usize,
        scope: Scope,
        wrapped: bool,
    ) -> Vec<Finding> {
        let mut all = Vec::new();
        for part in seen::around(text) {
            let piece = &text[part.clone()];
            let mut found = self.plain(piece, scope, place);
            if wrapped {
                self.wrapped(piece, place, layer, &mut found);
            }
            let moved = |f: Finding| Finding { span: part.start + f.span.start..part.start + f.span.end, ..f };
            all.extend(found.into_iter().map(moved));
        }
        all
    }

    /// What a value's place or name says of all of it.
    fn whole(&mut self, text: &str, place: &Place<'_>, id: bool) -> Option<Finding> {
        if let Some(rule) = self.engine().field_rule(place.path).filter(|_| !place.path.is_empty()) {
            return Some(self.finding(rule, 0..text.len(), text)).filter(|f| f.text != text);
        }
        place.key.filter(|_| !id).and_then(|name| self.by_name(text, name, place))
    }

    /// Hides a value for its key's name. A value that is one secret of a known form keeps that form's name.
    pub(super) fn by_name(&mut self, text: &str, name: &str, place: &Place<'_>) -> Option<Finding> {
        let engine = self.engine();
        let own = engine.name_rule(name).filter(|_| !super::shape::is_mark(text) && !text.trim().is_empty());
        let secret = || {
            let certainty = names::classify(name)?;
            engine.secret_names().filter(|_| values::hides(certainty, name, text))
        };
        let rule = own.or_else(secret)?;
        let span = 0..text.len();
        if !engine.accepts(rule, text.as_bytes(), &span, place) {
            return None;
        }
        let forms = settle(self.plain(text, Scope::Forms, place));
        match forms.into_iter().next() {
            Some(form) if form.span == span && own.is_none() => Some(form),
            _ => Some(self.finding(rule, span, text)),
        }
    }

    /// The hits of a text as it stands.
    fn plain(&mut self, text: &str, scope: Scope, place: &Place<'_>) -> Vec<Finding> {
        let mut found = self.echo.as_ref().map_or_else(Vec::new, |echo| echo.findings(text));
        if self.only_echo {
            return found;
        }
        for hit in self.engine().scan(text, scope, place) {
            let finding = self.finding(hit.rule, hit.span.clone(), &text[hit.span]);
            found.push(finding);
        }
        found
    }

    pub(super) fn finding(&mut self, rule: RuleIndex, span: Range<usize>, value: &str) -> Finding {
        let applied = self.engine().rule(rule);
        let text = self.keys.render(&applied.action, &applied.compiled.id, value);
        let drops_field = !applied.report && applied.action == Action::DropField;
        let finding = Finding { span, rule: Some(rule), text, report: applied.report, drops_field };
        if !applied.report {
            self.drop_event |= applied.action == Action::DropEvent;
            self.found.add(value, &finding);
        }
        finding
    }

    pub(super) fn unscanned(&self, span: Range<usize>) -> Finding {
        Finding { span, rule: None, text: UNSCANNED.to_owned(), report: false, drops_field: false }
    }

    /// A string that goes as a whole, if a finding in it says so.
    pub(super) fn drop_field(&self, text: &str, findings: Vec<Finding>) -> Vec<Finding> {
        match findings.iter().find(|f| f.drops_field) {
            Some(f) => vec![Finding { span: 0..text.len(), drops_field: false, ..f.clone() }],
            None => findings,
        }
    }

    /// The findings of rules that know a secret by what stands before it, where that is a JSON key: `key = "value"` is
    /// what they were written for.
    pub(super) fn beside(&mut self, key: &str, value: &str, place: &Place<'_>) -> Vec<Finding> {
        const LONGEST: usize = 512;
        if self.only_echo || value.len() > LONGEST || value.contains(['"', '\n']) || !self.engine().has_keyword(key) {
            return Vec::new();
        }
        let text = format!("{key} = \"{value}\"");
        let start = key.len() + " = \"".len();
        let hits = self.engine().scan(&text, Scope::Forms, place);
        let inside = hits.into_iter().filter(|hit| hit.span.start >= start && hit.span.end <= start + value.len());
        let shifted = inside.map(|hit| (hit.rule, hit.span.start - start..hit.span.end - start));
        settle(shifted.map(|(rule, span)| self.finding(rule, span.clone(), &value[span])).collect())
    }

    /// What stands for one line of a private key.
    pub(super) fn key_line(&mut self, text: &str) -> Option<Finding> {
        let rules = self.engine().rules();
        let rule = rules.iter().position(|rule| rule.compiled.id == "private-key")?;
        Some(self.finding(rule as RuleIndex, 0..text.len(), text))
    }

    /// The findings in a text that is JSON; `None` when it is none.
    fn as_json(&mut self, text: &str, place: &Place<'_>, layer: usize) -> Option<Vec<Finding>> {
        let start = text.trim_start();
        let string = || start.len() > 2 && start.starts_with('"') && text.trim_end().ends_with('"');
        if !start.starts_with(['{', '[']) && !string() {
            return None;
        }
        let before = self.found.len();
        let found = json::findings(text, place, self, layer);
        if found.is_none() {
            self.found.truncate(before);
        }
        found
    }

    /// Findings in what a text has escaped, or wrapped in base64 or hex.
    fn wrapped(&mut self, text: &str, place: &Place<'_>, layer: usize, found: &mut Vec<Finding>) {
        for stretch in decode::escaped_stretches(text) {
            let decoded = decode::unescape(&text[stretch.clone()]);
            for finding in self.findings(&decoded.text, &Place { key: None, ..*place }, layer + 1) {
                let span = decoded.source_span(&finding.span);
                found.push(Finding { span: stretch.start + span.start..stretch.start + span.end, ..finding });
            }
        }
        for wrapped in decode::wrapped(text) {
            // What goes as a whole already is not written back.
            let covers =
                |f: &Finding| !f.report && f.span.start <= wrapped.span.start && wrapped.span.end <= f.span.end;
            if found.iter().any(covers) {
                continue;
            }
            let inner = self.findings(&wrapped.text, &Place { key: None, ..*place }, layer + 1);
            let Some(first) = inner.iter().find(|f| !f.report).or(inner.first()) else { continue };
            let new = apply(&wrapped.text, &inner).unwrap_or_default();
            found.push(Finding { span: wrapped.span, text: wrapped.wrapping.encode(&new), ..first.clone() });
        }
    }
}
