//! Any bytes as JSON objects, three in one batch so that the shape of the first is bet on: rows or faults, and the good rows
//! around one of them the same as alone.
#![no_main]

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use libfuzzer_sys::fuzz_target;
use millstream_formats::{DecodeFormat, Decoder, Headers, Message};

const GOOD: &[u8] =
    br#"{"a": 1, "b": "x", "c": 0.5, "d": "2026-01-31T00:00:00Z", "e": [1, null], "f": {"x": true}, "g": 1.25}"#;

fn columns() -> Fields {
    let item = Arc::new(Field::new_list_field(DataType::Int64, true));
    let member = Field::new("x", DataType::Boolean, true);
    vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Float64, true),
        Field::new("d", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("e", DataType::List(item), true),
        Field::new("f", DataType::Struct(vec![member].into()), true),
        Field::new("g", DataType::Decimal128(20, 2), true),
    ]
    .into()
}

fuzz_target!(|bytes: &[u8]| {
    let message = |value| Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
    for columns in [columns(), columns().iter().step_by(3).cloned().collect(), Fields::empty()] {
        let mut decoder = Decoder::new(DecodeFormat::Json, Arc::new(Schema::new(columns))).expect("columns of JSON");
        let decoded = decoder.decode("t", 0, &[message(GOOD), message(bytes), message(GOOD)]).expect("JSON has no ids");
        assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 3);
        let alone = decoder.decode("t", 0, &[message(GOOD)]).expect("JSON has no ids").rows;
        assert_eq!(decoded.rows.slice(0, 1), alone);
        assert_eq!(decoded.rows.slice(decoded.rows.num_rows() - 1, 1), alone);
    }
});
