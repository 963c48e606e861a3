//! The stateless operators, one a file; none of them may remember anything from one pass to the next.

pub mod aggregate;
pub mod branch;
pub mod exchange;
pub mod filter;
pub mod key_by;
pub mod merge;
pub mod project;
pub mod sink;
pub mod source;
mod times;
pub mod unnest;

#[cfg(test)]
mod tests;

pub use branch::Branch;
pub use filter::Filter;
pub use key_by::KeyBy;
pub use merge::Merge;
pub use project::Project;
pub use sink::Sink;
pub use source::Source;
pub use unnest::Unnest;

use arrow::array::{BooleanArray, BooleanBufferBuilder};

use crate::batch::Batch;
use crate::error::RowFault;

/// Leaves out the faults of rows that retract an earlier result: their values are missing by nature.
fn without_tombstones(batch: &Batch, mut faults: Vec<RowFault>) -> Vec<RowFault> {
    if batch.meta.tombstone.is_some() {
        faults.retain(|fault| !batch.is_tombstone(fault.row));
    }
    faults
}

/// The selection of all rows but those at fault.
fn all_but(rows: usize, faults: &[RowFault]) -> BooleanArray {
    let mut keep = BooleanBufferBuilder::new(rows);
    keep.append_n(rows, true);
    for fault in faults {
        keep.set_bit(fault.row, false);
    }
    BooleanArray::new(keep.finish(), None)
}
