//! Avro kernels: a record of ten fields, of which three or all are read, and rows written, beside the `apache-avro` crate.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::{Record, Value};
use apache_avro::writer::datum::GenericDatumWriter;
use arrow::datatypes::{Fields, Schema, SchemaRef};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_formats::avro::{AvroRead, AvroSchema, AvroWrite, Framing};
use millstream_formats::{
    DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message, SchemaId, WriterSchema,
};

const ROWS: usize = 8192;
const TRADE: &str = r#"{"type": "record", "name": "Trade", "namespace": "x", "fields": [
    {"name": "id", "type": "long"}, {"name": "symbol", "type": "string"}, {"name": "venue", "type": "string"},
    {"name": "price", "type": "double"}, {"name": "qty", "type": "long"},
    {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}},
    {"name": "account", "type": ["null", "string"]}, {"name": "fee", "type": ["null", "double"]},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "note", "type": "string"}]}"#;
const READ: &str = r#"{"type": "record", "name": "Trade", "namespace": "x", "fields": [
    {"name": "symbol", "type": "string"}, {"name": "price", "type": "double"},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;

/// Trades of about 70 bytes, behind the five of the registry.
fn trades() -> Vec<Vec<u8>> {
    let schema = apache_avro::Schema::parse_str(TRADE).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let trade = |i: u64| {
        let mut record = Record::new(&schema).unwrap();
        record.put("id", i as i64);
        record.put("symbol", format!("SYM{}", i % 500));
        record.put("venue", "XNAS");
        record.put("price", i as f64 / 100.0);
        record.put("qty", (i * 31 % 5000) as i64);
        record.put("side", Value::Enum((i % 2) as u32, ["BUY", "SELL"][i as usize % 2].into()));
        record.put("account", Value::Union(1, Box::new(Value::String(format!("acc-{}", i % 1000)))));
        record.put("fee", Value::Union(0, Box::new(Value::Null)));
        record.put("ts", Value::TimestampMillis(1_700_000_000_000 + i as i64));
        record.put("note", "nothing to say about this one");
        [SchemaId(7).header().to_vec(), writer.write_value_to_vec(record).unwrap()].concat()
    };
    (0..ROWS as u64).map(trade).collect()
}

fn columns(names: &[&str]) -> SchemaRef {
    let all = AvroSchema::parse(TRADE, &[]).unwrap().columns().fields;
    Arc::new(Schema::new(all.into_iter().filter(|field| names.contains(&field.name().as_str())).collect::<Fields>()))
}

fn decoder(columns: SchemaRef) -> Decoder {
    let read = AvroRead { framing: Framing::Registry, readers: Vec::new(), types: None };
    let mut decoder = Decoder::new(DecodeFormat::Avro(read), columns).unwrap();
    let schema = AvroSchema::parse(TRADE, &[]).unwrap();
    decoder.add_writer(SchemaId(7), &WriterSchema::Avro(schema)).unwrap();
    decoder
}

fn messages(payloads: &[Vec<u8>]) -> Vec<Message<'_>> {
    payloads
        .iter()
        .map(|payload| Message { key: None, value: Some(payload), timestamp: 0, offset: 0, headers: Headers::NONE })
        .collect()
}

const ALL: [&str; 10] = ["id", "symbol", "venue", "price", "qty", "side", "account", "fee", "ts", "note"];

fn decode(c: &mut Criterion) {
    let trades = trades();
    let messages = messages(&trades);
    let mut group = c.benchmark_group("avro decode, a record of ten fields");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, read) in [("3 columns", &["symbol", "price", "ts"][..]), ("10 columns", &ALL)] {
        let mut decoder = decoder(columns(read));
        group.bench_function(name, |b| b.iter(|| black_box(decoder.decode("trades", 0, &messages).unwrap())));
    }
    let (writer, reader) = (apache_avro::Schema::parse_str(TRADE), apache_avro::Schema::parse_str(READ));
    let (writer, reader) = (writer.unwrap(), reader.unwrap());
    for (name, reader) in [("apache-avro, 3 columns", Some(&reader)), ("apache-avro, 10 columns", None)] {
        let datums = GenericDatumReader::builder(&writer).maybe_reader_schema(reader).build().unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                for trade in &trades {
                    black_box(datums.read_value(&mut &trade[5..]).unwrap());
                }
            });
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let trades = trades();
    let rows = decoder(columns(&ALL)).decode("trades", 0, &messages(&trades)).unwrap().rows;
    let schema = AvroSchema::parse(TRADE, &[]).unwrap();
    let format = EncodeFormat::Avro(AvroWrite { schema, id: Some(SchemaId(7)) });
    let mut encoder = Encoder::new(format, &rows.schema()).unwrap();
    let mut encoded = Encoded::default();
    let mut group = c.benchmark_group("avro encode, a record of ten fields");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("rows", |b| b.iter(|| black_box(encoder.encode(&rows, &mut encoded))));
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
