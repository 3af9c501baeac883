//! Money, times and counts as text.

use crate::model::fact::NanoUsd;

/// Exact: `$0.005674`, `$12.50`. What nobody reported is `–`, never `$0`.
pub fn cost(nano: Option<NanoUsd>) -> String {
    nano.map_or_else(|| "–".to_owned(), |nano| format!("{}${}", if nano < 0 { "-" } else { "" }, digits(nano)))
}

/// The amount without sign and currency: all its decimals, at least two.
fn digits(nano: NanoUsd) -> String {
    let (dollars, rest) = (nano.unsigned_abs() / 1_000_000_000, nano.unsigned_abs() % 1_000_000_000);
    let decimals = format!("{rest:09}");
    let shown = decimals.trim_end_matches('0').len().max(2);
    format!("{dollars}.{}", &decimals[..shown])
}

/// Dollars as a JSON number. Fifteen digits survive a double, so amounts below a million dollars are exact.
pub fn cost_json(nano: Option<NanoUsd>) -> serde_json::Value {
    let Some(nano) = nano else { return serde_json::Value::Null };
    let text = format!("{}{}", if nano < 0 { "-" } else { "" }, digits(nano));
    text.parse::<f64>().ok().into()
}

/// `2,100`
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    format!("{}{}", if n < 0 { "-" } else { "" }, groups.join(","))
}

/// `1 error`, `2 errors`
pub fn counted(n: i64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `53 ms`, `1.2 s`, `3 min 5 s`
pub fn duration(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Time since the start of a session: `+0:01.3`, `+1:02:03.4`; `-` where clocks disagree.
pub fn offset(micros: i64) -> String {
    let tenths = micros.unsigned_abs() / 100_000;
    let (seconds, tenths) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let sign = if micros < 0 { '-' } else { '+' };
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}.{tenths}"),
        _ => format!("{sign}{hours}:{minutes:02}:{seconds:02}.{tenths}"),
    }
}

/// `2026-11-22 11:18:58`, UTC.
pub fn time(micros: i64) -> String {
    format_time(micros, "%Y-%m-%d %H:%M:%S")
}

/// RFC 3339 with microseconds, UTC.
pub fn rfc3339(micros: i64) -> String {
    format_time(micros, "%Y-%m-%dT%H:%M:%S%.6fZ")
}

fn format_time(micros: i64, format: &str) -> String {
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(time) => time.format(format).to_string(),
        None => format!("{micros} µs"),
    }
}

/// `2026-11-22` from days since 1970-01-01.
pub fn date(days: i32) -> String {
    format_time(i64::from(days) * 86_400_000_000, "%Y-%m-%d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_exact_and_missing_is_not_zero() {
        assert_eq!(cost(Some(5_674_000)), "$0.005674");
        assert_eq!(cost(Some(1)), "$0.000000001");
        assert_eq!(cost(Some(12_500_000_000)), "$12.50");
        assert_eq!(cost(Some(0)), "$0.00");
        assert_eq!(cost(Some(-1_000_000)), "-$0.001");
        assert_eq!(cost(None), "–");
        assert_eq!(cost_json(Some(5_674_000)).to_string(), "0.005674");
        assert_eq!(cost_json(None), serde_json::Value::Null);
        assert_eq!(cost(Some(i64::MIN)), "-$9223372036.854775808");
    }

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!((count(2_100), count(-1_234_567), count(12)), ("2,100".into(), "-1,234,567".into(), "12".into()));
        assert_eq!([duration(53), duration(1_250), duration(185_000)], ["53 ms", "1.2 s", "3 min 5 s"]);
        assert_eq!([offset(1_340_000), offset(-200_000), offset(3_723_400_000)], ["+0:01.3", "-0:00.2", "+1:02:03.4"]);
        assert_eq!(rfc3339(1_795_346_337_171_024), "2026-11-22T11:18:57.171024Z");
        assert_eq!(date(0), "1970-01-01");
    }
}
