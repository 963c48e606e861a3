//! One operator with what a task and a runtime do around it: batches in, rows out, commits, restarts.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};

use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::{Context, Effect, Item, OnError};
use crate::error::TaskError;
use crate::expr::AggregateExpr;
use crate::ids::{InputId, Origin, PartitionId, Port, SinkId};
use crate::ledger::Ledger;
use crate::operator::{Operator, Signal};
use crate::plan::{AggregatePlan, Emit, Late, NamedAggregate, WindowKind, WindowPlan};
use crate::state::{Delta, PageId, PageSource};
use crate::time::{Millis, Watermark};

pub(super) const OUTPUT: InputId = InputId(99);

/// A row of input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) input: u32,
    pub(super) key: Option<i64>,
    pub(super) time: i64,
    pub(super) value: i64,
    pub(super) offset: i64,
}

/// A row on input 0 with value 1.
pub(super) fn row(key: i64, time: i64) -> Row {
    Row { input: 0, key: Some(key), time, value: 1, offset: 0 }
}

/// A row of output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Result {
    pub(super) key: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) count: i64,
    pub(super) sum: i64,
    pub(super) tenths: f64,
    pub(super) first: i64,
    pub(super) time: i64,
}

/// What stays the same when the operator is made anew.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) kind: Option<WindowKind>,
    pub(super) grace: i64,
    pub(super) emit: Emit,
    pub(super) late: Late,
    pub(super) inputs: u32,
    pub(super) out_of_order: i64,
}

impl Step {
    pub(super) fn new(kind: WindowKind, grace: i64) -> Step {
        Step { kind: Some(kind), grace, emit: Emit::Final, late: Late::Drop, inputs: 1, out_of_order: 0 }
    }

    fn input_schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("v", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
        ]))
    }

    /// Compiled once: the operator is built thousands of times.
    fn aggregates() -> Vec<NamedAggregate> {
        static COMPILED: OnceLock<Vec<NamedAggregate>> = OnceLock::new();
        let named = |(name, sql): (&str, &str)| NamedAggregate {
            name: name.to_owned(),
            expr: AggregateExpr::compile(sql, &Self::input_schema()).unwrap(),
        };
        let all = [("count", "count(*)"), ("sum", "sum(v)"), ("tenths", "sum(f)"), ("first", "first(v)")];
        COMPILED.get_or_init(|| all.into_iter().map(named).collect()).clone()
    }

    fn operator(&self) -> Box<dyn Operator> {
        let input = Self::input_schema();
        let aggregates = Self::aggregates();
        let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let mut fields = vec![Field::new("k", DataType::Int64, true)];
        if self.kind.is_some() {
            fields.extend([Field::new("window_start", time(), true), Field::new("window_end", time(), true)]);
        }
        fields.extend([
            Field::new("count", DataType::Int64, true),
            Field::new("sum", DataType::Int64, true),
            Field::new("tenths", DataType::Float64, true),
            Field::new("first", DataType::Int64, true),
        ]);
        let output = Arc::new(Schema::new(fields));
        let inputs = (0..self.inputs).map(|input| (InputId(input), format!("in/{input}"))).collect();
        match self.kind {
            Some(kind) => {
                let plan = WindowPlan {
                    id: "w".into(),
                    keys: vec![0],
                    kind,
                    grace: Millis(self.grace),
                    emit: self.emit,
                    late: self.late,
                    aggregates,
                };
                crate::windows::build(&plan, input, output, inputs, OUTPUT).unwrap()
            }
            None => {
                let plan = AggregatePlan { id: "a".into(), keys: vec![0], emit: self.emit, aggregates };
                crate::operators::aggregate::build(&plan, input, output, inputs, OUTPUT).unwrap()
            }
        }
    }
}

/// Pages as they were stored.
struct Stored(BTreeMap<PageId, RecordBatch>);

impl PageSource for Stored {
    fn page(&self, id: PageId) -> std::result::Result<Option<RecordBatch>, TaskError> {
        Ok(self.0.get(&id).cloned())
    }
}

/// A running step.
pub(super) struct World {
    pub(super) step: Step,
    operator: Box<dyn Operator>,
    pub(super) ledger: Ledger,
    pub(super) results: Vec<Result>,
    /// Late rows that were sent on: event time and header.
    pub(super) late: Vec<(i64, String)>,
    pub(super) signals: Vec<Signal>,
    /// The last watermark told to the nodes behind.
    pub(super) told: Watermark,
    changelog: Vec<Delta>,
    store: BTreeMap<PageId, RecordBatch>,
    stored: Option<(Vec<u8>, usize)>,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new(step: Step) -> World {
        World {
            operator: step.operator(),
            step,
            ledger: Ledger::default(),
            results: Vec::new(),
            late: Vec::new(),
            signals: Vec::new(),
            told: Watermark::UNKNOWN,
            changelog: Vec::new(),
            store: BTreeMap::new(),
            stored: None,
            now: 0,
        }
    }

    /// Rows of one input as one batch.
    pub(super) fn rows(&mut self, rows: &[Row]) {
        assert!(rows.iter().all(|row| row.input == rows[0].input));
        let column = |value: fn(&Row) -> i64| Int64Array::from_iter_values(rows.iter().map(value));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.key).collect::<Int64Array>()),
            Arc::new(column(|row| row.value)),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.value as f64 / 10.0))),
        ];
        let input = rows[0].input;
        let meta = RowMeta {
            input: InputId(input),
            event_time: column(|row| row.time),
            origin: RowOrigin::One(Origin::new(0, PartitionId(input))),
            offset: column(|row| row.offset),
            clock: RowClock::new(OwnTime::Less(Millis(self.step.out_of_order))),
            position: None,
            mixture: None,
            tombstone: None,
        };
        let batch = Batch { rows: RecordBatch::try_new(Step::input_schema(), columns).unwrap(), meta };
        self.ledger.rows_in += rows.len() as u64;
        self.run(|operator, cx| operator.process(Port(0), batch, cx).unwrap());
    }

    /// Each row as a batch of its own.
    pub(super) fn each(&mut self, rows: &[Row]) {
        rows.iter().for_each(|row| self.rows(std::slice::from_ref(row)));
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.run(|operator, cx| operator.on_signal(signal, cx).unwrap());
    }

    /// Time alone.
    pub(super) fn time(&mut self, input: u32, watermark: i64) {
        let batch = Batch::time_only(Step::input_schema(), InputId(input), Watermark(watermark));
        self.run(|operator, cx| operator.process(Port(0), batch, cx).unwrap());
    }

    pub(super) fn commit(&mut self) {
        let now = Millis(self.now);
        self.run(|operator, cx| operator.before_commit(now, cx).unwrap());
        let delta = self.operator.state().unwrap().take_delta().unwrap();
        self.changelog.push(delta);
    }

    /// A commit, and its pages into the store.
    pub(super) fn flush(&mut self) {
        self.commit();
        while self.flush_some(3) {}
        let state = self.operator.state().unwrap();
        self.stored = Some((state.scalars(), self.changelog.len()));
        // The store is what the memory is.
        assert_eq!(state.page_ids(), self.store.keys().copied().collect::<Vec<_>>());
        for (id, rows) in &self.store {
            assert_eq!(state.page(*id).unwrap().rows.as_ref(), Some(rows));
        }
    }

    /// Right after a commit: some of the pages that changed, into the store, which is not good for any more by that. Whether
    /// there were as many.
    pub(super) fn flush_some(&mut self, most: usize) -> bool {
        let images = self.operator.state().unwrap().take_dirty_pages(most).unwrap();
        let as_many = images.len() == most;
        for image in images {
            match image.rows {
                Some(rows) => self.store.insert(image.id, rows),
                None => self.store.remove(&image.id),
            };
        }
        as_many
    }

    pub(super) fn memory_bytes(&mut self) -> usize {
        self.operator.state().unwrap().memory_bytes()
    }

    /// How many rows of state stand, after `change`, in the pages that were named before it.
    pub(super) fn rows_in_pages_before(&mut self, change: impl FnOnce(&mut World)) -> usize {
        let pages = self.operator.state().unwrap().page_ids();
        change(self);
        let state = self.operator.state().unwrap();
        assert!(state.page_ids().len() > pages.len());
        pages.iter().filter_map(|id| state.page(*id).unwrap().rows).map(|rows| rows.num_rows()).sum()
    }

    /// After a flush: pages are let go, to be read back from what was stored.
    pub(super) fn evict(&mut self) -> usize {
        let source: Arc<dyn PageSource> = Arc::new(Stored(self.store.clone()));
        let state = self.operator.state().unwrap();
        let (held, pages) = (state.held_rows(), state.page_ids());
        let gone = state.evict(0, &source);
        assert_eq!((state.held_rows(), state.page_ids()), (held, pages), "what is let go is still there");
        for id in state.page_ids() {
            assert_eq!(state.page(id).unwrap().rows.as_ref(), self.store.get(&id));
        }
        gone
    }

    /// The operator is dropped and built from the last commit; what was not committed must not have been given.
    pub(super) fn restart(&mut self) {
        let held = self.operator.state().unwrap().held_rows();
        self.operator = self.step.operator();
        let state = self.operator.state().unwrap();
        let mut from = 0;
        if let Some((scalars, position)) = &self.stored {
            state.load_scalars(scalars).unwrap();
            let source: Arc<dyn PageSource> = Arc::new(Stored(self.store.clone()));
            for (at, (id, rows)) in self.store.iter().enumerate() {
                state.load_page(*id, rows.clone()).unwrap();
                if at % 3 == 2 {
                    state.evict(0, &source);
                }
            }
            from = *position;
        }
        for delta in &self.changelog[from..] {
            state.apply(delta.clone()).unwrap();
            state.apply(delta.clone()).unwrap();
        }
        assert_eq!(state.held_rows(), held);
        let again = state.take_delta().unwrap();
        assert!(again.rows.is_empty() && again.dropped_panes.is_empty(), "what was restored is not news");
        self.ledger = Ledger { restored: held, held, ..Ledger::default() };
    }

    fn run(&mut self, call: impl FnOnce(&mut Box<dyn Operator>, &mut Context<'_>)) {
        let (mut outbox, mut effects) = (Vec::new(), Vec::new());
        let mut cx = Context::new("w", OnError::Fail, &mut self.ledger, &mut outbox, &mut effects);
        call(&mut self.operator, &mut cx);
        assert!(self.ledger.balances(), "{}", self.ledger);
        for (_, item) in outbox {
            match item {
                Item::Batch(batch) => self.take(&batch),
                Item::Signal(signal) => self.signals.push(signal),
            }
        }
        for effect in effects {
            let Effect::Output(output) = effect else { panic!("unexpected effect") };
            assert_eq!(output.sink, SinkId(7));
            let (name, values) = &output.headers[0];
            assert_eq!(name, "millstream.late.windows");
            let values: &StringArray = values.as_string();
            let times = output.batch.meta.event_time.values();
            self.late.extend(times.iter().zip(values).map(|(time, value)| (*time, value.unwrap().to_owned())));
        }
    }

    fn take(&mut self, batch: &Batch) {
        // Results of rows as they come are rows of their input.
        let input = if self.step.emit == Emit::Arrival { batch.meta.input } else { OUTPUT };
        assert_eq!((batch.meta.input, batch.meta.clock.own), (input, OwnTime::Silent));
        let numbers = |column: usize| batch.rows.column(column).as_primitive::<Int64Type>().clone();
        let bounded = self.step.kind.is_some();
        let bound = |column: usize, row: usize| match bounded {
            true => batch.rows.column(column).as_primitive::<TimestampMillisecondType>().value(row),
            false => 0,
        };
        let at = if bounded { 3 } else { 1 };
        for row in 0..batch.len() {
            let time = batch.meta.event_time.value(row);
            let ever_late =
                self.step.emit == Emit::Arrival || matches!(self.step.kind, Some(WindowKind::Count(_)) | None);
            assert!(ever_late || time >= self.told.0, "a result at {time} is late behind {:?}", self.told);
            self.results.push(Result {
                key: numbers(0).value(row),
                start: bound(1, row),
                end: bound(2, row),
                count: numbers(at).value(row),
                sum: numbers(at + 1).value(row),
                tenths: batch.rows.column(at + 2).as_primitive::<Float64Type>().value(row),
                first: numbers(at + 3).value(row),
                time,
            });
            assert!(batch.rows.column(0).is_valid(row));
        }
        let after = batch.meta.clock.after;
        let is_repeated = batch.is_empty() || self.step.emit == Emit::Arrival;
        assert!(!after.is_known() || after > self.told || is_repeated);
        self.told = self.told.max(after);
    }
}
