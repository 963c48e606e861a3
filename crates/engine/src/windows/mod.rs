//! Aggregates by key and window: one file for each kind of window, and what the kinds share.

mod count;
mod grid;
mod hopping;
pub(crate) mod intake;
pub(crate) mod late;
mod over;
mod panes;
pub(crate) mod results;
mod rolling;
mod session;
mod sliding;
mod timeline;
mod tumbling;
pub(crate) mod windowed;

#[cfg(test)]
mod tests;

use arrow::array::{BooleanArray, BooleanBufferBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::clock::Clock;
use crate::error::TaskError;
use crate::ids::InputId;
use crate::operator::Operator;
use crate::plan::{Emit, WindowKind, WindowPlan};
use crate::state::aggregates::Aggregates;
use crate::state::kept::Kept;
use crate::state::table::{Identity, Table};

use intake::Intake;
use late::LateRows;
use results::Results;
use windowed::{Kind, NUMBERS, Windowed, extra};

/// The operator that a plan describes. `inputs` are those that reach it, with the names that state knows them by;
/// `output` is what it is as an input of the nodes behind it.
///
/// # Errors
/// If a key column has a type that cannot be ordered, or a window has more panes than can be numbered.
pub fn build(
    plan: &WindowPlan,
    input_schema: SchemaRef,
    output_schema: SchemaRef,
    inputs: Vec<(InputId, String)>,
    output: InputId,
) -> Result<Box<dyn Operator>, TaskError> {
    let parts = Parts { plan, input: &input_schema, output_schema, inputs, output };
    match plan.kind {
        WindowKind::Tumbling { size, offset } => parts.by_watermark(tumbling::Tumbling::new(size, offset)),
        WindowKind::Hopping { size, every, offset } => {
            let kind = hopping::Hopping::new(size, every, offset).ok_or_else(|| TaskError::Kernel {
                step: plan.id.clone(),
                message: format!("windows of {size} ms every {every} ms overlap too often"),
            })?;
            parts.by_watermark(kind)
        }
        WindowKind::Count(rows) => parts.finish(count::Count::new(rows), count::EXTRA, Emit::Final),
        WindowKind::Sliding(span) => Ok(Box::new(sliding::Sliding::new(parts, span)?)),
        WindowKind::Over(span) => Ok(Box::new(over::Over::new(parts, span)?)),
        WindowKind::Session(gap) => Ok(Box::new(session::Session::new(parts, gap)?)),
    }
}

/// What an operator is built from.
pub(crate) struct Parts<'p> {
    plan: &'p WindowPlan,
    input: &'p Schema,
    output_schema: SchemaRef,
    inputs: Vec<(InputId, String)>,
    output: InputId,
}

impl Parts<'_> {
    fn by_watermark(self, kind: impl Kind + 'static) -> Result<Box<dyn Operator>, TaskError> {
        let emit = self.plan.emit;
        self.finish(kind, extra(emit), emit)
    }

    fn finish(self, kind: impl Kind + 'static, extra: &[&str], emit: Emit) -> Result<Box<dyn Operator>, TaskError> {
        let late = LateRows::new(self.plan.late);
        let (kept, intake, results) = self.make(Identity::Keyed, extra)?;
        Ok(Box::new(Windowed::new(kind, kept, intake, results, late, emit)))
    }

    /// What every kind has: its state, whose rows have the extra numbers `extra`, its way in and its way out.
    fn make(self, identity: Identity, extra: &[&str]) -> Result<(Kept, Intake, Results), TaskError> {
        let plan = self.plan;
        let aggregates = Aggregates::new(&plan.id, &plan.aggregates);
        let table = Table::new(&plan.id, key_fields(self.input, &plan.keys), identity, extra, aggregates)?;
        let kept = Kept::new(&plan.id, table, Clock::with_grace(self.inputs, plan.grace), NUMBERS.to_vec());
        let intake = Intake::new(&plan.id, self.input, &plan.keys)?;
        Ok((kept, intake, Results::new(self.output_schema, self.output)))
    }
}

/// The key columns of a step.
pub(crate) fn key_fields(input: &Schema, keys: &[usize]) -> Vec<Field> {
    keys.iter().map(|&key| input.field(key).clone()).collect()
}

/// A selection of all of `rows` rows but those named.
pub(crate) fn keep_all_but(rows: usize, but: impl Iterator<Item = usize>) -> BooleanArray {
    let mut keep = BooleanBufferBuilder::new(rows);
    keep.append_n(rows, true);
    but.for_each(|row| keep.set_bit(row, false));
    BooleanArray::new(keep.finish(), None)
}
