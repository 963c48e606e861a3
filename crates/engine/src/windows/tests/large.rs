//! Results and states that are large: they leave in batches of bounded size, and whatever the size the results are the same.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::{Context, Item, OnError};
use crate::expr::AggregateExpr;
use crate::ids::{InputId, Origin, PartitionId, Port};
use crate::ledger::Ledger;
use crate::operator::{Operator, Signal};
use crate::plan::{Emit, Late, NamedAggregate, WindowKind, WindowPlan};
use crate::time::Millis;

const ROWS: i64 = 100;
const TEXT: usize = 8_000;
const MOST: usize = (16 << 20) + (ROWS as usize + 1) * 2 * TEXT * 64;

fn operator(kind: WindowKind, emit: Emit) -> Box<dyn Operator> {
    let input =
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("s", DataType::Utf8, true)]));
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let output = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("window_start", time(), true),
        Field::new("window_end", time(), true),
        Field::new("all", DataType::Utf8, true),
    ]));
    let expr = AggregateExpr::compile("string_agg(s, ',')", &input).unwrap();
    let aggregates = vec![NamedAggregate { name: "all".into(), expr }];
    let (id, grace) = ("w".into(), Millis(0));
    let plan = WindowPlan { id, keys: vec![0], kind, grace, emit, late: Late::Drop, aggregates };
    crate::windows::build(&plan, input, output, vec![(InputId(0), "in/0".into())], InputId(9)).unwrap()
}

/// Texts of one key, a millisecond apart.
fn texts(rows: std::ops::Range<i64>) -> Batch {
    let column = || Int64Array::from_iter_values(rows.clone());
    let key: ArrayRef = Arc::new(rows.clone().map(|_| Some(1)).collect::<Int64Array>());
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(rows.clone().map(|n| format!("{n:TEXT$}"))));
    Batch {
        rows: RecordBatch::try_from_iter([("k", key), ("s", text)]).unwrap(),
        meta: RowMeta {
            input: InputId(0),
            event_time: column(),
            origin: RowOrigin::One(Origin::new(0, PartitionId(0))),
            offset: column(),
            clock: RowClock::new(OwnTime::Less(Millis(0))),
            position: None,
            mixture: None,
            tombstone: None,
        },
    }
}

/// What leaves a step: for each result its event time, and of how many texts it is made; and of each batch its bytes.
fn run(kind: WindowKind, emit: Emit, cuts: &[i64]) -> (Vec<(i64, usize)>, Vec<usize>) {
    let mut operator = operator(kind, emit);
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("w", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    let mut from = 0;
    for &to in cuts {
        operator.process(Port(0), texts(from..to), &mut cx).unwrap();
        from = to;
    }
    operator.before_commit(Millis(1), &mut cx).unwrap();
    operator.on_signal(Signal::Close, &mut cx).unwrap();
    let mut results = Vec::new();
    let mut sizes = Vec::new();
    for (_, item) in outbox {
        let Item::Batch(batch) = item else { continue };
        let texts = batch.rows.column(3).as_string::<i32>();
        results.extend(
            (0..texts.len()).map(|row| (batch.meta.event_time.value(row), texts.value(row).len().div_ceil(TEXT + 1))),
        );
        sizes.push(texts.value_data().len());
    }
    (results, sizes)
}

/// The results come in several batches, none of them large, whatever the cuts of the input.
fn check(kind: WindowKind, emit: Emit) -> Vec<(i64, usize)> {
    let (results, sizes) = run(kind, emit, &[ROWS]);
    assert!(sizes.len() > 2, "{kind:?}: {sizes:?}");
    assert!(sizes.iter().all(|&bytes| bytes < MOST), "{kind:?}: {sizes:?}");
    if emit == Emit::Final || emit == Emit::Arrival {
        assert_eq!(run(kind, emit, &[1, 30, ROWS]).0, results, "{kind:?}");
    }
    results
}

#[test]
fn results_of_over_leave_in_batches_of_bounded_size() {
    let all = (0..ROWS).map(|n| (n, n as usize + 1)).collect::<Vec<_>>();
    assert_eq!(check(WindowKind::Over(Millis(3_600_000)), Emit::Arrival), all);
    assert_eq!(check(WindowKind::Over(Millis(3_600_000)), Emit::Final), all);
}

#[test]
fn results_of_overlapping_windows_leave_in_batches_of_bounded_size() {
    let hopping = WindowKind::Hopping { size: Millis(50), every: Millis(1), offset: Millis(0) };
    for emit in [Emit::Final, Emit::Changes] {
        let results = check(hopping, emit);
        assert_eq!(results.iter().map(|result| result.1).sum::<usize>(), 50 * ROWS as usize);
    }
    for emit in [Emit::Final, Emit::Changes] {
        let results = check(WindowKind::Sliding(Millis(49)), emit);
        assert_eq!(results.iter().filter(|result| result.1 == 50).count(), ROWS as usize - 49);
    }
}

#[test]
fn what_changed_is_saved_in_frames_of_bounded_size() {
    let mut operator = operator(WindowKind::Tumbling { size: Millis(1), offset: Millis(0) }, Emit::Changes);
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("w", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    // Late rows are refused, so all go in at once.
    let mut batch = texts(0..3_000);
    batch.meta.clock = RowClock::new(OwnTime::Silent);
    operator.process(Port(0), batch, &mut cx).unwrap();
    let delta = operator.state().unwrap().take_delta().unwrap();
    assert_eq!(delta.rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3_000);
    assert!(delta.rows.len() > 1);
}
