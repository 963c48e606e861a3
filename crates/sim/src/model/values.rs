//! The values of a window's aggregates, from its rows in order.

use super::Row;

/// What the aggregates say of a window's values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values {
    /// `count(*)`.
    pub rows: i64,
    /// `count(value)`.
    pub count: i64,
    /// `sum(value)`.
    pub sum: Option<i64>,
    /// `min(value)`.
    pub min: Option<i64>,
    /// `max(value)`.
    pub max: Option<i64>,
    /// `first(value)`.
    pub first: Option<i64>,
    /// `last(value)`.
    pub last: Option<i64>,
    /// `avg(value)`.
    pub avg: Option<f64>,
    /// `collect_list(value)`.
    pub list: Vec<Option<i64>>,
}

/// The values of the aggregates over rows that stand in the order of (event time, input, offset).
pub fn values_of(rows: &[&Row]) -> Values {
    let values = rows.iter().filter_map(|row| row.value).collect::<Vec<_>>();
    let count = values.len() as i64;
    let sum = values.iter().sum::<i64>();
    Values {
        rows: rows.len() as i64,
        count,
        sum: (count > 0).then_some(sum),
        min: values.iter().min().copied(),
        max: values.iter().max().copied(),
        first: values.first().copied(),
        last: values.last().copied(),
        avg: (count > 0).then(|| sum as f64 / count as f64),
        list: rows.iter().map(|row| row.value).collect(),
    }
}
