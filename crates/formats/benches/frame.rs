//! Frames of internal topics: writing and reading 8,192 rows.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_formats::frame;

const ROWS: i64 = 8192;

fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        ("key", Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| format!("key-{}", i * 7919 % 997))))),
        ("window_start", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| i / 1000 * 60_000)))),
        ("count", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| i * 31 % 1000)))),
        ("sum", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|i| (i * 31 % 1000) as f64 / 7.0)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn frames(c: &mut Criterion) {
    let rows = rows();
    let frame = frame::encode(&rows).unwrap();
    let mut group = c.benchmark_group("frame of 8192 rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encode", |b| b.iter(|| black_box(frame::encode(&rows).unwrap())));
    group.bench_function("decode", |b| b.iter(|| black_box(frame::decode(&frame).unwrap())));
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
