//! Dollars from nano-dollars, exactly.

use super::fact::NanoUsd;

/// Decimal dollars: at least two digits after the point, no trailing zeros beyond them.
pub fn dollars(nanos: NanoUsd) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let digits = format!("{:09}", nanos % 1_000_000_000);
    let short = digits.trim_end_matches('0');
    let kept = short.len().max(2);
    format!("{sign}{}.{}", nanos / 1_000_000_000, &digits[..kept])
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn every_digit_is_kept_and_none_is_invented() {
        assert_eq!(dollars(5_674_000), "0.005674");
        assert_eq!(dollars(0), "0.00");
        assert_eq!(dollars(1), "0.000000001");
        assert_eq!(dollars(12_300_000_000), "12.30");
        assert_eq!(dollars(-1_500_000_000), "-1.50");
    }
}
