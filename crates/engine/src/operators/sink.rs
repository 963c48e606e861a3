//! Sink: hands rows out of the topology, with the timestamps and headers of their records; it writes nothing itself.

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute;

use super::times::{Which, epoch_ms, implausible};
use super::{all_but, without_tombstones};
use crate::batch::Batch;
use crate::context::{Context, Effect, Output};
use crate::error::{RowFault, TaskError};
use crate::expr::Expr;
use crate::ids::Port;
use crate::operator::{Operator, Signal};
use crate::plan::SinkPlan;

/// See [`crate::plan::NodeKind::Sink`]. Time ends here: batches without rows go nowhere.
#[derive(Debug)]
pub struct Sink {
    plan: SinkPlan,
}

impl Sink {
    /// The end of a stream that `plan` describes.
    pub fn new(plan: SinkPlan) -> Sink {
        Sink { plan }
    }

    /// The headers of each row, and the rows for which one has no value.
    fn headers(&self, batch: &Batch) -> (Vec<(String, ArrayRef)>, Vec<RowFault>) {
        let mut faults = Vec::new();
        let headers = self.plan.headers.iter().map(|(name, value)| {
            let (values, of_header) = value.evaluate(&batch.rows);
            faults.extend(of_header);
            (name.clone(), values)
        });
        let headers = headers.collect();
        (headers, without_tombstones(batch, faults))
    }
}

impl Operator for Sink {
    fn process(&mut self, _port: Port, mut batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (mut headers, mut faults) = self.headers(&batch);
        if let Some(timestamp) = &self.plan.timestamp {
            let (times, of_times) = timestamps(timestamp, &batch)
                .map_err(|message| TaskError::Kernel { step: cx.step().to_owned(), message })?;
            batch.meta.event_time = times;
            faults.extend(of_times);
        }
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.row);
            faults.dedup_by_key(|fault| fault.row);
            cx.reject(&batch, &faults);
            let keep = all_but(batch.len(), &faults);
            batch = batch.filter(&keep);
            for (_, values) in &mut headers {
                *values = compute::filter(values, &keep).expect("one header a row");
            }
        }
        let rows = batch.len() as u64;
        cx.ledger().passed += rows;
        cx.ledger().rows_out += rows;
        if rows > 0 {
            cx.effect(Effect::Output(Output { sink: self.plan.sink, batch, headers }));
        }
        Ok(())
    }

    fn on_signal(&mut self, _signal: Signal, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        Ok(())
    }
}

/// The timestamps of the records of `batch`, and the rows that have none. A row that retracts an earlier result keeps its
/// event time where the expression has no value: most of its columns are null by nature.
///
/// # Errors
/// If the expression's values are not times at all: the pipeline's mistake, never a row's.
fn timestamps(timestamp: &Expr, batch: &Batch) -> Result<(Int64Array, Vec<RowFault>), String> {
    let (values, faults) = timestamp.evaluate(&batch.rows);
    let times = epoch_ms(&values, Which::Timestamp)?;
    let faults = implausible(&times, faults, Which::Timestamp);
    if faults.is_empty() {
        return Ok((times, faults));
    }
    // Rows at fault leave, whatever stands there.
    let usual = &batch.meta.event_time;
    let mut at_fault = faults.iter().map(|fault| fault.row).peekable();
    let times = (0..times.len()).map(|row| match at_fault.next_if_eq(&row) {
        Some(_) => usual.value(row),
        None => times.value(row),
    });
    Ok((Int64Array::from_iter_values(times), without_tombstones(batch, faults)))
}
