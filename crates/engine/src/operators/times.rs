//! Times made of values: milliseconds since 1970, and which rows have none that can be one.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{self, CastOptions};
use arrow::datatypes::{
    DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use crate::error::{RecordError, RecordErrorKind, RowFault};

/// The last time that counts as one: the end of the year 9999. What lies later is a unit mistaken, and one such row would
/// close every window.
pub const LAST_EVENT_TIME_MS: i64 = 253_402_300_799_999;

/// What a time is to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// When it happened.
    EventTime,
    /// What its record will say.
    Timestamp,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::EventTime => "event time",
            Which::Timestamp => "timestamp of the record",
        }
    }

    fn kind(self) -> RecordErrorKind {
        match self {
            Which::EventTime => RecordErrorKind::EventTime,
            Which::Timestamp => RecordErrorKind::Encode,
        }
    }
}

/// Times or numbers as milliseconds since the epoch. Parts of a millisecond are cut off downwards.
pub(super) fn epoch_ms(values: &ArrayRef, which: Which) -> Result<Int64Array, String> {
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
                .map_err(|_| format!("a value of type {other} is no {}", which.name()))?;
            cast.as_primitive::<Int64Type>().clone()
        }
    };
    Ok(times)
}

/// `faults` and, in row order with them, the rows whose time is missing, negative or beyond all plausible times.
pub(super) fn implausible(times: &Int64Array, faults: Vec<RowFault>, which: Which) -> Vec<RowFault> {
    let all_well = times.null_count() == 0 && times.values().iter().all(|time| (0..=LAST_EVENT_TIME_MS).contains(time));
    if all_well {
        return faults;
    }
    let mut known = faults.into_iter().peekable();
    let mut all = Vec::new();
    for row in 0..times.len() {
        if let Some(fault) = known.next_if(|fault| fault.row == row) {
            all.push(fault);
        } else if let Some(message) = complaint(times, row, which.name()) {
            all.push(RowFault { row, error: RecordError { kind: which.kind(), message } });
        }
    }
    all
}

fn complaint(times: &Int64Array, row: usize, name: &str) -> Option<String> {
    if times.is_null(row) {
        return Some(format!("the {name} is missing"));
    }
    match times.value(row) {
        time if time < 0 => Some(format!("the {name} {time} is negative")),
        time if time > LAST_EVENT_TIME_MS => {
            Some(format!("the {name} {time} lies after the year 9999: milliseconds are expected"))
        }
        _ => None,
    }
}
