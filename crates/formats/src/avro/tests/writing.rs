//! Rows to messages: derived schemas, given ones, and values that have no place.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use serde_json::json;

use super::*;
use crate::SchemaId;
use crate::testing::{Random, batch, flat_columns, nested_columns};

/// A name that Avro takes.
fn renamed(columns: Vec<(Field, ArrayRef)>) -> Vec<(Field, ArrayRef)> {
    columns
        .into_iter()
        .map(|(field, array)| match array.data_type().clone() {
            DataType::Struct(fields) => {
                let fields: Fields =
                    fields.iter().map(|field| field.as_ref().clone().with_name(plain(field.name()))).collect();
                let object = arrow::array::AsArray::as_struct(&array);
                let array = StructArray::new(fields, object.columns().to_vec(), object.nulls().cloned());
                (Field::new(field.name(), array.data_type().clone(), true), Arc::new(array) as ArrayRef)
            }
            _ => (field.clone().with_name(plain(field.name())), array),
        })
        .filter(|(field, _)| field.name() != "list")
        .collect()
}

fn plain(name: &str) -> String {
    name.replace([' ', '"'], "_")
}

#[test]
fn what_is_written_by_a_derived_schema_reads_back() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut columns = renamed(flat_columns(40, &mut random));
        columns.extend(renamed(nested_columns(40, &mut random)));
        let rows = batch(columns);
        let schema = AvroSchema::of_columns("x.y.Row", rows.schema().fields()).unwrap();
        assert_eq!(schema, AvroSchema::of_columns("x.y.Row", rows.schema().fields()).unwrap());
        let (encoded, faults) = encode(&schema, &rows);
        assert_eq!(faults, []);
        let payloads = (0..encoded.len()).map(|row| encoded.payload(row)).collect::<Vec<_>>();
        let decoded = decode(&mut decoder(bare(&schema, None), rows.schema().fields().clone()).unwrap(), &payloads);
        assert_eq!(decoded.faults, [], "seed {seed}");
        assert_eq!(decoded.rows, rows, "seed {seed}");
        let own = decode(&mut decoder(bare(&schema, Some(&schema)), fields(&schema)).unwrap(), &payloads);
        assert_eq!(json_rows(&own.rows), json_rows(&rows), "seed {seed}");
        assert_eq!(encode(&schema, &rows).0.bytes, encoded.bytes, "the same rows, the same bytes");
    }
}

#[test]
fn a_derived_schema_says_what_the_columns_are() {
    let inner: Fields = vec![Field::new("zip", DataType::Utf8, false)].into();
    let columns: Fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("home", DataType::Struct(inner.clone()), true),
        Field::new("homes", DataType::List(Arc::new(Field::new("item", DataType::Struct(inner), true))), false),
    ]
    .into();
    let schema = AvroSchema::of_columns("shop.Order", &columns).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(schema.text()).unwrap(),
        json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
            {"name": "id", "type": "long"},
            {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}], "default": null},
            {"name": "home", "type": ["null", {"type": "record", "name": "Order_home", "namespace": "shop", "fields": [{"name": "zip", "type": "string"}]}], "default": null},
            {"name": "homes", "type": {"type": "array", "items": ["null", {"type": "record", "name": "Order_homes", "namespace": "shop", "fields": [{"name": "zip", "type": "string"}]}]}}]})
    );
    let bad: Fields = vec![Field::new("a b", DataType::Int64, false)].into();
    assert!(
        AvroSchema::of_columns("R", &bad).unwrap_err().to_string().starts_with("column a b: is not a name in Avro")
    );
    assert!(AvroSchema::of_columns("x-y.R", &columns).unwrap_err().to_string().contains("\"x-y\""));
}

fn rows() -> RecordBatch {
    let time = TimestampMicrosecondArray::from(vec![1_000, 1_001, 2_000]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX), None]))),
        ("t", Arc::new(time)),
        ("side", Arc::new(StringArray::from(vec!["BUY", "SELL", "HOLD"]))),
        ("m", Arc::new(Decimal128Array::from(vec![125, 12_345, -1]).with_precision_and_scale(10, 2).unwrap())),
        ("u", Arc::new(StringArray::from(vec!["00112233-4455-6677-8899-aabbccddeeff"; 3]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn values_that_a_given_schema_cannot_hold_harm_only_their_row() {
    let given = |n: Value, t: &str, precision: u32| {
        schema(&json!({"type": "record", "name": "R", "fields": [
            {"name": "u", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
            {"name": "extra", "type": ["null", "int"], "default": null},
            {"name": "n", "type": n},
            {"name": "t", "type": {"type": "long", "logicalType": t}},
            {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL", "HOLD"]}},
            {"name": "m", "type": {"type": "fixed", "name": "M", "size": 5, "logicalType": "decimal", "precision": precision, "scale": 3}}]}))
    };
    let good = given(json!(["long", "null"]), "timestamp-nanos", 11);
    let (encoded, faults) = encode(&good, &rows());
    assert_eq!(faults, []);
    let payloads = (0..3).map(|row| encoded.payload(row)).collect::<Vec<_>>();
    let back = decode(&mut decoder(bare(&good, None), fields(&good)).unwrap(), &payloads);
    assert_eq!(
        json_rows(&back.rows)[2],
        json!({"u": "00112233-4455-6677-8899-aabbccddeeff", "extra": null, "n": null,
            "t": "1970-01-01T00:00:00.002000000Z", "side": "HOLD", "m": -0.01})
    );
    let messages = |schema: &AvroSchema| {
        let (encoded, faults) = encode(schema, &rows());
        faults.iter().for_each(|fault| assert_eq!(encoded.payload(fault.row), b""));
        faults.into_iter().map(|fault| (fault.row, fault.error.message)).collect::<Vec<_>>()
    };
    assert_eq!(
        messages(&given(json!("long"), "timestamp-millis", 11)),
        [
            (1, "column t: time 1001 cannot be written in the schema's unit without loss".to_owned()),
            (2, "column n: null, where the schema has no place for it".to_owned()),
        ]
    );
    assert_eq!(
        messages(&given(json!(["null", "int"]), "timestamp-micros", 5)),
        [(1, "column n: 9223372036854775807 is beyond an int".to_owned())]
    );
    assert_eq!(
        messages(&given(json!(["null", "long"]), "timestamp-micros", 5)),
        [(1, "column m: a decimal of more digits than the schema's".to_owned())]
    );
}

#[test]
fn a_schema_that_does_not_fit_the_columns_is_refused() {
    let refused = |fields: Value| {
        let schema = schema(&json!({"type": "record", "name": "R", "fields": fields}));
        let rows = RecordBatch::try_from_iter([("a", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)]).unwrap();
        let format = EncodeFormat::Avro(AvroWrite { schema, id: None });
        Encoder::new(format, &rows.schema()).unwrap_err().to_string()
    };
    assert_eq!(refused(json!([])), "column a: record R of the schema has no such field");
    assert_eq!(refused(json!([{"name": "a", "type": "float"}])), "column a: double cannot be written as float");
    let more = json!([{"name": "a", "type": "double"}, {"name": "b", "type": "int"}]);
    assert!(refused(more).starts_with("column b: the schema has this field without a default"));
}

#[test]
fn a_message_begins_with_the_id_of_its_schema() {
    let rows = RecordBatch::try_from_iter([("flag", Arc::new(BooleanArray::from(vec![true])) as ArrayRef)]).unwrap();
    let schema = schema(&json!("boolean"));
    let format = EncodeFormat::Avro(AvroWrite { schema, id: Some(SchemaId(258)) });
    let mut encoded = Encoded::default();
    Encoder::new(format, &rows.schema()).unwrap().encode(&rows, &mut encoded);
    assert_eq!(encoded.payload(0), [0, 0, 0, 1, 2, 1]);
}

#[test]
fn a_union_is_written_from_a_struct_of_its_branches() {
    let schema =
        schema(&json!({"type": "record", "name": "R", "fields": [{"name": "u", "type": ["int", "null", "string"]}]}));
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, None, Some(1)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("x"), None, Some("y")]));
    let members: Fields =
        vec![Field::new("string", DataType::Utf8, true), Field::new("int", DataType::Int32, true)].into();
    let union: ArrayRef = Arc::new(StructArray::new(members, vec![texts, ints], None));
    let rows = RecordBatch::try_from_iter([("u", union)]).unwrap();
    let (encoded, faults) = encode(&schema, &rows);
    assert_eq!(
        (encoded.payload(0), encoded.payload(1), encoded.payload(2)),
        (&[0, 2][..], &[4, 2, b'x'][..], &[2][..])
    );
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].error.message, "column u: more than one member of the union has a value");
}

#[test]
fn a_duration_is_three_numbers_of_32_bits() {
    let duration = json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"});
    let schema = schema(&json!({"type": "record", "name": "R", "fields": [{"name": "d", "type": ["null", duration]}]}));
    let parts =
        [("months", vec![1, -1, 0, 5]), ("days", vec![2, 0, 0, 5]), ("milliseconds", vec![1_i64 << 31, 0, 1 << 32, 5])];
    let parts = parts.map(|(name, values)| {
        let values: ArrayRef = Arc::new(arrow::array::Int64Array::from(values));
        (Arc::new(Field::new(name, DataType::Int64, false)), values)
    });
    let (fields, arrays): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let nulls = Some(vec![true, true, true, false].into());
    let column: ArrayRef = Arc::new(StructArray::new(fields.into(), arrays, nulls));
    let rows = RecordBatch::try_from_iter([("d", column)]).unwrap();
    let (encoded, faults) = encode(&schema, &rows);
    assert_eq!(encoded.payload(0), [2, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x80]);
    assert_eq!(encoded.payload(3), [0]);
    let faults = faults.into_iter().map(|fault| (fault.row, fault.error.message)).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            (1, "column d: -1 is beyond a duration".to_owned()),
            (2, "column d: 4294967296 is beyond a duration".to_owned())
        ]
    );
}

#[test]
fn of_the_branches_that_fit_a_column_the_first_that_takes_the_value_is_written() {
    let (n, text, bytes) = (vec![7, 5_000_000_000], vec!["X", "Y"], vec![&b"ab"[..], b"abc"]);
    let rows = || {
        batch(vec![
            (Field::new("n", DataType::Int64, true), Arc::new(Int64Array::from(n.clone())) as ArrayRef),
            (Field::new("s", DataType::Utf8, true), Arc::new(StringArray::from(text.clone())) as ArrayRef),
            (Field::new("b", DataType::Binary, true), Arc::new(BinaryArray::from(bytes.clone())) as ArrayRef),
        ])
    };
    let of = |n: &str, s: &str, b: &str| {
        let symbols = |name: &str| json!({"type": "enum", "name": name, "symbols": ["X"]});
        let type_of = |name: &str| match name {
            "enum" => symbols("E"),
            "fixed" => json!({"type": "fixed", "name": "F", "size": 2}),
            name => json!(name),
        };
        let union = |names: &str| names.split(' ').map(type_of).collect::<Vec<_>>();
        schema(&json!({"type": "record", "name": "R", "fields": [
            {"name": "n", "type": union(n)}, {"name": "s", "type": union(s)}, {"name": "b", "type": union(b)}]}))
    };
    let (encoded, faults) = encode(&of("null int long", "null enum string", "fixed bytes"), &rows());
    assert_eq!(faults, []);
    assert_eq!(encoded.payload(0), [2, 14, 2, 0, 0, b'a', b'b']);
    assert_eq!(encoded.payload(1), [&[4, 128, 200, 175, 160, 37, 4, 2, b'Y', 2, 6][..], b"abc"].concat());
    let (encoded, faults) = encode(&of("null long int", "null string enum", "bytes fixed"), &rows());
    assert_eq!((encoded.payload(0), faults), (&[2, 14, 2, 2, b'X', 0, 4, b'a', b'b'][..], vec![]));
    let (_, faults) = encode(&of("null int", "null enum string", "null fixed bytes"), &rows());
    assert_eq!(faults[0].error.message, "column n: 5000000000 is beyond an int");
}
