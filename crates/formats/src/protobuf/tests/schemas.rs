//! Compiling schemas, also hostile ones, and the columns they have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_engine::types::sql_name;
use prost_reflect::prost::Message as _;

use super::*;

#[test]
fn what_does_not_compile_says_why() {
    let refused = |text: &str| ProtobufSchema::compile(text, &[]).unwrap_err().to_string();
    assert!(
        refused("syntax = \"proto3\"; message M { int32 a = 1; int32 b = 1; }").contains("a"),
        "{}",
        refused("message")
    );
    assert!(!refused("message M {").is_empty());
    assert!(refused("syntax = \"proto3\"; import \"other.proto\"; message M { Other o = 1; }").contains("other.proto"));
    assert!(refused(&" ".repeat(5 << 20)).contains("too large"));
    let deep = format!("syntax = \"proto3\"; {}{}", "message M { ".repeat(5_000), "}".repeat(5_000));
    assert!(!refused(&deep).is_empty());
    assert!(ProtobufSchema::from_descriptor_set(&[1, 2, 3], None).is_err());
    assert!(ProtobufSchema::from_descriptor_set(&[], None).is_err());
}

#[test]
fn references_are_imports() {
    let money = "syntax = \"proto3\"; package shop; message Money { int64 units = 1; string currency = 2; }";
    let order = "syntax = \"proto3\"; package shop; import \"shop/money.proto\"; message Order { Money price = 1; }";
    let schema = ProtobufSchema::compile(order, &[("shop/money.proto", money)]).unwrap();
    assert_eq!(schema.message_names(), ["shop.Order"]);
    let message = first(&schema);
    let decoded = decode(&mut all(&message), &[&bytes(&message, "price: {units: 3 currency: \"EUR\"}")]);
    assert_eq!(json_rows(&decoded.rows), [serde_json::json!({"price": {"units": 3, "currency": "EUR"}})]);
    let set = message.descriptor.parent_pool().encode_to_vec();
    let again = ProtobufSchema::from_descriptor_set(&set, Some("-.proto")).unwrap();
    assert_eq!(again.message(Some("shop.Order")).unwrap().columns(), message.columns());
    assert!(again.message(Some("shop.Other")).unwrap_err().to_string().contains("it has shop.Order"));
}

/// The base64 of a file's descriptor, as Confluent's Python client registers it: with the name that its own compiler knew.
fn encoded(schema: &ProtobufSchema, name: &str) -> String {
    let mut file = first(schema).descriptor.parent_file().file_descriptor_proto().clone();
    file.name = Some(name.to_owned());
    STANDARD.encode(file.encode_to_vec())
}

#[test]
fn a_schema_may_be_its_descriptor_in_base64_and_so_may_its_references() {
    let money = "syntax = \"proto3\"; package shop; message Money { int64 units = 1; optional string currency = 2; }";
    let order =
        "syntax = \"proto3\"; package shop; import \"shop/money.proto\"; import \"google/protobuf/timestamp.proto\";
         message Order { Money price = 1; google.protobuf.Timestamp at = 2; map<string, int32> counts = 3; }";
    let text = ProtobufSchema::compile(order, &[("shop/money.proto", money)]).unwrap();
    let money_64 = encoded(&ProtobufSchema::compile(money, &[]).unwrap(), "money.proto");
    let order_64 = encoded(&text, "order.proto");
    for (order, money) in
        [(order_64.as_str(), money), (order_64.as_str(), money_64.as_str()), (order, money_64.as_str())]
    {
        let schema = ProtobufSchema::compile(order, &[("shop/money.proto", money)]).unwrap();
        assert_eq!(schema.message_names(), ["shop.Order"]);
        assert_eq!(first(&schema).columns(), first(&text).columns());
    }
    let alone = ProtobufSchema::compile(&order_64, &[]).unwrap_err().to_string();
    assert!(alone.contains("shop/money.proto"), "{alone}");
    for nonsense in ["AAAA", "bWVzc2FnZQ==", "Cgly"] {
        assert!(ProtobufSchema::compile(nonsense, &[]).is_err(), "{nonsense}");
    }
}

#[test]
fn imports_are_those_of_the_parser() {
    let text = "/* import \"no.proto\"; */ syntax = \"proto3\"; import \"a.proto\"; import public 'dir/b.proto'; // import \"no.proto\";
        import \"google/protobuf/timestamp.proto\"; import \"confluent/meta.proto\"; import
        weak \"c.proto\"; message M { string import = 1; }";
    let all = ["a.proto", "dir/b.proto", "confluent/meta.proto", "c.proto"];
    assert_eq!(ProtobufSchema::imports(text).unwrap(), all);
    assert_eq!(all.map(ProtobufSchema::is_at_hand), [false, false, true, false]);
    assert!(ProtobufSchema::is_at_hand("google/protobuf/timestamp.proto"));
    let dependency = ["a.proto", "google/protobuf/any.proto", "b.proto"].map(str::to_owned).into();
    let file = prost_reflect::prost_types::FileDescriptorProto { dependency, ..Default::default() };
    let encoded = STANDARD.encode(file.encode_to_vec());
    assert_eq!(ProtobufSchema::imports(&encoded).unwrap(), ["a.proto", "b.proto"]);
    assert!(ProtobufSchema::imports("message M {").is_err());
    assert!(ProtobufSchema::imports(&" ".repeat(5 << 20)).is_err());
}

#[test]
fn a_descriptor_with_wrong_bytes_is_an_error_or_another_schema() {
    let text = "syntax = \"proto2\"; package p; message M { optional int32 a = 1 [default = 7]; oneof o { string b = 2; N c = 3; }
         message N { repeated E e = 1 [packed = true]; } enum E { ZERO = 0; ONE = 1; } map<int32, N> d = 4; extensions 100 to 200; }";
    let file =
        first(&ProtobufSchema::compile(text, &[]).unwrap()).descriptor.parent_file().file_descriptor_proto().clone();
    let bytes = file.encode_to_vec();
    let mut state = 1_u64;
    for _ in 0..4_000 {
        let mut changed = bytes.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % changed.len();
            changed[at] = (state >> 24) as u8;
        }
        if let Ok(schema) = ProtobufSchema::compile(&STANDARD.encode(&changed), &[])
            && let Ok(message) = schema.message(None)
        {
            message.columns();
        }
    }
}

#[test]
fn columns_are_named_in_sql() {
    let schema = ProtobufSchema::compile(
        "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/wrappers.proto\";
         message M { int32 a = 1; optional uint64 b = 2; repeated string c = 3; map<int32, N> d = 4; E e = 5; google.protobuf.Timestamp f = 6;
         google.protobuf.DoubleValue g = 7; N n = 8; M self = 9; Q q = 10; message N { bytes x = 1; } enum E { ZERO = 0; } }
         message Q { repeated Q below = 1; }",
        &[],
    )
    .unwrap();
    let columns = first(&schema).columns();
    let named = columns.fields.iter().map(|field| {
        let null = if field.is_nullable() { " null" } else { "" };
        format!("{}: {}{null}", field.name(), sql_name(field.data_type()))
    });
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            "a: int",
            "b: bigint null",
            "c: array<string>",
            "d: map<string, struct<x: bytes>>",
            "e: string",
            "f: timestamp(us) null",
            "g: double null",
            "n: struct<x: bytes> null",
        ]
    );
    let unreadable = columns.unreadable.iter().map(|u| format!("{}: {}", u.field, u.reason)).collect::<Vec<_>>();
    assert_eq!(
        unreadable,
        [
            "self: message M is recursive, and columns are of finite depth",
            "q: below: message Q is recursive, and columns are of finite depth",
        ]
    );
}

#[test]
fn columns_that_cannot_be_filled_are_refused_at_once() {
    use arrow::datatypes::{DataType, Field};
    let message = first(&compile("syntax = \"proto3\"; message M { uint32 a = 1; repeated string b = 2; M c = 3; }"));
    let refused = |name: &str, data_type, nullable| {
        let columns: Fields = vec![Field::new(name, data_type, nullable)].into();
        decoder(bare(&message), columns).unwrap_err().to_string()
    };
    assert_eq!(refused("a", DataType::Int32, true), "column a: uint32 cannot be read as int");
    assert_eq!(refused("b", DataType::Utf8, true), "column b: repeated string cannot be read as string");
    assert_eq!(refused("c", DataType::Utf8, true), "column c: message M cannot be read as string");
    assert_eq!(refused("x", DataType::Utf8, false), "column x: message M has no such field");
    // What is recursive can be read as deep as the columns go.
    let inner: Fields = vec![Field::new("a", DataType::Int64, true)].into();
    let columns: Fields = vec![Field::new("c", DataType::Struct(inner), true)].into();
    let decoded = decode(&mut decoder(bare(&message), columns).unwrap(), &[&bytes(&message, "c: {a: 1 c: {a: 2}}")]);
    assert_eq!(json_rows(&decoded.rows), [serde_json::json!({"c": {"a": 1}})]);
}

/// As Kafka Connect registers it, without references.
#[test]
fn files_that_registries_bring_along_need_not_be_given() {
    let text = r#"syntax = "proto3"; package shop;
        import "confluent/meta.proto"; import "confluent/type/decimal.proto"; import "google/type/date.proto";
        message Order {
          option (confluent.message_meta) = { doc: "an order" };
          confluent.type.Decimal amount = 1 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }];
          google.type.Date day = 2;
        }"#;
    let order = compile(text).message(None).unwrap();
    let types =
        fields(&order).iter().map(|field| millstream_engine::types::sql_name(field.data_type())).collect::<Vec<_>>();
    assert_eq!(
        types,
        ["struct<value: bytes, precision: bigint, scale: int>", "struct<year: int, month: int, day: int>"]
    );
    // What is given goes before.
    let own = "syntax = \"proto3\"; package google.type; message Date { int64 n = 1; }";
    let text = "syntax = \"proto3\"; import \"google/type/date.proto\"; message M { google.type.Date d = 1; }";
    let own = ProtobufSchema::compile(text, &[("google/type/date.proto", own)]).unwrap();
    assert_eq!(fields(&own.message(None).unwrap())[0].data_type().to_string(), "Struct(\"n\": non-null Int64)");
}
