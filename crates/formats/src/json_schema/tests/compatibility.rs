//! What a reader does not expect of a writer's documents, rule by rule; and what is not judged is said.

use serde_json::{Value, json};

use crate::Gravity;
use crate::json_schema::{JsonSchema, compatibility};

fn schema(json: &Value) -> JsonSchema {
    JsonSchema::parse(&json.to_string(), &[]).unwrap()
}

fn found(reader: &Value, writer: &Value) -> Vec<String> {
    let gravity = |gravity| match gravity {
        Gravity::Note => "note",
        Gravity::NotJudged => "not judged",
        Gravity::Breaks => "breaks",
    };
    let differences = compatibility(&schema(reader), &schema(writer));
    differences.iter().map(|found| format!("{} {} {}", gravity(found.gravity), found.rule, found.path)).collect()
}

/// Both as the only property `a` of an object without others.
fn property(schema: &Value) -> Value {
    json!({"type": "object", "properties": {"a": schema}, "additionalProperties": false})
}

#[test]
fn values_are_held_against_each_other() {
    let rows: Vec<(Value, Value, &[&str])> = vec![
        (json!({"type": "string"}), json!({"type": "string"}), &[]),
        (json!({"type": "number"}), json!({"type": "integer"}), &[]),
        (json!({"type": "integer"}), json!({"type": "number"}), &["breaks type a"]),
        (json!({"type": "string"}), json!({"type": "integer"}), &["breaks type a"]),
        (json!({}), json!({"type": "integer"}), &[]),
        (json!(true), json!({"type": "integer"}), &[]),
        (json!({"title": "any", "description": "thing"}), json!({"type": "integer"}), &[]),
        // What may be anything may be of five other types.
        (json!({"type": "string"}), json!({}), &["breaks type a"; 5]),
        (json!(false), json!({"type": "string"}), &["breaks type a"]),
        // Null, in a list or as a branch.
        (json!({"type": ["null", "string"]}), json!({"type": "string"}), &[]),
        (json!({"type": "string"}), json!({"type": ["null", "string"]}), &["breaks type a"]),
        (json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), json!({"type": ["string", "null"]}), &[]),
        (json!({"type": "string"}), json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), &["breaks type a"]),
        (
            json!({"anyOf": [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 5}]}),
            json!({"type": "string", "maxLength": 2}),
            &[],
        ),
        (
            json!({"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]}),
            json!({"type": "string", "maxLength": 2}),
            &["not judged oneOf a"],
        ),
        // Listed values.
        (json!({"enum": ["A", "B"]}), json!({"enum": ["A"]}), &[]),
        (json!({"enum": ["A", "B"]}), json!({"const": "B"}), &[]),
        (json!({"enum": ["A"]}), json!({"enum": ["A", "B"]}), &["breaks enum a"]),
        (json!({"enum": ["A"]}), json!({"type": "string"}), &["breaks enum a"]),
        (json!({"type": "string"}), json!({"enum": ["A", "B"]}), &[]),
        (json!({"type": "string"}), json!({"enum": ["A", 1]}), &["breaks type a"]),
        // Listed values, each against all that the reader says.
        (json!({"type": "string", "minLength": 1}), json!({"enum": ["A"]}), &[]),
        (json!({"type": "string", "minLength": 2}), json!({"enum": ["A", "BB"]}), &["breaks range a"]),
        (json!({"type": "string", "minLength": 2}), json!({"enum": ["A", "BB"], "minLength": 2}), &[]),
        (json!({"type": "string", "pattern": "A"}), json!({"enum": ["BAB"]}), &[]),
        (json!({"type": "string", "pattern": "^A$"}), json!({"enum": ["A", "BAB"]}), &["breaks pattern a"]),
        (json!({"type": "string", "pattern": "^(?!A)"}), json!({"const": "A"}), &["not judged pattern a"]),
        (
            json!({"type": "string", "pattern": "^(?!A)", "minLength": 9}),
            json!({"const": "A"}),
            &["not judged enum a", "not judged pattern a"],
        ),
        (json!({"type": "integer"}), json!({"const": 1.0}), &[]),
        (json!({"not": {"const": "B"}}), json!({"enum": ["A", "B"]}), &["breaks not a"]),
        (json!({"not": {"const": "B"}}), json!({"enum": ["A", "C"]}), &[]),
        (json!({"type": "string", "format": "date"}), json!({"const": "2026-01-31"}), &["note format a"]),
        (
            json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}),
            json!({"enum": [{"x": 1}, {"x": "1"}, {}]}),
            &["breaks required a", "breaks type a"],
        ),
        // Of `oneOf` a value of two alternatives is none, wherever it stands.
        (
            json!({"anyOf": [{"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]}, {"type": "null"}]}),
            json!({"type": "string", "maxLength": 2}),
            &["not judged oneOf a"],
        ),
        (
            json!({"anyOf": [{"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]}, {"type": "null"}]}),
            json!({"type": "null"}),
            &[],
        ),
        (json!({"oneOf": [{"const": "A"}, {"const": "B"}]}), json!({"enum": ["A", "B"]}), &[]),
        (json!({"oneOf": [{"type": ["integer", "number"]}, {"type": "null"}]}), json!({"type": "integer"}), &[]),
        (
            json!({"type": "string", "minLength": 4}),
            json!({"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]}),
            &["not judged oneOf a"],
        ),
        // Bounds.
        (json!({"type": "integer", "minimum": 1}), json!({"type": "integer", "minimum": 1}), &[]),
        (json!({"type": "integer", "minimum": 1}), json!({"type": "integer", "minimum": 2}), &[]),
        (json!({"type": "integer", "minimum": 1}), json!({"type": "integer", "minimum": 0}), &["breaks range a"]),
        (json!({"type": "integer", "minimum": 1}), json!({"type": "integer"}), &["breaks range a"]),
        (json!({"type": "integer"}), json!({"type": "integer", "minimum": 1}), &[]),
        (json!({"type": "string", "maxLength": 3}), json!({"type": "string", "maxLength": 4}), &["breaks range a"]),
        (
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "exclusiveMinimum": 1}),
            &["not judged minimum a"],
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!({"type": "integer", "minimum": 3}),
            &["not judged exclusiveMinimum a"],
        ),
        (json!({"type": "object", "minProperties": 1}), json!({"type": "object", "required": ["x"]}), &[]),
        (
            json!({"type": "object", "maxProperties": 1}),
            json!({"type": "object", "properties": {"x": {}}, "additionalProperties": false}),
            &[],
        ),
        // A bound of lengths says nothing of numbers.
        (json!({"type": ["integer", "string"], "maxLength": 3}), json!({"type": "integer"}), &[]),
        // What validators may pass over, and columns get their types from.
        (json!({"type": "string", "format": "date"}), json!({"type": "string"}), &["note format a"]),
        (json!({"type": "string"}), json!({"type": "string", "format": "date"}), &[]),
        (
            json!({"type": "integer", "connect.type": "int32"}),
            json!({"type": "integer", "connect.type": "int64"}),
            &["note format a"],
        ),
        // Arrays.
        (json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}}), &[]),
        (json!({"type": "array", "items": {"type": "string"}}), json!({"type": "array"}), &["breaks type a[]"]),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"type": "array", "items": {"type": "integer"}}),
            &["breaks type a[]"],
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}]}),
            json!({"type": "array", "items": {"type": "string"}}),
            &["not judged items a[]"],
        ),
        // What is not understood is the same where it is written the same, and else it is said.
        (json!({"type": "string", "pattern": "^a"}), json!({"type": "string", "pattern": "^a"}), &[]),
        (json!({"type": "string", "pattern": "^a"}), json!({"type": "string"}), &["not judged pattern a"]),
        (json!({"type": "string"}), json!({"type": "string", "pattern": "^a"}), &[]),
        (json!({"not": {"type": "null"}}), json!({"type": "string"}), &["not judged not a"]),
        // All of several: what is read keeps to each of them, and to what stands beside them.
        (json!({"allOf": [{"type": "string"}, {"maxLength": 3}]}), json!({"type": "string", "maxLength": 2}), &[]),
        (json!({"allOf": [{"type": "string"}, {"maxLength": 3}]}), json!({"type": "string"}), &["breaks range a"]),
        (json!({"allOf": [{"type": "string"}], "minLength": 1}), json!({"type": "string"}), &["breaks range a"]),
        (
            json!({"allOf": [{"not": {"const": 1}}], "minLength": 1}),
            json!({"type": "string", "minLength": 1}),
            &["not judged not a"],
        ),
        (json!({"allOf": []}), json!({"type": "string"}), &[]),
        // What is written keeps to all of them, so one is enough.
        (json!({"type": "string"}), json!({"allOf": [{"type": "string"}]}), &[]),
        (json!({"type": "string"}), json!({"allOf": [{"title": "a text"}, {"type": "string"}]}), &[]),
        (json!({"type": "string"}), json!({"allOf": [{"not": {"const": ""}}], "type": "string"}), &[]),
        (
            json!({"type": "string"}),
            json!({"allOf": [{"not": {"const": ""}}], "type": "integer"}),
            &["not judged allOf a"],
        ),
        // Plain ones are put together.
        (json!({"type": "string"}), json!({"allOf": [{"type": "integer"}]}), &["breaks type a"]),
        (
            json!({"type": "integer", "minimum": 1}),
            json!({"allOf": [{"minimum": 1}, {"type": "number"}, {"type": "integer", "minimum": 0}]}),
            &[],
        ),
        (
            json!({"type": "integer", "maximum": 1}),
            json!({"allOf": [{"type": "integer", "maximum": 2}, {"maximum": 3}]}),
            &["breaks range a"],
        ),
        (
            json!({"anyOf": [{"type": "null"}, {"type": "string", "allOf": [{"maxLength": 2}]}]}),
            json!({"type": "string", "maxLength": 2}),
            &[],
        ),
        // What only makes fewer of what is written leaves good what is good without it.
        (json!({"type": "string"}), json!({"type": "string", "not": {"const": "a"}}), &[]),
        (
            json!({"type": "string"}),
            json!({"type": ["string", "null"], "not": {"type": "null"}}),
            &["not judged not a"],
        ),
        (
            json!({"type": "string", "maxLength": 3}),
            json!({"type": "string", "if": {"minLength": 2}, "then": {"const": "abc"}}),
            &["not judged then a"],
        ),
        (
            json!({"type": "string", "maxLength": 3}),
            json!({"type": "string", "pattern": "^.$"}),
            &["not judged pattern a"],
        ),
        (json!({"type": "string"}), json!({"anyOf": [{"type": "string"}, {"const": "x"}], "maxLength": 3}), &[]),
        (
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "multipleOf": 5}),
            &["not judged multipleOf a"],
        ),
        (json!({"not": {"type": "null"}}), json!({"not": {"type": "null"}}), &[]),
        (json!({"not": {"type": "null"}}), json!({"not": {"type": "string"}}), &["not judged not a"]),
        (json!({"$ref": "#/nowhere"}), json!({"type": "string"}), &["not judged $ref a"]),
        (json!({"anyOf": [{"type": "string"}], "maxLength": 3}), json!({"type": "string"}), &["not judged anyOf a"]),
    ];
    for (reader, writer, expected) in rows {
        assert_eq!(found(&property(&reader), &property(&writer)), expected, "read as {reader}, written as {writer}");
    }
}

#[test]
fn objects_of_all_of_several_are_put_together() {
    let base = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}});
    let plain = |note: &str| {
        json!({"type": "object", "required": ["id", "note"], "additionalProperties": false,
            "properties": {"id": {"type": "integer"}, "note": {"type": note}}})
    };
    let built = json!({"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"note": {"type": "string"}, "id": {}}, "required": ["note"],
        "additionalProperties": false}], "$defs": {"base": base}});
    assert_eq!(found(&plain("string"), &built), [""; 0]);
    assert_eq!(found(&built, &plain("string")), [""; 0]);
    assert_eq!(found(&plain("integer"), &built), ["breaks type note"]);
    assert_eq!(found(&built, &plain("integer")), ["breaks type note"]);
    // Where one part allows no others, what only another part names is never there.
    let never = json!({"allOf": [base, {"properties": {"note": {}}, "additionalProperties": false}], "type": "object"});
    assert_eq!(found(&json!({"properties": {"id": {"type": "string"}}}), &never), [""; 0]);
    // Behind a reference too, in a circle and without end.
    let tree = |kind: &str| {
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"allOf": [{"$ref": "#/$defs/node"},
            {"properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}, "value": {}}, "additionalProperties": false}]},
            "node": {"type": "object", "properties": {"value": {"type": kind}, "below": {}}}}})
    };
    assert_eq!(found(&tree("number"), &tree("integer")), [""; 0]);
    assert_eq!(found(&tree("integer"), &tree("string")), ["breaks type value"]);
    let endless = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
    // It means nothing, and ends.
    found(&json!({"type": "string"}), &endless);
    found(&endless, &json!({"type": "string"}));
}

#[test]
fn two_alternatives_of_one_of_behind_a_reference_are_seen() {
    let reader = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/either"}}, "additionalProperties": false,
        "$defs": {"either": {"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}}});
    assert_eq!(found(&reader, &property(&json!({"type": "string"}))), ["not judged oneOf a"]);
}

/// Each level has two alternatives that are tried with each of two others, and leads to the next.
#[test]
fn schemas_that_double_with_each_level_are_given_up() {
    let level = |i: usize| match i {
        0 => json!({"type": "integer"}),
        i => {
            let below = json!({"$ref": format!("#/$defs/d{}", i - 1)});
            let object = |name: &str| json!({"type": "object", "properties": {"below": below, name: {}}});
            json!({"anyOf": [object("a"), object("b")], "title": i})
        }
    };
    let nested = |title: &str| {
        let defs = (0..60).map(|i| (format!("d{i}"), level(i))).collect::<serde_json::Map<_, _>>();
        json!({"title": title, "properties": {"top": {"$ref": "#/$defs/d59"}}, "type": "object", "$defs": defs})
    };
    let mut other = nested("other");
    other["$defs"]["d0"] = json!({"type": "string"});
    assert!(!found(&nested("one"), &other).is_empty());
}

#[test]
fn open_and_closed_objects_are_held_against_each_other() {
    let string = json!({"type": "string"});
    let object = |properties: Value, more: Value| {
        let mut object = json!({"type": "object", "properties": properties});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let (a, both) = (json!({"a": string}), json!({"a": string, "b": string}));
    let (open, closed) = (json!({}), json!({"additionalProperties": false}));
    let numbers = json!({"additionalProperties": {"type": "number"}});
    let strings = json!({"additionalProperties": {"type": "string"}});
    let required = json!({"required": ["a"], "additionalProperties": false});
    let rows: Vec<(Value, Value, &[&str])> = vec![
        (object(a.clone(), closed.clone()), object(a.clone(), closed.clone()), &[]),
        (object(a.clone(), open.clone()), object(both.clone(), open.clone()), &[]),
        (object(a.clone(), closed.clone()), object(both.clone(), closed.clone()), &["breaks closed b"]),
        (object(both.clone(), closed.clone()), object(a.clone(), closed.clone()), &[]),
        // Where others are allowed, one of the name may have been written as anything.
        (object(both.clone(), open.clone()), object(a.clone(), open.clone()), &["breaks open b"]),
        (object(a.clone(), closed.clone()), object(a.clone(), open.clone()), &["breaks closed {}"]),
        (object(a.clone(), open.clone()), object(a.clone(), closed.clone()), &[]),
        // Others of a type.
        (object(a.clone(), numbers.clone()), object(both.clone(), closed.clone()), &["breaks type b"]),
        (object(a.clone(), strings.clone()), object(both.clone(), closed.clone()), &[]),
        (object(both.clone(), open.clone()), object(a.clone(), numbers.clone()), &["breaks type b"]),
        (object(a.clone(), numbers.clone()), object(a.clone(), strings.clone()), &["breaks type {}"]),
        (object(a.clone(), numbers.clone()), object(a.clone(), open.clone()), &["breaks open {}"]),
        // What must be there.
        (object(a.clone(), required.clone()), object(a.clone(), required.clone()), &[]),
        (object(a.clone(), required.clone()), object(a.clone(), closed.clone()), &["breaks required a"]),
        (object(a.clone(), closed.clone()), object(a.clone(), required.clone()), &[]),
        (object(a.clone(), required), object(json!({}), closed.clone()), &["breaks required a"]),
        (
            object(a.clone(), closed.clone()),
            object(a.clone(), json!({"patternProperties": {"^b": {"type": "string"}}, "additionalProperties": false})),
            &["not judged patternProperties "],
        ),
        (
            object(a.clone(), json!({"patternProperties": {"^b": {"type": "string"}}})),
            object(a, closed),
            &["not judged patternProperties "],
        ),
    ];
    for (reader, writer, expected) in rows {
        assert_eq!(found(&reader, &writer), expected, "read as {reader}, written as {writer}");
    }
}

#[test]
fn references_are_followed_on_each_side_and_recursion_ends() {
    let order = |zip: &str| {
        json!({
            "type": "object", "properties": {"home": {"$ref": "#/$defs/address"}, "tree": {"$ref": "#/$defs/tree"}},
            "additionalProperties": false,
            "$defs": {
                "address": {"type": "object", "properties": {"zip": {"type": zip}}, "additionalProperties": false},
                "tree": {"type": "object", "properties": {"below": {"$ref": "#/$defs/tree"}}, "additionalProperties": false}}})
    };
    assert_eq!(found(&order("string"), &order("string")), [""; 0]);
    assert_eq!(found(&order("string"), &order("integer")), ["breaks type home.zip"]);
}

#[test]
fn a_difference_names_field_types_and_rule() {
    let reader = json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": "integer"}, "at": {"type": "string", "format": "date"}, "side": {"enum": ["BUY", "SELL"]},
        "tags": {"type": "array", "items": {"type": "string"}}}, "additionalProperties": false});
    let writer = json!({"type": "object", "properties": {
        "id": {"type": "string"}, "at": {"type": ["null", "string"], "format": "date-time"}, "side": {"enum": ["BUY", "HOLD"]},
        "tags": {"type": "array", "items": {"type": "boolean"}}, "more": {"type": "number"}},
        "additionalProperties": false});
    let mut said =
        compatibility(&schema(&reader), &schema(&writer)).iter().map(ToString::to_string).collect::<Vec<_>>();
    said.sort();
    assert_eq!(
        said,
        [
            "at: written as format date-time, read as format date (rule format)",
            "at: written as null, read as string (date) (rule type)",
            "id: written as not required, read as required (rule required)",
            "id: written as string, read as integer (rule type)",
            "more: written as number, read as no such property, and no others are allowed (rule closed)",
            "side: written as \"HOLD\", read as \"BUY\", \"SELL\" (rule enum)",
            "tags[]: written as boolean, read as string (rule type)",
        ]
    );
}

#[test]
fn a_listed_value_that_breaks_a_rule_is_named() {
    let reader = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let said = compatibility(&schema(&reader), &schema(&json!({"enum": [{"x": 1}, {"x": "1"}]})));
    let said = said.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said, [format!("written as {{\"x\":\"1\"}}, read as {reader} (rule type)")]);
    let said = compatibility(&schema(&json!({"type": "string"})), &schema(&json!({"const": 1})));
    assert_eq!(said[0].to_string(), "written as integer, read as string (rule type)");
}
