//! A batch: user columns as an Arrow `RecordBatch`, and beside them the time and origin of each row.
//!
//! Rows that are dropped on the way (by a filter, say) still move time: [`RowClock`] keeps what they would have done to
//! the watermark with the next row that is left, so that dropping rows never changes what is late.

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{self, TakeOptions};
use arrow::datatypes::SchemaRef;

use crate::ids::{InputId, Offset, Origin};
use crate::mixture::Mixture;
use crate::time::{Millis, Watermark};

/// Rows that travel together between two operators. All arrays have the same length, which may be zero: a batch
/// without rows carries time only.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The columns, hidden system columns included, in the order of the edge's schema.
    pub rows: RecordBatch,
    /// Time and origin of each row.
    pub meta: RowMeta,
}

/// What every row carries beside its columns.
#[derive(Debug, Clone)]
pub struct RowMeta {
    /// The input that all rows of the batch came by, but where there is a `mixture`.
    pub input: InputId,
    /// Event time in milliseconds, never null.
    pub event_time: Int64Array,
    /// Where each row was read first.
    pub origin: RowOrigin,
    /// The offset at which each row was read first, never null. Rows made from one row share its offset.
    pub offset: Int64Array,
    /// How the rows move time.
    pub clock: RowClock,
    /// The row's place among those that entered the task in the same pass, kept only where a merge needs it to restore the
    /// order, or an unnest behind another to know which rows were made of one.
    pub position: Option<UInt32Array>,
    /// By which input each row came, where rows of several go through the graph in one pass; they then have places, and
    /// `input` and the clock's `own` and `after` say nothing.
    pub mixture: Option<Mixture>,
    /// Rows that retract an earlier result: a message with a key and no value. `None` where there are none.
    pub tombstone: Option<BooleanArray>,
}

/// The origins of a batch's rows: one for all, or one each (behind a repartition or a window).
#[derive(Debug, Clone)]
pub enum RowOrigin {
    /// All rows were read from one source partition.
    One(Origin),
    /// One [`Origin`] a row.
    Each(UInt64Array),
}

impl RowOrigin {
    /// The origin of row `row`.
    pub fn at(&self, row: usize) -> Origin {
        match self {
            RowOrigin::One(origin) => *origin,
            RowOrigin::Each(origins) => Origin(origins.value(row)),
        }
    }
}

/// How the rows of a batch move W_i of their input. In order: for each row, first `before` of the row, then, if its
/// group key is not null, what the row itself says (`own`); after the last row, `after`.
#[derive(Debug, Clone)]
pub struct RowClock {
    /// Watermarks to apply before each row: those of rows that were dropped since the row before. Not a running
    /// maximum. [`Watermark::UNKNOWN`] where there is nothing; `None` where that is so for all rows.
    pub before: Option<Int64Array>,
    /// What a row itself says.
    pub own: OwnTime,
    /// By what each row is late, where that is more than W_i of the input: behind a repartition, W_i of the input by which
    /// the sender had it. [`Watermark::UNKNOWN`] where it is not more; `None` where that is so for all rows.
    pub late_by: Option<Int64Array>,
    /// A watermark to apply after the last row; [`Watermark::UNKNOWN`] for none.
    pub after: Watermark,
}

/// What a row's own event time says about its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnTime {
    /// W_i reaches the row's event time less this span (the source's `out_of_order`).
    Less(Millis),
    /// Nothing: behind a repartition the sender has said it in `before`; results of a window move time by `after`.
    Silent,
}

/// Which rows are left out of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Omitted {
    /// Those that a step drops: they leave their time behind.
    Dropped,
    /// Those without a key, which do not move time.
    Keyless,
}

impl Omitted {
    /// What such rows themselves say, where those of the batch say `own`.
    pub(crate) fn own(self, own: OwnTime) -> OwnTime {
        match self {
            Omitted::Dropped => own,
            Omitted::Keyless => OwnTime::Silent,
        }
    }
}

impl OwnTime {
    /// The watermark that a row with a group key and event time `t` stands for.
    pub fn of(self, t: i64) -> Watermark {
        match self {
            OwnTime::Less(span) => Watermark::behind(Millis(t), span),
            OwnTime::Silent => Watermark::UNKNOWN,
        }
    }
}

impl RowClock {
    /// The clock of rows of which none has been dropped.
    pub fn new(own: OwnTime) -> RowClock {
        RowClock { before: None, own, late_by: None, after: Watermark::UNKNOWN }
    }

    /// The watermark to apply before row `row`.
    pub fn before(&self, row: usize) -> Watermark {
        self.before.as_ref().map_or(Watermark::UNKNOWN, |before| Watermark(before.value(row)))
    }

    /// By what row `row` is late, if that is more than W_i.
    pub fn late_by(&self, row: usize) -> Watermark {
        self.late_by.as_ref().map_or(Watermark::UNKNOWN, |late_by| Watermark(late_by.value(row)))
    }

    /// The watermark that a row with a group key and event time `t` itself stands for.
    pub fn own(&self, t: i64) -> Watermark {
        self.own.of(t)
    }
}

impl Batch {
    /// A batch without rows that only says that `input` has reached `after`.
    pub fn time_only(schema: SchemaRef, input: InputId, after: Watermark) -> Batch {
        Batch {
            rows: RecordBatch::new_empty(schema),
            meta: RowMeta {
                input,
                event_time: Int64Array::from(Vec::<i64>::new()),
                origin: RowOrigin::One(Origin::default()),
                offset: Int64Array::from(Vec::<i64>::new()),
                clock: RowClock { after, ..RowClock::new(OwnTime::Silent) },
                position: None,
                mixture: None,
                tombstone: None,
            },
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether the batch carries time only.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the batch has neither rows nor anything to say about time.
    pub fn says_nothing(&self) -> bool {
        let says = |mixture: &Mixture| !mixture.left_out().is_empty();
        self.is_empty() && !self.meta.clock.after.is_known() && !self.meta.mixture.as_ref().is_some_and(says)
    }

    /// The order of row `row` among rows of equal event time: (topic, partition), offset.
    pub fn order(&self, row: usize) -> (Origin, Offset) {
        (self.meta.origin.at(row), Offset(self.meta.offset.value(row)))
    }

    /// The place of row `row` in the pass, where places are kept.
    pub(crate) fn position(&self, row: usize) -> u32 {
        self.meta.position.as_ref().map_or(0, |position| position.value(row))
    }

    /// Whether row `row` retracts an earlier result.
    pub fn is_tombstone(&self, row: usize) -> bool {
        self.meta.tombstone.as_ref().is_some_and(|tombstone| tombstone.value(row))
    }

    /// The same rows and times under other columns.
    ///
    /// # Panics
    /// If `rows` has another number of rows: an operator's mistake, never the data's.
    pub fn with_rows(&self, rows: RecordBatch) -> Batch {
        assert_eq!(rows.num_rows(), self.len(), "columns of another batch");
        Batch { rows, meta: self.meta.clone() }
    }

    /// The first `rows` rows, and the others with what the batch says about time after them.
    pub fn split_at(&self, rows: usize) -> (Batch, Batch) {
        let mut first = self.slice(0, rows);
        first.meta.clock.after = Watermark::UNKNOWN;
        (first, self.slice(rows, self.len() - rows))
    }

    /// So many rows from row `from` on, with what the batch says about time after them all.
    pub(crate) fn slice(&self, from: usize, rows: usize) -> Batch {
        Batch { rows: self.rows.slice(from, rows), meta: self.meta.slice(from, rows) }
    }

    /// The rows for which `keep` is true (null counts as false). Those dropped leave their time behind.
    pub fn filter(&self, keep: &BooleanArray) -> Batch {
        assert_eq!(keep.len(), self.len(), "a selection of another batch");
        let kept = keep.true_count();
        if kept == self.len() {
            return self.clone();
        }
        self.take(&chosen(keep))
    }

    /// The rows for which `keyed` is true. Those left out have no key, and so say nothing about time themselves; what was
    /// dropped before them has said what it has.
    pub fn keyed(&self, keyed: &BooleanArray) -> Batch {
        assert_eq!(keyed.len(), self.len(), "a selection of another batch");
        self.take_where(&chosen(keyed), Omitted::Keyless)
    }

    /// The rows at `indices`, which must ascend. A row may stand several times, as behind unnest, which sees to it that they
    /// are not so many that columns of texts or lists would be longer than columns can be. Rows that are left out leave
    /// their time behind with the next row that is taken, or at the end.
    pub fn take(&self, indices: &UInt32Array) -> Batch {
        self.take_where(indices, Omitted::Dropped)
    }

    fn take_where(&self, indices: &UInt32Array, omitted: Omitted) -> Batch {
        let columns = self.rows.columns().iter().map(|column| take_array(column.as_ref(), indices)).collect::<Vec<_>>();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(indices.len()));
        let rows = RecordBatch::try_new_with_options(self.rows.schema(), columns, &options)
            .expect("taken columns keep their types");
        Batch { rows, meta: self.meta.take_where(indices, omitted) }
    }
}

impl RowMeta {
    /// The meta of so many rows from row `from` on, with what is said about time after them all.
    pub(crate) fn slice(&self, from: usize, rows: usize) -> RowMeta {
        RowMeta {
            input: self.input,
            event_time: self.event_time.slice(from, rows),
            origin: match &self.origin {
                RowOrigin::One(origin) => RowOrigin::One(*origin),
                RowOrigin::Each(origins) => RowOrigin::Each(origins.slice(from, rows)),
            },
            offset: self.offset.slice(from, rows),
            clock: RowClock {
                before: self.clock.before.as_ref().map(|before| before.slice(from, rows)),
                late_by: self.clock.late_by.as_ref().map(|late_by| late_by.slice(from, rows)),
                ..self.clock
            },
            position: self.position.as_ref().map(|position| position.slice(from, rows)),
            mixture: self.mixture.as_ref().map(|mixture| mixture.slice(self.position.as_ref(), from, rows)),
            tombstone: self.tombstone.as_ref().map(|tombstone| tombstone.slice(from, rows)),
        }
    }

    /// The meta of the rows at `indices`, which must ascend; see [`Batch::take`].
    pub fn take(&self, indices: &UInt32Array) -> RowMeta {
        self.take_where(indices, Omitted::Dropped)
    }

    fn take_where(&self, indices: &UInt32Array, omitted: Omitted) -> RowMeta {
        RowMeta {
            input: self.input,
            event_time: take_as(&self.event_time, indices),
            origin: match &self.origin {
                RowOrigin::One(origin) => RowOrigin::One(*origin),
                RowOrigin::Each(origins) => RowOrigin::Each(take_as(origins, indices)),
            },
            offset: take_as(&self.offset, indices),
            clock: match self.mixture {
                None => self.clock_of(indices, omitted),
                Some(_) => self.clock_at(indices),
            },
            position: self.position.as_ref().map(|position| take_as(position, indices)),
            mixture: self.mixture.as_ref().map(|mixture| mixture.take(self, indices, omitted)),
            tombstone: self.tombstone.as_ref().map(|tombstone| take_as(tombstone, indices)),
        }
    }

    /// What a row of the batch, which is not empty, itself says: the first, where there are several inputs.
    pub(crate) fn own(&self) -> OwnTime {
        self.mixture.as_ref().map_or(self.clock.own, |mixture| mixture.at(0).1)
    }

    /// Sets what each row of the batch, which are of one input, itself says.
    pub(crate) fn set_own(&mut self, own: OwnTime) {
        match &mut self.mixture {
            None => self.clock.own = own,
            Some(mixture) => mixture.set_own(own),
        }
    }

    /// The clock of the rows at `indices`, where what the others say stays at their places.
    fn clock_at(&self, indices: &UInt32Array) -> RowClock {
        let clock = &self.clock;
        RowClock {
            before: clock.before.as_ref().map(|before| take_as(before, indices)),
            late_by: clock.late_by.as_ref().map(|late_by| take_as(late_by, indices)),
            ..*clock
        }
    }

    /// The clock of the rows at `indices`: each takes over the times of the rows left out before it.
    fn clock_of(&self, indices: &UInt32Array, omitted: Omitted) -> RowClock {
        let left_out_says = RowClock::new(omitted.own(self.clock.own));
        let rows = self.event_time.len();
        let times = self.event_time.values();
        let mut before = Vec::with_capacity(indices.len());
        let mut left_out = i64::MIN;
        let mut next = 0;
        for &index in indices.values() {
            let index = index as usize;
            debug_assert!(index + 1 >= next, "indices must ascend");
            for row in next..index {
                left_out = left_out.max(self.clock.before(row).0).max(left_out_says.own(times[row]).0);
            }
            if index >= next {
                left_out = left_out.max(self.clock.before(index).0);
            }
            before.push(left_out);
            left_out = i64::MIN;
            next = next.max(index + 1);
        }
        for row in next..rows {
            left_out = left_out.max(self.clock.before(row).0).max(left_out_says.own(times[row]).0);
        }
        let any = before.iter().any(|&w| w != i64::MIN);
        RowClock {
            before: any.then(|| Int64Array::from(before)),
            own: self.clock.own,
            late_by: self.clock.late_by.as_ref().map(|late_by| take_as(late_by, indices)),
            after: self.clock.after.max(Watermark(left_out)),
        }
    }
}

/// The indices of the rows that are chosen (null: they are not).
fn chosen(rows: &BooleanArray) -> UInt32Array {
    let is_chosen = |row: &usize| rows.is_valid(*row) && rows.value(*row);
    UInt32Array::from_iter_values((0..rows.len()).filter(is_chosen).map(|row| row as u32))
}

fn take_array(values: &dyn Array, indices: &UInt32Array) -> ArrayRef {
    compute::take(values, indices, Some(TakeOptions { check_bounds: false })).expect("indices lie within the batch")
}

fn take_as<T: Array + Clone + 'static>(values: &T, indices: &UInt32Array) -> T {
    let taken = take_array(values, indices);
    taken.as_any().downcast_ref::<T>().cloned().expect("take keeps the type")
}
