//! Amounts of memory and disk as written: `512MiB`, `1GB`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error};

/// An amount of bytes: a whole number with a unit, such as `64KiB`, `512MiB` or `1GB`.
///
/// Units are `B`, `KiB`, `MiB`, `GiB`, `TiB` (steps of 1024) and `KB`, `MB`, `GB`, `TB` (steps of 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, JsonSchema)]
#[schemars(extend("type" = ["string", "integer"], "format" = "size"))]
pub struct Size(#[schemars(with = "String")] pub u64);

const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        if number.is_empty() {
            return Err(format!("expected a number with a unit, such as `512MiB`, not `{text}`"));
        }
        if unit.is_empty() {
            return Err(format!("the size `{text}` lacks a unit: write `{number}MiB`, or `{number}B` for bytes"));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let short = UNITS.iter().find(|(name, _)| {
                name.eq_ignore_ascii_case(unit) || name.strip_suffix('B').is_some_and(|n| n.eq_ignore_ascii_case(unit))
            });
            return Err(match short {
                Some((meant, _)) => format!("`{unit}` is no unit of size; did you mean `{number}{meant}`?"),
                None => format!("`{unit}` is no unit of size: there are B, KiB, MiB, GiB, TiB, KB, MB, GB and TB"),
            });
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        bytes.map(Size).ok_or_else(|| format!("the size `{text}` is too large"))
    }
}

impl fmt::Display for Size {
    /// The largest unit of which it is a whole number: `1GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().filter(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match fitting.min_by_key(|(_, factor)| self.0 / factor) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_units_and_shows_what_it_reads() {
        for (text, bytes) in [("512MiB", 512 << 20), ("1GB", 1_000_000_000), ("3B", 3), ("64KiB", 65_536)] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string()), (bytes, text.to_owned()));
        }
        assert_eq!("1 GiB".parse::<Size>().unwrap().to_string(), "1GiB");
        assert_eq!("1024MiB".parse::<Size>().unwrap().to_string(), "1GiB");
        assert_eq!(Size(0).to_string(), "0B");
    }

    #[test]
    fn explains_what_is_wrong() {
        let why = |text: &str| text.parse::<Size>().unwrap_err();
        assert!(why("512").contains("write `512MiB`"));
        assert!(why("1gb").contains("did you mean `1GB`"));
        assert!(why("1G").contains("did you mean `1GB`"));
        assert!(why("512mib").contains("did you mean `512MiB`"));
        assert!(why("1 lot").contains("no unit of size: there are"));
        assert!(why("much").contains("expected a number"));
        assert!(why("99999999999TiB").contains("too large"));
    }
}
