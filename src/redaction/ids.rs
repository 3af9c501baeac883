//! The ids that joins need: values that only look like ids are not rewritten because of the name before them.

use super::names;

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
    shaped && name.len() <= MAX_ID && ID_NAMES.iter().any(|id| is_named(name, id))
}

/// Whether `name` is `id` but for case and what stands between its letters.
fn is_named(name: &str, id: &str) -> bool {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    letters.eq(id.bytes())
}

/// A number of fewer digits is a count or a measure, even under a secret's name.
const SHORTEST_NAMED: usize = 4;
/// The least number that may be more than a measure.
pub const SHORTEST_TELLING: u64 = 10_u64.pow(SHORTEST_NAMED as u32 - 1);

/// Whether a number in `digits` may be more than a measure: a card's, or a PIN under its name. Ids, times, sizes and counts
/// stay numbers.
pub fn is_telling(name: Option<&str>, digits: &str) -> bool {
    /// Shorter ones are counts, whatever they stand under.
    const SHORTEST: usize = 7;
    const MEASURES: &[&str] = &[
        "time",
        "timestamp",
        "ms",
        "ns",
        "us",
        "millis",
        "micros",
        "nanos",
        "seconds",
        "duration",
        "tokens",
        "count",
        "size",
        "bytes",
        "length",
        "sequence",
        "seq",
        "total",
        "cost",
        "index",
        "offset",
        "line",
        "port",
        "pid",
        "version",
        "epoch",
        "id",
    ];
    if digits.len() < SHORTEST_NAMED {
        return false;
    }
    let secret = name.is_some_and(|name| names::classify(name).is_some());
    let measure = || name.is_some_and(|name| names::ends_with(name, MEASURES) || is_id(name, digits));
    secret || (digits.len() >= SHORTEST && !measure())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_measures_by_their_names() {
        for name in [Some("card"), Some("card_number"), None] {
            assert!(is_telling(name, "4111111111111111"), "{name:?}");
        }
        assert!(is_telling(Some("password"), "1234") && !is_telling(Some("card"), "1234"));
        for name in ["input_tokens", "durationMs", "created_time", "session.id", "event.sequence", "cost_usd_micros"] {
            assert!(!is_telling(Some(name), "4111111111111111"), "{name}");
        }
    }

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
