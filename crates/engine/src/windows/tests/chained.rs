//! A window behind a window: no result is late for it, and cuts of the first one's input change nothing behind it.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};

use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::{Context, Item, OnError};
use crate::expr::AggregateExpr;
use crate::ids::{InputId, Origin, Port};
use crate::ledger::Ledger;
use crate::operator::Operator;
use crate::plan::{Emit, Late, NamedAggregate, WindowKind, WindowPlan};
use crate::time::Millis;

fn schema(windowed: bool) -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let bounds = [Field::new("window_start", time(), true), Field::new("window_end", time(), true)];
    let bounds = bounds.into_iter().filter(|_| windowed);
    let key = Field::new("k", DataType::Int64, true);
    let values = [Field::new("n", DataType::Int64, true), Field::new("last", DataType::Int64, true)];
    Arc::new(Schema::new(std::iter::once(key).chain(bounds).chain(values).collect::<Vec<_>>()))
}

fn window(kind: WindowKind, grace: i64, input: &SchemaRef, from: u32) -> Box<dyn Operator> {
    let named = |name: &str, sql: &str| NamedAggregate {
        name: name.to_owned(),
        expr: AggregateExpr::compile(sql, input).unwrap(),
    };
    let plan = WindowPlan {
        id: format!("w{from}"),
        keys: vec![0],
        kind,
        grace: Millis(grace),
        emit: Emit::Final,
        late: Late::Drop,
        aggregates: vec![named("n", "sum(n)"), named("last", "last(last)")],
    };
    let inputs = vec![(InputId(from), format!("in/{from}"))];
    crate::windows::build(&plan, Arc::clone(input), schema(true), inputs, InputId(from + 1)).unwrap()
}

fn batch(rows: &[(i64, i64, i64)]) -> Batch {
    let column = |value: fn(&(i64, i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(value)));
    let ones = Arc::new(Int64Array::from(vec![1; rows.len()]));
    let offsets = column(|row| row.2);
    Batch {
        rows: RecordBatch::try_new(schema(false), vec![column(|row| row.0), ones, offsets.clone()]).unwrap(),
        meta: RowMeta {
            input: InputId(0),
            event_time: column(|row| row.1).as_ref().clone(),
            origin: RowOrigin::One(Origin::default()),
            offset: offsets.as_ref().clone(),
            clock: RowClock::new(OwnTime::Less(Millis(3))),
            position: None,
            mixture: None,
            tombstone: None,
        },
    }
}

fn send(operator: &mut Box<dyn Operator>, batches: Vec<Batch>, ledger: &mut Ledger) -> Vec<Batch> {
    let (mut outbox, mut effects) = (Vec::new(), Vec::new());
    for batch in batches {
        ledger.rows_in += batch.len() as u64;
        let mut cx = Context::new("w", OnError::Fail, ledger, &mut outbox, &mut effects);
        operator.process(Port(0), batch, &mut cx).unwrap();
    }
    let batch = |(_, item)| if let Item::Batch(batch) = item { batch } else { panic!("a signal from nowhere") };
    outbox.into_iter().map(batch).collect()
}

#[test]
fn no_result_is_late_for_the_window_behind() {
    let (size, every, offset) = (Millis(10), Millis(4), Millis(1));
    let kinds = [
        WindowKind::Tumbling { size, offset },
        WindowKind::Hopping { size, every, offset },
        WindowKind::Session(Millis(4)),
        WindowKind::Sliding(Millis(5)),
    ];
    for (first, grace) in kinds.into_iter().flat_map(|kind| [(kind, 0), (kind, 7)]) {
        for second in kinds {
            let mut seen = Vec::new();
            for cut in [1, 7, 1000] {
                let rows = (0..300i64).map(|at| (at * 7 % 3, at * 2 - (at * 13 % 11), at)).collect::<Vec<_>>();
                let mut one = window(first, grace, &schema(false), 0);
                let mut two = window(second, 0, &schema(true), 1);
                let (mut ledger, mut behind) = (Ledger::default(), Ledger::default());
                let mut results = Vec::new();
                for rows in rows.chunks(cut) {
                    let between = send(&mut one, vec![batch(rows)], &mut ledger);
                    for out in send(&mut two, between, &mut behind) {
                        let numbers = |at: usize| out.rows.column(at).as_primitive::<Int64Type>().values().to_vec();
                        let starts = out.rows.column(1).as_primitive::<TimestampMillisecondType>().values().to_vec();
                        let (keys, sums, lasts) = (numbers(0), numbers(3), numbers(4));
                        results.extend((0..out.len()).map(|row| (keys[row], starts[row], sums[row], lasts[row])));
                    }
                }
                assert!(ledger.balances() && behind.balances());
                assert_eq!(behind.late, 0, "{first:?} {second:?}");
                seen.push(results);
            }
            assert!(!seen[0].is_empty());
            assert_eq!(seen[0], seen[1], "{first:?} {second:?}");
            assert_eq!(seen[0], seen[2], "{first:?} {second:?}");
        }
    }
}
