//! Whom a session belongs to: the principal, and the user, whose facts were received first.
//!
//! A session's id is no secret, so another holder of a token can send facts that name it. They are shown, and the
//! session says so. What decides is when we received a fact, because a sender can write any other time. Nothing here
//! depends on how often a fact was delivered.

use std::collections::BTreeSet;

use super::super::columns::Text;
use crate::model::{Fact, FactId};

/// What a fact may name its user by. Not `user_id`: it names an installation, and a session may be resumed on another.
const USERS: [Text; 2] = [Text::UserAccountId, Text::UserEmail];

/// The owner of a session.
pub struct Binding<'a> {
    principal: Owner<'a>,
    users: [Owner<'a>; USERS.len()],
}

/// The value of one column that was there first, and the others.
#[derive(Default)]
struct Owner<'a> {
    first: Option<((i64, FactId), &'a str)>,
    all: BTreeSet<&'a str>,
}

impl<'a> Owner<'a> {
    fn see(&mut self, fact: &Fact, value: Option<&'a str>) {
        // Another policy may have redacted it in some facts.
        let Some(value) = value.filter(|value| !value.starts_with("[REDACTED")) else { return };
        let seen = ((fact.received_at, fact.fact_id), value);
        self.first = Some(self.first.map_or(seen, |first| first.min(seen)));
        self.all.insert(value);
    }

    fn name(&self) -> Option<&'a str> {
        self.first.map(|(_, name)| name)
    }

    /// One sentence for each that is not the owner.
    fn conflicts(&self) -> impl Iterator<Item = String> {
        let owner = self.name().unwrap_or_default();
        self.all
            .iter()
            .filter(move |name| **name != owner)
            .map(move |name| format!("bound to {owner}, facts from {name}"))
    }
}

impl<'a> Binding<'a> {
    /// Of facts in any order, however often each was delivered.
    pub fn of(facts: &'a [Fact]) -> Binding<'a> {
        let mut binding = Binding { principal: Owner::default(), users: Default::default() };
        for fact in facts {
            binding.principal.see(fact, fact.columns.principal.as_deref());
            for (owner, column) in binding.users.iter_mut().zip(USERS) {
                owner.see(fact, column.get(&fact.columns).as_deref());
            }
        }
        binding
    }

    /// The principal whose facts were received first.
    pub fn principal(&self) -> Option<&'a str> {
        self.principal.name()
    }

    /// Whether a fact comes from the owner, or nobody knows from whom it comes.
    pub fn owns(&self, fact: &Fact) -> bool {
        let differs =
            |owner: &Owner<'_>, value: Option<&str>| value.is_some() && owner.name().is_some() && owner.name() != value;
        let users =
            || self.users.iter().zip(USERS).any(|(owner, column)| differs(owner, column.get(&fact.columns).as_deref()));
        !differs(&self.principal, fact.columns.principal.as_deref()) && !users()
    }

    /// Other principals that sent facts of the session.
    pub fn principal_conflicts(&self) -> Vec<String> {
        self.principal.conflicts().collect()
    }

    /// Other users that facts of the session name.
    pub fn user_conflicts(&self) -> Vec<String> {
        self.users.iter().flat_map(Owner::conflicts).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tests::raw_hook;
    use super::super::{Folded, fold};
    use super::*;

    /// A hook's fact, as `principal` and `user` delivered it.
    fn fact(number: i64, received_at: i64, principal: Option<&str>, user: Option<&str>) -> Fact {
        let hook = json!({"session_id": "s", "hook_event_name": "UserPromptSubmit", "prompt": format!("p{number}")});
        let mut fact = raw_hook(&hook, received_at).remove(0);
        fact.columns.principal = principal.map(str::to_owned);
        fact.columns.user_email = user.map(str::to_owned);
        fact
    }

    fn conflicts(folded: &Folded) -> Vec<(&str, &str)> {
        let of = |gap: &'_ &crate::model::Gap| gap.kind.ends_with("_conflict");
        folded.session.gaps.iter().filter(of).map(|gap| (gap.kind.as_str(), gap.detail.as_str())).collect()
    }

    #[test]
    fn who_was_first_owns_the_session_however_much_others_send() {
        let mut facts = vec![fact(0, 10, Some("laptops"), Some("ada@example.com"))];
        facts.extend((1..9).map(|n| fact(n, 10 + n, Some("mallory"), Some("mallory@example.com"))));
        let folded = fold("s", &facts, false);
        assert_eq!(folded.session.principal.as_deref(), Some("laptops"));
        assert_eq!(folded.session.user_email.as_deref(), Some("ada@example.com"));
        let expected = [
            ("principal_conflict", "bound to laptops, facts from mallory"),
            ("user_conflict", "bound to ada@example.com, facts from mallory@example.com"),
        ];
        assert_eq!(conflicts(&folded), expected);
        assert_eq!(folded.session.prompt_count, 9, "all facts are shown");
    }

    #[test]
    fn one_owner_and_facts_of_unknown_origin_are_no_conflict() {
        let facts = [
            fact(0, 10, None, None),
            fact(1, 11, Some("laptops"), Some("ada@example.com")),
            fact(2, 12, Some("laptops"), Some("[REDACTED:email]")),
            fact(3, 13, Some("laptops"), None),
        ];
        let folded = fold("s", &facts, false);
        assert_eq!(conflicts(&folded), []);
        assert_eq!(folded.session.user_email.as_deref(), Some("ada@example.com"));
    }

    #[test]
    fn a_record_that_another_principal_delivers_again_does_not_move_the_session() {
        let facts = [fact(0, 10, Some("laptops"), None), fact(0, 20, Some("zulu"), None)];
        assert_eq!(facts[0].fact_id, facts[1].fact_id);
        let folded = fold("s", &facts, false);
        assert_eq!(conflicts(&folded), [("principal_conflict", "bound to laptops, facts from zulu")]);
        assert_eq!(folded.session.principal.as_deref(), Some("laptops"));
    }

    proptest! {
        #[test]
        fn the_owner_is_a_function_of_the_set(
            drawn in proptest::collection::vec((0i64..6, 0i64..4, 0usize..3, 0usize..3), 1..12),
            turn in 0usize..12,
        ) {
            let names = [None, Some("a"), Some("b")];
            let facts: Vec<Fact> = drawn.iter().map(|(n, at, p, u)| fact(*n, 10 + at, names[*p], names[*u])).collect();
            let mut others = facts.clone();
            others.rotate_left(turn % facts.len());
            others.extend(facts.iter().take(3).cloned());
            let (one, two) = (fold("s", &facts, false), fold("s", &others, false));
            prop_assert_eq!(one.session, two.session);
        }
    }
}
