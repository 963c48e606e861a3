//! The steps: one file each, named as the step.

mod aggregate;
mod branch;
mod cast;
mod drop;
mod filter;
mod key_by;
mod map;
mod merge;
pub mod not_yet;
mod rename;
mod select;
mod unnest;
mod window;

use schemars::JsonSchema;
use serde::Deserialize;

pub use aggregate::Aggregate;
pub use branch::Branch;
pub use cast::Cast;
pub use drop::Drop;
pub use filter::Filter;
pub use key_by::KeyBy;
pub use map::Map;
pub use merge::Merge;
pub use rename::Rename;
pub use select::Select;
pub use unnest::{Unnest, UnnestOptions};
pub use window::{Emit, EmitEvery, EmitWord, Grid, Hopping, Late, LateTo, LateWord, Tumbling, Window, WindowShape};

/// One step: a mapping with one key, the step's name.
///
/// ```yaml
/// steps:
///   - filter: price > 0
///   - drop: [venue]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a pipeline has few steps, and they are never moved about")]
pub enum Step {
    /// Keeps the rows for which a condition is true.
    Filter(Filter),
    /// Adds or replaces columns.
    Map(Map),
    /// Keeps only the columns that it names.
    Select(Select),
    /// Removes columns.
    Drop(Drop),
    /// Gives columns other names.
    Rename(Rename),
    /// Changes the types of columns.
    Cast(Cast),
    /// Makes one row of each element of a list.
    Unnest(Unnest),
    /// Sets the key of rows.
    KeyBy(KeyBy),
    /// Aggregates by key and window of time.
    Window(Window),
    /// Aggregates by key, for ever.
    Aggregate(Aggregate),
    /// Sends rows to several streams by conditions.
    Branch(Branch),
    /// Reads several streams as one.
    Merge(Merge),
}

impl Step {
    /// The name of the step, as in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Filter(_) => "filter",
            Step::Map(_) => "map",
            Step::Select(_) => "select",
            Step::Drop(_) => "drop",
            Step::Rename(_) => "rename",
            Step::Cast(_) => "cast",
            Step::Unnest(_) => "unnest",
            Step::KeyBy(_) => "key_by",
            Step::Window(_) => "window",
            Step::Aggregate(_) => "aggregate",
            Step::Branch(_) => "branch",
            Step::Merge(_) => "merge",
        }
    }
}
