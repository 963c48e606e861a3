//! What a row costs in each kind of window: columns in, columns out, at 10,000 keys and 100,000 rows a second of event time.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream_engine::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use millstream_engine::context::{Context, Effect, Item, OnError};
use millstream_engine::expr::AggregateExpr;
use millstream_engine::ids::{InputId, Origin, Port};
use millstream_engine::ledger::Ledger;
use millstream_engine::operator::Operator;
use millstream_engine::plan::{Emit, Late, NamedAggregate, WindowKind, WindowPlan};
use millstream_engine::time::Millis;
use millstream_engine::windows;

const ROWS: usize = 8_192;
const KEYS: u64 = 10_000;
const HOT_KEYS: u64 = 100;
const ROWS_PER_MS: i64 = 100;
const OUT_OF_ORDER: Millis = Millis(500);

/// One number after another from a seed (SplitMix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Clone, Copy)]
enum Key {
    Bigint,
    Text,
}

/// Rows as they come: time goes on, and each row is up to a tenth of a second behind.
struct Feed {
    schema: SchemaRef,
    key: Key,
    keys: u64,
    seed: u64,
    row: i64,
}

impl Feed {
    fn new(key: Key) -> Feed {
        let key_type = if let Key::Bigint = key { DataType::Int64 } else { DataType::Utf8 };
        let fields = vec![Field::new("k", key_type, true), Field::new("v", DataType::Int64, true)];
        Feed { schema: Arc::new(Schema::new(fields)), key, keys: KEYS, seed: 7, row: 0 }
    }

    fn batch(&mut self) -> Batch {
        let keys = (0..ROWS).map(|_| (random(&mut self.seed) % self.keys) as i64).collect::<Vec<_>>();
        let keys: ArrayRef = match self.key {
            Key::Bigint => Arc::new(Int64Array::from(keys)),
            Key::Text => Arc::new(StringArray::from_iter_values(keys.iter().map(|key| format!("symbol-{key}")))),
        };
        let values = Int64Array::from_iter_values((0..ROWS).map(|_| (random(&mut self.seed) % 1_000) as i64));
        let first = self.row;
        self.row += ROWS as i64;
        let time = |row: i64| (first + row) / ROWS_PER_MS + 1_000_000 - (random(&mut self.seed) % 100) as i64;
        let meta = RowMeta {
            input: InputId(0),
            event_time: Int64Array::from_iter_values((0..ROWS as i64).map(time)),
            origin: RowOrigin::One(Origin::default()),
            offset: Int64Array::from_iter_values(first..first + ROWS as i64),
            clock: RowClock::new(OwnTime::Less(OUT_OF_ORDER)),
            position: None,
            mixture: None,
            tombstone: None,
        };
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), vec![keys, Arc::new(values)]);
        Batch { rows: rows.expect("the columns are those of the schema"), meta }
    }
}

fn operator(kind: WindowKind, input: &SchemaRef) -> Box<dyn Operator> {
    let named = |name: &str, sql: &str| NamedAggregate {
        name: name.to_owned(),
        expr: AggregateExpr::compile(sql, input).expect("the benches' aggregates are right"),
    };
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let output = Schema::new(vec![
        input.field(0).clone(),
        Field::new("window_start", time(), true),
        Field::new("window_end", time(), true),
        Field::new("count", DataType::Int64, true),
        Field::new("sum", DataType::Int64, true),
    ]);
    let plan = WindowPlan {
        id: "w".into(),
        keys: vec![0],
        kind,
        grace: Millis(0),
        emit: if let WindowKind::Over(_) = kind { Emit::Arrival } else { Emit::Final },
        late: Late::Drop,
        aggregates: vec![named("count", "count(*)"), named("sum", "sum(v)")],
    };
    let inputs = vec![(InputId(0), "in/0".to_owned())];
    windows::build(&plan, Arc::clone(input), Arc::new(output), inputs, InputId(1)).expect("the plans are right")
}

/// What a batch leads to; to be dropped when the clock has stopped.
type Out = (Vec<(usize, Item)>, Vec<Effect>);

fn process(operator: &mut Box<dyn Operator>, batch: Batch) -> Out {
    let (mut ledger, mut outbox, mut effects) = (Ledger::default(), Vec::new(), Vec::new());
    let mut cx = Context::new("w", OnError::Fail, &mut ledger, &mut outbox, &mut effects);
    operator.process(Port(0), batch, &mut cx).expect("the rows are right");
    (outbox, effects)
}

/// Milliseconds of event time until windows of a kind are full.
fn kind_span(kind: WindowKind) -> i64 {
    match kind {
        WindowKind::Hopping { size, .. } | WindowKind::Over(size) => size.0 + 1_000,
        _ => 2_000,
    }
}

/// Time for a batch once the windows are full.
fn steady(criterion: &mut Criterion) {
    let minute = Millis(60_000);
    let tumbling = |size| WindowKind::Tumbling { size: Millis(size), offset: Millis(0) };
    let hopping = |every| WindowKind::Hopping { size: minute, every: Millis(every), offset: Millis(0) };
    let kinds = [
        ("tumbling_10s", tumbling(10_000), Key::Bigint),
        ("tumbling_60s", tumbling(60_000), Key::Bigint),
        ("tumbling_60s_text", tumbling(60_000), Key::Text),
        ("hopping_60s_10s", hopping(10_000), Key::Bigint),
        ("hopping_60s_1s", hopping(1_000), Key::Bigint),
        ("session_1s", WindowKind::Session(Millis(1_000)), Key::Bigint),
        ("over_10s", WindowKind::Over(Millis(10_000)), Key::Bigint),
        ("over_10s_hot", WindowKind::Over(Millis(10_000)), Key::Bigint),
        ("count_100", WindowKind::Count(100), Key::Bigint),
    ];
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, kind, key) in kinds {
        let mut feed = Feed::new(key);
        if name.ends_with("_hot") {
            feed.keys = HOT_KEYS;
        }
        let mut operator = operator(kind, &feed.schema);
        let mut full = false;
        group.bench_function(name, |bencher| {
            while !full && feed.row < kind_span(kind) * ROWS_PER_MS {
                process(&mut operator, feed.batch());
            }
            full = true;
            // What a runtime would take at commits must not pile up.
            operator.state().expect("a window keeps state").take_delta().expect("the state fits columns");
            bencher.iter_batched(|| feed.batch(), |batch| process(&mut operator, batch), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// The same with a delta for the changelog after every tenth batch.
fn with_commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows_with_commits");
    group.throughput(Throughput::Elements(10 * ROWS as u64));
    group.bench_function("tumbling_60s", |bencher| {
        let mut feed = Feed::new(Key::Bigint);
        let kind = WindowKind::Tumbling { size: Millis(60_000), offset: Millis(0) };
        let mut operator = operator(kind, &feed.schema);
        bencher.iter_batched(
            || (0..10).map(|_| feed.batch()).collect::<Vec<_>>(),
            |batches| {
                let out = batches.into_iter().map(|batch| process(&mut operator, batch)).collect::<Vec<_>>();
                let delta = operator.state().expect("a window keeps state").take_delta();
                (out, delta.expect("the state fits columns"))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = steady, with_commits
}
criterion_main!(benches);
