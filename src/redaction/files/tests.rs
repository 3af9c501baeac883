use insta::assert_snapshot;

use super::*;
use crate::redaction::rules::Subject;

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

/// Two dictionaries, and nothing else.
fn dictionaries(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("conf/names.txt") => Ok("# people\nGlobex\n\n  Initech GmbH \n".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    }
}

fn load(texts: &[&str]) -> Result<(RuleFiles, Redactor), ConfigError> {
    let sources = texts.iter().zip(1..).map(|(text, n)| source(&format!("conf/{n}.yaml"), text)).collect();
    let files = RuleFiles::read(sources, &dictionaries)?;
    let redactor = files.compile(&LakeKey::new([7; 32]))?;
    Ok((files, redactor))
}

fn error(text: &str) -> String {
    match load(&[text]) {
        Ok(_) => panic!("the rules are taken"),
        Err(error) => error.to_string(),
    }
}

fn hits(redactor: &Redactor, subject: &Subject, text: &str) -> Vec<String> {
    redactor.explain(text, subject, "").hits.into_iter().map(|hit| hit.rule).collect()
}

#[test]
fn several_files_are_one() {
    let (files, redactor) = load(&[
        "rules:\n- {id: badge, regex: 'E-\\d{7}'}\ntests:\n- {text: E-1234567, expect: [badge]}\n",
        "rules:\n- {id: names, dictionary: names.txt}\n",
        "packs: [secrets/default, pii/structured]\nkey_id: k9\n",
    ])
    .unwrap();
    let everyone = Subject::default();
    assert_eq!(hits(&redactor, &everyone, "E-1234567 of Initech GmbH"), ["badge", "names"]);
    assert_eq!(hits(&redactor, &everyone, "AKIAQ4RZ7WJX2MNB5VTK"), ["aws-access-key-id"], "the secrets pack stays on");
    assert_eq!((files.tests(), files.spec().key_id.as_str()), (1, "k9"));
    assert_eq!(files.named(), [PathBuf::from("conf/names.txt")]);
}

#[test]
fn a_gitleaks_file_is_a_pack_beside_ours() {
    let toml = "title = \"ours\"\n\n[[rules]]\nid = \"acme-key\"\ndescription = \"ACME key\"\n\
                regex = '''\\b(acme_[a-z0-9]{24})(?:[\\x60'\"\\s;]|\\\\[nr]|$)'''\nentropy = 3\nkeywords = [\"acme_\"]\n";
    let files = RuleFiles::read(vec![source("conf/acme.toml", toml)], &dictionaries).unwrap();
    let redactor = files.compile(&LakeKey::new([7; 32])).unwrap();
    let text = "key acme_q7rt2wzx9kb4lm0pz8vn3cdh and AKIAQ4RZ7WJX2MNB5VTK";
    assert_eq!(hits(&redactor, &Subject::default(), text), ["gitleaks-acme-key", "aws-access-key-id"]);
    let wrong = |text: &str| {
        let read = RuleFiles::read(vec![source("conf/acme.toml", text)], &dictionaries);
        let done = read.and_then(|files| files.compile(&LakeKey::new([7; 32])));
        done.map(|_| ()).expect_err("it is wrong").to_string()
    };
    let unclosed = wrong(&toml.replace("(acme_", "((acme_"));
    assert!(unclosed.contains("conf/acme.toml:3:1") && unclosed.contains("no regular expression"), "{unclosed}");
    let cut = wrong("[[rules]]\nid = \"a");
    assert!(cut.contains("conf/acme.toml:2:") && cut.contains("no gitleaks file"), "{cut}");
}

#[test]
fn without_files_the_secrets_pack_is_in_force() {
    let (files, redactor) = load(&[]).unwrap();
    assert_eq!(files.spec().base.packs.as_deref(), Some(&[DEFAULT_PACK.to_owned()][..]));
    assert_eq!(redactor.policy(), Redactor::builtin(LakeKey::new([7; 32])).policy());
}

#[test]
fn a_rule_that_is_wrong_is_shown_with_a_caret() {
    assert_snapshot!(error("rules:\n  - id: a\n    regex: 'x(y'\n"), @r#"
    error: rule 'a': the pattern is no regular expression: unclosed group
     --> conf/1.yaml:3:14
      |
    3 |     regex: 'x(y'
      |              ^
      = help: write Rust regex syntax: no look-around, no back references; a literal { is \{
    "#);
    assert_snapshot!(error("rules:\n  - id: a\n    regex: 'x*'\n"), @r#"
    error: rule 'a': the pattern matches the empty text, so it would match everywhere
     --> conf/1.yaml:3:12
      |
    3 |     regex: 'x*'
      |            ^
      = help: require at least one character: + instead of *, or a fixed prefix
    "#);
    for (text, place, says) in [
        ("rules:\n  - {id: a, regex: '(\\w{99}){999}'}\n", ":2:20", "automaton"),
        ("rules:\n  - id: a\n    regx: 'x'\n", ":3:5", "unknown key 'regx'"),
        ("rules:\n  - id: aws-access-key-id\n    regex: xyz\n", ":2:9", "the id is taken"),
        ("rules:\n  - id: a\n    regex: xyz\n    validators: [lun]\n", ":2:5", "unknown validator 'lun'"),
        ("rules:\n  - id: a\n    dictionary: nobody.txt\n", ":3:17", "cannot read conf/nobody.txt"),
        ("rules:\n  - id: a\n    regex: xyz\n    action: hash\n", ":4:5", "unknown variant `hash`"),
    ] {
        let error = error(text);
        assert!(error.contains(&format!("conf/1.yaml{place}")) && error.contains(says), "{text}: {error}");
        assert!(error.contains("^"), "{error}");
    }
}

#[test]
fn packs_and_policies_that_are_wrong_are_shown_with_a_caret() {
    assert_snapshot!(error("packs: [secrets/default, pii/all]\n"), @r#"
    error: there is no pack 'pii/all'
     --> conf/1.yaml:1:26
      |
    1 | packs: [secrets/default, pii/all]
      |                          ^
      = help: known packs: secrets/default, pii/structured
    "#);
    assert_snapshot!(error("packs:\n  - secrets/default@2020.01\n"), @r#"
    error: pack secrets/default has version 2026.11.1, not 2020.01
     --> conf/1.yaml:2:5
      |
    2 |   - secrets/default@2020.01
      |     ^
      = help: another version is in another release of sessionlake: read its changes, then write its version
    "#);
    assert_snapshot!(error("policies:\n  - name: p\n    when: {tool: Bash}\n    disable: [no-such-rule]\n"), @r#"
    error: policy 'p': no rule matches 'no-such-rule'
     --> conf/1.yaml:4:14
      |
    4 |     disable: [no-such-rule]
      |              ^
      = help: 'sessionlake redact rules' lists the rules
    "#);
}

#[test]
fn secrets_are_loosened_by_the_explicit_word_only() {
    for (text, place) in [
        ("packs: [pii/structured]\n", ":1:8"),
        ("mode: report\n", ":1:7"),
        ("disable: [jwt]\n", ":1:11"),
        ("report:\n- 'aws-*'\n", ":2:3"),
        ("overrides: {jwt: {mode: report}}\n", ":1:18"),
        ("overrides:\n  jwt: {not_fields: [body]}\n", ":2:8"),
        ("policies:\n- when: {workspace: sandbox}\n  mode: report\n", ":2:3"),
        ("policies:\n- when: {workspace: sandbox}\n  packs: []\n", ":2:3"),
    ] {
        let error = error(text);
        assert!(error.contains(&format!("conf/1.yaml{place}")), "{text}: {error}");
        assert!(error.contains("loosen_secrets: true"), "{text}: {error}");
    }
    let (_, redactor) =
        load(&["loosen_secrets: true\ndisable: [jwt]\noverrides: {aws-access-key-id: {mode: report}}\n"]).unwrap();
    let explained = redactor.explain("AKIAQ4RZ7WJX2MNB5VTK", &Subject::default(), "");
    assert!(explained.hits[0].report && explained.text == "AKIAQ4RZ7WJX2MNB5VTK");
    let sandbox = "policies:\n- when: {workspace: sandbox}\n  loosen_secrets: true\n  mode: report\n";
    assert!(load(&[sandbox]).is_ok());
    assert!(load(&["overrides: {jwt: {severity: low, action: mask}}\n"]).is_ok(), "it hides as much");
}

#[test]
fn allowing_every_value_is_a_mistake() {
    for text in ["allow: {values: ['.*']}", "rules:\n- {id: a, regex: x+, allow: {values: ['x?']}}"] {
        assert!(error(text).contains("are all values"), "{text}");
    }
}

#[test]
fn tests_that_fail_refuse_the_file_without_quoting_the_text() {
    let shown = error("tests:\n  - text: AKIAQ4RZ7WJX2MNB5VTK\n    expect: []\n  - {text: plain, expect: [jwt]}\n");
    assert!(!shown.contains("AKIAQ4"), "{shown}");
    assert_snapshot!(shown, @r#"
    error: this test fails: its text is hit by aws-access-key-id, and expects no rule
     --> conf/1.yaml:2:5
      = help: correct the rule or the test; 'sessionlake redact --explain --rules FILE' shows what hits where

    error: this test fails: its text is hit by no rule, and expects jwt
     --> conf/1.yaml:4:5
      = help: correct the rule or the test; 'sessionlake redact --explain --rules FILE' shows what hits where
    "#);
}

#[test]
fn a_test_is_tried_in_its_record() {
    let text = "policies:\n- {name: crm, when: {mcp_server: crm}, add_packs: [pii/structured]}\ntests:\n\
                - {text: 'to bob@corp.invalid', expect: [email], record: {mcp_server: crm}}\n\
                - {text: 'to bob@corp.invalid', expect: []}\n";
    assert_eq!(load(&[text]).unwrap().0.tests(), 2);
}

#[test]
fn documents_that_explode_are_refused() {
    let mut bomb = "rules: &a [x]\n".to_owned();
    for (name, inner) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e"), ("g", "f")] {
        bomb.push_str(&format!("x{name}: &{name} [{}]\n", vec![format!("*{inner}"); 9].join(", ")));
    }
    assert!(load(&[&bomb]).is_err());
    assert!(load(&[&"[".repeat(100_000)]).is_err());
    assert!(load(&[&"rules: []\n".repeat(200_000)]).is_err(), "more than a mebibyte");
}

#[test]
fn picked_packs_replace_those_that_are_named() {
    let mut files = RuleFiles::read(vec![source("a", "packs: [secrets/default]")], &dictionaries).unwrap();
    files.pick_packs(&["pii/structured".to_owned()]).unwrap();
    let redactor = files.compile(&LakeKey::new([7; 32])).unwrap();
    assert_eq!(hits(&redactor, &Subject::default(), "AKIAQ4RZ7WJX2MNB5VTK bob@corp.invalid"), ["email"]);
    assert!(files.pick_packs(&["nope".to_owned()]).is_err());
}

/// Files that we show must be right.
#[test]
fn the_examples_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/redaction");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let files =
                RuleFiles::read(vec![source(path.to_str().unwrap(), &text)], &|path| std::fs::read_to_string(path));
            let files = files.unwrap_or_else(|error| panic!("{error}"));
            files.compile(&LakeKey::new([7; 32])).unwrap_or_else(|error| panic!("{error}"));
            assert!(files.tests() > 0, "{} tests itself", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 2);
}
