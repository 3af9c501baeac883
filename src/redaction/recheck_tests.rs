use super::*;
use crate::model::{FactId, Joined, Kind, LakeKey, Source};

fn redactor() -> Redactor {
    Redactor::builtin(LakeKey::new([7; 32]))
}

fn fact(number: u8, content: &str, policy: &str) -> Fact {
    Fact {
        fact_id: FactId([number; 16]),
        session_id: Some("s".to_owned()),
        source: Source::Hook,
        kind: Kind::ModelCall,
        name: "MessageDisplay".to_owned(),
        sequence: None,
        time: 1,
        end_time: None,
        received_at: 1,
        writer: "w".to_owned(),
        policy: policy.to_owned(),
        columns: Columns { content: Some(content.to_owned()), ..Columns::default() },
    }
}

/// An event of these facts, whose content was put together with `sign` between the pieces.
fn event(facts: &[Fact], sign: &str) -> Event {
    let pieces: Vec<&str> = facts.iter().filter_map(|fact| fact.columns.content.as_deref()).collect();
    Event {
        session_id: "s".to_owned(),
        event_id: "e".to_owned(),
        seq: 0,
        kind: Kind::ModelCall,
        date: 0,
        time: 1,
        end_time: None,
        received_at: 1,
        sources: vec![Source::Hook],
        fact_ids: facts.iter().map(|fact| fact.fact_id).collect(),
        joined: Joined::Exact,
        parent_event_id: None,
        synthetic: false,
        inherited: false,
        columns: Columns { content: Some(pieces.join(sign)), ..Columns::default() },
    }
}

fn rechecked(redactor: &Redactor, facts: &[Fact], sign: &str) -> (bool, String) {
    let mut event = event(facts, sign);
    let facts: Vec<&Fact> = facts.iter().collect();
    let hid = redactor.recheck(&Workspace::default(), &mut event, &facts);
    (hid, event.columns.content.unwrap())
}

/// As they arrive: each piece was redacted by itself.
fn arrived(redactor: &Redactor, pieces: &[&str]) -> Vec<Fact> {
    let facts = pieces.iter().zip(0..);
    facts.map(|(piece, n)| fact(n, &redactor.redact_text(piece), redactor.policy())).collect()
}

#[test]
fn a_secret_split_at_any_offset_is_hidden_however_the_pieces_are_joined() {
    let redactor = redactor();
    for (before, secret, after) in [
        ("the key is ", "AKIAQ4RZ7WJX2MNB5VTK", " and no more"),
        ("export TOKEN=", "ghp_Zq7Lw3Xk9Vb2Nc5Rt8Yp1Ms4Hd6Jf0Ga3Qe7", "\nnext line"),
    ] {
        let text = format!("{before}{secret}{after}");
        for sign in ["", "\n"] {
            for offset in 1..secret.len() {
                let (one, two) = text.split_at(before.len() + offset);
                let (hid, content) = rechecked(&redactor, &arrived(&redactor, &[one, two]), sign);
                let left =
                    secret.as_bytes().windows(8).any(|part| content.contains(std::str::from_utf8(part).unwrap()));
                assert!(hid && !left, "split at {offset} with {sign:?}: {content}");
                // A token may go on behind a line end, so the word there may go with it.
                let last = after.rsplit(' ').next().unwrap();
                assert!(content.ends_with(last), "what stands around it is kept: {content}");
            }
            let (a, rest) = secret.split_at(7);
            let (b, c) = rest.split_at(6);
            let pieces = [&format!("{before}{a}"), b, &format!("{c}{after}")];
            let (hid, content) = rechecked(&redactor, &arrived(&redactor, &pieces), sign);
            assert!(hid && !content.replace('\n', "").contains(secret), "three pieces with {sign:?}");
        }
    }
}

#[test]
fn pieces_that_one_record_joined_are_looked_at_too() {
    let redactor = redactor();
    let (hid, content) =
        rechecked(&redactor, &arrived(&redactor, &["take ghp_Zq7Lw3Xk9Vb2Nc5R\nt8Yp1Ms4Hd6Jf0Ga3Qe7 now"]), "");
    assert!(hid && !content.contains("Zq7Lw3"), "{content}");
}

#[test]
fn texts_that_stood_whole_in_a_fact_are_left_alone() {
    let redactor = redactor();
    let text = "fn main() {\n    let path = \"src/redaction/recheck.rs\";\n}\n\nsha 3b18e512dba79e4c8300dd08aeb37f8e728b8dad\nnext";
    let facts = arrived(&redactor, &[text]);
    assert_eq!(rechecked(&redactor, &facts, ""), (false, text.to_owned()));
    // Not what it holds but that it is scanned again: this never passed the redactor.
    let raw = [fact(1, "AKIAQ4RZ7WJX2MNB5VTK", redactor.policy())];
    assert!(!rechecked(&redactor, &raw, "").0, "it was scanned when it arrived");
    let old = [fact(1, "AKIAQ4RZ7WJX2MNB5VTK", "another policy")];
    let (hid, content) = rechecked(&redactor, &old, "");
    assert!(hid && content.starts_with("[REDACTED:"), "facts of another policy are scanned: {content}");
    assert!(!rechecked(&redactor, &[fact(1, &content, "another policy")], "").0, "twice changes nothing");
}

/// A line end inside a piece is one: what stands after it is no part of a secret that was split before.
#[test]
fn what_stands_after_a_line_end_of_a_piece_is_kept() {
    let redactor = redactor();
    let facts = arrived(&redactor, &["the key is ghp_Zq7Lw3Xk9", "Vb2Nc5Rt8Yp1Ms4Hd6Jf0Ga3Qe7\nDone"]);
    let (hid, text) = rechecked(&redactor, &facts, "\n");
    assert!(hid && text.ends_with("\nDone") && !text.contains("Vb2Nc5"), "{text}");
}
