//! Redaction of what is stored already, by the rules in force now. What an earlier redaction wrote stays as it is.

use super::recheck::{subject, texts};
use super::{Hit, Redactor};
use crate::model::{Columns, Redaction, Workspace};

impl Redactor {
    /// Redacts a stored row's texts; says whether anything was hidden. Doing it twice changes nothing.
    pub fn redact_stored(&self, workspace: &Workspace, columns: &mut Columns) -> bool {
        let subject = subject(workspace, columns);
        let (mut hits, mut changed): (Vec<Hit>, bool) = (Vec::new(), false);
        for (place, text) in texts(columns) {
            let explained = self.explain(text, &subject, place);
            if explained.text != *text {
                *text = explained.text;
                changed = true;
                hits.extend(explained.hits.into_iter().filter(|hit| !hit.report));
            }
        }
        hits.into_iter().for_each(|hit| count(&mut columns.redactions, hit.rule));
        changed
    }
}

fn count(redactions: &mut Vec<Redaction>, rule: String) {
    match redactions.iter_mut().find(|known| known.rule == rule) {
        Some(known) => known.count += 1,
        None => redactions.push(Redaction { rule, count: 1 }),
    }
    redactions.sort();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LakeKey;

    #[test]
    fn stored_texts_are_redacted_once() {
        let redactor = Redactor::builtin(LakeKey::new([7; 32]));
        let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let mut columns = Columns {
            content: Some(format!("my token is {secret} here")),
            attributes: Some(format!(r#"{{"note":"{secret}","n":1}}"#)),
            project: Some("/work".to_owned()),
            ..Columns::default()
        };
        assert!(redactor.redact_stored(&Workspace::default(), &mut columns));
        assert!(!format!("{columns:?}").contains(&secret));
        assert!(columns.redactions.iter().map(|r| r.count).sum::<i64>() >= 2, "{:?}", columns.redactions);
        let once = columns.clone();
        assert!(!redactor.redact_stored(&Workspace::default(), &mut columns));
        assert_eq!(columns, once);
    }
}
