//! Source: gives decoded rows their event time; a row whose time cannot be told neither passes nor moves time.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{self, CastOptions};
use arrow::datatypes::{
    DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::all_but;
use crate::batch::{Batch, OwnTime};
use crate::context::Context;
use crate::error::{RecordError, RecordErrorKind, RowFault, TaskError};
use crate::expr::Expr;
use crate::ids::Port;
use crate::operator::Operator;
use crate::plan::SourcePlan;

/// The last event time that counts as one: the end of the year 9999. What lies later is a unit mistaken, and one such
/// row would close every window.
pub const LAST_EVENT_TIME_MS: i64 = 253_402_300_799_999;

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
        cx.reject(&batch, &faults)?;
        batch.meta.event_time = times;
        if !faults.is_empty() {
            // Rows without a time must leave none behind, so they are taken out while no row says anything.
            batch.meta.clock.own = OwnTime::Silent;
            batch = batch.filter(&all_but(batch.len(), &faults));
            batch.meta.event_time = Int64Array::new(batch.meta.event_time.values().clone(), None);
        }
        batch.meta.clock.own = OwnTime::Less(self.plan.out_of_order);
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
            (epoch_ms(&values)?, faults)
        }
    };
    for fault in &mut faults {
        fault.error.kind = RecordErrorKind::EventTime;
    }
    let faults = implausible(&times, faults);
    Ok((times, faults))
}

/// Times or numbers as milliseconds since the epoch. Parts of a millisecond are cut off downwards.
fn epoch_ms(values: &ArrayRef) -> Result<Int64Array, String> {
    let times: Int64Array = match values.data_type() {
        DataType::Int64 => values.as_primitive::<Int64Type>().clone(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            values.as_primitive::<TimestampSecondType>().unary(|s| s.saturating_mul(1000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            values.as_primitive::<TimestampMillisecondType>().reinterpret_cast::<Int64Type>()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            values.as_primitive::<TimestampMicrosecondType>().unary(|us| us.div_euclid(1000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            values.as_primitive::<TimestampNanosecondType>().unary(|ns| ns.div_euclid(1_000_000))
        }
        other => {
            let options = CastOptions { safe: true, ..CastOptions::default() };
            let cast = compute::cast_with_options(values, &DataType::Int64, &options)
                .map_err(|_| format!("a value of type {other} is not an event time"))?;
            cast.as_primitive::<Int64Type>().clone()
        }
    };
    Ok(times)
}

/// `faults` and, in row order with them, the rows whose time is missing, negative or beyond all plausible times.
fn implausible(times: &Int64Array, faults: Vec<RowFault>) -> Vec<RowFault> {
    let all_well = times.null_count() == 0 && times.values().iter().all(|time| (0..=LAST_EVENT_TIME_MS).contains(time));
    if all_well {
        return faults;
    }
    let mut known = faults.into_iter().peekable();
    let mut all = Vec::new();
    for row in 0..times.len() {
        if let Some(fault) = known.next_if(|fault| fault.row == row) {
            all.push(fault);
        } else if let Some(message) = complaint(times, row) {
            all.push(RowFault { row, error: RecordError { kind: RecordErrorKind::EventTime, message } });
        }
    }
    all
}

fn complaint(times: &Int64Array, row: usize) -> Option<String> {
    if times.is_null(row) {
        return Some("the event time is missing".to_owned());
    }
    match times.value(row) {
        time if time < 0 => Some(format!("the event time {time} is negative")),
        time if time > LAST_EVENT_TIME_MS => {
            Some(format!("the event time {time} lies after the year 9999: milliseconds are expected"))
        }
        _ => None,
    }
}
