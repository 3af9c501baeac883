//! PostgreSQL's settings, as far as drivers ask for them and set them.

use std::time::Duration;

use super::error::Refused;

/// Whose behaviour clients may expect.
const SERVER_VERSION: &str = "16.6";
const SERVER_VERSION_NUM: &str = "160006";

/// In which form rows go out; a setting of our own, for `sessionlake sql --server`.
pub const ROWS: &str = "sessionlake.rows";

/// The forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// As PostgreSQL sends them.
    #[default]
    Postgres,
    /// One column, whose values are Arrow's messages (IPC stream format) one after the other.
    Arrow,
}

impl Rows {
    /// # Errors
    /// When there is no such form.
    pub fn parse(text: &str) -> Result<Rows, Refused> {
        match text {
            "postgres" => Ok(Rows::Postgres),
            "arrow" => Ok(Rows::Arrow),
            _ => Err(Refused::Setting(format!("{ROWS} is postgres or arrow"))),
        }
    }
}

/// As `version()` answers.
pub fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (sessionlake {})", env!("CARGO_PKG_VERSION"))
}

/// What a session has before it sets anything, in PostgreSQL's lower-case names.
const DEFAULTS: &[(&str, &str)] = &[
    ("server_version", SERVER_VERSION),
    ("server_version_num", SERVER_VERSION_NUM),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("search_path", "public"),
    ("application_name", ""),
    ("client_min_messages", "notice"),
    ("default_transaction_read_only", "on"),
    ("transaction_read_only", "on"),
    ("default_transaction_isolation", "read committed"),
    ("transaction_isolation", "read committed"),
    ("in_hot_standby", "off"),
    ("is_superuser", "off"),
    ("max_identifier_length", "63"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("row_security", "on"),
    ("jit", "off"),
    (ROWS, "postgres"),
];

/// What drivers set. Each is kept for SHOW; only `statement_timeout`, and those that say how rows and values are written,
/// do anything.
const SETTABLE: &[&str] = &[
    "client_encoding",
    "datestyle",
    "intervalstyle",
    "timezone",
    "bytea_output",
    "extra_float_digits",
    "search_path",
    "application_name",
    "client_min_messages",
    "default_transaction_read_only",
    "default_transaction_isolation",
    "standard_conforming_strings",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "row_security",
    "jit",
    ROWS,
];

pub fn default_of(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    DEFAULTS.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

/// What the server says of itself when a session begins.
pub fn reported() -> impl Iterator<Item = (&'static str, &'static str)> {
    const NAMES: [(&str, &str); 11] = [
        ("server_version", "server_version"),
        ("server_encoding", "server_encoding"),
        ("client_encoding", "client_encoding"),
        ("DateStyle", "datestyle"),
        ("IntervalStyle", "intervalstyle"),
        ("TimeZone", "timezone"),
        ("integer_datetimes", "integer_datetimes"),
        ("standard_conforming_strings", "standard_conforming_strings"),
        ("default_transaction_read_only", "default_transaction_read_only"),
        ("in_hot_standby", "in_hot_standby"),
        ("is_superuser", "is_superuser"),
    ];
    let value = |name| DEFAULTS.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
    NAMES.into_iter().map(move |(shown, name)| (shown, value(name)))
}

/// The lower-case name of a setting that a client may set.
///
/// # Errors
/// When there is no such setting, or it is the server's own.
pub fn settable(name: &str) -> Result<&'static str, Refused> {
    let name = name.to_lowercase();
    SETTABLE.iter().find(|known| **known == name).copied().ok_or_else(|| {
        let known = DEFAULTS.iter().any(|(key, _)| *key == name);
        let why = if known { "cannot be changed here" } else { "is not a setting of this server" };
        Refused::Setting(format!("parameter \"{}\" {why}", name.escape_debug()))
    })
}

/// A timeout as PostgreSQL writes it: milliseconds, or a number with `ms`, `s`, `min`, `h`. `None`: none wanted (0).
///
/// # Errors
/// When it is no timeout.
pub fn timeout(text: &str) -> Result<Option<Duration>, Refused> {
    let wrong = || Refused::Setting(format!("invalid value for a timeout: \"{}\"", text.escape_debug()));
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    Ok((number > 0).then(|| Duration::from_millis(number.saturating_mul(unit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_postgresql_writes_them() {
        let millis = |text| timeout(text).unwrap().map(|timeout| timeout.as_millis());
        assert_eq!(
            [millis("0"), millis("250"), millis("5s"), millis("2 min")],
            [None, Some(250), Some(5_000), Some(120_000)]
        );
        for text in ["", "s", "-1", "1 fortnight"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_matters_cannot_be_set() {
        for name in ["datafusion.execution.batch_size", "is_superuser", "server_version", "role", ""] {
            assert!(settable(name).is_err(), "{name}");
        }
        assert_eq!(settable("DateStyle").unwrap(), "datestyle");
    }
}
