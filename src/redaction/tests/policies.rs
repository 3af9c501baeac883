//! What policies, actions and modes do to records.

use super::*;
use crate::redaction::rules::{Action, Find, Glob, MaskSpec, Mode, Origin, RegexSpec, RuleSpec, Severity, When};

fn rule(id: &str, find: Find) -> RuleSpec {
    RuleSpec {
        id: id.to_owned(),
        description: id.to_owned(),
        severity: Severity::High,
        find,
        validators: Vec::new(),
        allow: Default::default(),
        action: None,
        mode: None,
        scope: Default::default(),
        origin: Origin { source: "rules.yaml".to_owned(), line: 3 },
    }
}

fn pattern(id: &str, pattern: &str) -> RuleSpec {
    rule(id, Find::Regex(RegexSpec { pattern: pattern.to_owned(), ..RegexSpec::default() }))
}

fn spec() -> PolicySetSpec {
    PolicySetSpec::builtin(&["secrets/default"]).expect("the pack is shipped")
}

fn redactor_of(spec: &PolicySetSpec) -> Redactor {
    let key = LakeKey::new([7; 32]);
    let policies = PolicySet::compile(spec, key.clone()).unwrap_or_else(|errors| panic!("{errors:?}"));
    Redactor::new(policies, key)
}

fn faults(spec: &PolicySetSpec) -> Vec<(Option<String>, &'static str, Fault)> {
    let errors = PolicySet::compile(spec, LakeKey::new([7; 32])).err().unwrap_or_default();
    errors.into_iter().map(|error| (error.rule, error.key, error.fault)).collect()
}

fn hook(redactor: &Redactor, data: serde_json::Value) -> (String, RedactedHooks) {
    let redacted = redactor.redact_hooks(delivery(), vec![json!({"id": "e1", "kind": "hook", "data": data})]);
    let payload = redacted.batch.as_ref().map(|batch| batch.batch().payload.clone()).unwrap_or_default();
    (plain_marks(std::str::from_utf8(&payload).expect("lines are text")), redacted)
}

#[test]
fn own_rules_find_patterns_terms_names_and_places() {
    let mut spec = spec();
    spec.rules = vec![
        pattern("employee-id", r"\bE-\d{7}\b"),
        rule("customers", Find::Terms { terms: vec!["ACME Corp".to_owned()], case_sensitive: false }),
        rule("pin", Find::Names(vec![Glob::new("*_pin")])),
        rule("answer", Find::Fields(vec![Glob::new("tool_response.body")])),
    ];
    let data = json!({"text": "E-1234567 of acme corp", "door_pin": "0815", "line": "door_pin=4711x",
        "tool_response": {"body": {"a": ["b"]}, "status": 200}});
    let (line, _) = hook(&redactor_of(&spec), data);
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!(line["data"]["text"], "[REDACTED:employee-id] of [REDACTED:customers]");
    assert_eq!(line["data"]["door_pin"], "[REDACTED:pin]");
    assert_eq!(line["data"]["line"], "door_pin=[REDACTED:pin]");
}

#[test]
fn the_first_policy_that_matches_holds() {
    let mut spec = spec();
    spec.rules = vec![pattern("employee-id", r"\bE-\d{7}\b")];
    let when = When { tool: vec![Glob::new("mcp__crm__*")], ..When::default() };
    let actions = vec![(Glob::new("employee-id"), Action::Mask(MaskSpec { keep_first: 0, keep_last: 4 }))];
    let report = vec![Glob::new("employee-id")];
    spec.policies = vec![
        PolicySpec { name: "crm".to_owned(), when, actions, ..PolicySpec::default() },
        PolicySpec {
            name: "bob".to_owned(),
            when: When { event: vec![Glob::new("PostToolUse")], ..When::default() },
            report,
            ..PolicySpec::default()
        },
    ];
    let redactor = redactor_of(&spec);
    let text = |data: serde_json::Value| hook(&redactor, data).0;
    assert!(text(json!({"tool_name": "mcp__crm__find", "t": "E-1234567"})).contains("********67"));
    assert!(text(json!({"hook_event_name": "PostToolUse", "t": "E-1234567"})).contains("E-1234567"));
    assert!(text(json!({"t": "E-1234567"})).contains("[REDACTED:employee-id]"));
    let (_, reported) = hook(&redactor, json!({"hook_event_name": "PostToolUse", "t": "E-1234567"}));
    assert_eq!((reported.hits, reported.reported), (vec![], vec![("employee-id".to_owned(), 1)]));
}

#[test]
fn a_policy_loosens_secrets_only_by_the_admins_word() {
    let mut spec = spec();
    let loose = PolicySpec { name: "lab".to_owned(), mode: Some(Mode::Report), ..PolicySpec::default() };
    spec.policies = vec![loose.clone()];
    assert!(faults(&spec).iter().all(|(_, key, fault)| *key == "loosen_secrets" && matches!(fault, Fault::Loosens(_))));
    assert!(!faults(&spec).is_empty());
    spec.policies = vec![PolicySpec { loosen_secrets: true, ..loose }];
    assert_eq!(faults(&spec), []);
}

#[test]
fn everything_that_is_wrong_is_told_with_the_rule_to_blame() {
    let mut spec = spec();
    spec.rules = vec![pattern("a", "(x"), pattern("b", "x*"), pattern("jwt", "xyz"), pattern("Bad Id", "xyz")];
    spec.base.disable = vec![Glob::new("nothing-*")];
    let faults = faults(&spec);
    let keys: Vec<_> = faults.iter().map(|(rule, key, _)| (rule.as_deref(), *key)).collect();
    let expected =
        [(Some("a"), "regex"), (Some("b"), "regex"), (Some("jwt"), "id"), (Some("Bad Id"), "id"), (None, "disable")];
    assert_eq!(keys, expected);
}

#[test]
fn a_rule_can_drop_the_field_and_the_event() {
    let mut spec = spec();
    spec.rules = vec![
        RuleSpec { action: Some(Action::DropField), ..pattern("private", "for your eyes only") },
        RuleSpec { action: Some(Action::DropEvent), ..pattern("top", "top secret!") },
    ];
    let redactor = redactor_of(&spec);
    let (line, _) = hook(&redactor, json!({"a": "this is for your eyes only, really", "b": "kept"}));
    assert!(line.contains(r#""a":"[REDACTED:private]","b":"kept""#), "{line}");
    let (line, redacted) = hook(&redactor, json!({"a": "top secret!"}));
    assert_eq!((line.as_str(), redacted.records, redacted.dropped), ("", 0, 1));
}

#[test]
fn a_secret_found_once_is_hidden_wherever_it_stands_in_the_record() {
    let secret = "q7Rt2wZx9Kb4";
    let percent: String = secret.bytes().map(|b| format!("%{b:02x}")).collect();
    let data = json!({
        "said": format!("it was {secret} then"), "password": secret, "list": [secret, format!("x{secret}x")],
        secret: 1, "inner": json!({"deep": secret}).to_string(), "url": format!("https://example.com/?q={percent}"),
    });
    let (line, redacted) = hook(&redactor(), data);
    assert!(!line.contains(secret) && !line.contains(&percent), "{line}");
    assert!(redacted.hits.iter().map(|(_, count)| count).sum::<u64>() >= 7, "{:?}", redacted.hits);
    assert_eq!(redactor().redact_text(&line), line);
}

#[test]
fn secrets_are_found_at_any_depth_and_in_any_wrapping() {
    let secret = "ghp_q7Rt2wZx9Kb4Lm0Pv5Ny8Ab1Cd3Ef6Gh9Ij";
    let wrap = |how: &str, text: &str| match how {
        "json" => json!({ "a": text }).to_string(),
        "string" => serde_json::Value::from(text).to_string(),
        "base64" => base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text),
        "hex" => text.bytes().map(|b| format!("{b:02x}")).collect(),
        "percent" => text.bytes().map(|b| format!("%{b:02X}")).collect(),
        "html" => text.bytes().map(|b| format!("&#{b};")).collect(),
        _ => text.bytes().map(|b| format!("\\u{b:04x}")).collect(),
    };
    let ways = ["json", "string", "base64", "hex", "percent", "html", "unicode"];
    for outer in ways {
        for inner in ways {
            let text = wrap(outer, &wrap(inner, &format!("token: {secret}\nnext")));
            let explained = redactor().explain(&text, &Subject::default(), "");
            assert!(!explained.hits.is_empty(), "{inner} in {outer}");
            assert_eq!(redactor().redact_text(&explained.text), explained.text, "{inner} in {outer}");
        }
    }
}

#[test]
fn a_command_lines_options_are_pairs_in_a_list_too() {
    let (line, _) =
        hook(&redactor(), json!({"argv": ["tool", "--password", "hunter2x", "--verbose", "--user", "me12"]}));
    assert!(line.contains(r#"["tool","--password","[REDACTED:key-name]","--verbose","--user","me12"]"#), "{line}");
}

#[test]
fn pseudonyms_are_the_same_in_all_records() {
    let mut spec = spec();
    let action = Action::Pseudonym { label: Some("STAFF".to_owned()) };
    spec.rules = vec![RuleSpec { action: Some(action), ..pattern("employee-id", r"\bE-\d{7}\b") }];
    spec.key_id = "2026q4".to_owned();
    let redactor = redactor_of(&spec);
    let (a, b) = (redactor.redact_text("E-1234567"), redactor.redact_text("x E-1234567"));
    assert!(a.starts_with("[PSEUDONYM:STAFF:2026q4:") && b.ends_with(&a), "{a} {b}");
    assert_eq!(redactor.redact_text(&b), b);
}
