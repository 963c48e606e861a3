//! Any bytes as a Protobuf message with every kind of field, alone and behind a registry's id: a row or a fault, all columns
//! read or few.
#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Fields, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::protobuf::{ProtobufFraming, ProtobufMessage, ProtobufRead, ProtobufSchema};
use millstream_formats::{DecodeFormat, Decoder, Headers, Message, SchemaId, WriterSchema};

static MESSAGE: LazyLock<ProtobufMessage> = LazyLock::new(|| {
    let text = r#"syntax = "proto2"; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
        message M { optional int32 a = 1; optional string b = 2; repeated sint64 c = 3; map<string, N> d = 4;
        oneof o { int32 e = 5; bytes f = 6; } optional N n = 7; repeated N l = 8; optional google.protobuf.Timestamp t = 9;
        optional google.protobuf.Struct s = 10; optional E g = 11; optional fixed32 h = 1000;
        message N { optional double x = 1; repeated string y = 2; } enum E { ONE = 1; } }"#;
    ProtobufSchema::compile(text, &[]).and_then(|schema| schema.message(None)).expect("a schema")
});

fuzz_target!(|bytes: &[u8]| {
    let all: Fields = MESSAGE.columns().fields.into();
    let few: Fields = all.iter().step_by(4).cloned().collect();
    // The first type of the file, whose place is a zero, and any place.
    let first = [&SchemaId(7).header()[..], &[0], bytes].concat();
    let any = [&SchemaId(7).header()[..], bytes].concat();
    for columns in [all, few, Fields::empty()] {
        let registry = || ProtobufFraming::Registry;
        let ways = [
            (ProtobufFraming::Bare(MESSAGE.clone()), bytes),
            (registry(), &first),
            (registry(), &any),
            (registry(), bytes),
        ];
        for (framing, value) in ways {
            let read = ProtobufRead { framing, readers: vec![MESSAGE.clone()], types: None };
            let columns = Arc::new(Schema::new(columns.clone()));
            let mut decoder = Decoder::new(DecodeFormat::Protobuf(read), columns).expect("columns of it");
            let writer = WriterSchema::Protobuf(MESSAGE.schema().clone());
            decoder.add_writer(SchemaId(7), &writer).expect("columns of it");
            let message = Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
            match decoder.decode("t", 0, &[message]) {
                Ok(decoded) => assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1),
                Err(unknown) => assert_eq!(unknown.0, SchemaId::named_by(value).into_iter().collect::<Vec<_>>()),
            }
        }
    }
});
