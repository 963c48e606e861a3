//! What JSON decoding accepts, what it refuses and what it says then.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Date32Type, Field, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use crate::{DecodeFormat, Decoded, Decoder, Headers, Message, SystemColumn};

fn message(payload: &[u8]) -> Message<'_> {
    Message { key: None, value: Some(payload), timestamp: 0, offset: 0, headers: Headers::NONE }
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>()))
}

fn decode(columns: &[(&str, DataType)], payloads: &[&str]) -> Decoded {
    let messages = payloads.iter().map(|payload| message(payload.as_bytes())).collect::<Vec<_>>();
    Decoder::new(DecodeFormat::Json, schema(columns)).unwrap().decode("t", 0, &messages).unwrap()
}

/// The one fault of one document.
fn fault(columns: &[(&str, DataType)], payload: &str) -> String {
    let decoded = decode(columns, &[payload]);
    assert_eq!(decoded.rows.num_rows(), 0, "{payload}");
    assert_eq!(decoded.faults.len(), 1, "{payload}");
    decoded.faults[0].1.message.clone()
}

fn column<T: Array + Clone + 'static>(rows: &RecordBatch, name: &str) -> T {
    rows.column_by_name(name).unwrap().as_any().downcast_ref::<T>().unwrap().clone()
}

#[test]
fn every_scalar_type() {
    let columns = [
        ("b", DataType::Boolean),
        ("i", DataType::Int32),
        ("l", DataType::Int64),
        ("d", DataType::Float64),
        ("m", DataType::Decimal128(10, 2)),
        ("s", DataType::Utf8),
        ("x", DataType::Binary),
        ("date", DataType::Date32),
        ("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ];
    let documents = [
        r#"{"b":true,"i":-7,"l":9007199254740993,"d":0.1,"m":12.34,"s":"aé\u00e9\ud83d\ude00\n","x":"AP8=","date":"1970-01-02","t":"1970-01-01T00:00:01.5Z"}"#,
        r#" { "t" : 1500000 , "date" : null , "i" : 2.0, "l":1e3, "d":1, "m":"-0.05", "x":"AP8", "unknown":{"a":[1,{}]} } "#,
    ];
    let decoded = decode(&columns, &documents);
    assert_eq!(decoded.faults, []);
    assert_eq!(decoded.messages, None);
    let rows = decoded.rows;
    assert_eq!(column::<BooleanArray>(&rows, "b"), BooleanArray::from(vec![Some(true), None]));
    assert_eq!(column::<Int32Array>(&rows, "i"), Int32Array::from(vec![-7, 2]));
    assert_eq!(column::<Int64Array>(&rows, "l"), Int64Array::from(vec![9_007_199_254_740_993, 1000]));
    assert_eq!(column::<Float64Array>(&rows, "d"), Float64Array::from(vec![0.1, 1.0]));
    assert_eq!(column::<Decimal128Array>(&rows, "m").values().to_vec(), [1234, -5]);
    assert_eq!(column::<StringArray>(&rows, "s"), StringArray::from(vec![Some("aéé😀\n"), None]));
    assert_eq!(column::<BinaryArray>(&rows, "x"), BinaryArray::from(vec![&[0, 255][..], &[0, 255]]));
    let dates = rows.column_by_name("date").unwrap().as_primitive::<Date32Type>().clone();
    assert_eq!((dates.value(0), dates.is_null(1)), (1, true));
    let times = rows.column_by_name("t").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
    assert_eq!(times.values().to_vec(), [1_500_000, 1_500_000]);
}

#[test]
fn nested_types() {
    let address =
        Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("zip", DataType::Int32, true)]);
    let entries = Fields::from(vec![Field::new("k", DataType::Utf8, false), Field::new("v", DataType::Int64, true)]);
    let columns = [
        ("address", DataType::Struct(address)),
        ("tags", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))),
        ("counts", DataType::Map(Arc::new(Field::new("e", DataType::Struct(entries), false)), false)),
    ];
    let documents = [
        r#"{"address":{"zip":1,"city":"Ulm"},"tags":["a",null],"counts":{"x":1,"y":null}}"#,
        r#"{"address":null,"tags":[],"counts":{}}"#,
        r#"{"address":{"zip":"bad"},"tags":["lost"],"counts":{"lost":1}}"#,
        r#"{"tags":["lost",7]}"#,
        r#"{"counts":{"lost":1,"x":true}}"#,
        r#"{"counts":{"x":1,"x":2}}"#,
        r#"{"address":{},"tags":["b"]}"#,
    ];
    let decoded = decode(&columns, &documents);
    let faults = decoded.faults.iter().map(|(i, error)| (*i, error.message.as_str())).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            (2, "column address.zip: expected int, found string \"bad\""),
            (3, "column tags[1]: expected string, found 7"),
            (4, "column counts.x: expected bigint, found true"),
            (5, "column counts.x: stands twice in one object"),
        ]
    );
    assert_eq!(decoded.messages, Some(vec![0, 1, 6]));
    let rows = decoded.rows;
    let address = rows.column(0).as_struct();
    assert_eq!((address.is_valid(0), address.is_null(1), address.is_valid(2)), (true, true, true));
    assert_eq!(address.column(0).as_string::<i32>(), &StringArray::from(vec![Some("Ulm"), None, None]));
    let tags = rows.column(1).as_list::<i32>();
    assert_eq!(tags.value(0).as_string::<i32>(), &StringArray::from(vec![Some("a"), None]));
    assert_eq!(tags.value(1).len(), 0);
    assert_eq!(tags.value(2).as_string::<i32>(), &StringArray::from(vec!["b"]));
    assert_eq!(rows.column(2).as_map().value_length(0), 2);
    assert!(rows.column(2).is_null(2));
}

#[test]
fn wrong_values_are_named() {
    let columns = [
        ("qty", DataType::Int64),
        ("small", DataType::Int32),
        ("price", DataType::Float64),
        ("ok", DataType::Boolean),
        ("t", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("m", DataType::Decimal128(4, 2)),
        ("x", DataType::Binary),
        ("d", DataType::Date32),
        ("s", DataType::Utf8),
    ];
    let cases = [
        (r#"{"qty":"abc"}"#, "column qty: expected bigint, found string \"abc\""),
        (r#"{"qty":1.5}"#, "column qty: expected bigint, found 1.5"),
        (r#"{"qty":9223372036854775808}"#, "column qty: expected bigint, found 9223372036854775808"),
        (r#"{"small":2147483648}"#, "column small: expected int, found 2147483648"),
        (r#"{"price":1e999}"#, "column price: expected double, found 1e999"),
        (r#"{"price":"1"}"#, "column price: expected double, found string \"1\""),
        (r#"{"ok":1}"#, "column ok: expected boolean, found 1"),
        (r#"{"t":"yesterday"}"#, "column t: expected timestamp(ms), found string \"yesterday\""),
        (r#"{"t":1.5}"#, "column t: expected timestamp(ms), found 1.5"),
        (r#"{"m":1.234}"#, "column m: expected decimal(4,2), found 1.234"),
        (r#"{"m":100}"#, "column m: expected decimal(4,2), found 100"),
        (r#"{"x":"?"}"#, "column x: expected bytes, found string \"?\""),
        (r#"{"d":1}"#, "column d: expected date, found 1"),
        (r#"{"s":5}"#, "column s: expected string, found 5"),
        (r#"{"s":{}}"#, "column s: expected string, found an object"),
        (r#"{"qty":1,"qty":1}"#, "column qty: stands twice in one object"),
    ];
    for (document, expected) in cases {
        assert_eq!(fault(&columns, document), expected, "{document}");
    }
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    let columns = [("a", DataType::Int64)];
    let cases = [
        ("", "not JSON: expected a value at byte 0, found the end"),
        ("null", "expected an object, found null"),
        ("[1]", "expected an object, found an array"),
        ("{\"a\":1", "not JSON: expected `,` or `}` at byte 6, found the end"),
        ("{\"a\":1}{\"a\":2}", "more than one document: something follows at byte 7"),
        ("{\"a\":1} x", "more than one document: something follows at byte 8"),
        ("{\"a\":1,}", "not JSON: expected a value behind `,` at byte 7, found '}'"),
        ("{\"a\":01}", "not JSON: expected `,` or `}` at byte 6, found '1'"),
        ("{\"a\":+1}", "not JSON: expected a value at byte 5, found '+'"),
        ("{\"a\":1.}", "not JSON: expected a digit at byte 7, found '}'"),
        ("{\"a\":NaN}", "not JSON: expected a value at byte 5, found 'N'"),
        ("{\"a\":nul}", "not JSON: expected null at byte 5, found 'n'"),
        ("{a:1}", "not JSON: expected a name in quotes at byte 1, found 'a'"),
        ("{\"z\":\"\n\"}", "not JSON: control character 0x0a in a string at byte 6"),
        ("{\"z\":\"\\ud800\"}", "not JSON: half a surrogate pair before byte 12"),
        ("{\"z\":\"\\x\"}", "not JSON: unknown escape before byte 8"),
        ("{\"z\":\"open}", "not JSON: expected the end of a string at byte 11, found the end"),
        ("\u{feff}{}", "not JSON: expected a value at byte 0, found '\\u{feff}'"),
    ];
    for (document, expected) in cases {
        assert_eq!(fault(&columns, document), expected, "{document}");
    }
    let deep = format!("{{\"z\":{}{}}}", "[".repeat(128), "]".repeat(128));
    assert_eq!(fault(&columns, &deep), "nested deeper than 128 levels at byte 133");
    let as_deep_as_may_be = format!("{{\"z\":{}{}}}", "[".repeat(127), "]".repeat(127));
    assert_eq!(decode(&columns, &[&as_deep_as_may_be]).faults, []);
}

#[test]
fn halves_in_neighbouring_messages_never_make_a_row() {
    let decoded = decode(&[("a", DataType::Int64)], &["{\"a\":1}", "{\"a\":", "2}", "{\"a\":3}"]);
    assert_eq!(decoded.messages, Some(vec![0, 3]));
    assert_eq!(column::<Int64Array>(&decoded.rows, "a"), Int64Array::from(vec![1, 3]));
    assert_eq!(decoded.faults.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn names_are_case_sensitive_and_may_be_escaped() {
    let decoded = decode(&[("a", DataType::Int64)], &[r#"{"A":1}"#, r#"{"\u0061":2}"#]);
    assert_eq!(column::<Int64Array>(&decoded.rows, "a"), Int64Array::from(vec![None, Some(2)]));
}

#[test]
fn a_column_that_may_not_be_null() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
    let mut decoder = Decoder::new(DecodeFormat::Json, schema).unwrap();
    let decoded = decoder.decode("t", 0, &[message(b"{}"), message(b"{\"a\":null}"), message(b"{\"a\":1}")]).unwrap();
    let faults = decoded.faults.iter().map(|(_, error)| error.message.as_str()).collect::<Vec<_>>();
    assert_eq!(faults, ["column a: expected bigint, found nothing", "column a: expected bigint, found null"]);
    assert_eq!(decoded.rows.num_rows(), 1);
}

#[test]
fn system_columns_come_from_the_message() {
    let mut fields = vec![Field::new("a", DataType::Int64, true)];
    fields.extend(SystemColumn::ALL.map(SystemColumn::field));
    let mut decoder = Decoder::new(DecodeFormat::Json, Arc::new(Schema::new(fields))).unwrap();
    let headers = [("h".to_owned(), Some(b"1".to_vec())), ("h".to_owned(), None)];
    let messages = [
        Message { key: None, value: None, timestamp: 1, offset: 10, headers: Headers::NONE },
        Message {
            key: Some(b"k"),
            value: Some(b"{\"a\":5}"),
            timestamp: 2,
            offset: 11,
            headers: Headers::Owned(&headers),
        },
        Message { key: None, value: Some(b"{}"), timestamp: 3, offset: 12, headers: Headers::NONE },
    ];
    let decoded = decoder.decode("topic", 4, &messages).unwrap();
    assert_eq!(decoded.null_values, [0]);
    assert_eq!(decoded.messages, Some(vec![1, 2]));
    let rows = decoded.rows;
    assert_eq!(column::<BinaryArray>(&rows, "_key"), BinaryArray::from(vec![Some(&b"k"[..]), None]));
    assert_eq!(column::<Int64Array>(&rows, "_offset"), Int64Array::from(vec![11, 12]));
    assert_eq!(column::<Int32Array>(&rows, "_partition"), Int32Array::from(vec![4, 4]));
    assert_eq!(column::<StringArray>(&rows, "_topic"), StringArray::from(vec!["topic", "topic"]));
    let headers = rows.column_by_name("_headers").unwrap().as_map();
    assert_eq!((headers.value_length(0), headers.value_length(1)), (2, 0));
}

#[test]
fn without_columns_documents_are_still_checked() {
    let decoded = decode(&[], &["{\"a\":1}", "{", "{}"]);
    assert_eq!(decoded.rows.num_rows(), 2);
    assert_eq!(decoded.faults.len(), 1);
}

/// Three bytes an item, each of which is a row of two hundred columns: in a list, in a map, and as nulls.
#[test]
fn items_that_leave_members_out_do_not_grow_without_bound() {
    let members = (0..200).map(|n| Field::new(format!("m{n}"), DataType::Decimal128(38, 0), true)).collect::<Fields>();
    let within: Fields = vec![Field::new("big", DataType::Struct(members), true)].into();
    let item = DataType::Struct(within);
    let columns = [("l", DataType::new_list(item, true))];
    let document = |item: &str, count: usize| format!("{{\"l\":[{}{item}]}}", format!("{item},").repeat(count - 1));
    for item in ["{}", "null", "{\"big\":null}"] {
        let decoded = decode(&columns, &[&document(item, 1_000), &document(item, 26_000), &document(item, 1_000)]);
        let faults = decoded.faults.iter().map(|(index, error)| (*index, error.message.as_str())).collect::<Vec<_>>();
        let [(1, message)] = faults[..] else { panic!("{item}: {faults:?}") };
        assert_eq!(message, "column l: becomes far larger in columns than it is in the message");
        assert_eq!(decoded.rows.num_rows(), 2);
    }
}
