//! Many writers, several record types, framing, columns that are few of many.

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::json;

use super::*;
use crate::{SchemaId, SystemColumn, UnknownSchemas, WriterSchema};

fn registry(readers: Vec<AvroSchema>, types: Option<Vec<String>>) -> AvroRead {
    AvroRead { framing: Framing::Registry, readers, types }
}

fn framed(id: u32, schema: &AvroSchema, value: &Value) -> Vec<u8> {
    [SchemaId(id).header().to_vec(), bytes(schema, value)].concat()
}

fn order(fields: &Value) -> AvroSchema {
    schema(&json!({"type": "record", "name": "shop.Order", "fields": fields}))
}

fn versions() -> [AvroSchema; 3] {
    [
        order(&json!([{"name": "id", "type": "int"}, {"name": "note", "type": "string"}])),
        order(&json!([{"name": "note", "type": ["null", "string"]}, {"name": "id", "type": "long"}])),
        order(&json!([{"name": "id", "type": "long"}, {"name": "amount", "type": "double"}])),
    ]
}

fn id_and_note() -> Fields {
    vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Utf8, true)].into()
}

#[test]
fn rows_of_many_writers_stay_in_order_and_unknown_ids_lose_nothing() {
    let [one, two, three] = versions();
    let payloads = [
        framed(1, &one, &json!({"id": 1, "note": "a"})),
        framed(2, &two, &json!({"note": null, "id": 2})),
        framed(1, &one, &json!({"id": 3, "note": "c"})),
        framed(3, &three, &json!({"id": 4, "amount": 1.5})),
        framed(2, &two, &json!({"note": "e", "id": 5})),
    ];
    let messages = payloads.iter().map(|payload| message(payload)).collect::<Vec<_>>();
    let mut decoder = decoder(registry(Vec::new(), None), id_and_note()).unwrap();
    let ids = |ids: &[u32]| UnknownSchemas(ids.iter().copied().map(SchemaId).collect());
    assert_eq!(decoder.decode("t", 0, &messages).unwrap_err(), ids(&[1, 2, 3]));
    decoder.add_writer(SchemaId(2), &WriterSchema::Avro(two)).unwrap();
    decoder.add_writer(SchemaId(1), &WriterSchema::Avro(one)).unwrap();
    assert_eq!(decoder.decode("t", 0, &messages).unwrap_err(), ids(&[3]));
    decoder.add_writer(SchemaId(3), &WriterSchema::Avro(three)).unwrap();
    let decoded = decoder.decode("t", 0, &messages).unwrap();
    assert_eq!(decoded.faults, []);
    assert_eq!(decoded.messages, None);
    assert_eq!(
        json_rows(&decoded.rows),
        [
            json!({"id": 1, "note": "a"}),
            json!({"id": 2, "note": null}),
            json!({"id": 3, "note": "c"}),
            json!({"id": 4, "note": null}),
            json!({"id": 5, "note": "e"}),
        ]
    );
}

#[test]
fn a_schema_that_does_not_fit_harms_only_its_own_messages() {
    let [one, two, _] = versions();
    let bad = order(&json!([{"name": "id", "type": "string"}, {"name": "note", "type": "string"}]));
    let mut decoder = decoder(registry(vec![two.clone()], None), id_and_note()).unwrap();
    decoder.add_writer(SchemaId(1), &WriterSchema::Avro(one.clone())).unwrap();
    let error = decoder.add_writer(SchemaId(2), &WriterSchema::Avro(bad.clone())).unwrap_err();
    assert_eq!(error.to_string(), "column id: string of the writer cannot be read as long");
    decoder.refuse_writer(SchemaId(3), "schema 3 is not in the registry".to_owned());
    let payloads = [
        framed(2, &bad, &json!({"id": "x", "note": "a"})),
        framed(1, &one, &json!({"id": 1, "note": "a"})),
        framed(3, &one, &json!({"id": 1, "note": "a"})),
        b"{\"id\":1}".to_vec(),
        vec![0, 0, 0],
        [framed(1, &one, &json!({"id": 1, "note": "a"})), vec![7, 7]].concat(),
        framed(1, &one, &json!({"id": 1, "note": "a"}))[..7].to_vec(),
        framed(1, &one, &json!({"id": 2, "note": "b"})),
    ];
    let decoded = decode(&mut decoder, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let faults = decoded.faults.iter().map(|(index, error)| (*index, error.message.as_str())).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            (0, "column id: string of the writer cannot be read as long"),
            (2, "schema 3 is not in the registry"),
            (3, "begins with byte 0x7b, not with 0 and the id of a schema in a registry"),
            (4, "a message of 3 bytes, too short for a schema id"),
            (5, "2 bytes are left over behind the record"),
            (6, "column note: cut off: 1 bytes expected at byte 2, 0 are left"),
        ]
    );
    assert_eq!(decoded.messages, Some(vec![1, 7]));
    assert_eq!(json_rows(&decoded.rows), [json!({"id": 1, "note": "a"}), json!({"id": 2, "note": "b"})]);
}

#[test]
fn several_record_types_say_which_they_are_and_can_be_chosen() {
    let placed = schema(
        &json!({"type": "record", "name": "shop.Placed", "fields": [{"name": "id", "type": "long"}, {"name": "amount", "type": "double"}]}),
    );
    let paid = schema(
        &json!({"type": "record", "name": "shop.Paid", "fields": [{"name": "id", "type": "int"}, {"name": "by", "type": "string"}]}),
    );
    let noise = schema(&json!({"type": "record", "name": "shop.Noise", "fields": [{"name": "id", "type": "string"}]}));
    let both = schema(&json!([
        serde_json::from_str::<Value>(placed.text()).unwrap(),
        "null",
        serde_json::from_str::<Value>(paid.text()).unwrap()
    ]));
    assert_eq!(both.record_names(), ["shop.Placed", "shop.Paid"]);
    let columns: Fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("by", DataType::Utf8, true),
        Field::new("amount", DataType::Float64, true),
        SystemColumn::Schema.field(),
    ]
    .into();
    let types = Some(vec!["shop.Placed".to_owned(), "shop.Paid".to_owned()]);
    let union_of_paid = [vec![4], bytes(&paid, &json!({"id": 9, "by": "card"}))].concat();
    let payloads = [
        framed(1, &placed, &json!({"id": 1, "amount": 2.5})),
        framed(2, &paid, &json!({"id": 1, "by": "cash"})),
        framed(3, &noise, &json!({"id": "x"})),
        [SchemaId(4).header().to_vec(), union_of_paid].concat(),
        [SchemaId(4).header().to_vec(), vec![2]].concat(),
        framed(3, &noise, &json!({"id": "y"})),
    ];
    for readers in [Vec::new(), vec![placed.clone(), paid.clone()], vec![both.clone()]] {
        let mut decoder = decoder(registry(readers, types.clone()), columns.clone()).unwrap();
        for (id, schema) in [(1, &placed), (2, &paid), (3, &noise), (4, &both)] {
            decoder.add_writer(SchemaId(id), &WriterSchema::Avro(schema.clone())).unwrap();
        }
        let decoded = decode(&mut decoder, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(decoded.unwanted, [2, 5]);
        assert_eq!(decoded.messages, Some(vec![0, 1, 3]));
        assert_eq!(decoded.faults.len(), 1, "the union's null is no record");
        assert_eq!(decoded.faults[0].0, 4);
        let rows = (0..3).map(|row| names(&decoded.rows, row)).collect::<Vec<_>>();
        assert_eq!(rows, ["shop.Placed", "shop.Paid", "shop.Paid"]);
        let payload = decoded.rows.project(&[0, 1, 2]).unwrap();
        assert_eq!(
            json_rows(&payload),
            [
                json!({"id": 1, "by": null, "amount": 2.5}),
                json!({"id": 1, "by": "cash", "amount": null}),
                json!({"id": 9, "by": "card", "amount": null}),
            ]
        );
    }
}

fn names(rows: &RecordBatch, row: usize) -> String {
    use arrow::array::AsArray;
    rows.column_by_name("_schema").unwrap().as_string::<i32>().value(row).to_owned()
}

/// Every type passed over, one after the other, with a marker behind it that must be found.
#[test]
fn what_is_not_read_is_passed_over() {
    let types = [
        (json!("null"), json!(null)),
        (json!("boolean"), json!(true)),
        (json!("int"), json!(-1_000_000)),
        (json!("long"), json!(i64::MIN)),
        (json!("float"), json!(1.5)),
        (json!("double"), json!(-1.5)),
        (json!("bytes"), json!("ÿ")),
        (json!("string"), json!("text")),
        (json!(["null", "string", {"type": "array", "items": "int"}]), json!([1, 2])),
        (json!({"type": "array", "items": {"type": "map", "values": "string"}}), json!([{"a": "b"}, {}])),
        (json!({"type": "array", "items": "null"}), json!([null, null])),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), json!("B")),
        (json!({"type": "fixed", "name": "F", "size": 3}), json!("abc")),
        (json!({"type": "record", "name": "Empty", "fields": []}), json!({})),
        (
            json!({"type": "record", "name": "Tree", "fields": [{"name": "v", "type": "int"}, {"name": "below", "type": {"type": "array", "items": "Tree"}}]}),
            json!({"v": 1, "below": [{"v": 2, "below": []}, {"v": 3, "below": [{"v": 4, "below": []}]}]}),
        ),
    ];
    for (kind, value) in &types {
        for (other, other_value) in &types {
            if kind.is_object() && kind.get("name").is_some() && kind == other {
                continue;
            }
            let writer = schema(&json!({"type": "record", "name": "W", "fields": [
                {"name": "a", "type": kind}, {"name": "b", "type": other}, {"name": "marker", "type": "string"}]}));
            let written = bytes(&writer, &json!({"a": value, "b": other_value, "marker": "here"}));
            let columns: Fields = vec![Field::new("marker", DataType::Utf8, true)].into();
            let decoded = decode(&mut decoder(bare(&writer, None), columns).unwrap(), &[&written]);
            assert_eq!(decoded.faults, [], "{kind} {other}");
            assert_eq!(json_rows(&decoded.rows), [json!({"marker": "here"})], "{kind} {other}");
            let nothing = decode(&mut self::decoder(bare(&writer, None), Fields::empty()).unwrap(), &[&written]);
            assert_eq!((nothing.rows.num_rows(), nothing.faults), (1, Vec::new()));
        }
    }
}

#[test]
fn blocks_with_their_length_are_read_and_passed_over() {
    let writer = schema(&json!({"type": "record", "name": "W", "fields": [
        {"name": "a", "type": {"type": "array", "items": "int"}}, {"name": "z", "type": "int"}]}));
    // Two items in three bytes, one item in one block without a length, the end.
    let message = [3, 6, 2, 0x80, 1, 2, 6, 0, 14];
    let all = decode(&mut decoder(bare(&writer, None), fields(&writer)).unwrap(), &[&message]);
    assert_eq!(json_rows(&all.rows), [json!({"a": [1, 64, 3], "z": 7})]);
    let columns: Fields = vec![Field::new("z", DataType::Int32, true)].into();
    let some = decode(&mut decoder(bare(&writer, None), columns).unwrap(), &[&message]);
    assert_eq!(json_rows(&some.rows), [json!({"z": 7})]);
}

#[test]
fn columns_may_be_wider_than_the_schema_and_fields_of_structs_may_be_few() {
    let writer = schema(&json!({"type": "record", "name": "W", "fields": [
        {"name": "n", "type": {"type": "record", "name": "N", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "string"}, {"name": "z", "type": "float"}]}},
        {"name": "ts", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "m", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}}]}));
    let time = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    let inner = vec![
        Field::new("z", DataType::Float64, true),
        Field::new("x", DataType::Int64, true),
        Field::new("new", DataType::Utf8, true),
    ];
    let columns: Fields = vec![
        Field::new("m", DataType::Decimal128(10, 3), true),
        Field::new("at", time(TimeUnit::Millisecond), true),
        Field::new("n", DataType::Struct(inner.into()), true),
        Field::new("ts", time(TimeUnit::Millisecond), true),
        Field::new("absent", DataType::Boolean, true),
    ]
    .into();
    let written =
        bytes(&writer, &json!({"n": {"x": 1, "y": "skipped", "z": 0.5}, "ts": 1000, "at": 1_999_999, "m": "{"}));
    let decoded = decode(&mut decoder(bare(&writer, None), columns).unwrap(), &[&written]);
    assert_eq!(decoded.faults, []);
    assert_eq!(
        json_rows(&decoded.rows),
        [json!({"m": 12.3, "at": "1970-01-01T00:00:01.999Z", "n": {"z": 0.5, "x": 1, "new": null},
            "ts": "1970-01-01T00:00:01.000Z", "absent": null})]
    );
}

#[test]
fn columns_that_cannot_be_filled_are_refused_at_once() {
    let writer = schema(&json!({"type": "record", "name": "x.W", "fields": [{"name": "a", "type": "long"}]}));
    let refused = |name: &str, data_type, nullable, reader: Option<&AvroSchema>| {
        let columns: Fields = vec![Field::new(name, data_type, nullable)].into();
        decoder(bare(&writer, reader), columns).unwrap_err().to_string()
    };
    assert_eq!(refused("a", DataType::Int32, true, None), "column a: long cannot be read as int");
    assert_eq!(refused("a", DataType::Utf8, true, None), "column a: long cannot be read as string");
    assert_eq!(refused("b", DataType::Utf8, false, None), "column b: record x.W has no such field");
    assert_eq!(refused("b", DataType::Utf8, true, Some(&writer)), "column b: record x.W has no such field");
    let long = schema(&json!("long"));
    let two: Fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)].into();
    assert!(decoder(bare(&long, None), two).unwrap_err().to_string().contains("fills one column, not 2"));
}
