//! What is to be done to a text: stretches and what stands in their place.

use std::ops::Range;

use super::engine::RuleIndex;

/// One thing to be done. Spans count bytes of the text that it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub span: Range<usize>,
    /// `None`: the stretch could not be scanned.
    pub rule: Option<RuleIndex>,
    /// What stands in the stretch's place.
    pub text: String,
    /// Only counted.
    pub report: bool,
    /// The string that it stands in goes as a whole.
    pub drops_field: bool,
}

impl Finding {
    /// How severe, the severest first: what could not be scanned, then by rule.
    fn rank(&self) -> u32 {
        self.rule.map_or(0, |rule| rule + 1)
    }
}

/// Makes one of each heap of overlapping findings: the union of the stretches, so that no end of a shorter one shows, with
/// the mark of the longest, then the severest, then the later one (it was decoded more). What is only reported stays
/// where nothing is hidden. The result is ascending, and what is enforced in it is apart.
pub fn settle(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|f| !f.span.is_empty());
    if findings.len() < 2 {
        return findings;
    }
    let (reported, mut enforced): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.report);
    enforced.sort_by_key(|f| f.span.start);
    let mut settled: Vec<Finding> = Vec::with_capacity(enforced.len());
    let mut longest = 0;
    for finding in enforced {
        let length = finding.span.len();
        match settled.last_mut() {
            Some(last) if finding.span.start < last.span.end => {
                let union = last.span.start..last.span.end.max(finding.span.end);
                let drops_field = last.drops_field || finding.drops_field;
                if length > longest || (length == longest && finding.rank() <= last.rank()) {
                    (*last, longest) = (finding, length);
                }
                (last.span, last.drops_field) = (union, drops_field);
            }
            _ => {
                longest = length;
                settled.push(finding);
            }
        }
    }
    merge_reported(settled, reported)
}

fn merge_reported(mut enforced: Vec<Finding>, mut reported: Vec<Finding>) -> Vec<Finding> {
    if reported.is_empty() {
        return enforced;
    }
    reported.sort_by_key(|f| (f.span.start, f.rank()));
    reported.dedup_by(|next, last| next.span == last.span && next.rule == last.rule);
    reported.retain(|r| !enforced.iter().any(|e| e.span.start <= r.span.start && r.span.end <= e.span.end));
    enforced.extend(reported);
    enforced.sort_by_key(|f| (f.span.start, f.report));
    enforced
}

/// Writes the text anew. `None`: nothing changes.
pub fn apply(text: &str, findings: &[Finding]) -> Option<String> {
    let mut enforced = findings.iter().filter(|f| !f.report).peekable();
    enforced.peek()?;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for finding in enforced {
        out.push_str(&text[copied..finding.span.start]);
        out.push_str(&finding.text);
        copied = finding.span.end;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// Where a stretch of the text that [`apply`] wrote comes from: what touches a mark covers all that the mark stands for.
pub fn origin(findings: &[Finding], span: &Range<usize>) -> Range<usize> {
    let mut shift = 0isize;
    let (mut start, mut end) = (span.start, span.end);
    let (mut start_done, mut end_done) = (false, false);
    for finding in findings.iter().filter(|f| !f.report) {
        let at = (finding.span.start as isize + shift) as usize;
        let until = at + finding.text.len();
        if !start_done && span.start < until {
            start = if span.start >= at { finding.span.start } else { (span.start as isize - shift) as usize };
            start_done = true;
        }
        if !end_done && span.end <= until {
            end = if span.end > at { finding.span.end } else { (span.end as isize - shift) as usize };
            end_done = true;
        }
        shift += finding.text.len() as isize - finding.span.len() as isize;
    }
    if !start_done {
        start = (span.start as isize - shift) as usize;
    }
    if !end_done {
        end = (span.end as isize - shift) as usize;
    }
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(span: Range<usize>, rule: RuleIndex) -> Finding {
        Finding { span, rule: Some(rule), text: format!("<{rule}>"), report: false, drops_field: false }
    }

    #[test]
    fn the_longest_then_the_severest_names_the_union() {
        let settled =
            settle(vec![finding(4..8, 0), finding(1..6, 1), finding(1..6, 2), finding(9..9, 0), finding(8..9, 3)]);
        let told: Vec<_> = settled.iter().map(|f| (f.span.clone(), f.rule)).collect();
        assert_eq!(told, [(1..8, Some(1)), (8..9, Some(3))]);
    }

    #[test]
    fn what_is_reported_shows_only_where_nothing_is_hidden() {
        let report = |span| Finding { report: true, ..finding(span, 5) };
        let settled = settle(vec![report(1..3), finding(0..4, 0), report(6..8)]);
        assert_eq!(
            settled.iter().map(|f| (f.span.clone(), f.report)).collect::<Vec<_>>(),
            [(0..4, false), (6..8, true)]
        );
        assert_eq!(apply("0123456789", &settled).as_deref(), Some("<0>456789"));
        assert_eq!(apply("0123456789", &settled[1..]), None);
    }

    #[test]
    fn stretches_of_the_new_text_are_traced_to_the_old() {
        let text = "0123456789";
        let findings = [finding(2..3, 1), finding(5..9, 2)];
        let new = apply(text, &findings).expect("it changes");
        assert_eq!(new, "01<1>34<2>9");
        for (span, expected) in
            [(0..2, 0..2), (5..7, 3..5), (1..4, 1..3), (6..8, 4..9), (10..11, 9..10), (0..11, 0..10)]
        {
            assert_eq!(origin(&findings, &span), expected, "{span:?}");
        }
    }
}
