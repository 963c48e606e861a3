//! Spans of time as written: `10s`, `1m30s`, `100ms`.

use std::fmt;
use std::str::FromStr;

use millstream_engine::time::Millis;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error};

/// A span of time in whole milliseconds: numbers with units, greatest first, such as `10s`, `1m30s`, `2d` or `100ms`.
///
/// Units are `ms`, `s`, `m` (minutes), `h`, `d` (24 hours) and `w` (7 days). `0` needs no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, JsonSchema)]
#[schemars(extend("type" = ["string", "integer"], "format" = "duration"))]
pub struct Duration(#[schemars(with = "String")] pub Millis);

impl Duration {
    /// The span in milliseconds.
    pub fn millis(self) -> Millis {
        self.0
    }
}

const UNITS: &[(&str, i64)] =
    &[("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "0" {
            return Ok(Duration(Millis(0)));
        }
        if text.is_empty() {
            return Err("a duration is missing".into());
        }
        if text.starts_with('-') {
            return Err(format!("a duration is not negative: `{text}`"));
        }
        let mut rest = text;
        let mut total = 0i64;
        let mut last: Option<(&str, i64)> = None;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return Err(format!("expected a number at `{rest}` in the duration `{text}`"));
            }
            let (number, tail) = rest.split_at(digits);
            let length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(length);
            let unit_ms = unit_of(unit, number, text)?;
            if let Some((before, before_ms)) = last
                && unit_ms >= before_ms
            {
                return Err(format!(
                    "`{unit}` cannot follow `{before}` in `{text}`: greater units come first, each once"
                ));
            }
            let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ms));
            total = part
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| format!("the duration `{text}` is too long"))?;
            last = Some((unit, unit_ms));
            rest = tail;
        }
        Ok(Duration(Millis(total)))
    }
}

fn unit_of(unit: &str, number: &str, text: &str) -> Result<i64, String> {
    if unit.is_empty() {
        return Err(format!("the duration `{text}` lacks a unit: write `{number}s`, `{number}m` or `{number}ms`"));
    }
    if let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*unit_ms);
    }
    if unit.starts_with('.') {
        return Err(format!("a duration has whole numbers only, as in `1m30s` or `1500ms`: `{text}`"));
    }
    let meant = match unit.trim().to_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" | "s" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "hr" | "hrs" | "hour" | "hours" | "h" => Some("h"),
        "day" | "days" | "d" => Some("d"),
        "week" | "weeks" | "w" => Some("w"),
        "msec" | "millis" | "millisecond" | "milliseconds" | "ms" => Some("ms"),
        _ => None,
    };
    match meant {
        Some(meant) => Err(format!("`{}` is no unit of time; did you mean `{number}{meant}`?", unit.trim())),
        None => Err(format!("`{}` is no unit of time: there are ms, s, m, h, d and w", unit.trim())),
    }
}

impl fmt::Display for Duration {
    /// The shortest form: `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.0;
        if left == 0 {
            return f.write_str("0");
        }
        for (unit, unit_ms) in UNITS.iter().skip(1) {
            let count = left / unit_ms;
            left %= unit_ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_units_and_sums_of_them() {
        let ms = |text: &str| text.parse::<Duration>().unwrap().0.0;
        assert_eq!(ms("10s"), 10_000);
        assert_eq!(ms("1m30s"), 90_000);
        assert_eq!(ms("100ms"), 100);
        assert_eq!(ms("1h1ms"), 3_600_001);
        assert_eq!(ms("2d"), 172_800_000);
        assert_eq!(ms("0"), 0);
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["10s", "1m30s", "100ms", "2d3h4m5s6ms", "0"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn explains_what_is_wrong() {
        let why = |text: &str| text.parse::<Duration>().unwrap_err();
        assert!(why("10").contains("lacks a unit"));
        assert!(why("10 seconds").contains("did you mean `10s`"));
        assert!(why("5M").contains("did you mean `5m`"));
        assert!(why("1.5m").contains("whole numbers"));
        assert!(why("30s1m").contains("greater units come first"));
        assert!(why("1m1m").contains("each once"));
        assert!(why("-5s").contains("not negative"));
        assert!(why("99999999999999999999d").contains("too long"));
        assert!(why("").contains("missing"));
        assert!(why("s").contains("expected a number"));
    }
}
