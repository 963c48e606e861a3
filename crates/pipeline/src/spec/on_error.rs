//! What happens to records that fail.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use super::create::Create;
use super::duration::Duration;
use super::names::Name;
use crate::yaml::spanned::Spanned;

/// What happens to a record that fails: that cannot be decoded, has no event time, or for which an expression has no
/// value (a division by zero, a text that is no number).
///
/// ```yaml
/// on_error: fail                        # the default: the pipeline stops, and says at which record
/// on_error: skip                        # the record is counted and left out
/// on_error: {dead_letter: trades-dlq}   # as skip, and the record goes to a topic
/// on_error: {dead_letter: trades-dlq, fail_above: 1%/5m}
/// ```
///
/// A record in the dead-letter topic has its own bytes as value and key, its own headers, and behind them headers that say
/// which step refused it, why, and where it came from (topic, partition, offset). What is no such record (the result of a
/// window) or was read by another task (a row behind a repartition, which has its place all the same) is written as JSON of
/// its columns, without a key. The headers are `millstream.error.pipeline`, `.step`, `.kind`, `.message`, `.topic`, `.partition` and
/// `.offset`.
///
/// Of many rows that `unnest` makes of a record and that the same step refuses, there is one letter: the record, the error of the
/// first of them, and `millstream.error.rows`, how many there are.
///
/// With `fail_above` the pipeline stops when more than this share of the records read within the span have failed: a few
/// bad records are data, many are a mistake. What reads a repartition is judged apart, by the rows that come there. Each dead
/// letter counts; each worker thread judges what it has read itself, from a hundred records on.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "OnError", untagged)]
pub enum OnError {
    /// `fail` or `skip`.
    #[serde(rename = "scalar")]
    Word(Spanned<OnErrorWord>),
    /// To a topic.
    #[serde(rename = "map")]
    DeadLetter(Box<DeadLetter>),
}

/// `fail` or `skip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnErrorWord {
    /// The pipeline stops and says at which record.
    Fail,
    /// The record is counted and left out.
    Skip,
}

/// Failed records go to a topic.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// The topic for failed records.
    pub dead_letter: Name,
    /// The share of failed records above which the pipeline stops, and the span over which it is taken: `1%/5m`.
    pub fail_above: Option<Spanned<FailAbove>>,
    /// How the topic is made when it is missing. Without it, over Kafka, a topic that is missing is an error.
    pub create: Option<Spanned<Create>>,
}

/// A share of records over a span of time, such as `1%/5m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailAbove {
    /// The share, in percent: above 0, at most 100.
    pub percent: f64,
    /// The span over which the share is taken.
    pub per: Duration,
}

impl FromStr for FailAbove {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("expected a percentage and a span of time, as in `1%/5m`, not `{text}`");
        let (share, per) = text.split_once('/').ok_or_else(bad)?;
        let percent = share.trim().strip_suffix('%').ok_or_else(bad)?.trim().parse::<f64>().map_err(|_| bad())?;
        if !(percent > 0.0 && percent <= 100.0) {
            return Err(format!("a percentage lies above 0 and is at most 100: `{}`", share.trim()));
        }
        let per: Duration = per.parse()?;
        if per.millis().0 == 0 {
            return Err("the span of `fail_above` is not 0".into());
        }
        Ok(FailAbove { percent, per })
    }
}

impl<'de> Deserialize<'de> for FailAbove {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for FailAbove {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FailAbove".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "share" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_shares() {
        let share = "0.5%/5m".parse::<FailAbove>().unwrap();
        assert_eq!((share.percent, share.per.millis().0), (0.5, 300_000));
        for bad in ["1%", "1/5m", "0%/5m", "101%/5m", "1%/5", "1%/0", "NaN%/1m", "x"] {
            bad.parse::<FailAbove>().unwrap_err();
        }
    }
}
