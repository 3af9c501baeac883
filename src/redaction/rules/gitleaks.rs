//! Reads gitleaks' TOML (gitleaks.io, format of version 8) as a pack.
//!
//! Taken over: `id`, `description`, `regex`, `secretGroup`, `entropy`, `keywords`, and allow lists of rules and of the whole
//! file (`regexes`, `stopwords`, `regexTarget = "line"`). Rules about file paths and commits alone are left out: there are
//! neither here. gitleaks hides the first group where a rule does not say which.

use regex_syntax::hir::{Hir, HirKind};
use serde::Deserialize;

use super::{AllowSpec, Find, Origin, Pack, RegexSpec, RuleSpec, ScopeSpec, Severity, Validator};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    title: String,
    #[serde(default)]
    rules: Vec<toml::Spanned<Rule>>,
    #[serde(default)]
    allowlist: Allow,
    #[serde(default)]
    allowlists: Vec<Allow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default)]
    description: String,
    regex: Option<String>,
    #[serde(default)]
    secret_group: usize,
    entropy: Option<f64>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    allowlist: Allow,
    #[serde(default)]
    allowlists: Vec<Allow>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Allow {
    /// `AND`: all kinds of entries must hold.
    condition: String,
    regex_target: String,
    regexes: Vec<String>,
    stopwords: Vec<String>,
    paths: Vec<String>,
    commits: Vec<String>,
}

/// A gitleaks file is none.
#[derive(Debug, thiserror::Error)]
#[error("no gitleaks file: {}", .0.message())]
pub struct GitleaksError(#[from] toml::de::Error);

impl GitleaksError {
    /// Bytes into the text, where they are known.
    pub fn offset(&self) -> Option<usize> {
        self.0.span().map(|span| span.start)
    }
}

/// Reads a gitleaks file as the pack `name`. `source` is told in messages. Patterns are compiled later.
///
/// # Errors
/// The text is no TOML, or not of gitleaks' form.
pub fn read_gitleaks(text: &str, name: &str, source: &str) -> Result<Pack, GitleaksError> {
    let file: File = toml::from_str(text)?;
    let shared: Vec<Allow> = file.allowlists.into_iter().chain([file.allowlist]).collect();
    let line = |at: usize| text[..at].matches('\n').count() as u64 + 1;
    let rules = file.rules.into_iter().filter_map(|rule| {
        let origin = Origin { source: source.to_owned(), line: line(rule.span().start) };
        rule.into_inner().into_spec(&shared, origin)
    });
    let rules = rules.collect();
    let description = if file.title.is_empty() { "gitleaks rules".to_owned() } else { file.title };
    Ok(Pack { name: name.to_owned(), version: "gitleaks".to_owned(), description, rules })
}

impl Rule {
    fn into_spec(self, shared: &[Allow], origin: Origin) -> Option<RuleSpec> {
        let pattern = rust_syntax(&self.regex?);
        let group = if self.secret_group > 0 { Some(self.secret_group) } else { has_group(&pattern).then_some(1) };
        let mut allow = AllowSpec::default();
        let own = self.allowlists.iter().chain([&self.allowlist]);
        own.chain(shared).for_each(|list| list.add_to(&mut allow));
        Some(RuleSpec {
            id: id(&self.id),
            description: self.description,
            severity: Severity::High,
            find: Find::Regex(RegexSpec { pattern, group, keywords: self.keywords, ..RegexSpec::default() }),
            validators: self.entropy.map(|bits| Validator::Entropy((bits * 100.0) as u32)).into_iter().collect(),
            allow,
            action: None,
            mode: None,
            scope: ScopeSpec::default(),
            origin,
        })
    }
}

impl Allow {
    /// A list that asks for a path or a commit as well never holds here. One that asks for a pattern and a word at once is
    /// left out: taken apart it would let more through.
    fn add_to(&self, allow: &mut AllowSpec) {
        let elsewhere = !(self.paths.is_empty() && self.commits.is_empty());
        let both = !(self.regexes.is_empty() || self.stopwords.is_empty());
        let all = self.condition.eq_ignore_ascii_case("and") || self.condition == "&&";
        if all && (elsewhere || both) {
            return;
        }
        let regexes = self.regexes.iter().map(|regex| as_meant(rust_syntax(regex)));
        match self.regex_target.as_str() {
            "line" => allow.lines.extend(regexes),
            _ => allow.values.extend(regexes),
        }
        allow.stopwords.extend(self.stopwords.iter().cloned());
    }
}

/// `^true|false|null$` lets every secret through that contains `false`: `^` binds to the first word alone. It is meant, and
/// read, as `^(?:true|false|null)$`; so is every alternation that is anchored at its two ends only.
fn as_meant(pattern: String) -> String {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
    let Ok(hir) = parser.parse(&pattern) else { return pattern };
    let HirKind::Alternation(branches) = hir.kind() else { return pattern };
    let anchored = |branch: &Hir| {
        let looks = branch.properties();
        (looks.look_set_prefix().contains_anchor_haystack(), looks.look_set_suffix().contains_anchor_haystack())
    };
    let (first, last) = (anchored(&branches[0]), anchored(&branches[branches.len() - 1]));
    let apart = branches[1..branches.len() - 1].iter().all(|branch| anchored(branch) == (false, false));
    match (first, last) {
        ((true, false), (false, true)) if apart => format!(r"\A(?:{pattern})\z"),
        _ => pattern,
    }
}

/// Our rules' ids are taken: `gitleaks-` goes before theirs.
fn id(theirs: &str) -> String {
    const LONGEST: usize = 64;
    let plain = theirs.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("gitleaks-{plain}").chars().take(LONGEST).collect()
}

/// Whether a pattern captures anything.
fn has_group(pattern: &str) -> bool {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
    parser.parse(pattern).is_ok_and(|hir| hir.properties().explicit_captures_len() > 0)
}

/// Go's syntax in Rust's: a `{` that opens no repeat is a literal, and `[`, `&&`, `--`, `~~` inside a class are.
fn rust_syntax(pattern: &str) -> String {
    let bytes = pattern.as_bytes();
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut at, mut class_start) = (0, None::<usize>);
    while at < bytes.len() {
        let Some(c) = pattern[at..].chars().next() else { break };
        let next = bytes.get(at + 1).copied();
        match c {
            '\\' => {
                let length = pattern[at + 1..].chars().next().map_or(0, char::len_utf8);
                match &pattern[at + 1..at + 1 + length] {
                    "z" | "Z" if class_start.is_none() => out.push_str(r"\z"),
                    other => {
                        out.push('\\');
                        out.push_str(other);
                    }
                }
                at += 1 + length;
                continue;
            }
            '[' if class_start.is_none() => class_start = Some(at + 1 + usize::from(next == Some(b'^'))),
            '[' if next != Some(b':') => out.push('\\'),
            ']' if class_start.is_some_and(|start| at > start) && !pattern[..at].ends_with(':') => class_start = None,
            '&' | '~' if class_start.is_some() && next == Some(c as u8) => out.push('\\'),
            '{' if class_start.is_none() && !repeats(&bytes[at..]) => out.push('\\'),
            _ => {}
        }
        out.push(c);
        at += c.len_utf8();
    }
    out
}

/// Whether a repeat starts here: `{3}`, `{3,}`, `{3,5}`.
fn repeats(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|b| *b == b'}') else { return false };
    let inner = &rest[1..end];
    inner.first().is_some_and(u8::is_ascii_digit) && inner.iter().all(|b| b.is_ascii_digit() || *b == b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gitleaks_file_becomes_a_pack() {
        let text = r#"
            title = "ours"
            [[rules]]
            id = "acme_Key"
            description = "ACME"
            regex = '''(?i)acme[^{]{0,5}{?([a-f0-9]{32})(?:[\x60'"\s;]|\\[nr]|$)'''
            entropy = 3.5
            keywords = ["acme"]
            [[rules.allowlists]]
            regexTarget = "line"
            regexes = ["example"]
            [[rules]]
            id = "only-a-path"
            path = '''\.pem$'''
            [[allowlists]]
            stopwords = ["sample"]
        "#;
        let pack = read_gitleaks(text, "gitleaks", "rules.toml").expect("it is gitleaks'");
        let [rule] = pack.rules.as_slice() else { panic!("one rule has a pattern: {pack:?}") };
        assert_eq!(
            (rule.id.as_str(), rule.validators.as_slice()),
            ("gitleaks-acme-key", [Validator::Entropy(350)].as_slice())
        );
        assert_eq!((rule.allow.lines.len(), rule.allow.stopwords.len()), (1, 1));
        let Find::Regex(regex) = &rule.find else { panic!("it has a pattern") };
        assert_eq!(regex.group, Some(1));
        crate::redaction::compile::compile(rule, "gitleaks").expect("it compiles");
    }

    #[test]
    fn anchors_of_an_allow_list_hold_for_all_its_words() {
        let allowed = |pattern: &str, value: &str| {
            regex::Regex::new(&as_meant(pattern.to_owned())).expect("it is a pattern").is_match(value)
        };
        for pattern in ["(?i)^true|false|null$", "^true|[Ff]alse|null$", "^(?:true|false)|null$"] {
            assert!(allowed(pattern, "true") && allowed(pattern, "false") && allowed(pattern, "null"), "{pattern}");
            assert!(!allowed(pattern, "q7falseRt2wZx9") && !allowed(pattern, "true4Lm0Pq7Rt"), "{pattern}");
        }
        for pattern in ["example|sample", "^example|^sample", "example$|sample$", "^a|b$|c", "x|^a|b"] {
            assert_eq!(as_meant(pattern.to_owned()), pattern);
        }
    }

    #[test]
    fn go_syntax_becomes_rust_syntax() {
        for (go, rust) in [
            (r"a{3}b{x}", r"a{3}b\{x}"),
            (r"[[a&&b]\{", r"[\[a\&&b]\{"),
            (r"[[:alpha:]_]{2,}", r"[[:alpha:]_]{2,}"),
            (r"x\Z", r"x\z"),
            ("é{", r"é\{"),
        ] {
            assert_eq!(rust_syntax(go), rust);
            assert!(regex_syntax::parse(&rust_syntax(go)).is_ok(), "{go}");
        }
    }
}
