//! What a commit promises.

use schemars::JsonSchema;
use serde::Deserialize;

/// What a commit promises.
///
/// - `exactly_once`: results, state changes and input positions become visible together, or none of them.
/// - `at_least_once`: results are written before input positions are: a crash in between repeats results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Results, state changes and input positions become visible together.
    #[default]
    ExactlyOnce,
    /// Results are written before input positions are: a crash in between repeats results.
    AtLeastOnce,
}

impl Guarantee {
    /// The word for it in a file.
    pub fn word(self) -> &'static str {
        match self {
            Guarantee::ExactlyOnce => "exactly_once",
            Guarantee::AtLeastOnce => "at_least_once",
        }
    }
}
