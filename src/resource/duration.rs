//! Durations as Kubernetes writes them: Go's syntax, cut down to what GEP-2257 allows (`90m`, `1h30m`).

use std::time::Duration;

/// The same rule as in the CRDs.
pub(crate) const DURATION_PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// Reads a duration; `None` if it is not one.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    let mut parts = 0_u8;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at_checked(digits)?;
        if !(1..=5).contains(&number.len()) || parts == 4 {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let (span, after) = if let Some(after) = unit.strip_prefix("ms") {
            (Duration::from_millis(number), after)
        } else if let Some(after) = unit.strip_prefix('h') {
            (Duration::from_secs(number.checked_mul(3600)?), after)
        } else if let Some(after) = unit.strip_prefix('m') {
            (Duration::from_secs(number.checked_mul(60)?), after)
        } else {
            (Duration::from_secs(number), unit.strip_prefix('s')?)
        };
        sum = sum.checked_add(span)?;
        rest = after;
        parts = parts.checked_add(1)?;
    }
    (parts > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubernetes_reads_them() {
        for (text, seconds) in [("12h", 43_200), ("90m", 5400), ("1h30m5s", 5405), ("0s", 0)] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("1500ms"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in [
            "",
            "12",
            "h",
            "1d",
            "-1h",
            "1.5h",
            "100000h",
            "1h1h1h1h1h",
            "1h ",
            " 1h",
            "1H",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
