//! What kinds of values a JSON Schema allows, one branch a kind: types in a list, `anyOf` and `oneOf` taken apart, references
//! followed. What it cannot take apart it names.

use serde_json::{Map, Value};

use super::schema::JsonSchema;

/// The most branches that are taken apart.
const MOST: usize = 200;
/// How far references and branches are followed.
const DEPTH: usize = 50;
/// Keywords that say nothing of which values there may be.
const ANNOTATIONS: [&str; 22] = [
    "$schema",
    "$id",
    "id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "$vocabulary",
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "javaType",
    "tags",
    "connect.index",
    "connect.parameters",
    "connect.version",
    "connect.doc",
];
/// Keywords that combine schemas in ways that are not taken apart.
const COMBINING: [&str; 7] = ["allOf", "not", "if", "then", "else", "$dynamicRef", "$recursiveRef"];

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Null, Kind::Boolean, Kind::Number, Kind::String, Kind::Array, Kind::Object];

    fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "string" => Kind::String,
            "array" => Kind::Array,
            "object" => Kind::Object,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(number) if number.is_f64() => Kind::Number,
            Value::Number(_) => Kind::Integer,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }

    /// Whether values of the other kind are of this one.
    pub(super) fn takes(self, other: Kind) -> bool {
        self == other || (self, other) == (Kind::Number, Kind::Integer)
    }
}

/// A schema and the document that it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) schema: &'a Value,
    document: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(schema: &'a JsonSchema) -> Node<'a> {
        Node { schema: schema.root(), document: schema.root() }
    }
}

/// The values of one kind that a schema allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch<'a> {
    pub(super) kind: Kind,
    schema: &'a Value,
    document: &'a Value,
}

impl<'a> Branch<'a> {
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.schema.get(keyword)
    }

    pub(super) fn text(&self, keyword: &str) -> Option<&'a str> {
        self.get(keyword).and_then(Value::as_str)
    }

    pub(super) fn object(&self, keyword: &str) -> Option<&'a Map<String, Value>> {
        self.get(keyword).and_then(Value::as_object)
    }

    /// The strings of a list.
    pub(super) fn names(&self, keyword: &str) -> Vec<&'a str> {
        self.get(keyword).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The only values of this kind, where they are listed.
    pub(super) fn values(&self) -> Option<Vec<&'a Value>> {
        let listed = listed(self.schema)?;
        Some(listed.into_iter().filter(|value| self.kind.takes(Kind::of(value))).collect())
    }

    /// A schema that stands in this one.
    pub(super) fn at(&self, schema: &'a Value) -> Node<'a> {
        Node { schema, document: self.document }
    }

    pub(super) fn name(&self) -> String {
        match self.text("format").or_else(|| self.text("contentEncoding")) {
            Some(format) if self.kind == Kind::String => format!("{} ({format})", self.kind.as_str()),
            _ => self.kind.as_str().to_owned(),
        }
    }
}

/// The kinds of branches, in words.
pub(super) fn names(branches: &[Branch<'_>]) -> String {
    let mut names = branches.iter().map(Branch::name).collect::<Vec<_>>();
    names.dedup();
    if names.is_empty() { "no value".to_owned() } else { names.join(" or ") }
}

/// The branches of a schema; or the keyword that it cannot be taken apart for.
pub(super) fn of<'a>(schema: &'a JsonSchema, node: Node<'a>) -> Result<Vec<Branch<'a>>, &'static str> {
    let mut branches = Vec::new();
    add(schema, node, DEPTH, &mut branches)?;
    Ok(branches)
}

fn add<'a>(
    whole: &'a JsonSchema,
    Node { schema, document }: Node<'a>,
    left: usize,
    branches: &mut Vec<Branch<'a>>,
) -> Result<(), &'static str> {
    let keywords = match schema {
        Value::Bool(false) => return Ok(()),
        Value::Object(keywords) => keywords,
        _ => {
            branches.extend(Kind::ALL.map(|kind| Branch { kind, schema, document }));
            return Ok(());
        }
    };
    if let Some(keyword) = COMBINING.into_iter().find(|keyword| keywords.contains_key(*keyword)) {
        return Err(keyword);
    }
    let alone = |keyword: &str| keywords.keys().all(|other| other == keyword || is_annotation(other));
    if let Some(reference) = keywords.get("$ref") {
        let found = reference.as_str().and_then(|reference| whole.resolve(document, reference));
        let (Some((schema, document)), true, Some(left)) = (found, alone("$ref"), left.checked_sub(1)) else {
            return Err("$ref");
        };
        return add(whole, Node { schema, document }, left, branches);
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(among) = keywords.get(keyword) else { continue };
        let (Value::Array(among), true, Some(left)) = (among, alone(keyword), left.checked_sub(1)) else {
            return Err(keyword);
        };
        for schema in among {
            add(whole, Node { schema, document }, left, branches)?;
        }
        return if branches.len() > MOST { Err(keyword) } else { Ok(()) };
    }
    branches.extend(kinds(schema)?.into_iter().map(|kind| Branch { kind, schema, document }));
    Ok(())
}

/// The kinds of values that a schema without branches allows.
fn kinds(schema: &Value) -> Result<Vec<Kind>, &'static str> {
    let mut kinds = match schema.get("type") {
        Some(Value::String(name)) => vec![Kind::named(name).ok_or("type")?],
        Some(Value::Array(names)) => {
            let named = names.iter().map(|name| name.as_str().and_then(Kind::named).ok_or("type"));
            named.collect::<Result<_, _>>()?
        }
        Some(_) => return Err("type"),
        None => match listed(schema) {
            Some(values) => {
                let mut kinds: Vec<Kind> = Vec::new();
                values.into_iter().map(Kind::of).for_each(|kind| {
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                });
                return Ok(kinds);
            }
            None => Kind::ALL.to_vec(),
        },
    };
    // Of the listed types those of which a value is listed.
    if let Some(values) = listed(schema) {
        kinds.retain(|kind| values.iter().any(|value| kind.takes(Kind::of(value))));
    }
    Ok(kinds)
}

/// The values of `enum` or `const`.
fn listed(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

/// Whether a value may be of two branches of `oneOf`, where it is then of none.
pub(super) fn is_ambiguous(schema: &Value, branches: &[Branch<'_>]) -> bool {
    let overlap = |one: &Branch<'_>, other: &Branch<'_>| one.kind.takes(other.kind) || other.kind.takes(one.kind);
    let mut pairs =
        branches.iter().enumerate().flat_map(|(at, one)| branches[at + 1..].iter().map(move |other| (one, other)));
    schema.get("oneOf").is_some() && pairs.any(|(one, other)| overlap(one, other))
}

/// Whether a reference stands anywhere in it.
pub(super) fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(keyword, value)| keyword.ends_with("$ref") || refers(value)),
        Value::Array(values) => values.iter().any(refers),
        _ => false,
    }
}

/// Whether a keyword says nothing of which values there may be.
pub(super) fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword)
}

/// The kind of values that a keyword bounds.
pub(super) fn bounds(keyword: &str) -> Kind {
    match keyword {
        "minLength" | "maxLength" => Kind::String,
        "minItems" | "maxItems" => Kind::Array,
        "minProperties" | "maxProperties" => Kind::Object,
        _ => Kind::Number,
    }
}
