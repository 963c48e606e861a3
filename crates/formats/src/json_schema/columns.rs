//! The columns that a JSON Schema's objects have.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::{Map, Value};

use super::schema::JsonSchema;
use crate::columns::{COLUMNS, SchemaColumns, map_type};

impl JsonSchema {
    /// The columns of this schema's objects, named as its properties.
    ///
    /// `integer` is bigint (`connect.type: int32` makes it int), `number` is double, `string` is string, and of the
    /// formats `date` and `date-time` date and timestamp(us). An object with properties is a struct, one with
    /// `additionalProperties` alone a map; an array is an array. What is not required, or may be null, may be null.
    pub fn columns(&self) -> SchemaColumns {
        let mut found = SchemaColumns::default();
        let mut typing = Typing { schema: self, within: Vec::new(), left: COLUMNS };
        let Some((root, document)) = typing.follow(self.root(), self.root()) else { return found };
        let (root, _) = without_null(root);
        for (name, property) in properties(root) {
            let column = typing.property(root, name, property, document);
            found.add(name, column);
        }
        found
    }
}

struct Typing<'a> {
    schema: &'a JsonSchema,
    /// The schemas that the one at hand stands in.
    within: Vec<*const Value>,
    left: usize,
}

impl<'a> Typing<'a> {
    fn property(
        &mut self,
        object: &'a Value,
        name: &str,
        property: &'a Value,
        document: &'a Value,
    ) -> Result<(DataType, bool), String> {
        let (data_type, nullable) = self.column(property, document)?;
        let required = object.get("required").and_then(Value::as_array);
        let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
        Ok((data_type, nullable || !is_required))
    }

    /// The type of a value and whether it may be null.
    fn column(&mut self, schema: &'a Value, document: &'a Value) -> Result<(DataType, bool), String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {COLUMNS} columns within each other"))?;
        let followed = self.follow(schema, document);
        let (schema, document) =
            followed.ok_or_else(|| format!("{} points at nothing", schema.get("$ref").unwrap_or(&Value::Null)))?;
        let (value, nullable) = without_null(schema);
        // What stands behind the null may be a reference again.
        let (value, document) = self.follow(value, document).ok_or_else(|| "a reference to nothing".to_owned())?;
        if self.within.contains(&std::ptr::from_ref(value)) {
            return Err("is recursive, and columns are of finite depth".to_owned());
        }
        self.within.push(std::ptr::from_ref(value));
        let data_type = self.data_type(value, document)?;
        self.within.pop();
        Ok((data_type, nullable))
    }

    /// Goes where references point, as long as they do.
    fn follow(&self, mut schema: &'a Value, mut document: &'a Value) -> Option<(&'a Value, &'a Value)> {
        for _ in 0..100 {
            match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => (schema, document) = self.schema.resolve(document, reference)?,
                None => return Some((schema, document)),
            }
        }
        None
    }

    fn data_type(&mut self, schema: &'a Value, document: &'a Value) -> Result<DataType, String> {
        let connect = schema.get("connect.type").and_then(Value::as_str);
        Ok(match kind(schema) {
            Some("boolean") => DataType::Boolean,
            Some("integer") => match connect {
                Some("int8" | "int16" | "int32") => DataType::Int32,
                _ => DataType::Int64,
            },
            Some("number") => match connect {
                Some("float32") => DataType::Float32,
                _ => DataType::Float64,
            },
            Some("string") => match (schema.get("format").and_then(Value::as_str), connect) {
                (Some("date"), _) => DataType::Date32,
                (Some("date-time"), _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                (_, Some("bytes")) => DataType::Binary,
                _ if schema.get("contentEncoding").and_then(Value::as_str) == Some("base64") => DataType::Binary,
                _ => DataType::Utf8,
            },
            Some("array") => {
                let items = schema.get("items").filter(|items| items.is_object()).ok_or("is an array of anything")?;
                let (data_type, nullable) = self.column(items, document).map_err(|why| format!("its items: {why}"))?;
                DataType::List(Arc::new(Field::new_list_field(data_type, nullable)))
            }
            Some("object") => self.object(schema, document)?,
            Some(other) => return Err(format!("is of type {other}")),
            None => return Err("may be of several types".to_owned()),
        })
    }

    fn object(&mut self, schema: &'a Value, document: &'a Value) -> Result<DataType, String> {
        let mut fields = Vec::new();
        for (name, property) in properties(schema) {
            let (data_type, nullable) =
                self.property(schema, name, property, document).map_err(|why| format!("{name}: {why}"))?;
            fields.push(Field::new(name, data_type, nullable));
        }
        match schema.get("additionalProperties") {
            _ if !fields.is_empty() => Ok(DataType::Struct(fields.into())),
            Some(values @ Value::Object(_)) => {
                let (data_type, nullable) =
                    self.column(values, document).map_err(|why| format!("its values: {why}"))?;
                Ok(map_type(data_type, nullable))
            }
            _ => Err("is an object of anything".to_owned()),
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The schema of what is not null, and whether null is allowed beside it: `type: [null, x]`, or one of two.
fn without_null(schema: &Value) -> (&Value, bool) {
    let types = schema.get("type").and_then(Value::as_array);
    if types.is_some_and(|types| types.iter().any(|kind| kind == "null")) {
        return (schema, true);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            let is_null = |branch: &&Value| branch.get("type").is_some_and(|kind| kind == "null");
            let mut others = branches.iter().filter(|branch| !is_null(branch));
            if let (Some(only), None) = (others.next(), others.next()) {
                return (only, branches.len() > 1);
            }
        }
    }
    (schema, false)
}

/// The one type of a value that is not null, said or shown by what else the schema says.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => return Some(kind),
        Some(Value::Array(kinds)) => {
            let mut others = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            return others.next().filter(|_| others.next().is_none());
        }
        _ => {}
    }
    if schema.get("properties").is_some() {
        return Some("object");
    }
    let values = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice);
    let values = values.or_else(|| schema.get("const").map(std::slice::from_ref))?;
    (!values.is_empty() && values.iter().all(Value::is_string)).then_some("string")
}
