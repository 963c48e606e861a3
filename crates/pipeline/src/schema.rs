//! The JSON Schema of pipelines and case files, made from the types of [`crate::spec`] and [`crate::case`].

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::case::CaseFile;
use crate::spec::Pipeline;

/// The schema of a pipeline file: for editors, and for the check of a file's structure.
pub fn json_schema() -> Value {
    PIPELINE.clone()
}

/// The schema of a case file.
pub fn case_schema() -> Value {
    CASE.clone()
}

pub(crate) static PIPELINE: LazyLock<Value> = LazyLock::new(of::<Pipeline>);
pub(crate) static CASE: LazyLock<Value> = LazyLock::new(of::<CaseFile>);

/// The schema of a type as it is written in a file.
pub fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    forbid_null(&mut schema);
    schema
}

/// A key that may be left out is left out: `key:` without a value is a mistake, though the type behind it is an
/// `Option`. Rows of tests do have nulls.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if choices.len() == 1
                    && let Some(Value::Object(only)) = choices.pop()
                {
                    object.remove("anyOf");
                    merge(object, only);
                }
            }
            for (_, value) in object.iter_mut().filter(|(key, _)| *key != "Row" && *key != "default") {
                forbid_null(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        into.entry(key).or_insert(value);
    }
}
