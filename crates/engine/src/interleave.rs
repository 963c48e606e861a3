//! Rows of several batches as one, in a given order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};

/// One batch of the rows `picks`: (batch, row). It came by the first batch's input, and says of time after its rows what that
/// says. Of a mixture of inputs it knows nothing.
///
/// # Errors
/// If columns of the batches have different types.
///
/// # Panics
/// If there is no batch, or a pick is of none.
pub(crate) fn interleave(batches: &[&Batch], picks: &[(usize, usize)]) -> Result<Batch, ArrowError> {
    let pick = |arrays: Vec<&dyn Array>| compute::interleave(&arrays, picks);
    let schema = common_schema(batches);
    let columns = (0..schema.fields().len())
        .map(|column| pick(batches.iter().map(|batch| batch.rows.column(column).as_ref()).collect()))
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;

    let before = batches
        .iter()
        .any(|batch| batch.meta.clock.before.is_some())
        .then(|| picks.iter().map(|&(batch, row)| batches[batch].meta.clock.before(row).0).collect::<Vec<_>>().into());
    let late_by = batches
        .iter()
        .any(|batch| batch.meta.clock.late_by.is_some())
        .then(|| picks.iter().map(|&(batch, row)| batches[batch].meta.clock.late_by(row).0).collect::<Vec<_>>().into());
    let position = batches
        .iter()
        .all(|batch| batch.meta.position.is_some())
        .then(|| picks.iter().map(|&(batch, row)| batches[batch].position(row)).collect::<Vec<_>>().into());
    let tombstone = batches
        .iter()
        .any(|batch| batch.meta.tombstone.is_some())
        .then(|| picks.iter().map(|&(batch, row)| batches[batch].is_tombstone(row)).collect::<Vec<_>>().into());
    let first = &batches[0].meta;
    // Where some of the rows' times move their input, those of the others do no harm: they are of the same pass.
    let own = batches.iter().map(|batch| batch.meta.clock.own).find(|own| *own != OwnTime::Silent);
    let meta = RowMeta {
        input: first.input,
        event_time: Int64Array::from_iter_values(
            picks.iter().map(|&(batch, row)| batches[batch].meta.event_time.value(row)),
        ),
        origin: origins(batches, picks),
        offset: Int64Array::from_iter_values(picks.iter().map(|&(batch, row)| batches[batch].meta.offset.value(row))),
        clock: RowClock { before, own: own.unwrap_or(OwnTime::Silent), late_by, after: first.clock.after },
        position,
        mixture: None,
        tombstone,
    };
    Ok(Batch { rows, meta })
}

fn origins(batches: &[&Batch], picks: &[(usize, usize)]) -> RowOrigin {
    if let RowOrigin::One(origin) = &batches[0].meta.origin
        && batches.iter().all(|batch| matches!(&batch.meta.origin, RowOrigin::One(other) if other == origin))
    {
        return RowOrigin::One(*origin);
    }
    let each = picks.iter().map(|&(batch, row)| batches[batch].meta.origin.at(row).0);
    RowOrigin::Each(UInt64Array::from_iter_values(each))
}

/// The schema of the merged rows: a column may be null when it may be so in one of the inputs.
fn common_schema(batches: &[&Batch]) -> SchemaRef {
    let first = batches[0].rows.schema_ref();
    if batches.iter().all(|batch| batch.rows.schema_ref() == first) {
        return Arc::clone(first);
    }
    let field = |(column, field): (usize, &Arc<Field>)| {
        let nullable = batches.iter().any(|batch| batch.rows.schema_ref().field(column).is_nullable());
        field.as_ref().clone().with_nullable(nullable)
    };
    Arc::new(Schema::new(first.fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}
