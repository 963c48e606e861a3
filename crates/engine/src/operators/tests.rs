//! The stateless operators, whole and in every even cut.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;
use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::{Context, Effect, Item, OnError};
use crate::error::{RecordErrorKind, TaskError};
use crate::expr::Expr;
use crate::ids::{InputId, Origin, Port, SinkId};
use crate::ledger::Ledger;
use crate::operator::{Operator, Signal};
use crate::plan::{BranchPlan, Otherwise, SinkPlan, SourcePlan, UnnestPlan};
use crate::time::{Millis, Watermark};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("n", DataType::Int64, true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
    ]))
}

/// id, n, tags and event time.
type Row<'a> = (i64, Option<i64>, Option<&'a [&'a str]>, i64);

/// Rows with their event times; row `i` has offset `i` and position `i`.
fn batch(rows: &[Row<'_>]) -> Batch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    for (_, _, list, _) in rows {
        match list {
            Some(list) => tags.append_value(list.iter().map(|tag| Some(*tag))),
            None => tags.append_null(),
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(tags.finish()),
    ];
    Batch {
        rows: RecordBatch::try_new(schema(), columns).unwrap(),
        meta: RowMeta {
            input: InputId(0),
            event_time: Int64Array::from_iter_values(rows.iter().map(|row| row.3)),
            origin: RowOrigin::One(Origin(7)),
            offset: Int64Array::from_iter_values(0..rows.len() as i64),
            clock: RowClock::new(OwnTime::Less(Millis(5))),
            position: Some(UInt32Array::from_iter_values(0..rows.len() as u32)),
            mixture: None,
            tombstone: None,
        },
    }
}

fn sample() -> Batch {
    batch(&[
        (0, Some(1), Some(&["a", "b"]), 100),
        (1, Some(0), Some(&[]), 300),
        (2, None, None, 200),
        (3, Some(4), Some(&["c"]), 150),
        (4, Some(0), Some(&["d"]), 900),
        (5, Some(2), None, 400),
        (6, Some(-1), Some(&["e", "f", "g"]), 500),
        (7, Some(0), Some(&["h"]), 1000),
    ])
}

/// What came of a run: per output the rows as text with W at each, and W at the end.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    rows: Vec<Vec<(String, i64)>>,
    end: Vec<i64>,
    faults: Vec<(i64, RecordErrorKind)>,
    ledger: Ledger,
}

/// Runs an operator over batches, a pass each; the batch comes by port 0.
fn run(operator: &mut dyn Operator, batches: Vec<Batch>, outputs: usize) -> Seen {
    let mut seen = Seen { rows: vec![Vec::new(); outputs], end: vec![i64::MIN; outputs], ..Seen::default() };
    for batch in batches {
        let mut outbox = Vec::new();
        let mut effects = Vec::new();
        seen.ledger.rows_in += batch.len() as u64;
        let mut cx = Context::new("step", OnError::DeadLetter, &mut seen.ledger, &mut outbox, &mut effects);
        operator.process(Port(0), batch, &mut cx).unwrap();
        operator.end_pass(&mut cx).unwrap();
        for (output, item) in outbox {
            let Item::Batch(batch) = item else { panic!("no signal was sent") };
            watch(&batch, &mut seen.rows[output], &mut seen.end[output]);
        }
        for effect in effects {
            let Effect::DeadLetter(rejected) = effect else { panic!("only dead letters leave here") };
            assert_eq!(rejected.step, "step");
            assert_eq!(rejected.row.unwrap().num_rows(), 1);
            seen.faults.push((rejected.offset.0, rejected.error.kind));
        }
    }
    assert!(seen.ledger.balances(), "{}", seen.ledger);
    seen
}

/// Moves W as a stateful operator would.
fn watch(batch: &Batch, rows: &mut Vec<(String, i64)>, w: &mut i64) {
    for row in 0..batch.len() {
        let time = batch.meta.event_time.value(row);
        *w = (*w).max(batch.meta.clock.before(row).0).max(batch.meta.clock.own(time).0);
        rows.push((text(batch, row), *w));
    }
    *w = (*w).max(batch.meta.clock.after.0);
}

fn text(batch: &Batch, row: usize) -> String {
    let options = FormatOptions::default().with_null("null");
    let columns = batch
        .rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap().value(row).to_string());
    columns.collect::<Vec<_>>().join(" ")
}

/// Runs over the batch whole and in every even cut, which must not matter; gives back the run over the whole.
fn in_all_cuts(mut make: impl FnMut() -> Box<dyn Operator>, batch: &Batch, outputs: usize) -> Seen {
    let whole = run(make().as_mut(), vec![batch.clone()], outputs);
    for size in 1..batch.len() {
        let mut rest = batch.clone();
        let mut cuts = Vec::new();
        while rest.len() > size {
            let (cut, after) = rest.split_at(size);
            cuts.push(cut);
            rest = after;
        }
        cuts.push(rest);
        assert_eq!(run(make().as_mut(), cuts, outputs), whole, "cut by {size}");
    }
    whole
}

fn expr(sql: &str) -> Expr {
    Expr::compile(sql, &schema()).unwrap()
}

fn ids(rows: &[(String, i64)]) -> Vec<&str> {
    rows.iter().map(|(row, _)| row.split(' ').next().unwrap()).collect()
}

#[test]
fn filter_keeps_what_is_true_and_all_time() {
    let seen = in_all_cuts(|| Box::new(Filter::new(expr("10 / n > 0"))), &sample(), 1);
    assert_eq!(ids(&seen.rows[0]), ["0", "3", "5"]);
    // Row 3 comes after 1, whose 300 - 5 stands although 1 failed; row 5 after 4.
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [95, 295, 895]);
    assert_eq!(seen.end, [995]);
    let fault = RecordErrorKind::Expression;
    assert_eq!(seen.faults, [(1, fault), (4, fault), (7, fault)]);
    assert_eq!((seen.ledger.passed, seen.ledger.filtered, seen.ledger.errors), (3, 2, 3));
}

#[test]
fn filter_passes_tombstones_and_time() {
    let mut batch = sample();
    batch.meta.tombstone = Some(BooleanArray::from(vec![false, true, false, false, false, false, false, false]));
    let seen = run(&mut Filter::new(expr("10 / n > 100")), vec![batch], 1);
    assert_eq!(ids(&seen.rows[0]), ["1"]);
    assert_eq!(seen.faults.len(), 2, "the tombstone is no fault");
    let time = Batch::time_only(schema(), InputId(0), Watermark(77));
    assert_eq!(run(&mut Filter::new(expr("n > 0")), vec![time], 1).end, [77]);
}

#[test]
fn key_by_leaves_out_rows_without_a_key_and_their_time() {
    let batch = batch(&[
        (0, Some(1), None, 100),
        (1, None, None, 900),
        (2, Some(3), None, 200),
        (3, Some(4), None, 300),
        (4, None, None, 950),
    ]);
    let seen = in_all_cuts(|| Box::new(KeyBy::new(vec![0, 1])), &batch, 1);
    assert_eq!(ids(&seen.rows[0]), ["0", "2", "3"]);
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [95, 195, 295]);
    assert_eq!((seen.end, seen.ledger.null_key, seen.ledger.passed), (vec![295], 2, 3));
    // What a filter has dropped before moves time all the same.
    let mut filtered = batch.filter(&BooleanArray::from(vec![false, true, true, true, true]));
    let seen = run(&mut KeyBy::new(vec![1]), vec![filtered.clone()], 1);
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [195, 295]);
    filtered.meta.tombstone = Some(BooleanArray::from(vec![true, false, false, false]));
    assert_eq!(ids(&run(&mut KeyBy::new(vec![1]), vec![filtered], 1).rows[0]), ["1", "2", "3"]);
}

#[test]
fn with_fail_the_task_is_told_of_every_fault() {
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    Filter::new(expr("10 / n > 0")).process(Port(0), sample(), &mut cx).unwrap();
    let offsets = effects.iter().map(|effect| match effect {
        Effect::DeadLetter(rejected) => rejected.offset.0,
        _ => panic!("nothing else leaves a filter"),
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 4, 7]);
}

#[test]
fn project_replaces_columns_and_refuses_a_row_once() {
    let out: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
    ]));
    let make = || {
        let exprs = vec![Expr::column(0, &schema()), expr("100 / n"), expr("7 / n + id")];
        Box::new(Project::new(exprs, out.clone())) as Box<dyn Operator>
    };
    let seen = in_all_cuts(make, &sample(), 1);
    let rows = seen.rows[0].iter().map(|row| row.0.as_str()).collect::<Vec<_>>();
    assert_eq!(rows, ["0 100 7", "2 null null", "3 25 4", "5 50 8", "6 -100 -1"]);
    assert_eq!(seen.faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 4, 7]);
    assert_eq!(seen.end, [995]);

    let nothing = Project::new(Vec::new(), Arc::new(Schema::empty()));
    assert_eq!(run(&mut { nothing }, vec![sample()], 1).rows[0].len(), 8, "rows without columns are rows");
}

#[test]
fn project_shares_columns() {
    let batch = sample();
    let mut project = Project::new(vec![Expr::column(0, &schema())], Arc::new(schema().project(&[0]).unwrap()));
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    project.process(Port(0), batch.clone(), &mut cx).unwrap();
    let Item::Batch(out) = &outbox[0].1 else { panic!("a batch") };
    assert!(Arc::ptr_eq(out.rows.column(0), batch.rows.column(0)));
}

#[test]
fn unnest_makes_a_row_of_each_element() {
    let out: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("n", DataType::Int64, true),
        Field::new("tags", DataType::Utf8, true),
    ]));
    let make = || Box::new(Unnest::new(UnnestPlan { column: 2 }, out.clone())) as Box<dyn Operator>;
    let seen = in_all_cuts(make, &sample(), 1);
    let rows = seen.rows[0].iter().map(|row| row.0.as_str()).collect::<Vec<_>>();
    assert_eq!(rows, ["0 1 a", "0 1 b", "3 4 c", "4 0 d", "6 -1 e", "6 -1 f", "6 -1 g", "7 0 h"]);
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [95, 95, 295, 895, 895, 895, 895, 995]);
    assert_eq!((seen.ledger.passed, seen.ledger.filtered, seen.ledger.rows_out), (5, 3, 8));

    let mut tombstone = sample();
    tombstone.meta.tombstone = Some(BooleanArray::from_iter((0..8).map(|row| Some(row == 2))));
    let seen = run(make().as_mut(), vec![tombstone], 1);
    assert_eq!(seen.rows[0][2].0, "2 null null");
    assert_eq!(seen.ledger.passed, 6);
}

/// Rows with a text of so many bytes and a list of so many elements.
fn wide(rows: usize, text: usize, elements: usize) -> (Batch, SchemaRef) {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for _ in 0..rows {
        lists.append_value((0..elements as i64).map(Some));
    }
    let lists = lists.finish();
    let texts = StringArray::from_iter_values((0..rows).map(|_| "x".repeat(text)));
    let field = |data_type: DataType| Field::new("c", data_type, true);
    let schema = Schema::new(vec![field(DataType::Utf8), field(lists.data_type().clone())]);
    let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(lists)];
    let rows = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let sample = batch(&vec![(0, None, None, 100); rows.num_rows()]);
    let out = Arc::new(Schema::new(vec![field(DataType::Utf8), field(DataType::Int64)]));
    (sample.with_rows(rows), out)
}

/// Runs an unnest of the second column; gives back how many rows each batch has, and the errors.
fn unnest_wide(batch: Batch, out: SchemaRef) -> (Vec<usize>, Ledger) {
    let mut unnest = Unnest::new(UnnestPlan { column: 1 }, out);
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    ledger.rows_in += batch.len() as u64;
    let mut cx = Context::new("step", OnError::DeadLetter, &mut ledger, &mut outbox, &mut effects);
    unnest.process(Port(0), batch, &mut cx).unwrap();
    let rows = outbox.iter().map(|(_, item)| if let Item::Batch(batch) = item { batch.len() } else { 0 });
    let rows = rows.filter(|&rows| rows > 0).collect();
    assert_eq!(ledger.errors, effects.len() as u64);
    assert!(ledger.balances(), "{ledger}");
    (rows, ledger)
}

#[test]
fn unnest_refuses_a_record_that_would_become_too_large() {
    let (batch, out) = wide(1, 300_000, 100_000);
    let (rows, ledger) = unnest_wide(batch, out);
    assert_eq!((rows, ledger.errors), (vec![], 1));
}

#[test]
fn unnest_sends_large_rows_in_batches_of_bounded_size() {
    let (batch, out) = wide(3, 100_000, 100);
    let (rows, ledger) = unnest_wide(batch, out);
    assert_eq!((rows, ledger.errors), (vec![100, 100, 100], 0));
}

#[test]
fn unnest_counts_all_rows_that_were_made_of_one_record() {
    let (mut batch, out) = wide(9, 100_000, 80);
    let (rows, _) = unnest_wide(batch.clone(), Arc::clone(&out));
    assert_eq!(rows.iter().sum::<usize>(), 720, "records of 8 MB each");
    batch.meta.position = Some(UInt32Array::from(vec![0, 1, 1, 1, 1, 1, 1, 1, 1]));
    let (rows, ledger) = unnest_wide(batch.clone(), Arc::clone(&out));
    assert_eq!((rows, ledger.errors), (vec![80, 640], 0), "64 MB of one record stay together");
    batch.meta.position = Some(UInt32Array::from(vec![1; 9]));
    let (rows, ledger) = unnest_wide(batch, out);
    assert_eq!((rows, ledger.errors), (vec![], 9));
}

#[test]
fn branch_takes_the_first_arm_that_is_true() {
    let make = |otherwise| {
        let arms = vec![expr("n > 1"), expr("10 / n > 0"), expr("n < 0")];
        Box::new(Branch::new(BranchPlan { arms, otherwise })) as Box<dyn Operator>
    };
    let seen = in_all_cuts(|| make(Otherwise::LastOutput), &sample(), 4);
    assert_eq!(
        seen.rows.iter().map(|rows| ids(rows)).collect::<Vec<_>>(),
        [vec!["3", "5"], vec!["0"], vec!["6"], vec!["2"],]
    );
    assert_eq!(seen.end, [995; 4], "time leaves by every output");
    assert_eq!(seen.faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 4, 7]);
    assert_eq!((seen.ledger.passed, seen.ledger.filtered), (5, 0));

    let seen = in_all_cuts(|| make(Otherwise::Drop), &sample(), 3);
    assert_eq!((seen.ledger.passed, seen.ledger.filtered), (4, 1));

    let mut tombstone = sample();
    tombstone.meta.tombstone = Some(BooleanArray::from_iter((0..8).map(|row| Some(row == 1))));
    let seen = run(make(Otherwise::Drop).as_mut(), vec![tombstone], 3);
    assert_eq!(
        seen.rows.iter().map(|rows| ids(rows)).collect::<Vec<_>>(),
        [vec!["1", "3", "5"], vec!["0", "1"], vec!["1", "6"],]
    );
}

#[test]
fn an_arm_does_not_fail_for_rows_that_are_taken() {
    let arms = vec![expr("n = 0"), expr("10 / n > 0")];
    let seen = run(&mut Branch::new(BranchPlan { arms, otherwise: Otherwise::Drop }), vec![sample()], 2);
    assert!(seen.faults.is_empty());
    assert_eq!(ids(&seen.rows[0]), ["1", "4", "7"]);
}

/// Branch, and merge behind it, as one operator.
struct BranchAndMerge {
    branch: Branch,
    merge: Merge,
}

impl Operator for BranchAndMerge {
    fn process(&mut self, port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let (mut between, mut effects) = (Vec::new(), Vec::new());
        let mut ledger = Ledger::default();
        let mut inner = Context::new("branch", OnError::Skip, &mut ledger, &mut between, &mut effects);
        self.branch.process(port, batch, &mut inner)?;
        cx.ledger().filtered += ledger.filtered;
        cx.ledger().errors += ledger.errors;
        // What comes by the last port first: the order of arrival must not matter.
        for (output, item) in between.into_iter().rev() {
            let Item::Batch(batch) = item else { panic!("a batch") };
            self.merge.process(Port(output), batch, cx)?;
        }
        Ok(())
    }

    fn end_pass(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.merge.end_pass(cx)
    }
}

#[test]
fn merge_restores_the_order_of_entry() {
    let make = |otherwise| {
        let arms = vec![expr("n > 1"), expr("10 / n > 0"), expr("n < 0")];
        let branch = Branch::new(BranchPlan { arms, otherwise });
        Box::new(BranchAndMerge { branch, merge: Merge::new(4) }) as Box<dyn Operator>
    };
    let seen = in_all_cuts(|| make(Otherwise::LastOutput), &sample(), 1);
    assert_eq!(ids(&seen.rows[0]), ["0", "2", "3", "5", "6"]);
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [95, 295, 295, 895, 895]);
    assert_eq!(seen.end, [995]);
    let seen = in_all_cuts(|| make(Otherwise::Drop), &sample(), 1);
    assert_eq!(ids(&seen.rows[0]), ["0", "3", "5", "6"]);
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [95, 295, 895, 895]);
}

#[test]
fn merge_keeps_ties_by_port_and_signals_behind_rows() {
    let mut merge = Merge::new(2);
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    merge.process(Port(1), sample(), &mut cx).unwrap();
    merge.on_signal(Signal::Close, &mut cx).unwrap();
    let mut first = sample();
    first.meta.tombstone = Some(BooleanArray::from(vec![true; 8]));
    first.meta.clock.after = Watermark(5000);
    merge.process(Port(0), first, &mut cx).unwrap();
    merge.on_signal(Signal::Close, &mut cx).unwrap();
    merge.end_pass(&mut cx).unwrap();
    assert_eq!(outbox.len(), 2);
    let Item::Batch(merged) = &outbox[0].1 else { panic!("rows come first") };
    let expected = (0..8).flat_map(|_| [true, false]).collect::<Vec<_>>();
    assert_eq!((0..16).map(|row| merged.is_tombstone(row)).collect::<Vec<_>>(), expected);
    assert_eq!(merged.meta.clock.after, Watermark(5000));
    assert!(matches!(outbox[1].1, Item::Signal(Signal::Close)), "one close, behind the rows");
}

#[test]
fn merge_lets_no_rowless_batch_overtake_its_input() {
    let mut merge = Merge::new(2);
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    merge.process(Port(0), Batch::time_only(schema(), InputId(0), Watermark(995)), &mut cx).unwrap();
    merge.process(Port(1), sample(), &mut cx).unwrap();
    let mut other = sample();
    other.meta.input = InputId(3);
    merge.process(Port(1), other, &mut cx).unwrap();
    merge.end_pass(&mut cx).unwrap();
    assert_eq!(outbox.len(), 2, "one batch for each input");
    let Item::Batch(merged) = &outbox[0].1 else { panic!("a batch") };
    assert_eq!((merged.len(), merged.meta.clock.after), (8, Watermark(995)));
}

#[test]
fn a_sink_hands_rows_out() {
    let mut sink = Sink::new(SinkPlan { sink: SinkId(2), timestamp: None, headers: Vec::new() });
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    sink.process(Port(0), sample(), &mut cx).unwrap();
    sink.process(Port(0), Batch::time_only(schema(), InputId(0), Watermark(1)), &mut cx).unwrap();
    assert_eq!((ledger.passed, ledger.rows_out), (8, 8));
    assert!(outbox.is_empty());
    let [Effect::Output(output)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((output.sink, output.batch.len()), (SinkId(2), 8));
}

/// A row that was handed out: its id, its timestamp, its share.
type HandedOut = (i64, i64, Option<i64>);

/// What a sink with a timestamp of `n` and the headers `id` and `share` hands out, what it refuses, and what it counts.
fn handed_out(batch: Batch) -> (Vec<HandedOut>, Vec<Effect>, Ledger) {
    let headers = vec![("id".to_owned(), expr("id")), ("share".to_owned(), expr("100 / nullif(n, 7)"))];
    let mut sink = Sink::new(SinkPlan { sink: SinkId(0), timestamp: Some(expr("n")), headers });
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("step", OnError::DeadLetter, &mut ledger, &mut outbox, &mut effects);
    sink.process(Port(0), batch, &mut cx).unwrap();
    let mut seen = Vec::new();
    effects.retain(|effect| {
        let Effect::Output(output) = effect else { return true };
        let [(id, ids), (share, shares)] = output.headers.as_slice() else { panic!("{:?}", output.headers) };
        assert_eq!((id.as_str(), share.as_str()), ("id", "share"));
        let (ids, shares) = (ids.as_primitive::<Int64Type>(), shares.as_primitive::<Int64Type>());
        for row in 0..output.batch.len() {
            let share = shares.is_valid(row).then(|| shares.value(row));
            seen.push((ids.value(row), output.batch.meta.event_time.value(row), share));
        }
        false
    });
    (seen, effects, ledger)
}

#[test]
fn a_sink_sets_timestamps_and_headers_and_refuses_rows_without() {
    let rows = batch(&[
        (0, Some(50), None, 900),
        (1, None, None, 901),
        (2, Some(-1), None, 902),
        (3, Some(0), None, 903),
        (4, Some(7), None, 904),
        (5, Some(source::LAST_EVENT_TIME_MS + 1), None, 905),
        (6, Some(10), None, 906),
    ]);
    let (seen, refused, ledger) = handed_out(rows);
    assert_eq!(seen, [(0, 50, Some(2)), (4, 7, None), (6, 10, Some(10))]);
    let why = refused.iter().map(|effect| match effect {
        Effect::DeadLetter(rejected) => (rejected.offset.0, rejected.error.kind, rejected.error.message.as_str()),
        other => panic!("{other:?}"),
    });
    let encode = RecordErrorKind::Encode;
    let expected = [
        (1, encode, "the timestamp of the record is missing"),
        (2, encode, "the timestamp of the record -1 is negative"),
        (3, RecordErrorKind::Expression, "division by zero"),
        (5, encode, "the timestamp of the record 253402300800000 lies after the year 9999: milliseconds are expected"),
    ];
    assert_eq!(why.collect::<Vec<_>>(), expected);
    assert_eq!((ledger.passed, ledger.rows_out, ledger.errors), (3, 3, 4));
}

#[test]
fn a_tombstone_without_a_timestamp_has_its_event_time() {
    let mut rows = batch(&[(0, Some(5), None, 900), (1, None, None, 901), (2, Some(0), None, 902)]);
    rows.meta.tombstone = Some(BooleanArray::from(vec![false, true, true]));
    let (seen, refused, _) = handed_out(rows);
    assert_eq!(seen, [(0, 5, Some(20)), (1, 901, None), (2, 0, None)]);
    assert!(refused.is_empty(), "{refused:?}");
}

fn source(event_time: Option<Expr>) -> Box<dyn Operator> {
    Box::new(Source::new(SourcePlan { source: 0, event_time, out_of_order: Millis(10) }))
}

#[test]
fn a_source_refuses_rows_without_a_time_and_leaves_no_time_of_theirs() {
    let rows = batch(&[
        (0, Some(100), None, 1),
        (1, None, None, 1),
        (2, Some(-1), None, 1),
        (3, Some(source::LAST_EVENT_TIME_MS + 1), None, 1),
        (4, Some(50), None, 1),
        (5, Some(source::LAST_EVENT_TIME_MS), None, 1),
        (6, Some(0), None, 1),
        (7, None, None, 1),
    ]);
    let seen = in_all_cuts(|| source(Some(expr("n"))), &rows, 1);
    assert_eq!(ids(&seen.rows[0]), ["0", "4", "5", "6"]);
    let last = source::LAST_EVENT_TIME_MS - 10;
    assert_eq!(seen.rows[0].iter().map(|row| row.1).collect::<Vec<_>>(), [90, 90, last, last]);
    assert_eq!(seen.end, [last]);
    let fault = RecordErrorKind::EventTime;
    assert_eq!(seen.faults, [(1, fault), (2, fault), (3, fault), (7, fault)]);
    assert_eq!((seen.ledger.passed, seen.ledger.errors), (4, 4));
}

#[test]
fn a_source_takes_times_of_every_unit() {
    let rows = batch(&[(0, Some(1_999), None, -5), (1, Some(0), None, 7)]);
    let times = |sql: &str| {
        let seen = run(source(Some(expr(sql))).as_mut(), vec![rows.clone()], 1);
        seen.rows[0].iter().map(|row| row.1 + 10).collect::<Vec<_>>()
    };
    assert_eq!(times("n"), [1999, 1999]);
    assert_eq!(times("cast(n as int)"), [1999, 1999]);
    assert_eq!(times("cast(n as timestamp(3))"), [1999, 1999]);
    assert_eq!(times("cast(n as timestamp(6))"), [1, 1]);
    let seen = run(source(None).as_mut(), vec![rows.clone()], 1);
    assert_eq!(ids(&seen.rows[0]), ["1"], "a negative timestamp of a record is none");
    let seen = run(source(Some(expr("100 / n"))).as_mut(), vec![rows], 1);
    assert_eq!(seen.faults, [(1, RecordErrorKind::EventTime)]);
}
