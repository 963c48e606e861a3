//! Parsing schemas, also hostile ones, and the columns they have.

use millstream_engine::types::sql_name;
use serde_json::json;

use super::*;

fn refused(text: &str) -> String {
    AvroSchema::parse(text, &[]).unwrap_err().to_string()
}

#[test]
fn what_is_no_schema_says_why() {
    for (text, reason) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("5", "expected a type, found a number"),
        ("\"color\"", "type color is not defined"),
        ("{}", "an object without `type`"),
        (r#"{"type": "array"}"#, "array without `items`"),
        (r#"{"type": "map"}"#, "map without `values`"),
        (r#"["int", "int"]"#, "int stands twice in one union"),
        (r#"["int", ["null", "string"]]"#, "a union directly within a union"),
        (r#"{"type": "record", "name": "R"}"#, "record R: no list of `fields`"),
        (r#"{"type": "record", "fields": []}"#, "a named type without name"),
        (r#"{"type": "record", "name": "1R", "fields": []}"#, "\"1R\" is not a name"),
        (r#"{"type": "record", "name": "int", "fields": []}"#, "int is the name of a primitive type"),
        (r#"{"type": "record", "name": "R", "fields": [{"name": "a"}]}"#, "R: field a has no type"),
        (r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "x"}]}"#, "R: field a: type x is not"),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}"#,
            "R: field a stands twice",
        ),
        (r#"{"type": "enum", "name": "E", "symbols": []}"#, "enum E: no symbols"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#, "enum E: symbol A stands twice"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}"#, "its default \"B\" is not a symbol"),
        (r#"{"type": "fixed", "name": "F", "size": -1}"#, "fixed F: `size` must be"),
        (r#"{"type": "fixed", "name": "F", "size": 18446744073709551615}"#, "fixed F: `size` must be"),
    ] {
        assert!(refused(text).contains(reason), "{text}: {}", refused(text));
    }
}

#[test]
fn schemas_without_measure_are_refused() {
    let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(5000), "}".repeat(5000));
    assert!(refused(&deep).contains("recursion limit") || refused(&deep).contains("nested"), "{}", refused(&deep));
    let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(70), "}".repeat(70));
    assert_eq!(refused(&deep), "types nested more than 60 deep");
    let record = |i: usize, fields: &str| format!(r#"{{"type":"record","name":"R{i}","fields":[{fields}]}}"#);
    let chain = (1..2000).map(|i| record(i, &format!(r#"{{"name":"a","type":"R{}"}}"#, i - 1))).collect::<Vec<_>>();
    let chain = format!("[{},{}]", record(0, ""), chain.join(","));
    assert!(refused(&chain).contains("types nested more than 100 deep"), "{}", refused(&chain));
    assert!(refused(&" ".repeat(5 << 20)).contains("too large"));
}

/// Each record holds the one before it twice: small to say, 2⁹⁰ fields to walk.
#[test]
fn a_schema_that_doubles_with_each_record_is_parsed_passed_over_and_compared() {
    for leaf in ["null", "boolean"] {
        let twice = |i: usize| match i {
            0 => json!({"type": "record", "name": "R0", "fields": [{"name": "leaf", "type": leaf}]}),
            i => {
                let below = format!("R{}", i - 1);
                json!({"type": "record", "name": format!("R{i}"), "fields": [{"name": "a", "type": below}, {"name": "b", "type": below}]})
            }
        };
        let union = schema(&json!((0..90).map(twice).collect::<Vec<_>>()));
        let columns = union.columns();
        assert!(
            columns.unreadable.iter().any(|unreadable| unreadable.reason.contains("more than 10000 columns")
                || unreadable.reason.contains("is always null")
                || unreadable.reason.contains("in another")),
            "{columns:?}"
        );
        let mut decoder = decoder(bare(&union, None), Fields::empty()).unwrap();
        let decoded = decode(&mut decoder, &[&[0xb2, 1, 1, 1, 1], &[0xb2, 1]]);
        match leaf {
            "null" => assert_eq!(decoded.messages, Some(vec![1])),
            _ => assert_eq!(decoded.rows.num_rows(), 0),
        }
        assert_eq!(crate::avro::compatibility(&union, &union), []);
    }
}

#[test]
fn references_are_named_types_of_other_schemas() {
    let address =
        r#"{"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "zip", "type": "string"}]}"#;
    let customer = r#"{"type": "record", "name": "Customer", "namespace": "shop", "fields": [{"name": "home", "type": "Address"}, {"name": "work", "type": ["null", "shop.Address"]}]}"#;
    let schema = AvroSchema::parse(customer, &[address]).unwrap();
    assert_eq!(schema.name(), Some("shop.Customer"));
    let written = bytes(&schema, &json!({"home": {"zip": "a"}, "work": {"zip": "b"}}));
    let decoded = decode(&mut decoder(bare(&schema, None), fields(&schema)).unwrap(), &[&written]);
    assert_eq!(json_rows(&decoded.rows), [json!({"home": {"zip": "a"}, "work": {"zip": "b"}})]);
    assert_eq!(
        AvroSchema::parse(customer, &[]).unwrap_err().to_string(),
        "shop.Customer: field home: type shop.Address is not defined"
    );
    assert!(AvroSchema::parse(customer, &["{"]).unwrap_err().to_string().starts_with("reference 1: not JSON"));
}

#[test]
fn columns_are_named_in_sql() {
    let all = schema(&json!({"type": "record", "name": "x.R", "fields": [
        {"name": "b", "type": "boolean"}, {"name": "i", "type": ["null", "int"]}, {"name": "l", "type": "long"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "tags", "type": {"type": "array", "items": ["string", "null"]}},
        {"name": "attributes", "type": {"type": "map", "values": "double"}},
        {"name": "u", "type": ["null", "int", "string", "E", {"type": "record", "name": "y.E", "fields": [{"name": "z", "type": "null"}, {"name": "w", "type": "int"}]}]},
        {"name": "nothing", "type": "null"},
        {"name": "wide", "type": {"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 2}},
        {"name": "self", "type": ["null", "x.R"]}]}));
    let columns = all.columns();
    let named = columns.fields.iter().map(|field| format!("{}: {}", field.name(), sql_name(field.data_type())));
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            "b: boolean",
            "i: int",
            "l: bigint",
            "ts: timestamp(ms)",
            "money: decimal(10,2)",
            "e: string",
            "tags: array<string>",
            "attributes: map<string, double>",
            "u: struct<int: int, string: string, x_E: string, y_E: struct<w: int>>",
        ]
    );
    assert!(columns.fields[1].is_nullable() && !columns.fields[2].is_nullable());
    let unreadable = columns.unreadable.iter().map(|u| format!("{}: {}", u.field, u.reason)).collect::<Vec<_>>();
    assert_eq!(
        unreadable,
        [
            "nothing: is always null",
            "wide: a decimal of 39 digits, where 38 are the most",
            "self: record x.R is recursive, and columns are of finite depth",
        ]
    );
}
