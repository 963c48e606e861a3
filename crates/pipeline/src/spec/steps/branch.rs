//! `branch`: sends rows to several streams by conditions.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::spec::entries::Entries;
use crate::spec::names::Name;
use crate::spec::text::Expression;

/// Sends each row to the first stream whose condition is true. It is the last step of a stream; the streams that it
/// names are read by `from:` in `streams:` and `sinks:`.
///
/// ```yaml
/// streams:
///   events:
///     from: feed
///     steps:
///       - branch:
///           trades: type = 'trade'
///           quotes: type = 'quote'
///           otherwise: rest
/// sinks:
///   - {from: trades, topic: trades}
///   - {from: quotes, topic: quotes}
///   - {from: rest, topic: unknown-events}
/// ```
///
/// | in | goes to |
/// |---|---|
/// | `{type: trade}` | `trades` |
/// | `{type: quote}` | `quotes` |
/// | `{type: null}` | `rest` |
///
/// Conditions are tried in the order written. A row that none takes goes to the stream named by `otherwise`; without
/// `otherwise` it is left out and counted as `filtered`. Columns stay as they are. A stream that nothing reads is an
/// error.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
pub struct Branch {
    /// The stream for rows that no condition takes.
    pub otherwise: Option<Name>,
    /// The streams, in order, and their conditions.
    #[schemars(flatten)]
    pub arms: Entries<Expression>,
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BranchVisitor)
    }
}

/// By hand, for `serde(flatten)` would lose the places of names and conditions.
struct BranchVisitor;

impl<'de> Visitor<'de> for BranchVisitor {
    type Value = Branch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping from streams to conditions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branch, A::Error> {
        let mut branch = Branch { otherwise: None, arms: Entries::default() };
        while let Some(name) = map.next_key::<Name>()? {
            if name.value == "otherwise" {
                branch.otherwise = Some(map.next_value()?);
            } else {
                branch.arms.0.push((name, map.next_value()?));
            }
        }
        Ok(branch)
    }
}
