//! Rows to messages: what a value becomes, what is refused, schemas made from columns, and their next versions.

use arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int64Type};
use serde_json::json;

use super::*;
use crate::protobuf::ProtobufWrite;
use crate::testing::{Random, batch, flat_columns, nested_columns};
use crate::{SchemaId, WriterSchema};

fn encoder(message: &ProtobufMessage, id: Option<SchemaId>, rows: &RecordBatch) -> Result<Encoder, FormatError> {
    Encoder::new(EncodeFormat::Protobuf(ProtobufWrite { message: message.clone(), id }), &rows.schema())
}

/// The payloads of rows that can all be written.
pub(super) fn encode(message: &ProtobufMessage, id: Option<SchemaId>, rows: &RecordBatch) -> Encoded {
    let mut encoded = Encoded::default();
    assert_eq!(encoder(message, id, rows).unwrap().encode(rows, &mut encoded), []);
    encoded
}

fn refused(schema: &ProtobufSchema, rows: &RecordBatch) -> String {
    encoder(&first(schema), None, rows).unwrap_err().to_string()
}

fn rows(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, array.clone()))).unwrap()
}

fn faults(schema: &ProtobufSchema, rows: &RecordBatch) -> Vec<String> {
    let mut encoded = Encoded::default();
    let faults = encoder(&first(schema), None, rows).unwrap().encode(rows, &mut encoded);
    faults.into_iter().map(|fault| format!("{}: {}", fault.row, fault.error.message)).collect()
}

fn numbers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Columns of all types that have a form, nested ones too, under names that Protobuf takes.
fn random_rows(seed: u64) -> RecordBatch {
    let mut random = Random::new(seed);
    let mut columns = flat_columns(20, &mut random);
    columns.retain(|(field, _)| !field.name().contains(' '));
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.iter().cloned().unzip();
    let validity = (0..20).map(|_| random.below(3) > 0).collect::<Vec<_>>();
    let object = StructArray::new(fields.clone().into(), arrays.clone(), Some(validity.into()));
    let lengths = [2, 0, 1, 3, 0, 4, 0, 0, 2, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0];
    let items = Arc::new(StructArray::new(fields.clone().into(), arrays, None));
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), false));
    let list = ListArray::new(item, OffsetBuffer::from_lengths(lengths), items, None);
    let (_, map) = nested_columns(20, &mut random).pop().unwrap();
    // A value of Protobuf's map is never null: the nulls become 7.
    let map = map.as_any().downcast_ref::<MapArray>().unwrap();
    let values = map.values().as_any().downcast_ref::<Int64Array>().unwrap();
    let values = Int64Array::from_iter_values(values.iter().map(|value| value.unwrap_or(7)));
    let parts = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, false)];
    let entries = StructArray::new(parts.into(), vec![map.keys().clone(), Arc::new(values)], None);
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map = MapArray::new(entry, map.offsets().clone(), entries, None, false);
    let nested: [(&str, ArrayRef); 3] =
        [("object", Arc::new(object)), ("list", Arc::new(list)), ("map", Arc::new(map))];
    for (name, array) in nested {
        columns.push((Field::new(name, array.data_type().clone(), name == "object"), array));
    }
    batch(columns)
}

#[test]
fn what_is_written_by_a_schema_made_from_the_columns_reads_back() {
    for seed in 0..40 {
        let rows = random_rows(seed);
        let schema = ProtobufSchema::of_columns("shop.orders.Order", rows.schema().fields(), None).unwrap();
        assert_eq!(schema.message_names()[0], "shop.orders.Order");
        let message = first(&schema);
        let encoded = encode(&message, Some(SchemaId(3)), &rows);
        let again = encode(&message, Some(SchemaId(3)), &rows);
        assert_eq!((&encoded.bytes, &encoded.ends), (&again.bytes, &again.ends));
        let read = ProtobufRead { framing: ProtobufFraming::Registry, readers: Vec::new(), types: None };
        let mut decoder = decoder(read, rows.schema().fields().clone()).unwrap();
        decoder.add_writer(SchemaId(3), &WriterSchema::Protobuf(schema)).unwrap();
        let payloads = (0..encoded.len()).map(|row| encoded.payload(row)).collect::<Vec<_>>();
        let decoded = decode(&mut decoder, &payloads);
        assert_eq!(decoded.faults, []);
        assert_eq!(decoded.rows, rows, "seed {seed}");
    }
}

#[test]
fn a_message_names_the_place_of_its_type() {
    let schema = proto3(
        "message A { map<string, int32> m = 1; message B {} message C { int64 n = 1; } } message D { int64 n = 1; }",
    );
    let rows = rows(&[("n", numbers(&[Some(1)]))]);
    for (name, place) in [("shop.A.C", &[4, 0, 2][..]), ("shop.D", &[2, 2])] {
        let message = schema.message(Some(name)).unwrap();
        let encoded = encode(&message, Some(SchemaId(7)), &rows);
        assert_eq!(encoded.payload(0), [&[0, 0, 0, 0, 7], place, &[8, 1]].concat(), "{name}");
        let read = ProtobufRead { framing: ProtobufFraming::Registry, readers: Vec::new(), types: None };
        let mut decoder = decoder(read, rows.schema().fields().clone()).unwrap();
        decoder.add_writer(SchemaId(7), &WriterSchema::Protobuf(schema.clone())).unwrap();
        assert_eq!(decode(&mut decoder, &[encoded.payload(0)]).rows, rows);
    }
    let first = first(&proto3("message A { int64 n = 1; }"));
    assert_eq!(encode(&first, Some(SchemaId(7)), &rows).payload(0), [0, 0, 0, 0, 7, 0, 8, 1]);
    let import =
        ProtobufSchema::compile("import \"d.proto\";", &[("d.proto", "message D { optional int64 n = 1; }")]).unwrap();
    let error = encoder(&import.message(Some("D")).unwrap(), Some(SchemaId(7)), &rows).unwrap_err();
    assert_eq!(error.to_string(), "message D is of an imported file, and a message names a type of its own");
}

#[test]
fn defaults_are_left_out_where_nobody_can_tell_and_null_is_never_a_default() {
    let rows = rows(&[("a", numbers(&[Some(0), None, Some(5)])), ("b", texts(&[Some(""), Some("x"), None]))]);
    let plain = proto3("message M { int64 a = 1; string b = 2; }");
    assert_eq!(
        faults(&plain, &rows),
        [
            "1: column a: null, where the schema has no place for it",
            "2: column b: null, where the schema has no place for it"
        ]
    );
    let mut encoded = Encoded::default();
    encoder(&first(&plain), None, &rows).unwrap().encode(&rows, &mut encoded);
    assert_eq!(encoded.payload(0), b"");
    let optional = first(&proto3("message M { optional string b = 2; optional int64 a = 1; }"));
    let encoded = encode(&optional, None, &rows);
    assert_eq!(
        [encoded.payload(0), encoded.payload(1), encoded.payload(2)],
        [&[8, 0, 18, 0][..], &[18, 1, b'x'], &[8, 5]]
    );
    let proto2 =
        compile("syntax = \"proto2\"; message M { required int64 a = 1; optional string b = 2 [default = \"q\"]; }");
    assert_eq!(faults(&proto2, &rows), ["1: column a: null, where the schema has no place for it"]);
}

#[test]
fn numbers_keep_to_the_types_of_the_schema() {
    let rows = rows(&[("n", numbers(&[Some(-1), Some(1 << 31), Some(i64::MIN), Some(1 << 32), Some(7)]))]);
    for (kind, refused) in [
        ("int32", &[1, 2, 3][..]),
        ("sint32", &[1, 2, 3]),
        ("uint32", &[0, 2, 3]),
        ("fixed32", &[0, 2, 3]),
        ("uint64", &[0, 2]),
        ("fixed64", &[0, 2]),
        ("sint64", &[]),
        ("sfixed64", &[]),
        ("int64", &[]),
    ] {
        let schema = proto3(&format!("message M {{ {kind} n = 1; }}"));
        let rows_of = faults(&schema, &rows).iter().map(|text| text[..1].parse().unwrap()).collect::<Vec<usize>>();
        assert_eq!(rows_of, refused, "{kind}");
        let message = first(&schema);
        let mut encoded = Encoded::default();
        encoder(&message, None, &rows).unwrap().encode(&rows, &mut encoded);
        let columns: Fields = vec![Field::new("n", DataType::Int64, false)].into();
        for row in (0..rows.num_rows()).filter(|row| !refused.contains(row)) {
            let decoded = decode(&mut decoder(bare(&message), columns.clone()).unwrap(), &[encoded.payload(row)]);
            let expected = arrow::array::AsArray::as_primitive::<Int64Type>(rows.column(0)).value(row);
            assert_eq!(json_rows(&decoded.rows), [json!({"n": expected})], "{kind}");
        }
    }
    assert_eq!(refused(&proto3("message M { float n = 1; }"), &rows), "column n: bigint cannot be written as float");
    assert_eq!(
        refused(&proto3("message M { int64 m = 1; }"), &rows),
        "column n: message shop.M of the schema has no such field"
    );
    let required = compile("syntax = \"proto2\"; message M { required int64 m = 1; optional int64 n = 2; }");
    assert_eq!(refused(&required, &rows), "column m: the schema requires this field, and there is no such column");
}

#[test]
fn enums_oneofs_wrappers_times_and_keys() {
    let schema = ProtobufSchema::compile(
        "syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/timestamp.proto\";
         message M { E side = 1; oneof o { int64 a = 2; string b = 3; } google.protobuf.Int64Value w = 4;
           google.protobuf.Timestamp t = 5; }
         enum E { NONE = 0; BUY = 1; }",
        &[],
    )
    .unwrap();
    let times = TimestampMillisecondArray::from(vec![Some(-1), None, Some(i64::MAX), Some(0)]).with_timezone("UTC");
    let rows = rows(&[
        ("side", texts(&[Some("BUY"), Some("17"), Some("NONE"), Some("SELL")])),
        ("a", numbers(&[Some(0), None, None, None])),
        ("b", texts(&[None, Some(""), None, None])),
        ("w", numbers(&[Some(0), None, Some(3), None])),
        ("t", Arc::new(times)),
    ]);
    assert_eq!(
        faults(&schema, &rows),
        [
            "2: column t: a time 9223372036854775 seconds from 1970, beyond the years 1 to 9999",
            "3: column side: \"SELL\" is not a name of the schema's enum",
        ]
    );
    let written = rows.slice(0, 2);
    let encoded = encode(&first(&schema), None, &written);
    let decoded = decode(&mut all(&first(&schema)), &[encoded.payload(0), encoded.payload(1)]);
    assert_eq!(
        json_rows(&decoded.rows),
        [
            json!({"side": "BUY", "a": 0, "b": null, "w": 0, "t": "1969-12-31T23:59:59.999000Z"}),
            json!({"side": "17", "a": null, "b": "", "w": null, "t": null}),
        ]
    );
    let both = self::rows(&[("a", numbers(&[Some(1)])), ("b", texts(&[Some("x")]))]);
    assert_eq!(faults(&schema, &both), ["0: column o: more than one member of the oneof has a value"]);
    let proto2 = compile("syntax = \"proto2\"; message M { optional E side = 1; enum E { BUY = 1; } }");
    let sides = self::rows(&[("side", texts(&[Some("17")]))]);
    assert_eq!(faults(&proto2, &sides), ["0: column side: \"17\" is not a name of the schema's enum"]);
}

#[test]
fn lists_know_no_null() {
    let item = || Some(vec![Some(1), None]);
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>([item(), None, Some(vec![Some(300), Some(2)]), Some(vec![])]);
    let rows = rows(&[("n", Arc::new(list) as ArrayRef)]);
    for (options, written) in [("", &[10, 3, 0xac, 2, 2][..]), ("[packed = false]", &[8, 0xac, 2, 8, 2])] {
        let schema = proto3(&format!("message M {{ repeated int64 n = 1 {options}; }}"));
        assert_eq!(
            faults(&schema, &rows),
            [
                "0: column n[1]: null, where the schema has no place for it",
                "1: column n: null, where Protobuf knows only empty; make it empty with coalesce",
            ]
        );
        let mut encoded = Encoded::default();
        encoder(&first(&schema), None, &rows).unwrap().encode(&rows, &mut encoded);
        assert_eq!((encoded.payload(2), encoded.payload(3)), (written, &[][..]), "{options}");
    }
}

#[test]
fn the_next_version_keeps_the_numbers_of_the_one_before() {
    let fields =
        |names: &[&str]| -> Fields { names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect() };
    let within = |names: &[&str]| Field::new("place", DataType::Struct(fields(names)), true);
    let with = |names: &[&str], inner: &[&str]| -> Fields {
        let flat = fields(names);
        flat.iter().map(|field| field.as_ref().clone()).chain([within(inner)]).collect()
    };
    let one = ProtobufSchema::of_columns("x.M", &with(&["a", "b"], &["lat", "lon"]), None).unwrap();
    assert_eq!(
        one.text().unwrap(),
        "syntax = \"proto3\";\npackage x;\n\nmessage M {\n  optional int64 a = 1;\n  optional int64 b = 2;\n  message Place {\n    \
         optional int64 lat = 1;\n    optional int64 lon = 2;\n  }\n  Place place = 3;\n}\n"
    );
    let two = ProtobufSchema::of_columns("x.M", &with(&["c", "b"], &["lon", "alt"]), Some(&first(&one))).unwrap();
    assert_eq!(
        two.text().unwrap(),
        "syntax = \"proto3\";\npackage x;\n\nmessage M {\n  reserved 1;\n  optional int64 c = 4;\n  optional int64 b = 2;\n  \
         message Place {\n    reserved 1;\n    optional int64 lon = 2;\n    optional int64 alt = 3;\n  }\n  Place place = 3;\n}\n"
    );
    let three = ProtobufSchema::of_columns("x.M", &with(&["a"], &["lon"]), Some(&first(&two))).unwrap();
    assert!(three.text().unwrap().contains("reserved 1, 2, 4;\n  optional int64 a = 5;"), "{:?}", three.text());
    let rows = rows(&[("c", numbers(&[Some(9)])), ("b", numbers(&[Some(8)]))]);
    let encoded = encode(&first(&two), None, &rows);
    let columns = fields(&["a", "b"]);
    let decoded = decode(&mut decoder(bare(&first(&one)), columns).unwrap(), &[encoded.payload(0)]);
    assert_eq!(json_rows(&decoded.rows), [json!({"a": null, "b": 8})]);
}

#[test]
fn names_of_messages_do_not_meet_those_of_fields() {
    let inner = DataType::Struct(vec![Field::new("n", DataType::Int32, false)].into());
    let columns: Fields = ["item", "_x"].map(|name| Field::new(name, inner.clone(), false)).into_iter().collect();
    let schema = ProtobufSchema::of_columns("M", &columns, None).unwrap();
    assert_eq!(schema.message_names(), ["M", "M.Item", "M._x_"]);
    let cell: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int32, false)),
        Arc::new(Int32Array::from(vec![5])) as ArrayRef,
    )]));
    let rows = rows(&[("item", cell.clone()), ("_x", cell)]);
    assert_eq!(encode(&first(&schema), None, &rows).payload(0), [10, 2, 8, 5, 18, 2, 8, 5]);
}

#[test]
fn lists_and_maps_within_others_stand_in_messages_of_their_own() {
    let inner = [Some(vec![Some(1), Some(300)]), Some(vec![]), Some(vec![Some(-1)])];
    let inner: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(inner));
    let item = |array: &ArrayRef| Arc::new(Field::new_list_field(array.data_type().clone(), false));
    let grid = ListArray::new(item(&inner), OffsetBuffer::from_lengths([2, 0, 1]), inner.clone(), None);
    let grid: ArrayRef = Arc::new(grid);
    let deep: ArrayRef =
        Arc::new(ListArray::new(item(&grid), OffsetBuffer::from_lengths([1, 2, 0]), grid.clone(), None));
    let parts = vec![Field::new("key", DataType::Utf8, false), Field::new("value", inner.data_type().clone(), false)];
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let entries = StructArray::new(parts.into(), vec![keys, inner], None);
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map: ArrayRef = Arc::new(MapArray::new(entry, OffsetBuffer::from_lengths([1, 2, 0]), entries, None, false));
    let maps: ArrayRef = Arc::new(ListArray::new(item(&map), OffsetBuffer::from_lengths([2, 1, 0]), map.clone(), None));
    let rows = batch(
        [("grid", grid), ("deep", deep), ("map", map), ("maps", maps)]
            .into_iter()
            .map(|(name, array)| (Field::new(name, array.data_type().clone(), false), array))
            .collect(),
    );
    let schema = ProtobufSchema::of_columns("M", rows.schema().fields(), None).unwrap();
    let text = schema.text().unwrap();
    assert!(text.contains("  message Grid {\n    repeated int64 items = 1;\n  }\n  repeated Grid grid = 1;"), "{text}");
    assert!(text.contains("  map<string, Map> map = 3;"), "{text}");
    let next = ProtobufSchema::of_columns("M", rows.schema().fields(), Some(&first(&schema))).unwrap();
    assert_eq!(next.text(), schema.text());
    let message = first(&schema);
    let encoded = encode(&message, None, &rows);
    // Two of them: [1, 300] in three bytes, and nothing.
    assert!(encoded.payload(0).starts_with(&[10, 5, 10, 3, 1, 0xac, 2, 10, 0]), "{:?}", encoded.payload(0));
    let payloads = (0..encoded.len()).map(|row| encoded.payload(row)).collect::<Vec<_>>();
    let decoded = decode(&mut decoder(bare(&message), rows.schema().fields().clone()).unwrap(), &payloads);
    assert_eq!(decoded.faults, []);
    assert_eq!(decoded.rows, rows);
    // What they are without columns of one's own.
    assert_eq!(
        json_rows(&decode(&mut all(&message), &payloads[..1]).rows)[0]["grid"],
        json!([{"items": [1, 300]}, {"items": []}])
    );
}

#[test]
fn text_that_is_no_date_or_decimal_is_refused() {
    let message = first(&proto3("message M { string d = 1; string n = 2; }"));
    let columns: Fields =
        vec![Field::new("d", DataType::Date32, true), Field::new("n", DataType::Decimal128(4, 2), true)].into();
    let of = |day: &str, number: &str| {
        let rows = rows(&[("d", texts(&[Some(day)])), ("n", texts(&[Some(number)]))]);
        encode(&message, None, &rows).payload(0).to_vec()
    };
    let payloads = [of("2026-01-31", "12.5"), of("2026-02-30", "1"), of("", "1"), of("2026-01-31", "123.45")];
    let payloads = payloads.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let decoded = decode(&mut decoder(bare(&message), columns).unwrap(), &payloads);
    assert_eq!(json_rows(&decoded.rows), [json!({"d": "2026-01-31", "n": 12.5})]);
    let faults = decoded.faults.iter().map(|(_, fault)| fault.message.as_str()).collect::<Vec<_>>();
    assert_eq!(
        faults,
        ["column d: \"2026-02-30\" is no date", "column d: \"\" is no date", "column n: \"123.45\" is no decimal(4,2)",]
    );
}

#[test]
fn what_has_no_form_is_refused_with_a_way_out() {
    let derive =
        |name: &str, field: Field| ProtobufSchema::of_columns(name, &vec![field].into(), None).unwrap_err().to_string();
    let time = Field::new("d", DataType::Time32(arrow::datatypes::TimeUnit::Second), true);
    let message = derive("M", time);
    assert!(message.starts_with("column d: ") && message.ends_with(" has no form in Protobuf; cast it"), "{message}");
    let message = derive("M", Field::new("a b", DataType::Int64, true));
    assert!(message.starts_with("column a b: is not a name in Protobuf"), "{message}");
    let message = derive("x.1", Field::new("a", DataType::Int64, true));
    assert_eq!(message, "\"1\" of x.1 is not a name in Protobuf");
}
