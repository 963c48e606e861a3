//! `aggregate`: aggregates by key, for ever.

use schemars::JsonSchema;
use serde::Deserialize;

use super::window::Emit;
use crate::spec::entries::Entries;
use crate::spec::names::{Name, Names};
use crate::spec::text::Expression;
use crate::yaml::spanned::Spanned;

/// Aggregates all rows of a key, without windows: totals that never end.
///
/// ```yaml
/// - aggregate:
///     id: totals
///     by: user_id
///     aggregates: {spent: sum(amount), orders: count(*)}
/// ```
///
/// | in | out, after each commit |
/// |---|---|
/// | `{user_id: 7, amount: 5}` | `{user_id: 7, spent: 5, orders: 1}` |
/// | `{user_id: 7, amount: 3}` | `{user_id: 7, spent: 8, orders: 2}` |
///
/// At each commit the current value of each key that has changed since the last commit is written, so several rows of
/// one key may show as one result. The columns behind it are those of `by` and `aggregates`. State grows with the
/// number of keys. A row with null in a column of `by` is left out and counted as `null_key`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// The name of the step's state, unique in the pipeline. Another name starts afresh.
    pub id: Option<Name>,
    /// The columns to group by. By default those of the `key_by` before it; `[]` puts all rows into one group.
    pub by: Option<Names>,
    /// When results leave: `changes` (the default), or `{every: 10s}`, no more often than that.
    pub emit: Option<Spanned<Emit>>,
    /// The results: column name to SQL aggregate, such as `sum(qty)`, `count(*)` or
    /// `avg(price) filter (where side = 'buy')`.
    pub aggregates: Spanned<Entries<Expression>>,
}
