//! Whether single values keep to a part of a JSON Schema: the part is taken out of its document and asked of a validator.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use super::branches::{Node, is_annotation};
use super::schema::JsonSchema;

/// How far references and schemas within each other are followed.
const DEPTH: usize = 50;
/// The most schemas that a part may have in it.
const MOST: usize = 2_000;
/// Keywords that have schemas by name.
const NAMED: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];
/// Keywords that are a schema or a list of them.
const NESTED: [&str; 16] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
];

/// What says of a value whether it keeps to `node`; formats are not looked at. `None` where the part has no end, refers to what
/// is not there, or has a pattern that only a search without bounds could answer.
pub(super) fn validator(whole: &JsonSchema, node: Node<'_>) -> Option<Validator> {
    let mut alone = Taking { whole, left: MOST }.alone(node, DEPTH)?;
    if let (Value::Object(keywords), Some(draft)) = (&mut alone, node.document.get("$schema")) {
        keywords.insert("$schema".to_owned(), draft.clone());
    }
    let options = jsonschema::options().should_validate_formats(false).with_pattern_options(PatternOptions::regex());
    options.build(&alone).ok()
}

struct Taking<'a> {
    whole: &'a JsonSchema,
    left: usize,
}

impl Taking<'_> {
    /// The schema with what it refers to in the references' place.
    fn alone(&mut self, node: Node<'_>, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let Value::Object(keywords) = node.schema else { return Some(node.schema.clone()) };
        if let Some(reference) = keywords.get("$ref") {
            // Whether what stands beside it counts is another thing in each draft.
            let is_alone = keywords.keys().all(|keyword| keyword == "$ref" || is_annotation(keyword));
            let (schema, document) = self.whole.resolve(node.document, reference.as_str().filter(|_| is_alone)?)?;
            return self.alone(Node::whole(schema, document), depth);
        }
        let mut alone = Map::new();
        for (keyword, value) in keywords {
            let taken = match keyword.as_str() {
                "$dynamicRef" | "$recursiveRef" => return None,
                keyword if is_annotation(keyword) || node.is_left_out(keyword) => continue,
                keyword if NAMED.contains(&keyword) => match value {
                    Value::Object(named) => {
                        let mut taken = Map::new();
                        for (name, schema) in named {
                            taken.insert(name.clone(), self.alone(Node::whole(schema, node.document), depth)?);
                        }
                        Value::Object(taken)
                    }
                    other => other.clone(),
                },
                keyword if NESTED.contains(&keyword) => match value {
                    Value::Array(schemas) => {
                        let schemas =
                            schemas.iter().map(|schema| self.alone(Node::whole(schema, node.document), depth));
                        Value::Array(schemas.collect::<Option<_>>()?)
                    }
                    schema => self.alone(Node::whole(schema, node.document), depth)?,
                },
                _ => value.clone(),
            };
            alone.insert(keyword.clone(), taken);
        }
        Some(Value::Object(alone))
    }
}
