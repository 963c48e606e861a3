//! What it costs to add a batch of rows to the groups of an aggregate: 8,192 rows over 10,000 slots.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_engine::aggregate::{Aggregate, CallSite, Distinct, RowOrder, Slot, resolve};
use millstream_engine::batch::RowOrigin;
use millstream_engine::ids::Origin;

const ROWS: usize = 8_192;
const SLOTS: usize = 10_000;

/// One number after another from a seed (SplitMix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn columns(seed: &mut u64) -> [(&'static str, ArrayRef); 3] {
    let ints = (0..ROWS).map(|_| random(seed) as i64 >> 20).collect::<Vec<_>>();
    let nulls = ints.iter().map(|&value| (value % 10 != 0).then_some(value)).collect::<Int64Array>();
    let doubles = Float64Array::from_iter_values(ints.iter().map(|&value| value as f64 / 7.0));
    [("bigint", Arc::new(Int64Array::from(ints))), ("bigint_nulls", Arc::new(nulls)), ("double", Arc::new(doubles))]
}

fn aggregate(name: &str, arg: &DataType) -> Box<dyn Aggregate> {
    let arg_types = std::slice::from_ref(arg);
    let call = CallSite { name, distinct: Distinct::All, arg_types, literals: &[None] };
    let function = resolve(call).expect("the benches call known functions");
    let mut aggregate = (function.make)();
    aggregate.reserve(SLOTS);
    aggregate
}

fn update(criterion: &mut Criterion) {
    let mut seed = 7;
    let rows = (0..ROWS as u32).collect::<Vec<_>>();
    let slots = (0..ROWS).map(|_| (random(&mut seed) % SLOTS as u64) as Slot).collect::<Vec<_>>();
    let event_time = Int64Array::from_iter_values((0..ROWS).map(|_| (random(&mut seed) % 60_000) as i64));
    let offset = Int64Array::from_iter_values(0..ROWS as i64);
    let origin = RowOrigin::One(Origin::default());
    let order = RowOrder { event_time: &event_time, origin: &origin, offset: &offset };
    let mut group = criterion.benchmark_group("aggregate_update");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (kind, column) in columns(&mut seed) {
        for name in ["count", "sum", "avg", "min", "max", "first", "last", "stddev", "approx_median"] {
            let mut aggregate = aggregate(name, column.data_type());
            let args = [Arc::clone(&column)];
            group.bench_function(format!("{name}/{kind}"), |bencher| {
                bencher.iter(|| aggregate.update(black_box(&args), &rows, &slots, order));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, update);
criterion_main!(benches);
