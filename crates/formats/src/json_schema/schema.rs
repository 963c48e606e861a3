//! A JSON Schema and what its references point at. A reference that points outside the texts that were given is an
//! error: nothing is ever fetched.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::{Registry, Validator};
use serde_json::Value;

use crate::error::FormatError;

const TEXT_LEN: usize = 4 << 20;
/// Where a schema without an `$id` stands among those that refer to it.
const BASE: &str = "json-schema:///";

/// A parsed JSON Schema with the schemas that it refers to. Copies share their content.
#[derive(Clone)]
pub struct JsonSchema(Arc<Content>);

struct Content {
    text: String,
    root: Value,
    /// Other schemas by the name that a `$ref` has for them.
    references: BTreeMap<String, Value>,
}

impl JsonSchema {
    /// Parses a schema. `references` are other schemas, each by the name that a `$ref` in it has for it.
    ///
    /// # Errors
    /// If one of the texts is not JSON, or is too large.
    pub fn parse(text: &str, references: &[(&str, &str)]) -> Result<JsonSchema, FormatError> {
        let read = |text: &str| {
            if text.len() > TEXT_LEN {
                return Err(FormatError::Schema(format!("a schema of {} bytes is too large", text.len())));
            }
            serde_json::from_str::<Value>(text).map_err(|error| FormatError::Schema(format!("not JSON: {error}")))
        };
        let root = read(text)?;
        if !matches!(root, Value::Object(_) | Value::Bool(_)) {
            return Err(FormatError::Schema("a schema is an object".to_owned()));
        }
        let references = references.iter().map(|(name, text)| Ok(((*name).to_owned(), read(text)?)));
        let references = references.collect::<Result<_, FormatError>>()?;
        Ok(JsonSchema(Arc::new(Content { text: text.to_owned(), root, references })))
    }

    /// The text that was parsed, without its references.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The title, if it has one: what comes nearest to a name.
    pub fn title(&self) -> Option<&str> {
        self.0.root.get("title").and_then(Value::as_str)
    }

    pub(super) fn root(&self) -> &Value {
        &self.0.root
    }

    /// The schema with each of its documents as `map` makes it.
    pub(super) fn mapped<'a>(&'a self, mut map: impl FnMut(&'a Value) -> Value) -> JsonSchema {
        let Content { text, root, references } = &*self.0;
        let references = references.iter().map(|(name, document)| (name.clone(), map(document))).collect();
        JsonSchema(Arc::new(Content { text: text.clone(), root: map(root), references }))
    }

    /// What a `$ref` within `document` points at, and the document that this stands in.
    pub(super) fn resolve<'a>(&'a self, document: &'a Value, reference: &str) -> Option<(&'a Value, &'a Value)> {
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let own_id = document.get("$id").and_then(Value::as_str);
        let document = match name {
            "" => document,
            name if own_id == Some(name) => document,
            name => self.0.references.get(name)?,
        };
        Some((document.pointer(pointer)?, document))
    }

    /// What says of a value whether it keeps to the schema.
    pub(super) fn validator(&self) -> Result<Validator, FormatError> {
        let refused = |message: String| FormatError::Schema(message);
        let mut registry = Registry::new();
        for (name, schema) in &self.0.references {
            let uri = if name.contains(':') { name.clone() } else { format!("{BASE}{name}") };
            registry = registry.add(uri, schema).map_err(|error| refused(error.to_string()))?;
        }
        let registry = registry.prepare().map_err(|error| refused(error.to_string()))?;
        let options = jsonschema::options().with_registry(&registry).with_base_uri(BASE);
        options.build(&self.0.root).map_err(|error| refused(error.to_string()))
    }
}

impl PartialEq for JsonSchema {
    fn eq(&self, other: &JsonSchema) -> bool {
        self.0.text == other.0.text && self.0.references == other.0.references
    }
}

impl Eq for JsonSchema {}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonSchema").field(&self.text()).finish()
    }
}
