//! What a message's fields become, one case each.

use arrow::datatypes::{DataType, Field};
use serde_json::json;

use super::*;
use crate::{SchemaId, SystemColumn, WriterSchema};

fn check(schema: &ProtobufSchema, text: &str, expected: Value) {
    let message = first(schema);
    let written = bytes(&message, text);
    let decoded = decode(&mut all(&message), &[&written, &written]);
    assert_eq!(decoded.faults, [], "{text}");
    assert_eq!(json_rows(&decoded.rows), [expected.clone(), expected], "{text}");
}

#[test]
fn numbers_of_every_kind() {
    let schema = proto3(
        "message M { int32 a = 1; int64 b = 2; uint32 c = 3; uint64 d = 4; sint32 e = 5; sint64 f = 6; fixed32 g = 7;
         fixed64 h = 8; sfixed32 i = 9; sfixed64 j = 10; float k = 11; double l = 12; bool m = 13; bytes n = 14; string o = 300; }",
    );
    check(
        &schema,
        r#"a: -1 b: -2 c: 4294967295 d: 9223372036854775807 e: -2147483648 f: -9223372036854775808 g: 4294967295
           h: 7 i: -8 j: -9 k: 1.5 l: -0.1 m: true n: "\377" o: "é""#,
        json!({"a": -1, "b": -2, "c": 4_294_967_295_u64, "d": i64::MAX, "e": i32::MIN, "f": i64::MIN, "g": 4_294_967_295_u64,
            "h": 7, "i": -8, "j": -9, "k": 1.5, "l": -0.1, "m": true, "n": "/w==", "o": "é"}),
    );
    check(
        &schema,
        "",
        json!({"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0, "h": 0, "i": 0, "j": 0, "k": 0.0, "l": 0.0,
            "m": false, "n": "", "o": ""}),
    );
}

#[test]
fn an_unsigned_number_beyond_bigint_is_a_fault_or_a_decimal() {
    let message = first(&proto3("message M { uint64 a = 1; }"));
    let written = bytes(&message, "a: 18446744073709551615");
    let decoded = decode(&mut all(&message), &[&written]);
    assert_eq!(decoded.faults[0].1.message, "column a: 18446744073709551615 is beyond a bigint");
    let columns: Fields = vec![Field::new("a", DataType::Decimal128(20, 0), false)].into();
    let decoded = decode(&mut decoder(bare(&message), columns).unwrap(), &[&written]);
    assert_eq!(
        decoded.rows.column(0).as_ref(),
        &arrow::array::Decimal128Array::from(vec![u64::MAX as i128]).with_precision_and_scale(20, 0).unwrap()
    );
}

#[test]
fn presence_is_null_where_a_message_tells_it() {
    check(
        &proto3(
            "message M { optional int32 a = 1; optional string b = 2; oneof o { int32 c = 3; string d = 4; } N n = 5; message N { int32 x = 1; } }",
        ),
        "",
        json!({"a": null, "b": null, "c": null, "d": null, "n": null}),
    );
    check(
        &proto3(
            "message M { optional int32 a = 1; oneof o { int32 c = 3; string d = 4; } N n = 5; message N { int32 x = 1; } }",
        ),
        "a: 0 d: \"\" n: {}",
        json!({"a": 0, "c": null, "d": "", "n": {"x": 0}}),
    );
    let proto2 = compile(
        "syntax = \"proto2\"; message M { optional int32 a = 1; optional int32 b = 2 [default = -7]; optional string c = 3 [default = \"x\"];
         required sint64 d = 4; optional E e = 5 [default = TWO]; optional sint32 f = 6 [default = -3]; enum E { ONE = 1; TWO = 2; } }",
    );
    check(&proto2, "d: 1", json!({"a": null, "b": -7, "c": "x", "d": 1, "e": "TWO", "f": -3}));
    check(
        &proto2,
        "a: 2 b: 3 c: \"y\" d: 4 e: ONE f: 5",
        json!({"a": 2, "b": 3, "c": "y", "d": 4, "e": "ONE", "f": 5}),
    );
    let decoded = decode(&mut all(&first(&proto2)), &[&[8, 1]]);
    assert_eq!(decoded.faults[0].1.message, "column d: is required, and the message does not have it");
}

#[test]
fn repeated_fields_packed_and_not() {
    let schema = proto3(
        "message M { repeated int32 a = 1; repeated double b = 2; repeated string c = 3; repeated E d = 4; repeated N e = 5; repeated sint64 f = 6 [packed = false]; enum E { ZERO = 0; ONE = 1; } message N { int32 x = 1; repeated int32 y = 2; } }",
    );
    check(
        &schema,
        r#"a: [1, -1, 300] b: [0.5] c: ["p", "", "q"] d: [ONE, ZERO] e: [{x: 1}, {}, {y: [7, 8]}] f: [-1, 1]"#,
        json!({"a": [1, -1, 300], "b": [0.5], "c": ["p", "", "q"], "d": ["ONE", "ZERO"],
            "e": [{"x": 1, "y": []}, {"x": 0, "y": []}, {"x": 0, "y": [7, 8]}], "f": [-1, 1]}),
    );
    check(&schema, "", json!({"a": [], "b": [], "c": [], "d": [], "e": [], "f": []}));
    // A packed field written one by one, and the other way round, and both mixed with other fields between.
    let decoded = decode(&mut all(&first(&schema)), &[&[8, 1, 26, 1, b'x', 10, 2, 2, 3, 8, 4, 50, 2, 1, 2]]);
    assert_eq!(json_rows(&decoded.rows)[0]["a"], json!([1, 2, 3, 4]));
    assert_eq!(json_rows(&decoded.rows)[0]["f"], json!([-1, 1]));
}

#[test]
fn maps_have_keys_of_text_and_the_last_of_a_key_counts() {
    let schema = proto3("message M { map<string, int32> a = 1; map<int32, string> b = 2; map<bool, N> c = 3; map<sint64, E> d = 4; map<string, google.protobuf.Timestamp> t = 5; enum E { ZERO = 0; ONE = 1; } message N { int32 x = 1; } }".replace("message M", "import \"google/protobuf/timestamp.proto\"; message M").as_str());
    check(
        &schema,
        r#"a: {key: "k" value: 1} b: {key: -5 value: "v"} c: {key: true value: {x: 2}} d: {key: -1 value: ONE} t: {key: "x" value: {seconds: 1}}"#,
        json!({"a": {"k": 1}, "b": {"-5": "v"}, "c": {"true": {"x": 2}}, "d": {"-1": "ONE"}, "t": {"x": "1970-01-01T00:00:01.000000Z"}}),
    );
    // Entries without a key, without a value, with a field nobody knows, and twice the same key.
    let message = [10, 0, 10, 5, 10, 1, b'k', 16, 1, 10, 5, 10, 1, b'j', 16, 3, 10, 7, 16, 2, 10, 1, b'k', 24, 9];
    let decoded = decode(&mut all(&first(&schema)), &[&message]);
    assert_eq!(decoded.faults, []);
    assert_eq!(json_rows(&decoded.rows)[0]["a"], json!({"": 0, "j": 3, "k": 2}));
}

#[test]
fn the_last_value_counts_and_messages_in_parts_are_put_together() {
    let schema = proto3(
        "message M { int32 a = 1; string b = 2; N n = 3; oneof o { int32 c = 4; string d = 5; int32 e = 6; } message N { int32 x = 1; repeated int32 y = 2; N2 z = 3; } message N2 { int32 p = 1; int32 q = 2; } }",
    );
    let message = first(&schema);
    let parts = [
        bytes(&message, r#"a: 1 b: "x" n: {x: 1 y: 1 z: {p: 1}} c: 1"#),
        bytes(&message, r#"n: {y: 2 z: {q: 2}} d: "d""#),
        bytes(&message, r#"a: 2 b: "y" n: {x: 3}"#),
    ];
    let decoded = decode(&mut all(&message), &[&parts.concat()]);
    assert_eq!(decoded.faults, []);
    assert_eq!(
        json_rows(&decoded.rows),
        [json!({"a": 2, "b": "y", "n": {"x": 3, "y": [1, 2], "z": {"p": 1, "q": 2}}, "c": null, "d": "d", "e": null})]
    );
    // A member that nobody reads ends the one that is read.
    let columns: Fields = vec![Field::new("c", DataType::Int32, true)].into();
    let mut few = decoder(bare(&message), columns).unwrap();
    let decoded = decode(
        &mut few,
        &[&bytes(&message, "c: 1"), &[&bytes(&message, "c: 1")[..], &bytes(&message, "e: 2")].concat()],
    );
    assert_eq!(json_rows(&decoded.rows), [json!({"c": 1}), json!({"c": null})]);
}

#[test]
fn well_known_types() {
    let schema = proto3(
        "import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/struct.proto\"; import \"google/protobuf/duration.proto\";
         message M { google.protobuf.Timestamp t = 1; google.protobuf.Int64Value w = 2; google.protobuf.StringValue s = 3; google.protobuf.Struct j = 4;
         google.protobuf.Duration d = 5; google.protobuf.Value v = 6; repeated google.protobuf.BoolValue b = 7; google.protobuf.ListValue l = 8; }"
            .replace("import", " import")
            .as_str(),
    );
    check(
        &schema,
        r#"t: {seconds: -1 nanos: 999999999} w: {value: -5} s: {}
           j: {fields: {key: "b" value: {list_value: {values: {number_value: 1.5} values: {null_value: NULL_VALUE}}}} fields: {key: "a" value: {string_value: "q\"\n"}}}
           d: {seconds: 5 nanos: 6} v: {bool_value: true} b: {value: true} b: {} l: {values: {struct_value: {}}}"#,
        json!({"t": "1969-12-31T23:59:59.999999Z", "w": -5, "s": "", "j": r#"{"a":"q\"\n","b":[1.5,null]}"#,
            "d": {"seconds": 5, "nanos": 6}, "v": "true", "b": [true, false], "l": "[{}]"}),
    );
    check(&schema, "", json!({"t": null, "w": null, "s": null, "j": null, "d": null, "v": null, "b": [], "l": null}));
}

#[test]
fn an_enum_that_has_grown_is_a_number() {
    let decoded = decode(&mut all(&first(&proto3("message M { E e = 1; enum E { ZERO = 0; } }"))), &[&[8, 5], &[8, 0]]);
    assert_eq!(json_rows(&decoded.rows), [json!({"e": "5"}), json!({"e": "ZERO"})]);
}

#[test]
fn fields_nobody_reads_are_passed_over() {
    let writer = first(&compile(
        "syntax = \"proto2\"; message M { optional int64 a = 1; optional fixed32 b = 2; optional fixed64 c = 3; optional string d = 4;
         optional group G = 5 { optional int32 x = 1; optional group H = 2 { optional int32 y = 1; } } optional string z = 1000; }",
    ));
    let written = bytes(&writer, r#"a: -1 b: 1 c: 2 d: "skip" G {x: 1 H {y: 2}} z: "here""#);
    let columns: Fields = vec![Field::new("z", DataType::Utf8, true)].into();
    let decoded = decode(&mut decoder(bare(&writer), columns).unwrap(), &[&written]);
    assert_eq!(json_rows(&decoded.rows), [json!({"z": "here"})]);
    // The same number with another wire type is another field.
    let reader =
        first(&proto3("message M { string a = 1; repeated int32 b = 4; repeated string c = 2; int32 d = 3; }"));
    let decoded = decode(&mut all(&reader), &[&bytes(&writer, "a: 5 b: 1 c: 2")]);
    assert_eq!(json_rows(&decoded.rows), [json!({"a": "", "b": [], "c": [], "d": 0})]);
}

fn framed(id: u32, place: &[u8], message: &[u8]) -> Vec<u8> {
    [&SchemaId(id).header()[..], place, message].concat()
}

#[test]
fn the_place_of_a_message_in_its_file_says_its_type() {
    let schema = proto3(
        "message A { int32 x = 1; map<string, int32> m = 2; message B { int32 x = 1; message C { int32 x = 3; } } } message D { int64 x = 2; }",
    );
    assert_eq!(schema.message_names(), ["shop.A", "shop.A.B", "shop.A.B.C", "shop.D"]);
    let columns: Fields = vec![Field::new("x", DataType::Int64, true), SystemColumn::Schema.field()].into();
    let read = ProtobufRead { framing: ProtobufFraming::Registry, readers: Vec::new(), types: None };
    let mut decoder = decoder(read, columns).unwrap();
    decoder.add_writer(SchemaId(1), &WriterSchema::Protobuf(schema)).unwrap();
    let payloads = [
        framed(1, &[0], &[8, 1]),
        framed(1, &[2, 0], &[8, 2]),
        framed(1, &[4, 0, 0], &[8, 3]),
        framed(1, &[6, 0, 0, 0], &[24, 4]),
        framed(1, &[2, 2], &[16, 5]),
        framed(1, &[2, 4], &[]),
        framed(1, &[1], &[]),
        framed(1, &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[]),
        framed(1, &[], &[]),
    ];
    let decoded = decode(&mut decoder, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let rows = json_rows(&decoded.rows.project(&[0]).unwrap());
    assert_eq!(rows, [1, 2, 3, 4, 5].map(|x| json!({"x": x})));
    use arrow::array::AsArray;
    let names = decoded.rows.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    assert_eq!(names, ["shop.A", "shop.A", "shop.A.B", "shop.A.B.C", "shop.D"]);
    let faults = decoded.faults.iter().map(|(index, error)| format!("{index}: {}", error.message)).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            "5: is of message type 2 of its schema, which has no such type",
            "6: a place of a message type that is none",
            "7: a place of a message type that is none",
            "8: cut off: 1 bytes expected at byte 0, 0 are left",
        ]
    );
}

/// A descriptor has a message for the entries of each map, and whoever numbers its messages counts those; so does text that was
/// made of a descriptor, as Confluent's Java client makes it.
#[test]
fn entries_of_maps_have_places_where_the_schema_has_them_as_messages() {
    use base64::Engine;
    use prost_reflect::prost::Message;
    let text = "syntax = \"proto3\"; package shop; message A { map<string, int32> m = 1; message B { int64 x = 2; } \
                message C { int64 x = 3; } }";
    let made_of_descriptor = "syntax = \"proto3\"; package shop; message A { repeated .shop.A.MEntry m = 1; \
                              message MEntry { option map_entry = true; string key = 1; int32 value = 2; } \
                              message B { int64 x = 2; } message C { int64 x = 3; } }";
    let file = compile(text).message(None).unwrap().descriptor.parent_file().file_descriptor_proto().encode_to_vec();
    let base64 = base64::engine::general_purpose::STANDARD.encode(file);
    let columns: Fields = vec![Field::new("x", DataType::Int64, true)].into();
    for (schema, places) in [(text, [0, 1]), (made_of_descriptor, [1, 2]), (&base64, [1, 2])] {
        let schema = compile(schema);
        for (name, place) in ["shop.A.B", "shop.A.C"].into_iter().zip(places) {
            assert_eq!(schema.message(Some(name)).unwrap().path(), Some(vec![0, place]), "{schema:?}");
        }
        assert_eq!(schema.message_names(), ["shop.A", "shop.A.B", "shop.A.C"]);
        let read = ProtobufRead { framing: ProtobufFraming::Registry, readers: Vec::new(), types: None };
        let mut decoder = decoder(read, columns.clone()).unwrap();
        decoder.add_writer(SchemaId(1), &WriterSchema::Protobuf(schema)).unwrap();
        let of = |place: u32, message: &[u8]| framed(1, &[4, 0, place as u8 * 2], message);
        let payloads = [of(places[0], &[16, 7]), of(places[1], &[24, 8])];
        let decoded = decode(&mut decoder, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(json_rows(&decoded.rows), [json!({"x": 7}), json!({"x": 8})]);
    }
}

#[test]
fn a_reader_goes_by_numbers_and_types_can_be_chosen() {
    let old = proto3("message M { int32 number = 1; string gone = 2; } message Noise { int32 x = 1; }");
    let new = proto3("message M { int64 id = 1; optional string note = 3; }");
    let columns: Fields = fields(&first(&new));
    let read = ProtobufRead {
        framing: ProtobufFraming::Registry,
        readers: vec![first(&new)],
        types: Some(vec!["shop.M".to_owned()]),
    };
    let mut decoder = decoder(read, columns).unwrap();
    let message = first(&old);
    let payloads = [framed(1, &[0], &bytes(&message, "number: 5 gone: \"x\"")), framed(1, &[2, 2], &[8, 1])];
    let payloads = payloads.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let messages = payloads.iter().map(|value| Message {
        key: None,
        value: Some(value),
        timestamp: 0,
        offset: 0,
        headers: Headers::NONE,
    });
    let unknown = decoder.decode("t", 0, &messages.collect::<Vec<_>>()).unwrap_err();
    assert_eq!(unknown.0, [SchemaId(1)]);
    decoder.add_writer(SchemaId(1), &WriterSchema::Protobuf(old)).unwrap();
    let decoded = decode(&mut decoder, &payloads);
    assert_eq!(decoded.unwanted, [1]);
    assert_eq!(json_rows(&decoded.rows), [json!({"id": 5, "note": null})]);
}

/// The quick way for flat messages gives way to the general one, and nobody can tell.
#[test]
fn flat_messages_with_something_rare_in_them_are_read_as_all_are() {
    let schema = proto3("message M { int64 a = 1; string b = 2; double c = 3; optional int64 d = 2000; }");
    let message = first(&schema);
    let high = [0x80, 0x7d];
    for (bytes, expected) in [
        (&[8, 1, 18, 1, b'x'][..], json!({"a": 1, "b": "x", "c": 0.0, "d": null})),
        // Of a field that stands twice the last counts, whatever the first was.
        (&[8, 1, 18, 1, 0xff, 8, 5, 18, 1, b'y'], json!({"a": 5, "b": "y", "c": 0.0, "d": null})),
        // Another wire type than the schema's is another field.
        (&[13, 0, 0, 0, 0, 18, 0, 24, 7], json!({"a": 0, "b": "", "c": 0.0, "d": null})),
        // Fields that the schema does not have, a group among them.
        (&[40, 9, 43, 8, 1, 44, 8, 3], json!({"a": 3, "b": "", "c": 0.0, "d": null})),
        (&[high[0], high[1], 6, 8, 3], json!({"a": 3, "b": "", "c": 0.0, "d": 6})),
        (&[], json!({"a": 0, "b": "", "c": 0.0, "d": null})),
    ] {
        let plain = [8, 2];
        let decoded = decode(&mut all(&message), &[&plain, bytes, &plain]);
        assert_eq!(decoded.faults, [], "{bytes:?}");
        assert_eq!(json_rows(&decoded.rows)[1], expected, "{bytes:?}");
        assert_eq!(json_rows(&decoded.rows)[2], json!({"a": 2, "b": "", "c": 0.0, "d": null}), "{bytes:?}");
    }
    let decoded = decode(&mut all(&message), &[&[18, 1, 0xff], &[8], &[18, 5, b'a'], &[0, 1]]);
    let faults = decoded.faults.iter().map(|(_, fault)| fault.message.as_str()).collect::<Vec<_>>();
    assert_eq!(faults[0], "column b: not UTF-8 from byte 0 of the text");
    assert_eq!(faults.len(), 4);
}
