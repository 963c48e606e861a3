//! Aggregates as dense columns: one slot per group, updated for a whole batch at a time.

mod accumulator;
mod approx_distinct;
mod avg;
mod collect;
mod count;
mod dense;
mod distinct;
mod extremes;
mod first_last;
mod logic;
mod pool;
mod quantile;
mod regression;
mod resolve;
mod sketch;
mod statistics;
mod sum;
#[cfg(test)]
mod testing;
mod topk;
mod values;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field};

use crate::batch::RowOrigin;
use crate::error::{RecordError, TaskError};
use crate::expr::{Expr, ExprError};

/// Index of a group's place in the columns of an operator's aggregates. Slots are reused after `clear`.
pub type Slot = u32;

/// What an aggregate may read of the rows beside its arguments: the order that first, last and the collectors follow.
#[derive(Debug, Clone, Copy)]
pub struct RowOrder<'a> {
    /// Event time of each row, in milliseconds.
    pub event_time: &'a Int64Array,
    /// Where each row was read first.
    pub origin: &'a RowOrigin,
    /// At which offset.
    pub offset: &'a Int64Array,
}

/// One aggregate over all groups of an operator. Every method keeps to these rules: a slot that was never updated, or was
/// cleared, is *empty*; nulls among the arguments are skipped unless the aggregate says otherwise; the outcome is the
/// same for any cut of the rows into calls.
pub trait Aggregate: Send {
    /// Makes room for slots `0..slots`; new ones are empty.
    fn reserve(&mut self, slots: usize);

    /// Adds row `rows[i]` of the arguments to slot `slots[i]`, for each `i` in order.
    ///
    /// # Errors
    /// Only what no row is to blame for: a value that does not fit is an error of [`evaluate`](Self::evaluate).
    fn update(&mut self, args: &[ArrayRef], rows: &[u32], slots: &[Slot], order: RowOrder<'_>)
    -> Result<(), TaskError>;

    /// Adds what slot `from[i]` holds to slot `into[i]`, for each `i` in order, as if its rows came after those that
    /// `into[i]` already holds. `from[i]` keeps what it has.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    fn merge(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError>;

    /// Makes the slots empty.
    fn clear(&mut self, slots: &[Slot]);

    /// The values of the slots, in the order given. A slot whose value does not exist (an integer sum out of range)
    /// is null there and named in the list, by index into `slots`.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    fn evaluate(&self, slots: &[Slot]) -> Result<(ArrayRef, Vec<(usize, RecordError)>), TaskError>;

    /// The fields of the columns that hold a slot's state.
    fn state_fields(&self) -> Vec<Field>;

    /// The state of the slots, one array for each of [`state_fields`](Self::state_fields).
    ///
    /// # Errors
    /// If a state cannot be put into columns.
    fn save(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, TaskError>;

    /// Replaces the state of `slots[i]` by row `i` of `state`.
    ///
    /// # Errors
    /// If the columns are not of this aggregate.
    fn load(&mut self, slots: &[Slot], state: &[ArrayRef]) -> Result<(), TaskError>;

    /// Bytes that the slot takes beside its place in the columns, or that its value will take, whichever is more; estimated.
    fn slot_bytes(&self, slot: Slot) -> usize;

    /// Bytes that the aggregate takes, estimated.
    fn memory_bytes(&self) -> usize;
}

/// An aggregate function for arguments of known types.
#[derive(Clone)]
pub struct AggregateFunction {
    /// Its name, in lower case, with what distinguishes it (`count(distinct)`): part of the shape of a state.
    pub name: String,
    /// The types that its arguments are cast to.
    pub arg_types: Vec<DataType>,
    /// The type of its values.
    pub return_type: DataType,
    /// Makes its columns.
    pub make: Arc<dyn Fn() -> Box<dyn Aggregate> + Send + Sync>,
}

impl fmt::Debug for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateFunction").field("name", &self.name).field("arg_types", &self.arg_types).finish()
    }
}

/// An aggregate function as a step calls it.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Its arguments, cast to the function's types, over the input's columns. `count(*)` has none.
    pub args: Vec<Expr>,
    /// Only rows for which this is true count (`filter (where ..)`).
    pub filter: Option<Expr>,
}

/// How a call was written, for [`resolve`].
#[derive(Debug, Clone, Copy)]
pub struct CallSite<'a> {
    /// The function's name as written.
    pub name: &'a str,
    /// Whether it says `distinct`.
    pub distinct: Distinct,
    /// The types of the arguments as written; empty for `count(*)`.
    pub arg_types: &'a [DataType],
    /// The values of those arguments that are literals, for `topk(x, 3)` or `percentile(x, 0.95)`.
    pub literals: &'a [Option<datafusion_common::ScalarValue>],
}

/// Whether equal values count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distinct {
    /// Every value counts.
    All,
    /// Equal values count once.
    Once,
}

/// Finds the aggregate for a call.
///
/// # Errors
/// An unknown name (with the nearest known one as help), or types that it does not take. Spans are left to the caller.
pub fn resolve(call: CallSite<'_>) -> Result<AggregateFunction, ExprError> {
    resolve::resolve(call)
}

/// The names of all aggregate functions, aliases included, sorted.
pub fn names() -> Vec<&'static str> {
    resolve::names()
}
