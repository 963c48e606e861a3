//! What kinds of values a JSON Schema allows, one branch a kind: types in a list, `anyOf` and `oneOf` taken apart, references
//! followed. What it cannot take apart it names; of a writer it drops what only makes fewer of the values.

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
/// Of these those without which a schema allows the same values and more.
const NARROWING: [&str; 4] = ["not", "if", "then", "else"];

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
            // `1.0` is an integer.
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() != 0.0) => Kind::Number,
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
    pub(super) document: &'a Value,
    pub(super) part: Part,
}

/// How much of a schema is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Whole,
    /// What stands beside its `allOf`.
    Beside,
}

impl<'a> Node<'a> {
    pub(super) fn root(schema: &'a JsonSchema) -> Node<'a> {
        Node::whole(schema.root(), schema.root())
    }

    pub(super) fn whole(schema: &'a Value, document: &'a Value) -> Node<'a> {
        Node { schema, document, part: Part::Whole }
    }

    /// The schema that it refers to, if it says nothing else.
    pub(super) fn followed(mut self, whole: &'a JsonSchema) -> Node<'a> {
        for _ in 0..DEPTH {
            let is_alone =
                |keywords: &Map<String, Value>| keywords.keys().all(|key| key == "$ref" || is_annotation(key));
            let reference = self.schema.as_object().filter(|keywords| is_alone(keywords));
            let reference = reference.and_then(|keywords| keywords.get("$ref")?.as_str());
            match reference.and_then(|reference| whole.resolve(self.document, reference)) {
                Some((schema, document)) => self = Node::whole(schema, document),
                None => break,
            }
        }
        self
    }

    /// The schemas all of which a value keeps to, if it is `allOf` that says so: those in it, and what stands beside it.
    pub(super) fn conjuncts(&self) -> Option<Vec<Node<'a>>> {
        let all = self.schema.get("allOf").filter(|_| self.part == Part::Whole)?.as_array()?;
        let beside = Node { part: Part::Beside, ..*self };
        let within = all.iter().map(|schema| Node::whole(schema, self.document));
        Some([beside].into_iter().filter(|beside| !beside.is_anything()).chain(within).collect())
    }

    /// Whether every value keeps to it.
    pub(super) fn is_anything(&self) -> bool {
        match self.schema {
            Value::Bool(all) => *all,
            Value::Object(keywords) => {
                keywords.keys().all(|keyword| is_annotation(keyword) || self.is_left_out(keyword))
            }
            _ => false,
        }
    }

    pub(super) fn is_left_out(&self, keyword: &str) -> bool {
        self.part == Part::Beside && keyword == "allOf"
    }
}

/// On which side of a comparison a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Reader,
    Writer,
}

/// The values of one kind that a schema allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch<'a> {
    pub(super) kind: Kind,
    /// The keyword for which not every value that the branch describes is one of the schema's.
    pub(super) narrowed: Option<&'static str>,
    node: Node<'a>,
}

impl<'a> Branch<'a> {
    /// The schema of this branch and of others that come from it.
    pub(super) fn node(&self) -> Node<'a> {
        self.node
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.node.schema.get(keyword)
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
        let listed = listed(self.node.schema)?;
        Some(listed.into_iter().filter(|value| self.kind.takes(Kind::of(value))).collect())
    }

    /// A schema that stands in this one.
    pub(super) fn at(&self, schema: &'a Value) -> Node<'a> {
        Node::whole(schema, self.node.document)
    }

    /// Whether a value may be of both. Knows of the listed ones that they are different.
    fn overlaps(&self, other: &Branch<'_>) -> bool {
        let of_one_kind = self.kind.takes(other.kind) || other.kind.takes(self.kind);
        let may_be_equal = |one: &Value, other: &Value| match (one, other) {
            (Value::String(_) | Value::Bool(_) | Value::Null, _) => one == other,
            (_, Value::String(_) | Value::Bool(_) | Value::Null) => false,
            // `1` and `1.0` are one value, also within others.
            _ => one.as_f64() == other.as_f64(),
        };
        of_one_kind
            && match (self.values(), other.values()) {
                (Some(own), Some(others)) => own.iter().any(|one| others.iter().any(|other| may_be_equal(one, other))),
                _ => true,
            }
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
pub(super) fn of<'a>(whole: &'a JsonSchema, node: Node<'a>, side: Side) -> Result<Vec<Branch<'a>>, &'static str> {
    let mut taking = Taking { whole, side, branches: Vec::new() };
    taking.add(node, None, DEPTH)?;
    Ok(taking.branches)
}

struct Taking<'a> {
    whole: &'a JsonSchema,
    side: Side,
    branches: Vec<Branch<'a>>,
}

impl<'a> Taking<'a> {
    /// Adds the branches of a schema, of whose values not all may count, for the keyword `narrowed`.
    fn add(&mut self, node: Node<'a>, narrowed: Option<&'static str>, left: usize) -> Result<(), &'static str> {
        let keywords = match node.schema {
            Value::Bool(false) => return Ok(()),
            Value::Object(keywords) => keywords,
            _ => {
                self.branches.extend(Kind::ALL.map(|kind| Branch { kind, narrowed, node }));
                return Ok(());
            }
        };
        let mut narrowed = narrowed;
        for keyword in COMBINING.into_iter().filter(|keyword| keywords.contains_key(*keyword)) {
            match self.side {
                _ if node.is_left_out(keyword) => {}
                Side::Writer if NARROWING.contains(&keyword) => narrowed = Some(keyword),
                _ => return Err(keyword),
            }
        }
        let Some(below) = left.checked_sub(1) else { return Err("$ref") };
        if let Some(reference) = keywords.get("$ref") {
            let found = reference.as_str().and_then(|reference| self.whole.resolve(node.document, reference));
            let (schema, document) = found.ok_or("$ref")?;
            let narrowed = self.beside(node, "$ref", narrowed)?;
            return self.add(Node::whole(schema, document), narrowed, below);
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(among) = keywords.get(keyword) else { continue };
            let Value::Array(among) = among else { return Err(keyword) };
            let narrowed = self.beside(node, keyword, narrowed)?;
            return self.alternatives(Node::whole(node.schema, node.document), (keyword, among), narrowed, below);
        }
        self.branches.extend(kinds(node.schema)?.into_iter().map(|kind| Branch { kind, narrowed, node }));
        Ok(())
    }

    /// What becomes of what stands beside `keyword`: a writer's is dropped.
    fn beside(
        &self,
        node: Node<'a>,
        keyword: &'static str,
        narrowed: Option<&'static str>,
    ) -> Result<Option<&'static str>, &'static str> {
        let mut keywords = node.schema.as_object().into_iter().flat_map(Map::keys);
        let is_alone = keywords.all(|other| {
            other == keyword || is_annotation(other) || node.is_left_out(other) || NARROWING.contains(&other.as_str())
        });
        match (is_alone, self.side) {
            (true, _) => Ok(narrowed),
            (false, Side::Writer) => Ok(Some(keyword)),
            (false, Side::Reader) => Err(keyword),
        }
    }

    /// Adds the branches of each alternative. A value of two alternatives of `oneOf` is none of the schema's.
    fn alternatives(
        &mut self,
        node: Node<'a>,
        (keyword, among): (&'static str, &'a [Value]),
        narrowed: Option<&'static str>,
        left: usize,
    ) -> Result<(), &'static str> {
        let mut ends = vec![self.branches.len()];
        for schema in among {
            self.add(Node { schema, ..node }, narrowed, left)?;
            ends.push(self.branches.len());
            if self.branches.len() > MOST {
                return Err(keyword);
            }
        }
        if keyword == "oneOf" {
            for (alternative, pair) in ends.windows(2).enumerate() {
                for one in pair[0]..pair[1] {
                    for other in ends[alternative + 1]..self.branches.len() {
                        if self.branches[one].overlaps(&self.branches[other]) {
                            self.branches[one].narrowed = Some(keyword);
                            self.branches[other].narrowed = Some(keyword);
                        }
                    }
                }
            }
        }
        Ok(())
    }
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
