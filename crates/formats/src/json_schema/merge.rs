//! An `allOf` of plain schemas as one schema that says the same, so that it can be held against others as any. What cannot be
//! put together exactly stays as it is.

use std::collections::BTreeSet;
use std::ptr;

use serde_json::{Map, Value};

use super::branches::{is_annotation, refers};
use super::schema::JsonSchema;

/// The most schemas that are looked at, those behind references included.
const MOST: usize = 200_000;
/// How far references are followed.
const DEPTH: usize = 50;
/// The most parts that are put together.
const PARTS: usize = 200;
/// Keywords whose values are no schemas.
const DATA: [&str; 4] = ["enum", "const", "default", "examples"];
/// Keywords of which the greater value allows less.
const LOWER: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
/// Keywords of which the smaller value allows less.
const UPPER: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Keywords that mean the same whatever stands beside them, and are put together where only one side has one.
const INDEPENDENT: [&str; 12] = [
    "pattern",
    "multipleOf",
    "uniqueItems",
    "enum",
    "const",
    "format",
    "contentEncoding",
    "contentMediaType",
    "connect.type",
    "items",
    "propertyNames",
    "dependentRequired",
];
/// Those that are put together with each other.
const OF_OBJECTS: [&str; 3] = ["properties", "required", "additionalProperties"];

type Keywords = Map<String, Value>;

/// The schema with each `allOf` as one schema, as far as that can be.
pub(super) fn merged(schema: &JsonSchema) -> JsonSchema {
    let mut merging = Merging { whole: schema, left: MOST };
    schema.mapped(|document| merging.within(document, document, DEPTH))
}

struct Merging<'a> {
    whole: &'a JsonSchema,
    left: usize,
}

impl<'a> Merging<'a> {
    /// The value with what is merged in it.
    fn within(&mut self, value: &'a Value, document: &'a Value, depth: usize) -> Value {
        let Some(left) = self.left.checked_sub(1) else { return value.clone() };
        self.left = left;
        match value {
            Value::Array(items) => items.iter().map(|item| self.within(item, document, depth)).collect(),
            Value::Object(keywords) => match self.all_of(keywords, document, depth) {
                Some(merged) => Value::Object(merged),
                None => Value::Object(self.each(keywords, document, depth)),
            },
            other => other.clone(),
        }
    }

    fn each(&mut self, keywords: &'a Keywords, document: &'a Value, depth: usize) -> Keywords {
        let merged = keywords.iter().map(|(keyword, value)| match DATA.contains(&keyword.as_str()) {
            true => (keyword.clone(), value.clone()),
            false => (keyword.clone(), self.within(value, document, depth)),
        });
        merged.collect()
    }

    /// An `allOf` and what stands beside it as one schema.
    fn all_of(&mut self, keywords: &'a Keywords, document: &'a Value, depth: usize) -> Option<Keywords> {
        let parts = keywords.get("allOf")?.as_array().filter(|parts| parts.len() <= PARTS)?;
        let mut all = self.each(keywords, document, depth);
        all.shift_remove("allOf");
        for part in parts {
            let part = self.part(part, document, depth)?;
            all = both(&all, &part)?;
        }
        Some(all)
    }

    /// One of the parts, behind its references.
    fn part(&mut self, part: &'a Value, document: &'a Value, depth: usize) -> Option<Keywords> {
        let keywords = part.as_object().filter(|_| self.left > 0)?;
        let Some(reference) = keywords.get("$ref").and_then(Value::as_str) else {
            return self.within(part, document, depth).as_object().cloned();
        };
        let is_alone = keywords.keys().all(|keyword| keyword == "$ref" || is_annotation(keyword));
        let (found, other) = self.whole.resolve(document, reference).filter(|_| is_alone)?;
        // References are of the document in which they stand.
        if !ptr::eq(other, document) && refers(found) {
            return None;
        }
        self.part(found, other, depth.checked_sub(1)?)
    }
}

/// What keeps to both; the notes are those of `one`.
fn both(one: &Keywords, other: &Keywords) -> Option<Keywords> {
    let is_known = |keyword: &String| {
        let keyword = keyword.as_str();
        let lists = [&LOWER[..], &UPPER, &INDEPENDENT, &OF_OBJECTS];
        keyword == "type" || is_annotation(keyword) || lists.iter().any(|list| list.contains(&keyword))
    };
    if !one.keys().chain(other.keys()).all(is_known) {
        return None;
    }
    let mut all = one.clone();
    for (keyword, value) in other.iter().filter(|(keyword, _)| !is_annotation(keyword)) {
        let keyword = keyword.as_str();
        // In draft 4 the exclusive ones are flags of their neighbours.
        if keyword.starts_with("exclusive") && !value.is_number() {
            return None;
        }
        let said = match one.get(keyword) {
            _ if OF_OBJECTS.contains(&keyword) => continue,
            None => value.clone(),
            Some(own) if own == value => continue,
            Some(own) if keyword == "type" => of_both_types(own, value)?,
            Some(own) if LOWER.contains(&keyword) || UPPER.contains(&keyword) => {
                let is_less = value.as_f64()? < own.as_f64()?;
                if is_less == UPPER.contains(&keyword) { value.clone() } else { own.clone() }
            }
            Some(own) if keyword == "items" && !own.is_array() && !value.is_array() => conjunction(own, value),
            Some(_) => return None,
        };
        all.insert(keyword.to_owned(), said);
    }
    if one.get("exclusiveMinimum").or(one.get("exclusiveMaximum")).is_some_and(|bound| !bound.is_number()) {
        return None;
    }
    objects(one, other, &mut all);
    Some(all)
}

/// The types that both allow.
fn of_both_types(one: &Value, other: &Value) -> Option<Value> {
    let list = |types: &Value| match types {
        Value::String(_) => Some(vec![types.clone()]),
        Value::Array(types) => Some(types.clone()),
        _ => None,
    };
    let (one, other) = (list(one)?, list(other)?);
    let takes = |types: &[Value], kind: &Value| {
        types.contains(kind) || *kind == "integer" && types.iter().any(|other| other == "number")
    };
    let mut kinds = one.iter().filter(|kind| takes(&other, kind)).cloned().collect::<Vec<_>>();
    kinds.extend(other.iter().filter(|kind| takes(&one, kind) && !kinds.contains(kind)).cloned().collect::<Vec<_>>());
    // An empty list is no schema.
    match kinds.len() {
        0 => None,
        1 => kinds.pop(),
        _ => Some(Value::Array(kinds)),
    }
}

/// Puts together what both say of properties. A property that one side does not name is there what that side says of others.
fn objects(one: &Keywords, other: &Keywords, all: &mut Keywords) {
    let anything = Value::Bool(true);
    let named = |side: &Keywords| side.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let others = |side: &Keywords| side.get("additionalProperties").unwrap_or(&anything).clone();
    let (own, more) = (named(one), named(other));
    let mut properties = Map::new();
    for name in own.keys().chain(more.keys().filter(|name| !own.contains_key(*name))) {
        let of = |named: &Keywords, side: &Keywords| named.get(name).cloned().unwrap_or_else(|| others(side));
        properties.insert(name.clone(), conjunction(&of(&own, one), &of(&more, other)));
    }
    if !properties.is_empty() {
        all.insert("properties".to_owned(), Value::Object(properties));
    }
    let required = [one, other].into_iter().filter_map(|side| side.get("required")?.as_array()).flatten();
    let names = required.filter_map(Value::as_str).collect::<BTreeSet<_>>();
    if !names.is_empty() {
        all.insert("required".to_owned(), names.into_iter().collect());
    }
    let rest = conjunction(&others(one), &others(other));
    if rest != anything {
        all.insert("additionalProperties".to_owned(), rest);
    }
}

/// A schema to which values keep that keep to both.
fn conjunction(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), schema) | (schema, Value::Bool(true)) => schema.clone(),
        (one, other) if one == other => one.clone(),
        (Value::Object(own), Value::Object(more)) if !own.is_empty() && !more.is_empty() => match both(own, more) {
            Some(all) => Value::Object(all),
            None => {
                Value::Object(Map::from_iter([("allOf".to_owned(), Value::Array(vec![one.clone(), other.clone()]))]))
            }
        },
        (Value::Object(own), schema) if own.is_empty() => schema.clone(),
        (schema, _) => schema.clone(),
    }
}
