//! Any bytes as a CSV record, told apart in two ways: a row or a fault.
#![no_main]

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::{CsvDialect, CsvFormat, DecodeFormat, Decoder, Headers, Message};

fuzz_target!(|bytes: &[u8]| {
    let dialects = [CsvDialect::default(), CsvDialect { delimiter: b';', quote: b'\'', null: "NULL".to_owned() }];
    for dialect in dialects {
        let fields = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let columns = Schema::new(vec![
            Field::new("d", DataType::Date32, true),
            Field::new("a", DataType::Int64, true),
            Field::new("c", DataType::Utf8, true),
        ]);
        let format = DecodeFormat::Csv(CsvFormat { fields, dialect });
        let mut decoder = Decoder::new(format, Arc::new(columns)).expect("columns of CSV");
        let message = Message { key: None, value: Some(bytes), timestamp: 0, offset: 0, headers: Headers::NONE };
        let decoded = decoder.decode("t", 0, &[message]).expect("CSV has no ids");
        assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1);
    }
});
