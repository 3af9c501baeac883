//! What administrators say about private sessions.

use super::Said;

/// Whose sessions are private without being asked, and where none may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Users by e-mail address or id, or by the name of their token, without regard to case.
    pub users: Vec<String>,
    /// Projects by directory, with all below it; or by a directory's name, wherever it is.
    pub projects: Vec<String>,
    /// Projects in which `/private` is refused, and none of the above holds.
    pub forbid: Vec<String>,
    /// Whether what private sessions cost goes on to be counted, without their users. Default yes.
    pub keep_costs: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { users: Vec::new(), projects: Vec::new(), forbid: Vec::new(), keep_costs: true }
    }
}

impl Rules {
    /// Whether anything is private without being asked.
    pub fn any(&self) -> bool {
        !self.users.is_empty() || !self.projects.is_empty()
    }

    /// Whether private sessions are forbidden where a record comes from.
    pub fn forbids(&self, said: &Said) -> bool {
        said.project.as_deref().is_some_and(|project| self.forbid.iter().any(|rule| holds(rule, project)))
    }

    /// Whether a record's session is private without being asked. `principal` is the name of the token it came with.
    pub fn demand(&self, said: &Said, principal: Option<&str>) -> bool {
        let named = |user: &str| self.users.iter().any(|rule| rule.eq_ignore_ascii_case(user));
        let project = || said.project.as_deref().is_some_and(|at| self.projects.iter().any(|rule| holds(rule, at)));
        said.users.iter().map(String::as_str).chain(principal).any(named) || project()
    }
}

/// A directory stands for all below it, a name for the directories of that name and all below them.
fn holds(rule: &str, project: &str) -> bool {
    let rule = rule.trim_end_matches(['/', '\\']);
    let below = |rest: &str| rest.is_empty() || rest.starts_with(['/', '\\']);
    match rule.contains(['/', '\\']) {
        true => project.strip_prefix(rule).is_some_and(below),
        false => project.split(['/', '\\']).any(|part| part == rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(project: &str) -> Said {
        Said { project: Some(project.to_owned()), ..Said::default() }
    }

    #[test]
    fn a_directory_holds_what_is_below_it_and_no_other_of_a_similar_name() {
        let rules = Rules { projects: vec!["/work/hr/".into(), "legal".into()], ..Rules::default() };
        for project in ["/work/hr", "/work/hr/pay", "/home/a/legal", "/home/a/legal/x", "C:\\legal"] {
            assert!(rules.demand(&at(project), None), "{project}");
        }
        for project in ["/work/hr2", "/work", "/home/a/legally", "/x/work/hr"] {
            assert!(!rules.demand(&at(project), None), "{project}");
        }
    }

    #[test]
    fn users_are_known_by_address_id_or_token() {
        let rules = Rules { users: vec!["Ann@Example.com".into(), "works-council".into()], ..Rules::default() };
        let said = Said { users: vec!["u-1".into(), "ann@example.com".into()], ..Said::default() };
        assert!(rules.demand(&said, None) && rules.demand(&Said::default(), Some("works-council")));
        assert!(!rules.demand(&Said::default(), None) && !rules.demand(&Said::default(), Some("ann")));
    }

    #[test]
    fn forbidden_is_by_project_alone() {
        let rules = Rules { forbid: vec!["/audited".into()], ..Rules::default() };
        assert!(rules.forbids(&at("/audited/x")) && !rules.forbids(&at("/a")) && !rules.forbids(&Said::default()));
    }
}
