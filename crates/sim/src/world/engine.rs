//! The engine's operator for a case: its plan, its batches, and its results read back.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use millstream_engine::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use millstream_engine::expr::AggregateExpr;
use millstream_engine::ids::{InputId, Origin, PartitionId, SinkId};
use millstream_engine::mixture::Mixture;
use millstream_engine::operator::Operator;
use millstream_engine::plan::{Emit, Late, NamedAggregate, WindowKind, WindowPlan};
use millstream_engine::time::{Millis, Watermark};

use super::run::Seen;
use super::{Case, Clock, When};
use crate::model::{Kind, Row, Values};

/// The results of every case: name and SQL. The last is there for its bits.
pub(super) const AGGREGATES: &[(&str, &str)] = &[
    ("rows", "count(*)"),
    ("count", "count(v)"),
    ("sum", "sum(v)"),
    ("min", "min(v)"),
    ("max", "max(v)"),
    ("first", "first(v)"),
    ("last", "last(v)"),
    ("avg", "avg(v)"),
    ("list", "collect_list(v)"),
    ("bits", "sum(v * 0.1)"),
];

/// The operator of a case, with empty state.
pub(super) fn operator(case: &Case) -> Result<Box<dyn Operator>, String> {
    let rules = case.rules;
    let (kind, emit) = window(rules.kind, case.emit);
    let plan = WindowPlan {
        id: "world".to_owned(),
        keys: vec![0],
        kind,
        grace: Millis(rules.grace),
        emit,
        late: Late::To(SinkId(0)),
        aggregates: aggregates().to_vec(),
    };
    let inputs = (0..rules.inputs).map(|input| (InputId(input as u32), format!("rows/{input}"))).collect();
    millstream_engine::windows::build(&plan, input_schema(), output_schema(), inputs, InputId(9))
        .map_err(|error| error.to_string())
}

/// The engine's names for a kind of window.
pub(super) fn window(kind: Kind, emit: When) -> (WindowKind, Emit) {
    let by_emit = match emit {
        When::Final => Emit::Final,
        When::Changes => Emit::Changes,
    };
    match kind {
        Kind::Tumbling { size, offset } => {
            (WindowKind::Tumbling { size: Millis(size), offset: Millis(offset) }, by_emit)
        }
        Kind::Hopping { size, every, offset } => {
            (WindowKind::Hopping { size: Millis(size), every: Millis(every), offset: Millis(offset) }, by_emit)
        }
        Kind::Sliding(span) => (WindowKind::Sliding(Millis(span)), by_emit),
        Kind::OverArrival(span) => (WindowKind::Over(Millis(span)), Emit::Arrival),
        Kind::OverFinal(span) => (WindowKind::Over(Millis(span)), Emit::Final),
        Kind::Session(gap) => (WindowKind::Session(Millis(gap)), by_emit),
        Kind::Count(rows) => (WindowKind::Count(rows as u64), Emit::Final),
    }
}

fn aggregates() -> &'static [NamedAggregate] {
    static COMPILED: OnceLock<Vec<NamedAggregate>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let compile = |&(name, sql): &(&str, &str)| NamedAggregate {
            name: name.to_owned(),
            expr: AggregateExpr::compile(sql, &input_schema()).expect("the aggregates of the world compile"),
        };
        AGGREGATES.iter().map(compile).collect()
    })
}

fn input_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Utf8, true), Field::new("v", DataType::Int64, true)]))
}

fn output_schema() -> SchemaRef {
    let bound = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("window_start", bound(), true),
        Field::new("window_end", bound(), true),
    ];
    let result = |named: &NamedAggregate| Field::new(&named.name, named.expr.result.data_type().clone(), true);
    fields.extend(aggregates().iter().map(result));
    Arc::new(Schema::new(fields))
}

/// The batch of rows of one input or several.
pub(super) fn batch(case: &Case, rows: &[&Row]) -> Batch {
    let keys = rows.iter().map(|row| row.key.as_deref()).collect::<StringArray>();
    let values = rows.iter().map(|row| row.value).collect::<Int64Array>();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    let input = rows.first().map_or(0, |row| row.input);
    let clock = match case.clock {
        Clock::Own => RowClock::new(OwnTime::Less(Millis(case.rules.out_of_order))),
        Clock::Sender => {
            let says = |row: &&Row| match row.key {
                Some(_) => row.t - case.rules.out_of_order,
                None => Watermark::UNKNOWN.0,
            };
            let before = Some(rows.iter().map(says).collect::<Vec<_>>().into());
            RowClock { before, ..RowClock::new(OwnTime::Silent) }
        }
    };
    let of_several = rows.iter().any(|row| row.input != input);
    let mixture = of_several.then(|| {
        let inputs = (0..case.rules.inputs).map(|input| (InputId(input as u32), clock.own)).collect();
        Mixture::new(inputs, rows.iter().map(|row| row.input as u32).collect::<Vec<_>>().into())
    });
    Batch {
        rows: RecordBatch::try_new(input_schema(), columns).expect("columns of the world's schema"),
        meta: RowMeta {
            input: InputId(input as u32),
            event_time: rows.iter().map(|row| row.t).collect::<Vec<_>>().into(),
            origin: RowOrigin::Each(rows.iter().map(|row| Origin::new(0, PartitionId(row.input as u32)).0).collect()),
            offset: rows.iter().map(|row| row.offset).collect::<Vec<_>>().into(),
            position: mixture.is_some().then(|| (0..rows.len() as u32).collect::<Vec<_>>().into()),
            mixture,
            clock,
            tombstone: None,
        },
    }
}

/// The results in a batch.
pub(super) fn results(batch: &Batch) -> Vec<Seen> {
    let columns = batch.rows.columns();
    let number = |column: usize, row: usize| value::<Int64Type>(columns[column].as_primitive(), row);
    let time = |column: usize, row: usize| value::<TimestampMillisecondType>(columns[column].as_primitive(), row);
    let double = |column: usize, row: usize| value::<Float64Type>(columns[column].as_primitive(), row);
    let list = |row: usize| match columns[11].as_list::<i32>() {
        lists if lists.is_null(row) => Vec::new(),
        lists => lists.value(row).as_primitive::<Int64Type>().iter().collect(),
    };
    let see = |row: usize| Seen {
        key: columns[0].as_string::<i32>().value(row).to_owned(),
        start: time(1, row).unwrap_or(i64::MIN),
        end: time(2, row).unwrap_or(i64::MIN),
        event_time: batch.meta.event_time.value(row),
        retracted: batch.is_tombstone(row),
        values: Values {
            rows: number(3, row).unwrap_or(-1),
            count: number(4, row).unwrap_or(-1),
            sum: number(5, row),
            min: number(6, row),
            max: number(7, row),
            first: number(8, row),
            last: number(9, row),
            avg: double(10, row),
            list: list(row),
        },
        bits: double(12, row).map(f64::to_bits),
    };
    (0..batch.len()).map(see).collect()
}

fn value<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}
