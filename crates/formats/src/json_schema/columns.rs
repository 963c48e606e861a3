//! The columns that a JSON Schema's objects have.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::{Map, Value};

use super::branches::is_annotation;
use super::schema::JsonSchema;
use crate::columns::{COLUMNS, SchemaColumns, Unreadable, map_type};

impl JsonSchema {
    /// The columns of this schema's objects, named as its properties.
    ///
    /// `integer` is bigint (`connect.type: int32` makes it int), `number` is double, `string` is string, and of the
    /// formats `date` and `date-time` date and timestamp(us). An object with properties is a struct, one with
    /// `additionalProperties` alone a map; an array is an array. What is not required, or may be null, may be null. An `allOf`
    /// has the properties of all. A root of several kinds of objects (`oneOf`, `anyOf`) has no columns, and says so as the
    /// unreadable field of that name.
    pub fn columns(&self) -> SchemaColumns {
        let mut found = SchemaColumns::default();
        let mut typing = Typing { schema: self, within: Vec::new(), left: COLUMNS };
        let parts = match typing.parts((self.root(), self.root())) {
            Ok(parts) => parts,
            Err(why) => {
                found.add(if self.root().get("$ref").is_some() { "$ref" } else { "allOf" }, Err(why));
                return found;
            }
        };
        for (name, property, document) in properties(&parts) {
            found.add(name, typing.property(&parts, name, (property, document)));
        }
        for keyword in ["oneOf", "anyOf"] {
            if parts.iter().any(|part| typing.has_properties_in(keyword, *part)) {
                found.add(
                    keyword,
                    Err("the schema is of several kinds of objects, whose properties are no columns".to_owned()),
                );
            }
        }
        found
    }
}

/// A schema and the document that it stands in.
type At<'a> = (&'a Value, &'a Value);

/// How deep an `allOf` may stand within others.
const PARTS: usize = 50;

struct Typing<'a> {
    schema: &'a JsonSchema,
    /// The schemas that the one at hand stands in.
    within: Vec<*const Value>,
    left: usize,
}

impl<'a> Typing<'a> {
    fn property(&mut self, object: &[At<'a>], name: &str, property: At<'a>) -> Result<(DataType, bool), String> {
        let (data_type, nullable) = self.column(property)?;
        let required = object.iter().filter_map(|(schema, _)| schema.get("required")?.as_array()).flatten();
        Ok((data_type, nullable || !required.into_iter().any(|required| required == name)))
    }

    /// The type of a value and whether it may be null.
    fn column(&mut self, (schema, document): At<'a>) -> Result<(DataType, bool), String> {
        self.spend()?;
        let (schema, document) = self.follow((schema, document))?;
        let (value, nullable) = without_null(schema);
        let parts = self.parts((value, document))?;
        let before = self.within.len();
        for (part, _) in &parts {
            if self.within[..before].contains(&std::ptr::from_ref(*part)) {
                self.within.truncate(before);
                return Err("is recursive, and columns are of finite depth".to_owned());
            }
            self.within.push(std::ptr::from_ref(*part));
        }
        let data_type = self.data_type(&parts);
        self.within.truncate(before);
        Ok((data_type?, nullable))
    }

    /// Whether one of a schema's alternatives has properties of its own.
    fn has_properties_in(&self, keyword: &str, (schema, document): At<'a>) -> bool {
        let mut alternatives = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
        alternatives.any(|alternative| {
            let found = self.follow((alternative, document));
            found.is_ok_and(|(found, _)| found.get("properties").or(found.get("allOf")).is_some())
        })
    }

    fn spend(&mut self) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {COLUMNS} columns within each other"))?;
        Ok(())
    }

    /// Goes where references point, as long as they do; an `allOf` of one schema, with no more than notes beside it, is a
    /// reference too.
    fn follow(&self, (mut schema, mut document): At<'a>) -> Result<At<'a>, String> {
        let nothing = |schema: &Value| format!("{} points at nothing", schema.get("$ref").unwrap_or(&Value::Null));
        for _ in 0..100 {
            match (schema.get("$ref").and_then(Value::as_str), only_part(schema)) {
                (Some(reference), _) => {
                    (schema, document) = self.schema.resolve(document, reference).ok_or_else(|| nothing(schema))?
                }
                (None, Some(only)) => schema = only,
                (None, None) => return Ok((schema, document)),
            }
        }
        Err(nothing(schema))
    }

    /// The schemas that a value keeps to all together: one, or those of an `allOf` with what stands beside it.
    fn parts(&mut self, at: At<'a>) -> Result<Vec<At<'a>>, String> {
        let mut parts = Vec::new();
        let mut open = vec![(at, PARTS)];
        while let Some((at, depth)) = open.pop() {
            let (schema, document) = self.follow(at)?;
            let (schema, document) = self.follow((without_null(schema).0, document))?;
            // What stands behind the null may be a reference again, to itself too.
            let below =
                depth.checked_sub(1).ok_or_else(|| format!("is allOf within each other more than {PARTS} deep"))?;
            let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
            open.extend(all.rev().map(|part| ((part, document), below)));
            parts.push((schema, document));
            self.spend()?;
        }
        Ok(parts)
    }

    fn data_type(&mut self, parts: &[At<'a>]) -> Result<DataType, String> {
        let text = |keyword: &str| parts.iter().find_map(|(schema, _)| schema.get(keyword)?.as_str());
        let connect = text("connect.type");
        Ok(match kind(parts)? {
            "boolean" => DataType::Boolean,
            "integer" => match connect {
                Some("int8" | "int16" | "int32") => DataType::Int32,
                _ => DataType::Int64,
            },
            "number" => match connect {
                Some("float32") => DataType::Float32,
                _ => DataType::Float64,
            },
            "string" => match (text("format"), connect) {
                (Some("date"), _) => DataType::Date32,
                (Some("date-time"), _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                (_, Some("bytes")) => DataType::Binary,
                _ if text("contentEncoding") == Some("base64") => DataType::Binary,
                _ => DataType::Utf8,
            },
            "array" => {
                let items = parts.iter().find_map(|(schema, document)| Some((schema.get("items")?, *document)));
                let items = items.filter(|(items, _)| items.is_object()).ok_or("is an array of anything")?;
                let (data_type, nullable) = self.column(items).map_err(|why| format!("its items: {why}"))?;
                DataType::List(Arc::new(Field::new_list_field(data_type, nullable)))
            }
            "object" => self.object(parts)?,
            other => return Err(format!("is of type {other}")),
        })
    }

    fn object(&mut self, parts: &[At<'a>]) -> Result<DataType, String> {
        let mut members = SchemaColumns::default();
        for (name, property, document) in properties(parts) {
            members.add(name, self.property(parts, name, (property, document)));
            if let Some(Unreadable { field, reason }) = members.unreadable.pop() {
                return Err(format!("{field}: {reason}"));
            }
        }
        let others = parts.iter().find_map(|(schema, document)| Some((schema.get("additionalProperties")?, *document)));
        match others {
            _ if !members.fields.is_empty() => Ok(DataType::Struct(members.fields.into())),
            Some((values @ Value::Object(_), document)) => {
                let (data_type, nullable) =
                    self.column((values, document)).map_err(|why| format!("its values: {why}"))?;
                Ok(map_type(data_type, nullable))
            }
            _ => Err("is an object of anything".to_owned()),
        }
    }
}

fn properties<'a>(parts: &[At<'a>]) -> impl Iterator<Item = (&'a String, &'a Value, &'a Value)> {
    parts.iter().flat_map(|&(schema, document)| {
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter);
        properties.map(move |(name, property)| (name, property, document))
    })
}

/// The schema of an `allOf` that has one, if nothing else says what the values are.
fn only_part(schema: &Value) -> Option<&Value> {
    let keywords = schema.as_object()?;
    match schema.get("allOf")?.as_array()?.as_slice() {
        [only] if keywords.keys().all(|keyword| keyword == "allOf" || is_annotation(keyword)) => Some(only),
        _ => None,
    }
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

/// The one type of a value that is not null, said or shown by what else the schemas say that it keeps to.
fn kind<'a>(parts: &[At<'a>]) -> Result<&'a str, String> {
    let mut kinds = parts.iter().filter_map(|(schema, _)| kind_of_part(schema)).collect::<Vec<_>>();
    let is_integer = kinds.contains(&"integer");
    kinds.retain(|kind| !(is_integer && *kind == "number"));
    kinds.dedup();
    match kinds[..] {
        [only] => Ok(only),
        [] => Err("may be of several types".to_owned()),
        [one, other, ..] => Err(format!("is to be of type {one} and of type {other}")),
    }
}

fn kind_of_part(schema: &Value) -> Option<&str> {
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
