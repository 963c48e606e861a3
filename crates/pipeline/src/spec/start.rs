//! Where a source begins to read when nothing has been committed yet.

use std::borrow::Cow;
use std::str::FromStr;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use millstream_engine::time::Millis;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

/// Where a source begins when the pipeline runs for the first time: `earliest` (the default), `latest`, or a point in
/// time such as `2026-01-01T00:00:00Z` (the first record whose timestamp is not before it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the oldest record there is.
    #[default]
    Earliest,
    /// With the first record written after the pipeline has started.
    Latest,
    /// With the first record whose timestamp is not before this one (milliseconds since 1970).
    At(Millis),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            _ => string_to_timestamp_nanos(text).map(|nanos| Start::At(Millis(nanos.div_euclid(1_000_000)))).map_err(
                |_| format!("`{text}` is neither `earliest` nor `latest` nor a time such as `2026-01-01T00:00:00Z`"),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a source begins when the pipeline runs for the first time: `earliest` (the default), \
                            `latest`, or a point in time such as `2026-01-01T00:00:00Z`.",
            "type": "string",
            "format": "start"
        })
    }
}
