//! Any bytes as a message's key, in each format, beside a value that is well: a row or a fault.
#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::avro::{AvroRead, AvroSchema, Framing};
use millstream_formats::protobuf::{ProtobufFraming, ProtobufMessage, ProtobufRead, ProtobufSchema};
use millstream_formats::{CsvDialect, CsvFormat, DecodeFormat, Decoder, Headers, KeyColumn, KeyRead, Message};

static RECORD: LazyLock<AvroSchema> = LazyLock::new(|| {
    let text = r#"{"type": "record", "name": "K", "fields": [{"name": "id", "type": ["null", "string"]}, {"name": "n", "type": "long"}]}"#;
    AvroSchema::parse(text, &[]).expect("a schema")
});
static ALONE: LazyLock<AvroSchema> = LazyLock::new(|| AvroSchema::parse("\"string\"", &[]).expect("a schema"));
static MESSAGE: LazyLock<ProtobufMessage> = LazyLock::new(|| {
    let text = r#"syntax = "proto3"; message K { optional string id = 1; repeated int32 n = 2; }"#;
    ProtobufSchema::compile(text, &[]).and_then(|schema| schema.message(None)).expect("a schema")
});

fuzz_target!(|bytes: &[u8]| {
    let avro = |schema: &AvroSchema| {
        DecodeFormat::Avro(AvroRead { framing: Framing::Bare(schema.clone()), readers: Vec::new(), types: None })
    };
    let framing = ProtobufFraming::Bare(MESSAGE.clone());
    let formats = [
        avro(&RECORD),
        avro(&ALONE),
        DecodeFormat::Protobuf(ProtobufRead { framing, readers: Vec::new(), types: None }),
        DecodeFormat::Json,
        DecodeFormat::Csv(CsvFormat { fields: vec!["n".to_owned(), "id".to_owned()], dialect: CsvDialect::default() }),
        DecodeFormat::Raw,
    ];
    let columns = Schema::new(vec![Field::new("key_id", DataType::Utf8, true), Field::new("v", DataType::Int64, true)]);
    let columns = Arc::new(columns);
    for format in formats {
        let key = KeyColumn { column: "key_id".to_owned(), field: "id".to_owned() };
        let key = KeyRead { format, columns: vec![key] };
        let decoder = Decoder::with_key(DecodeFormat::Json, key, columns.clone());
        let value = Some(&b"{\"v\": 1}"[..]);
        let message = Message { key: Some(bytes), value, timestamp: 0, offset: 0, headers: Headers::NONE };
        let decoded = decoder.expect("columns of it").decode("t", 0, &[message]).expect("no schema is unknown");
        assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1);
    }
});
