//! Aggregate: values by key over all rows there ever were; emitted by commit, as they change.

use arrow::datatypes::SchemaRef;

use crate::aggregate::Slot;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::InputId;
use crate::operator::Operator;
use crate::plan::{AggregatePlan, Emit, Late};
use crate::state::aggregates::Aggregates;
use crate::state::kept::Kept;
use crate::state::table::{Identity, Table};
use crate::time::Watermark;
use crate::windows::intake::{Intake, Taken};
use crate::windows::key_fields;
use crate::windows::late::LateRows;
use crate::windows::results::{Ready, Results};
use crate::windows::windowed::{Assigned, Kind, NUMBERS, Progress, Which, Windowed, extra};

/// The operator of [`crate::plan::NodeKind::Aggregate`]. `inputs` are those that reach it, with the names that state
/// knows them by; `output` is what it is as an input of the nodes behind it.
///
/// # Errors
/// If a key column has a type that cannot be ordered.
pub fn build(
    plan: &AggregatePlan,
    input_schema: SchemaRef,
    output_schema: SchemaRef,
    inputs: Vec<(InputId, String)>,
    output: InputId,
) -> Result<Box<dyn Operator>, TaskError> {
    // Values by key have no end at which they could be final.
    let emit = if let Emit::Every(_) = plan.emit { plan.emit } else { Emit::Changes };
    let aggregates = Aggregates::new(&plan.id, &plan.aggregates);
    let keys = key_fields(&input_schema, &plan.keys);
    let table = Table::new(&plan.id, keys, Identity::Keyed, extra(emit), aggregates)?;
    let kept = Kept::new(&plan.id, table, Clock::new(inputs), NUMBERS.to_vec());
    let intake = Intake::new(&plan.id, &input_schema, &plan.keys)?;
    let results = Results::new(output_schema, output);
    Ok(Box::new(Windowed::new(Forever, kept, intake, results, LateRows::new(Late::Drop), emit)))
}

/// The one window that never closes.
struct Forever;

impl Kind for Forever {
    fn assign(&mut self, batch: &Batch, taken: &Taken, kept: &mut Kept, to: &mut Assigned, _cx: &mut Context<'_>) {
        let times = batch.meta.event_time.values();
        for &row in &taken.rows {
            let at = row as usize;
            let slot = kept.table.upsert(0, taken.keys.hash(at), taken.keys.key(at));
            kept.table.add_row(slot, times[at]);
            to.rows.push(row);
            to.slots.push(slot);
        }
    }

    fn close(
        &mut self,
        _table: &mut Table,
        _w: Watermark,
        _which: Which,
        _ready: &mut Ready,
    ) -> Result<Progress, TaskError> {
        Ok(Progress::Done)
    }

    fn settle(&mut self, _table: &mut Table) -> u64 {
        0
    }

    fn changed(&mut self, table: &mut Table, slots: Vec<Slot>, ready: &mut Ready) -> Result<Progress, TaskError> {
        ready.values = slots;
        table.sort_by_key(&mut ready.values);
        Ok(Progress::Done)
    }

    /// Time goes on with the values: one that waits to be emitted must not come late.
    fn told(&self, _w: Watermark) -> Watermark {
        Watermark::UNKNOWN
    }

    fn told_with_changes(&self, w: Watermark) -> Watermark {
        w
    }

    fn closes_all(&self, _table: &Table) -> Watermark {
        Watermark::UNKNOWN
    }
}
