//! What is written reads back the same: decode(encode(x)) = x for every format, over seeded random batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};

use crate::testing::{Random, batch, flat_columns, nested_columns};
use crate::{CsvDialect, CsvFormat, DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message};

fn back(rows: &RecordBatch, write: EncodeFormat, read: DecodeFormat) -> RecordBatch {
    let mut encoded = Encoded::default();
    let faults = Encoder::new(write, &rows.schema()).unwrap().encode(rows, &mut encoded);
    assert_eq!(faults, []);
    let messages = (0..encoded.len())
        .map(|row| Message {
            key: None,
            value: Some(encoded.payload(row)),
            timestamp: 0,
            offset: row as i64,
            headers: Headers::NONE,
        })
        .collect::<Vec<_>>();
    let decoded = Decoder::new(read, rows.schema()).unwrap().decode("t", 0, &messages).unwrap();
    assert_eq!(decoded.faults, []);
    assert_eq!(decoded.messages, None);
    decoded.rows
}

#[test]
fn json_reads_back() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut columns = flat_columns(40, &mut random);
        columns.extend(nested_columns(40, &mut random));
        let rows = batch(columns);
        assert_eq!(back(&rows, EncodeFormat::Json, DecodeFormat::Json), rows, "seed {seed}");
    }
}

#[test]
fn csv_reads_back() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let rows = batch(flat_columns(40, &mut random));
        let fields = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let dialect = match seed % 3 {
            0 => CsvDialect::default(),
            1 => CsvDialect { delimiter: b';', quote: b'a', null: "Ulm".to_owned() },
            _ => CsvDialect { delimiter: b' ', quote: b'"', null: "null".to_owned() },
        };
        let format = CsvFormat { fields, dialect: dialect.clone() };
        let read = back(&rows, EncodeFormat::Csv(dialect), DecodeFormat::Csv(format));
        assert_eq!(read, rows, "seed {seed}");
    }
}

#[test]
fn raw_reads_back() {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "", "\u{1}é"]));
    let rows = RecordBatch::try_from_iter([("value", values)]).unwrap();
    assert_eq!(back(&rows, EncodeFormat::Raw, DecodeFormat::Raw).column(0), rows.column(0));
}

fn small_rows() -> RecordBatch {
    let time = TimestampMillisecondArray::from(vec![1_767_225_600_000, i64::MAX, 0]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from(vec![Some(-1), Some(2), None]))),
        ("x", Arc::new(Float64Array::from(vec![10.0, 1.0, f64::NAN]))),
        ("t", Arc::new(time)),
        ("_offset", Arc::new(Int64Array::from(vec![1, 2, 3]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn a_row_that_json_cannot_say_harms_only_itself() {
    let rows = small_rows();
    let mut encoded = Encoded::default();
    let faults = Encoder::new(EncodeFormat::Json, &rows.schema()).unwrap().encode(&rows, &mut encoded);
    assert_eq!(encoded.len(), 3);
    assert_eq!(encoded.payload(0), br#"{"n":-1,"x":10.0,"t":"2026-01-01T00:00:00.000Z"}"#);
    assert_eq!((encoded.payload(1), encoded.payload(2)), (&b""[..], &b""[..]));
    let messages = faults.iter().map(|fault| (fault.row, fault.error.message.as_str())).collect::<Vec<_>>();
    assert_eq!(
        messages,
        [
            (1, "column t: a time outside the years 0 to 9999: +292278994-08-17 cannot be written as JSON"),
            (2, "column x: NaN cannot be written as JSON"),
        ]
    );
}

#[test]
fn csv_writes_what_is_there() {
    let rows = small_rows();
    let mut encoded = Encoded::default();
    let faults =
        Encoder::new(EncodeFormat::Csv(CsvDialect::default()), &rows.schema()).unwrap().encode(&rows, &mut encoded);
    assert_eq!(encoded.payload(0), b"-1,10.0,2026-01-01T00:00:00.000Z");
    assert_eq!(encoded.payload(2), b"");
    assert_eq!(faults.len(), 2);
}

#[test]
fn what_a_format_cannot_write_is_refused_at_once() {
    let rows = small_rows();
    let error = Encoder::new(EncodeFormat::Raw, &rows.schema()).unwrap_err();
    assert_eq!(error.to_string(), "a raw payload is one column, string or bytes; there are 3: n, x, t");
    let nested = batch(nested_columns(1, &mut Random::new(0)));
    let error = Encoder::new(EncodeFormat::Csv(CsvDialect::default()), &nested.schema()).unwrap_err();
    assert!(error.to_string().starts_with("column object: struct<"), "{error}");
}
