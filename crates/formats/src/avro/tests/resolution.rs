//! The resolution rules of the Avro specification, one case each, from `resolution.json`: a value of the writer's schema,
//! and what it reads as by the reader's, why the schemas are refused, or why the value is.

use serde_json::{Value, json};

use super::*;

/// A schema that is no record as the only field of one, so that it can be a column under a name.
fn record_of(json: &Value) -> Value {
    match json.get("type").and_then(Value::as_str) {
        Some("record") => json.clone(),
        _ => json!({"type": "record", "name": "Case", "fields": [{"name": "value", "type": json}]}),
    }
}

fn check(case: &Value, writer: &Value, value: &Value, reader: &Value, read: Option<&Value>) {
    let rule = case["rule"].as_str().unwrap();
    let (writer, reader) = (schema(writer), schema(reader));
    let written = bytes(&writer, value);
    let mut decoder = match decoder(bare(&writer, Some(&reader)), fields(&reader)) {
        Ok(decoder) => decoder,
        Err(error) => {
            let expected = case["refused"].as_str().unwrap_or_else(|| panic!("{rule}: {error}"));
            assert!(error.to_string().contains(expected), "{rule}: {error}");
            return;
        }
    };
    assert_eq!(case.get("refused"), None, "{rule}: was not refused");
    let decoded = decode(&mut decoder, &[&written, &written]);
    match read {
        Some(read) => {
            assert_eq!(decoded.faults, [], "{rule}");
            assert_eq!(json_rows(&decoded.rows), [read.clone(), read.clone()], "{rule}");
        }
        None => {
            assert_eq!(decoded.faults.len(), 2, "{rule}");
            let expected = case["fault"].as_str().unwrap();
            let message = &decoded.faults[0].1.message;
            assert!(message.contains(expected), "{rule}: {message}");
            assert_eq!(decoded.rows.num_rows(), 0);
        }
    }
}

#[test]
fn every_rule_of_the_specification() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("resolution.json")).unwrap();
    for case in &cases {
        let is_record = case["reader"].get("type").and_then(Value::as_str) == Some("record");
        let wrap = |value: &Value| if is_record { value.clone() } else { json!({ "value": value }) };
        let (writer, reader) = (record_of(&case["writer"]), record_of(&case["reader"]));
        check(case, &writer, &wrap(&case["value"]), &reader, case.get("read").map(wrap).as_ref());
    }
}

/// A message that is no record, such as a key, fills the one column.
#[test]
fn values_without_a_record_follow_the_same_rules() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("resolution.json")).unwrap();
    for case in cases.iter().filter(|case| case["reader"].get("type").and_then(Value::as_str) != Some("record")) {
        let read = case.get("read").map(|read| json!({ "value": read }));
        check(case, &case["writer"], &case["value"], &case["reader"], read.as_ref());
    }
}

/// A union's registries and this decoder agree on what can be read at all.
#[test]
fn compatibility_says_what_resolution_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("resolution.json")).unwrap();
    for case in &cases {
        let findings = crate::avro::compatibility(&schema(&case["reader"]), &schema(&case["writer"]));
        let rule = case["rule"].as_str().unwrap();
        if case.get("refused").is_some() {
            assert!(!findings.is_empty(), "{rule}: refused, and nothing is found");
        } else if case.get("read").is_some() {
            let serious = findings.iter().filter(|finding| finding.rule.is_of_registries()).collect::<Vec<_>>();
            let may_fail =
                matches!(&case["writer"], Value::Array(_)) || rule.contains("symbol") || rule.contains("union");
            assert!(may_fail || serious.is_empty(), "{rule}: {serious:?}");
        }
    }
}
