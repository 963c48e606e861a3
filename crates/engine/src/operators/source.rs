//! Source: gives decoded rows their event time; a row whose time cannot be told neither passes nor moves time.

use arrow::array::Int64Array;

use super::all_but;
pub use super::times::LAST_EVENT_TIME_MS;
use super::times::{Which, epoch_ms, implausible};
use crate::batch::{Batch, OwnTime};
use crate::context::Context;
use crate::error::{RecordErrorKind, RowFault, TaskError};
use crate::expr::Expr;
use crate::ids::Port;
use crate::operator::Operator;
use crate::plan::SourcePlan;

/// See [`SourcePlan`]. The task hands it the decoded columns, with the records' timestamps as event time.
#[derive(Debug)]
pub struct Source {
    plan: SourcePlan,
}

impl Source {
    /// The source that `plan` describes.
    pub fn new(plan: SourcePlan) -> Source {
        Source { plan }
    }
}

impl Operator for Source {
    fn process(&mut self, _port: Port, mut batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let (times, faults) = event_times(self.plan.event_time.as_ref(), &batch)
            .map_err(|message| TaskError::Kernel { step: cx.step().to_owned(), message })?;
        cx.reject(&batch, &faults);
        batch.meta.event_time = times;
        if !faults.is_empty() {
            // Rows without a time must leave none behind, so they are taken out while no row says anything.
            batch.meta.set_own(OwnTime::Silent);
            batch = batch.filter(&all_but(batch.len(), &faults));
            batch.meta.event_time = Int64Array::new(batch.meta.event_time.values().clone(), None);
        }
        batch.meta.set_own(OwnTime::Less(self.plan.out_of_order));
        cx.ledger().passed += batch.len() as u64;
        cx.emit(batch);
        Ok(())
    }
}

/// The event time of each row of `batch`, in milliseconds: the values of `event_time`, or the records' timestamps. Rows
/// whose time is missing, negative or implausible are named, in row order; their entries mean nothing.
///
/// # Errors
/// If the expression's values are not times at all: the pipeline's mistake, never a row's.
pub fn event_times(event_time: Option<&Expr>, batch: &Batch) -> Result<(Int64Array, Vec<RowFault>), String> {
    let (times, mut faults) = match event_time {
        None => (batch.meta.event_time.clone(), Vec::new()),
        Some(expr) => {
            let (values, faults) = expr.evaluate(&batch.rows);
            (epoch_ms(&values, Which::EventTime)?, faults)
        }
    };
    for fault in &mut faults {
        fault.error.kind = RecordErrorKind::EventTime;
    }
    let faults = implausible(&times, faults, Which::EventTime);
    Ok((times, faults))
}
