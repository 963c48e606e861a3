//! JSON kernels: three of seven columns of a bid by the general path and by the bet on the shape, and writing rows.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_formats::json::Betting;
use millstream_formats::{DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message};

const ROWS: usize = 8192;

/// Bids of about 344 bytes as Nexmark makes them.
fn bids() -> Vec<String> {
    let url = "https://www.nexmark.com/googlechannel/abcdefgh/item.htm?query=1&channel_id=";
    (0..ROWS as u64)
        .map(|i| {
            let (auction, bidder, price) = (1000 + i * 7919 % 9000, 1000 + i * 104_729 % 90_000, 100 + i * 31 % 99_000);
            let time = 1_700_000_000_000 + i * 10;
            let head = format!(
                "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"channel-{}\",\"url\":\"{url}{}\",\
                 \"date_time\":{time},\"extra\":\"",
                i % 10_000,
                i * 12_345,
            );
            format!("{head}{}\"}}", "q".repeat(342 - head.len()))
        })
        .collect()
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("date_time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
    ]))
}

fn messages(bids: &[String]) -> Vec<Message<'_>> {
    bids.iter()
        .enumerate()
        .map(|(i, bid)| Message {
            key: None,
            value: Some(bid.as_bytes()),
            timestamp: 0,
            offset: i as i64,
            headers: Headers::NONE,
        })
        .collect()
}

fn decode(c: &mut Criterion) {
    let bids = bids();
    let messages = messages(&bids);
    let mut group = c.benchmark_group("json decode, 3 of 7 columns of a bid");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, betting) in [("general", Betting::Off), ("shape", Betting::On)] {
        let mut decoder = Decoder::with_betting(DecodeFormat::Json, columns(), betting).unwrap();
        group.bench_function(name, |b| b.iter(|| black_box(decoder.decode("bids", 0, &messages).unwrap())));
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let bids = bids();
    let rows = Decoder::new(DecodeFormat::Json, columns()).unwrap().decode("bids", 0, &messages(&bids)).unwrap().rows;
    let mut encoder = Encoder::new(EncodeFormat::Json, &rows.schema()).unwrap();
    let mut encoded = Encoded::default();
    let mut group = c.benchmark_group("json encode, 3 columns");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("rows", |b| b.iter(|| black_box(encoder.encode(&rows, &mut encoded))));
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
