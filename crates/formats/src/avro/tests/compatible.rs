//! Findings between versions of a schema, with their place and rule.

use serde_json::json;

use super::*;
use crate::avro::{Level, NewIs, compatibility};

fn found(reader: Value, writer: Value) -> Vec<String> {
    let findings = compatibility(&schema(&reader), &schema(&writer));
    findings.iter().map(|finding| format!("[{}] {finding}", finding.rule.as_str())).collect()
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

#[test]
fn every_finding_is_named_with_its_place() {
    let reader = record(json!([
        {"name": "a", "type": "int"},
        {"name": "b", "type": "string"},
        {"name": "c", "type": {"type": "enum", "name": "E", "symbols": ["X"]}},
        {"name": "d", "type": {"type": "record", "name": "N", "fields": [{"name": "x", "type": {"type": "array", "items": "long"}}, {"name": "y", "type": {"type": "map", "values": "int"}}]}},
        {"name": "e", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "f", "type": "int"},
        {"name": "g", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "h", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "t", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "i", "type": {"type": "record", "name": "Other", "fields": []}},
        {"name": "j", "type": ["null", {"type": "record", "name": "J", "fields": [{"name": "k", "type": "int"}]}]}
    ]));
    let writer = record(json!([
        {"name": "a", "type": "long"},
        {"name": "c", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}},
        {"name": "d", "type": {"type": "record", "name": "N", "fields": [{"name": "x", "type": {"type": "array", "items": "double"}}, {"name": "y", "type": {"type": "map", "values": "long"}}]}},
        {"name": "e", "type": {"type": "fixed", "name": "F", "size": 4}},
        {"name": "f", "type": ["null", "int"]},
        {"name": "g", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}},
        {"name": "h", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "i", "type": {"type": "record", "name": "Another", "fields": []}},
        {"name": "j", "type": {"type": "record", "name": "J", "fields": [{"name": "k", "type": "string"}]}}
    ]));
    assert_eq!(
        found(reader, writer),
        [
            "[type] a: long cannot be read as int",
            "[default] b: the writer has no such field, and string has no default",
            "[symbols] c: enum E lacks Y, Z and has no default",
            "[type] d.x[]: double cannot be read as long",
            "[type] d.y{}: long cannot be read as int",
            "[size] e: fixed F of 4 bytes is not as long as fixed F of 3 bytes",
            "[branch] f: int has no place for null",
            "[scale] g: decimal(9,3) (bytes) and decimal(9,2) (bytes) put the point in different places",
            "[time_unit] h: timestamp-micros (long) and timestamp-millis (long) count different parts of a second",
            "[time_unit] t: time-millis (int) and time-micros (long) count different parts of a second",
            "[name] i: record Another has another name than record Other",
            "[type] j.k: string cannot be read as int",
        ]
    );
}

#[test]
fn recursive_types_are_compared() {
    let tree = |value: &str| {
        record(json!([{"name": "v", "type": value}, {"name": "below", "type": {"type": "array", "items": "R"}}]))
    };
    assert_eq!(found(tree("long"), tree("int")), Vec::<String>::new());
    assert_eq!(found(tree("int"), tree("long")), ["[type] v: long cannot be read as int"]);
    let list = |value: &str| record(json!([{"name": "v", "type": value}, {"name": "next", "type": ["null", "R"]}]));
    assert_eq!(found(list("long"), list("int")), Vec::<String>::new());
    assert!(!found(list("int"), list("long")).is_empty());
}

#[test]
fn levels_ask_the_versions_that_they_name() {
    let version = |fields: Value| schema(&record(fields));
    let first = version(json!([{"name": "a", "type": "int"}]));
    let second = version(json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}]));
    let third = version(json!([{"name": "b", "type": "int"}]));
    let earlier = [first, second];
    let found = |level: &str| {
        let findings = Level::named(level).unwrap().findings(&third, &earlier);
        findings.into_iter().map(|(version, new_is, finding)| (version, new_is, finding.path)).collect::<Vec<_>>()
    };
    let at = |version: usize, new_is: NewIs, path: &str| (version, new_is, path.to_owned());
    assert_eq!(found("NONE"), []);
    assert_eq!(found("BACKWARD"), []);
    assert_eq!(found("BACKWARD_TRANSITIVE"), [at(0, NewIs::Reader, "b")]);
    assert_eq!(found("FORWARD"), [at(1, NewIs::Writer, "a")]);
    assert_eq!(found("FORWARD_TRANSITIVE"), [at(0, NewIs::Writer, "a"), at(1, NewIs::Writer, "a")]);
    assert_eq!(found("FULL"), [at(1, NewIs::Writer, "a")]);
    assert_eq!(found("FULL_TRANSITIVE").len(), 3);
    assert_eq!(Level::named("backward"), None);
}
