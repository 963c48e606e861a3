//! Protobuf kernels: a message of ten fields, of which three or all are read, and rows written, beside `prost-reflect`, which
//! reads by a schema that is known only at run time, too.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_formats::protobuf::{ProtobufFraming, ProtobufRead, ProtobufSchema, ProtobufWrite};
use millstream_formats::{
    DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message, SchemaId, WriterSchema,
};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use protox::file::{File, FileResolver};

const ROWS: usize = 8192;
const TRADE: &str = r#"syntax = "proto3"; package x;
    message Trade { int64 id = 1; string symbol = 2; string venue = 3; double price = 4; int64 qty = 5; Side side = 6;
      optional string account = 7; optional double fee = 8; sfixed64 ts = 9; string note = 10; }
    enum Side { NONE = 0; BUY = 1; SELL = 2; }"#;
const ALL: [&str; 10] = ["id", "symbol", "venue", "price", "qty", "side", "account", "fee", "ts", "note"];

/// The schema as the other library has it.
struct Source;

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        File::from_source(name, TRADE)
    }
}

fn theirs() -> MessageDescriptor {
    let mut compiler = protox::Compiler::with_file_resolver(Source);
    compiler.open_file("trade.proto").unwrap();
    compiler.descriptor_pool().get_message_by_name("x.Trade").unwrap()
}

/// Trades of about 75 bytes, behind the six of the registry.
fn trades() -> Vec<Vec<u8>> {
    let descriptor = theirs();
    let trade = |i: u64| {
        let mut trade = DynamicMessage::new(descriptor.clone());
        let values = [
            ("id", Value::I64(i as i64)),
            ("symbol", Value::String(format!("SYM{}", i % 500))),
            ("venue", Value::String("XNAS".to_owned())),
            ("price", Value::F64(i as f64 / 100.0)),
            ("qty", Value::I64((i * 31 % 5000) as i64)),
            ("side", Value::EnumNumber(1 + (i % 2) as i32)),
            ("account", Value::String(format!("acc-{}", i % 1000))),
            ("ts", Value::I64(1_700_000_000_000 + i as i64)),
            ("note", Value::String("nothing to say about this one".to_owned())),
        ];
        values.into_iter().for_each(|(name, value)| trade.set_field_by_name(name, value));
        [&SchemaId(7).header()[..], &[0], &trade.encode_to_vec()].concat()
    };
    (0..ROWS as u64).map(trade).collect()
}

fn columns(names: &[&str]) -> SchemaRef {
    let schema = ProtobufSchema::compile(TRADE, &[]).unwrap();
    let all = schema.message(None).unwrap().columns().fields;
    Arc::new(Schema::new(all.into_iter().filter(|field| names.contains(&field.name().as_str())).collect::<Fields>()))
}

fn decoder(columns: SchemaRef) -> Decoder {
    let read = ProtobufRead { framing: ProtobufFraming::Registry, readers: Vec::new(), types: None };
    let mut decoder = Decoder::new(DecodeFormat::Protobuf(read), columns).unwrap();
    let schema = ProtobufSchema::compile(TRADE, &[]).unwrap();
    decoder.add_writer(SchemaId(7), &WriterSchema::Protobuf(schema)).unwrap();
    decoder
}

fn messages(payloads: &[Vec<u8>]) -> Vec<Message<'_>> {
    payloads
        .iter()
        .map(|payload| Message { key: None, value: Some(payload), timestamp: 0, offset: 0, headers: Headers::NONE })
        .collect()
}

fn decode(c: &mut Criterion) {
    let trades = trades();
    let messages = messages(&trades);
    let mut group = c.benchmark_group("protobuf decode, a message of ten fields");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, read) in [("3 columns", &["symbol", "price", "ts"][..]), ("10 columns", &ALL)] {
        let mut decoder = decoder(columns(read));
        group.bench_function(name, |b| b.iter(|| black_box(decoder.decode("trades", 0, &messages).unwrap())));
    }
    let descriptor = theirs();
    group.bench_function("prost-reflect, 10 columns", |b| {
        b.iter(|| {
            for trade in &trades {
                black_box(DynamicMessage::decode(descriptor.clone(), &trade[6..]).unwrap());
            }
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let trades = trades();
    let rows = decoder(columns(&ALL)).decode("trades", 0, &messages(&trades)).unwrap().rows;
    let message = ProtobufSchema::compile(TRADE, &[]).unwrap().message(None).unwrap();
    let format = EncodeFormat::Protobuf(ProtobufWrite { message, id: Some(SchemaId(7)) });
    let mut encoder = Encoder::new(format, &rows.schema()).unwrap();
    let mut encoded = Encoded::default();
    let mut group = c.benchmark_group("protobuf encode, a message of ten fields");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("rows", |b| b.iter(|| black_box(encoder.encode(&rows, &mut encoded))));
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
