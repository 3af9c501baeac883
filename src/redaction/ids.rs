//! The ids that joins need: values that only look like ids are not rewritten because of the name before them.

/// Compared without case and separators, so that `session.id`, `session_id` and `sessionId` are one name.
const ID_NAMES: &[&str] = &[
    "sessionid",
    "promptid",
    "requestid",
    "clientrequestid",
    "messageuuid",
    "messageid",
    "tooluseid",
    "sourcetooluseid",
    "agentid",
    "parentagentid",
    "genaiconversationid",
    "genairesponseid",
    "genaitoolcallid",
    "userid",
    "useraccountuuid",
    "useraccountid",
    "organizationid",
    "uuid",
    "parentuuid",
    "turnid",
    "id",
    "eventname",
    "eventtimestamp",
    "eventsequence",
    "traceid",
    "spanid",
    "parentspanid",
    "conversationid",
    "runid",
    "sourcetoolassistantuuid",
];

/// The longest id: 64 hex digits.
const MAX_ID: usize = 64;

/// Whether `value` under the name `name` is an id: then no rule that rests on names applies to it. Rules that know a
/// secret by its own form still do.
pub fn is_id(name: &str, value: &str) -> bool {
    let shaped = !value.is_empty()
        && value.len() <= MAX_ID
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-.".contains(&b));
    shaped && name.len() <= MAX_ID && {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        ID_NAMES.contains(&name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_by_name_and_shape() {
        assert!(is_id("session.id", "9ffbc996-316e-5f2d-a628-342a8493e797"));
        assert!(is_id("sessionId", "token:abc12345"));
        assert!(is_id("requestId", "req_011CwWER3JgvWv6E2CQ6znrJ"));
        assert!(!is_id("session.id", "password = hunter2"));
        assert!(!is_id("password", "9ffbc996-316e-5f2d-a628-342a8493e797"));
        assert!(!is_id("id", &"a".repeat(65)));
    }
}
