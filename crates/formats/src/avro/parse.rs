//! The JSON of a schema to its types. Hostile text is refused in bounded time; attributes that are not known are left
//! alone, and a logical type that does not fit its type counts for nothing, as the specification asks.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{Enumeration, Fixed, Kind, Logical, Named, Node, NodeId, Record, RecordField, Unit};

const TEXT_LEN: usize = 4 << 20;
const TYPES: usize = 100_000;
const DEPTH: usize = 60;
/// The same with names followed: a thousand small records may make a deep one.
const HEIGHT: usize = 100;
/// The longest fixed: no message is longer.
const FIXED_LEN: u64 = i32::MAX as u64;

/// The types of a schema and which of them it is.
pub(crate) fn parse(text: &str, references: &[&str]) -> Result<(Vec<Node>, NodeId), String> {
    let mut parser = Parser { nodes: Vec::new(), heights: Vec::new(), names: BTreeMap::new() };
    for (index, reference) in references.iter().enumerate() {
        parser.root(reference).map_err(|message| format!("reference {}: {message}", index + 1))?;
    }
    let root = parser.root(text)?;
    Ok((parser.nodes, root))
}

struct Parser {
    nodes: Vec<Node>,
    /// For each type how deep others are nested in it; 0 for a record whose fields are being read.
    heights: Vec<usize>,
    names: BTreeMap<String, NodeId>,
}

impl Parser {
    fn root(&mut self, text: &str) -> Result<NodeId, String> {
        if text.len() > TEXT_LEN {
            return Err(format!("a schema of {} bytes is too large", text.len()));
        }
        let json = serde_json::from_str(text).or_else(|error| match text.trim() {
            // Registries and files also hold a bare `string`.
            bare if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Ok(Value::String(bare.to_owned()))
            }
            _ => Err(format!("not JSON: {error}")),
        })?;
        self.node(&json, "", 0)
    }

    fn push(&mut self, kind: Kind, logical: Option<Logical>) -> Result<NodeId, String> {
        if self.nodes.len() >= TYPES {
            return Err(format!("a schema of more than {TYPES} types"));
        }
        let height = self.height(&kind)?;
        self.nodes.push(Node { kind, logical });
        self.heights.push(height);
        Ok(NodeId(self.nodes.len() as u32 - 1))
    }

    fn height(&self, kind: &Kind) -> Result<usize, String> {
        let of = |id: &NodeId| self.heights[id.0 as usize] + 1;
        let height = match kind {
            Kind::Array(items) => of(items),
            Kind::Map(values) => of(values),
            Kind::Union(branches) => branches.iter().map(of).max().unwrap_or(0),
            Kind::Record(record) => record.fields.iter().map(|field| of(&field.node)).max().unwrap_or(0),
            _ => 0,
        };
        if height > HEIGHT {
            return Err(format!("types nested more than {HEIGHT} deep"));
        }
        Ok(height)
    }

    fn node(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<NodeId, String> {
        if depth > DEPTH {
            return Err(format!("types nested more than {DEPTH} deep"));
        }
        match json {
            Value::String(name) => match primitive(name) {
                Some(kind) => self.push(kind, None),
                None => self.reference(name, namespace),
            },
            Value::Array(branches) => self.union(branches, namespace, depth),
            Value::Object(object) => self.object(object, namespace, depth),
            other => Err(format!("expected a type, found {}", kind_of(other))),
        }
    }

    fn reference(&self, name: &str, namespace: &str) -> Result<NodeId, String> {
        let full = full_name(name, namespace);
        // Schemas of old name types of their own namespace as if there were none.
        let found = self.names.get(&full).or_else(|| self.names.get(name));
        found.copied().ok_or_else(|| format!("type {full} is not defined"))
    }

    fn union(&mut self, branches: &[Value], namespace: &str, depth: usize) -> Result<NodeId, String> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = BTreeMap::new();
        for branch in branches {
            let id = self.node(branch, namespace, depth + 1)?;
            let key = match &self.nodes[id.0 as usize].kind {
                Kind::Union(_) => return Err("a union directly within a union".to_owned()),
                kind => branch_key(kind),
            };
            if seen.insert(key.clone(), id).is_some() {
                return Err(format!("{key} stands twice in one union"));
            }
            ids.push(id);
        }
        self.push(Kind::Union(ids), None)
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<NodeId, String> {
        let name = match object.get("type") {
            Some(Value::String(name)) => name.as_str(),
            // `{"type": {"type": ...}}` and `{"type": [...]}` are in use.
            Some(nested) => return self.node(nested, namespace, depth + 1),
            None => return Err("an object without `type`".to_owned()),
        };
        match name {
            "array" => {
                let items = self.node(member(object, "items", "array")?, namespace, depth + 1)?;
                self.push(Kind::Array(items), None)
            }
            "map" => {
                let values = self.node(member(object, "values", "map")?, namespace, depth + 1)?;
                self.push(Kind::Map(values), None)
            }
            "record" | "error" => self.record(object, namespace, depth),
            "enum" => {
                let name = named(object, namespace)?;
                let symbols = symbols(object, &name.full)?;
                let default = match object.get("default") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(symbol)) if symbols.contains(symbol) => Some(symbol.clone()),
                    Some(other) => return Err(format!("enum {}: its default {other} is not a symbol", name.full)),
                };
                self.define(Kind::Enum(Enumeration { name, symbols, default }), None)
            }
            "fixed" => {
                let name = named(object, namespace)?;
                let size = object.get("size").and_then(Value::as_u64).filter(|&size| size <= FIXED_LEN);
                let size = size.ok_or_else(|| format!("fixed {}: `size` must be 0 to {FIXED_LEN}", name.full))?;
                let kind = Kind::Fixed(Fixed { name, size: size as usize });
                let logical = logical(object, &kind);
                self.define(kind, logical)
            }
            other => match primitive(other) {
                Some(kind) => {
                    let logical = logical(object, &kind);
                    self.push(kind, logical)
                }
                None => self.reference(other, namespace),
            },
        }
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<NodeId, String> {
        let name = named(object, namespace)?;
        let full = name.full.clone();
        let own_namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let Some(Value::Array(list)) = object.get("fields") else {
            return Err(format!("record {full}: no list of `fields`"));
        };
        // Named before its fields are read: they may be of its own type.
        let empty = Record { name: name.clone(), fields: Vec::new(), by_name: BTreeMap::new() };
        let id = self.define(Kind::Record(empty), None)?;
        let mut fields = Vec::with_capacity(list.len());
        let mut by_name = BTreeMap::new();
        for json in list {
            let field = self.field(json, own_namespace, depth).map_err(|message| format!("{full}: {message}"))?;
            if by_name.insert(field.name.clone(), fields.len()).is_some() {
                return Err(format!("{full}: field {} stands twice", field.name));
            }
            fields.push(field);
        }
        let record = Kind::Record(Record { name, fields, by_name });
        self.heights[id.0 as usize] = self.height(&record)?;
        self.nodes[id.0 as usize].kind = record;
        Ok(id)
    }

    fn field(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<RecordField, String> {
        let Value::Object(object) = json else { return Err(format!("a field that is {}", kind_of(json))) };
        let Some(Value::String(name)) = object.get("name") else { return Err("a field without name".to_owned()) };
        check_name(name)?;
        let json = object.get("type").ok_or_else(|| format!("field {name} has no type"))?;
        let node = self.node(json, namespace, depth + 1).map_err(|message| format!("field {name}: {message}"))?;
        let aliases = strings(object, "aliases").map_err(|message| format!("field {name}: {message}"))?;
        Ok(RecordField { name: name.clone(), aliases, node, default: object.get("default").cloned() })
    }

    fn define(&mut self, kind: Kind, logical: Option<Logical>) -> Result<NodeId, String> {
        let full = match &kind {
            Kind::Record(Record { name, .. })
            | Kind::Enum(Enumeration { name, .. })
            | Kind::Fixed(Fixed { name, .. }) => name.full.clone(),
            _ => unreachable!("only named types are defined"),
        };
        if primitive(&full).is_some() {
            return Err(format!("{full} is the name of a primitive type"));
        }
        let id = self.push(kind, logical)?;
        if self.names.insert(full.clone(), id).is_some() {
            return Err(format!("type {full} is defined twice"));
        }
        Ok(id)
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

/// What must not stand twice in a union.
fn branch_key(kind: &Kind) -> String {
    match kind {
        Kind::Null => "null".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Int => "int".to_owned(),
        Kind::Long => "long".to_owned(),
        Kind::Float => "float".to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Array(_) => "array".to_owned(),
        Kind::Map(_) => "map".to_owned(),
        Kind::Union(_) => "union".to_owned(),
        Kind::Record(Record { name, .. }) | Kind::Enum(Enumeration { name, .. }) | Kind::Fixed(Fixed { name, .. }) => {
            name.full.clone()
        }
    }
}

fn logical(object: &Map<String, Value>, kind: &Kind) -> Option<Logical> {
    let logical = match (object.get("logicalType")?.as_str()?, kind) {
        ("decimal", Kind::Bytes | Kind::Fixed(_)) => return decimal(object, kind),
        ("date", Kind::Int) => Logical::Date,
        ("time-millis", Kind::Int) => Logical::TimeMillis,
        ("time-micros", Kind::Long) => Logical::TimeMicros,
        ("timestamp-millis", Kind::Long) => Logical::Timestamp(Unit::Millis),
        ("timestamp-micros", Kind::Long) => Logical::Timestamp(Unit::Micros),
        ("timestamp-nanos", Kind::Long) => Logical::Timestamp(Unit::Nanos),
        ("local-timestamp-millis", Kind::Long) => Logical::LocalTimestamp(Unit::Millis),
        ("local-timestamp-micros", Kind::Long) => Logical::LocalTimestamp(Unit::Micros),
        ("local-timestamp-nanos", Kind::Long) => Logical::LocalTimestamp(Unit::Nanos),
        ("uuid", Kind::String) => Logical::Uuid,
        ("uuid", Kind::Fixed(Fixed { size: 16, .. })) => Logical::Uuid,
        ("duration", Kind::Fixed(Fixed { size: 12, .. })) => Logical::Duration,
        _ => return None,
    };
    Some(logical)
}

/// The decimal, if its digits are right and fit a fixed.
fn decimal(object: &Map<String, Value>, kind: &Kind) -> Option<Logical> {
    let precision = u32::try_from(object.get("precision")?.as_u64()?).ok()?;
    let scale = object.get("scale").map_or(Some(0), |scale| u32::try_from(scale.as_u64()?).ok())?;
    if precision == 0 || scale > precision {
        return None;
    }
    if let Kind::Fixed(fixed) = kind {
        // floor(log10(2^(8 n - 1) - 1)) digits; 301 / 1000 is just below log10(2).
        let digits = (fixed.size as u64 * 8).saturating_sub(1) * 301 / 1000;
        if u64::from(precision) > digits {
            return None;
        }
    }
    Some(Logical::Decimal { precision, scale })
}

fn named(object: &Map<String, Value>, namespace: &str) -> Result<Named, String> {
    let Some(Value::String(name)) = object.get("name") else { return Err("a named type without name".to_owned()) };
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
    let full = full_name(name, namespace);
    full.split('.').try_for_each(check_name)?;
    let own_namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
    let aliases = strings(object, "aliases").map_err(|message| format!("type {full}: {message}"))?;
    let aliases = aliases.iter().map(|alias| full_name(alias, own_namespace)).collect();
    Ok(Named { full, aliases })
}

fn full_name(name: &str, namespace: &str) -> String {
    match name.strip_prefix('.') {
        Some(name) => name.to_owned(),
        None if namespace.is_empty() || name.contains('.') => name.to_owned(),
        None => format!("{namespace}.{name}"),
    }
}

/// Whether `name` is a letter or underscore followed by letters, digits and underscores.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Checks a name of a schema that others wrote: some writers take letters of any alphabet.
fn check_name(name: &str) -> Result<(), String> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if begins && characters.all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Ok(());
    }
    Err(format!("\"{}\" is not a name", crate::fault::excerpt(name)))
}

fn symbols(object: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let symbols = strings(object, "symbols").map_err(|message| format!("enum {name}: {message}"))?;
    let mut sorted = symbols.iter().collect::<Vec<_>>();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("enum {name}: symbol {} stands twice", pair[0])),
        None if symbols.is_empty() => Err(format!("enum {name}: no symbols")),
        None => Ok(symbols),
    }
}

fn strings(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let list = match object.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(format!("`{key}` is {}, not a list", kind_of(other))),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list.iter().map(text).collect::<Option<Vec<_>>>().ok_or_else(|| format!("`{key}` is not a list of strings"))
}

fn member<'a>(object: &'a Map<String, Value>, key: &str, of: &str) -> Result<&'a Value, String> {
    object.get(key).ok_or_else(|| format!("{of} without `{key}`"))
}

fn kind_of(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
