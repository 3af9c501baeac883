//! The command that makes a session private.

const NAME: &str = "private";

/// Whether a prompt is the command: `/private` or, as a plugin's, `/<plugin>:private`; alone or with arguments behind
/// it. A text that only speaks of it is none.
pub fn is_private(prompt: &str) -> bool {
    let first = prompt.split_whitespace().next().unwrap_or_default();
    first.strip_prefix('/').is_some_and(is_name)
}

/// Whether a command's name, as the client tells it (without the slash), is that.
pub(super) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))
    };
    let mut parts = name.rsplit(':');
    parts.next() == Some(NAME) && parts.all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_known_bare_and_as_a_plugins() {
        for yes in ["/private", " /private\n", "/private because of Bob", "/session-capture:private x", "/a:b:private"]
        {
            assert!(is_private(yes), "{yes}");
        }
    }

    #[test]
    fn what_only_speaks_of_it_is_no_command() {
        let no = [
            "",
            "/",
            "private",
            "say /private",
            "/privately",
            "/private-mode",
            "/private:x",
            "//private",
            "/:private",
            "/etc/private",
            "/a b:private",
            "`/private`",
            "/PRIVATE",
            "/private.",
        ];
        for no in no {
            assert!(!is_private(no), "{no}");
        }
    }
}
