//! Columns from JSON Schemas, and messages behind an id, held to their schema or not.

mod compatibility;
mod hostile;
mod soundness;
mod writing;

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema};
use millstream_engine::types::sql_name;
use serde_json::json;

use super::*;
use crate::{DecodeFormat, Decoded, Decoder, FormatError, Headers, Message, SchemaId, WriterSchema};

fn schema(json: &serde_json::Value) -> JsonSchema {
    JsonSchema::parse(&json.to_string(), &[]).unwrap()
}

fn described(schema: &JsonSchema) -> (Vec<String>, Vec<String>) {
    let columns = schema.columns();
    let named = columns.fields.iter().map(|field| {
        let null = if field.is_nullable() { " null" } else { "" };
        format!("{}: {}{null}", field.name(), sql_name(field.data_type()))
    });
    let unreadable = columns.unreadable.iter().map(|u| format!("{}: {}", u.field, u.reason)).collect();
    (named.collect(), unreadable)
}

#[test]
fn columns_are_named_in_sql() {
    let order = schema(&json!({
        "title": "Order", "type": "object", "required": ["id", "at", "maybe", "tags", "home"],
        "properties": {
            "id": {"type": "integer"}, "small": {"type": "integer", "connect.type": "int32"}, "price": {"type": "number"},
            "at": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
            "paid": {"type": "boolean"}, "raw": {"type": "string", "contentEncoding": "base64"},
            "maybe": {"type": ["null", "string"]}, "either": {"oneOf": [{"type": "null"}, {"type": "integer"}]},
            "side": {"enum": ["BUY", "SELL"]}, "tags": {"type": "array", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "number"}},
            "home": {"$ref": "#/$defs/address"}, "work": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
            "any": {}, "mixed": {"type": ["string", "integer"]}, "free": {"type": "object"}, "list": {"type": "array"},
            "tree": {"$ref": "#/$defs/tree"}, "lost": {"$ref": "#/$defs/lost"}},
        "$defs": {
            "address": {"type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}, "city": {"type": "string"}}},
            "tree": {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}}));
    assert_eq!(order.title(), Some("Order"));
    let (named, unreadable) = described(&order);
    assert_eq!(
        named,
        [
            "id: bigint",
            "small: int null",
            "price: double null",
            "at: timestamp(us)",
            "day: date null",
            "paid: boolean null",
            "raw: bytes null",
            "maybe: string null",
            "either: bigint null",
            "side: string null",
            "tags: array<string>",
            "labels: map<string, double> null",
            "home: struct<zip: string, city: string>",
            "work: struct<zip: string, city: string> null",
        ]
    );
    assert_eq!(
        unreadable,
        [
            "any: may be of several types",
            "mixed: may be of several types",
            "free: is an object of anything",
            "list: is an array of anything",
            "tree: below: its items: is recursive, and columns are of finite depth",
            "lost: \"#/$defs/lost\" points at nothing",
        ]
    );
}

#[test]
fn all_of_several_has_the_columns_of_all() {
    let order = schema(&json!({
        "allOf": [{"$ref": "#/$defs/entity"}, {"type": "object", "required": ["home"], "properties": {
            "home": {"allOf": [{"$ref": "#/$defs/address"}], "description": "where they live"},
            "work": {"anyOf": [{"allOf": [{"$ref": "#/$defs/address"}]}, {"type": "null"}]},
            "both": {"allOf": [{"$ref": "#/$defs/address"}, {"properties": {"floor": {"type": "integer"}}, "required": ["floor"]}]},
            "name": {"type": "string", "allOf": [{"minLength": 1}]}, "count": {"allOf": [{"type": "number"}, {"type": "integer"}]},
            "odd": {"allOf": [{"type": "string"}, {"type": "integer"}]},
            "self": {"allOf": [{"$ref": "#"}]}, "id": {"type": "string"}}}],
        "properties": {"at": {"type": "string", "format": "date"}},
        "$defs": {
            "entity": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "version": {"type": "integer"}}},
            "address": {"type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}}}}}));
    let (named, unreadable) = described(&order);
    assert_eq!(
        named,
        [
            "at: date null",
            "version: bigint null",
            "home: struct<zip: string>",
            "work: struct<zip: string> null",
            "both: struct<zip: string, floor: bigint> null",
            "name: string null",
            "count: bigint null",
        ]
    );
    assert_eq!(
        unreadable,
        [
            "odd: is to be of type string and of type integer",
            "self: odd: is to be of type string and of type integer",
            "id: is bigint in one record and string in another",
        ]
    );
    let endless = schema(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}));
    assert_eq!(described(&endless), (vec![], vec!["allOf: is allOf within each other more than 50 deep".to_owned()]));
    let lost = schema(&json!({"$ref": "#/$defs/lost"}));
    assert_eq!(described(&lost), (vec![], vec!["$ref: \"#/$defs/lost\" points at nothing".to_owned()]));
    // What could not be read is not taken to be around what comes behind it.
    let twice = schema(&json!({"properties": {"a": {"$ref": "#/$defs/odd"}, "b": {"$ref": "#/$defs/odd"}},
        "$defs": {"odd": {"type": "object", "properties": {"x": {}}}}}));
    assert_eq!(described(&twice).1, ["a: x: may be of several types", "b: x: may be of several types"]);
    let own = schema(&json!({"properties": {"below": {"allOf": [{"$ref": "#"}]}}}));
    assert_eq!(described(&own).1, ["below: below: is recursive, and columns are of finite depth"]);
}

#[test]
fn a_root_of_several_kinds_of_objects_says_that_it_has_no_columns() {
    let of = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
    for keyword in ["oneOf", "anyOf"] {
        let reason = "the schema is of several kinds of objects, whose properties are no columns";
        let either = schema(&json!({keyword: [of("a"), of("b")], "properties": {"c": {"type": "string"}}}));
        assert_eq!(described(&either), (vec!["c: string null".to_owned()], vec![format!("{keyword}: {reason}")]));
        let required = schema(
            &json!({keyword: [{"required": ["a"]}, {"required": ["c"]}], "properties": {"c": {"type": "string"}}}),
        );
        assert_eq!(described(&required), (vec!["c: string null".to_owned()], vec![]));
        let maybe = schema(&json!({keyword: [of("a"), {"type": "null"}]}));
        assert_eq!(described(&maybe), (vec!["a: string null".to_owned()], vec![]));
    }
}

#[test]
fn what_is_no_schema_and_references_without_end() {
    for text in ["", "{", "5", "[]"] {
        assert!(JsonSchema::parse(text, &[]).is_err(), "{text}");
    }
    let circle = schema(&json!({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}}));
    assert_eq!(described(&circle).1.len(), 2);
    let twice = |i: usize| match i {
        0 => json!({"type": "object", "properties": {"x": {"type": "integer"}}}),
        i => {
            let below = json!({"$ref": format!("#/$defs/d{}", i - 1)});
            json!({"type": "object", "properties": {"a": below, "b": below}})
        }
    };
    let defs = (0..60).map(|i| (format!("d{i}"), twice(i))).collect::<serde_json::Map<_, _>>();
    let doubling = schema(&json!({"properties": {"top": {"$ref": "#/$defs/d59"}}, "$defs": defs}));
    assert!(described(&doubling).1[0].contains("more than 10000 columns"));
}

fn decoder(framing: JsonFraming, validation: Validation, columns: Fields) -> Result<Decoder, FormatError> {
    Decoder::new(DecodeFormat::JsonSchema(JsonSchemaRead { framing, validation }), Arc::new(Schema::new(columns)))
}

fn messages(payloads: &[Vec<u8>]) -> Vec<Message<'_>> {
    let message = |value| Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
    payloads.iter().map(|payload| message(payload.as_slice())).collect()
}

fn decode(decoder: &mut Decoder, payloads: &[Vec<u8>]) -> Decoded {
    decoder.decode("t", 0, &messages(payloads)).unwrap()
}

fn framed(id: u32, text: &str) -> Vec<u8> {
    [&SchemaId(id).header()[..], text.as_bytes()].concat()
}

fn positive() -> JsonSchema {
    let amount = r#"{"type": "integer", "minimum": 1}"#;
    let order = r#"{"type": "object", "required": ["a"], "properties": {"a": {"$ref": "amount.json"}, "s": {"type": "string", "pattern": "^x+$"}}}"#;
    JsonSchema::parse(order, &[("amount.json", amount)]).unwrap()
}

#[test]
fn messages_behind_an_id_are_read_whatever_it_is() {
    let columns: Fields = positive().columns().fields.into();
    let mut decoder = decoder(JsonFraming::Registry, Validation::Off, columns).unwrap();
    let decoded =
        decode(&mut decoder, &[framed(7, r#"{"a": -1}"#), br#"{"a": 1}"#.to_vec(), framed(8, r#"{"a": 2, "s": "y"}"#)]);
    assert_eq!(decoded.messages, Some(vec![0, 2]));
    assert_eq!(decoded.faults[0].1.message, "begins with byte 0x7b, not with 0 and the id of a schema in a registry");
}

#[test]
fn messages_are_held_to_the_schema_they_were_written_by() {
    let columns: Fields = positive().columns().fields.into();
    let mut decoder = decoder(JsonFraming::Registry, Validation::Writer, columns.clone()).unwrap();
    let payloads = [
        framed(7, r#"{"a": 5, "s": "xx"}"#),
        framed(7, r#"{"a": 0}"#),
        framed(7, r#"{"a": 5, "s": "y"}"#),
        framed(7, r#"{"s": "x"}"#),
        framed(7, "{"),
        framed(9, r#"{"a": 1}"#),
        framed(8, r#"{"a": 0}"#),
    ];
    let unknown = decoder.decode("t", 0, &messages(&payloads)).unwrap_err();
    assert_eq!(unknown.0, [SchemaId(7), SchemaId(8), SchemaId(9)]);
    decoder.add_writer(SchemaId(7), &WriterSchema::Json(positive())).unwrap();
    decoder.add_writer(SchemaId(8), &WriterSchema::Json(schema(&json!({})))).unwrap();
    decoder.refuse_writer(SchemaId(9), "schema 9 is not in the registry".to_owned());
    let decoded = decode(&mut decoder, &payloads);
    assert_eq!(decoded.messages, Some(vec![0, 6]));
    let faults = decoded.faults.iter().map(|(index, error)| format!("{index}: {}", error.message)).collect::<Vec<_>>();
    assert_eq!(
        faults,
        [
            "1: /a: breaks its schema: 0 is less than the minimum of 1",
            "2: /s: breaks its schema: \"y\" does not match \"^x+$\"",
            "3: breaks its schema: \"a\" is a required property",
            "4: not JSON: EOF while parsing an object at line 1 column 1",
            "5: schema 9 is not in the registry",
        ]
    );
    let mut bare = self::decoder(JsonFraming::Bare, Validation::Schema(positive()), columns.clone()).unwrap();
    let decoded = decode(&mut bare, &[br#"{"a": 5}"#.to_vec(), br#"{"a": 0}"#.to_vec()]);
    assert_eq!(decoded.messages, Some(vec![0]));
    assert!(self::decoder(JsonFraming::Bare, Validation::Writer, columns).is_err());
}

#[test]
fn a_schema_that_refers_to_what_was_not_given_is_refused() {
    let outside = schema(&json!({"properties": {"a": {"$ref": "https://example.com/other.json"}}}));
    let columns: Fields = positive().columns().fields.into();
    let error = decoder(JsonFraming::Bare, Validation::Schema(outside), columns).unwrap_err();
    assert!(error.to_string().contains("example.com"), "{error}");
}
