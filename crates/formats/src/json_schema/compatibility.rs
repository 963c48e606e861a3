//! Whether every document of one JSON Schema keeps to another. Judges types, properties, what is required, enums, bounds, and
//! whether other properties may stand there; what it does not understand it says it has not judged. Never fetches a schema.

use std::collections::BTreeSet;
use std::ptr;

use serde_json::Value;

use super::branches::{self, Branch, Kind, Node};
use super::schema::JsonSchema;
use crate::difference::{Difference, Gravity};

/// The most differences of one comparison.
const MOST: usize = 1_000;
/// When less of the stack than this is left, more is taken.
const RED_ZONE: usize = 64 << 10;
const STACK: usize = 1 << 20;

/// Keywords that say how small a value may be, and those of which one stands for the same.
const LOWER: [(&str, &str); 5] = [
    ("minimum", "exclusiveMinimum"),
    ("exclusiveMinimum", "minimum"),
    ("minLength", ""),
    ("minItems", ""),
    ("minProperties", ""),
];
/// Keywords that say how large.
const UPPER: [(&str, &str); 5] = [
    ("maximum", "exclusiveMaximum"),
    ("exclusiveMaximum", "maximum"),
    ("maxLength", ""),
    ("maxItems", ""),
    ("maxProperties", ""),
];
/// Keywords that validators may or may not hold values to, and from which columns get their types.
const FORMATS: [&str; 4] = ["format", "contentEncoding", "contentMediaType", "connect.type"];
/// Keywords that are understood only where both sides have the same.
const OPAQUE: [(&str, Kind); 19] = [
    ("pattern", Kind::String),
    ("multipleOf", Kind::Number),
    ("uniqueItems", Kind::Array),
    ("contains", Kind::Array),
    ("minContains", Kind::Array),
    ("maxContains", Kind::Array),
    ("prefixItems", Kind::Array),
    ("additionalItems", Kind::Array),
    ("unevaluatedItems", Kind::Array),
    ("patternProperties", Kind::Object),
    ("propertyNames", Kind::Object),
    ("dependencies", Kind::Object),
    ("dependentRequired", Kind::Object),
    ("dependentSchemas", Kind::Object),
    ("unevaluatedProperties", Kind::Object),
    ("contentSchema", Kind::String),
    ("extends", Kind::Object),
    ("disallow", Kind::Object),
    ("divisibleBy", Kind::Number),
];

/// What those who read by `reader` do not expect of what `writer` allows; none if every document of `writer` is one of
/// `reader`.
pub fn compatibility(reader: &JsonSchema, writer: &JsonSchema) -> Vec<Difference> {
    if reader == writer {
        return Vec::new();
    }
    let mut comparison = Comparison { reader, writer, seen: BTreeSet::new(), found: Vec::new() };
    comparison.values(Node::root(reader), Node::root(writer), "");
    comparison.found
}

struct Comparison<'a> {
    reader: &'a JsonSchema,
    writer: &'a JsonSchema,
    /// Pairs that have been compared or are being compared: a recursive schema is taken to agree with itself.
    seen: BTreeSet<(usize, usize)>,
    found: Vec<Difference>,
}

/// Two branches of one kind: the reader's and the writer's.
type Pair<'p, 'a> = (&'p Branch<'a>, &'p Branch<'a>);

impl<'a> Comparison<'a> {
    fn find(&mut self, path: &str, rule: &'static str, gravity: Gravity, reader: String, writer: String) {
        if self.found.len() < MOST {
            self.found.push(Difference { path: path.to_owned(), rule, writer, reader, gravity });
        }
    }

    fn values(&mut self, reader: Node<'a>, writer: Node<'a>, path: &str) {
        let pair = (ptr::from_ref(reader.schema) as usize, ptr::from_ref(writer.schema) as usize);
        if self.found.len() < MOST && self.seen.insert(pair) {
            stacker::maybe_grow(RED_ZONE, STACK, || self.new_values(reader, writer, path));
        }
    }

    fn new_values(&mut self, reader: Node<'a>, writer: Node<'a>, path: &str) {
        if is_anything(reader.schema) {
            return;
        }
        let (to, from) = match (branches::of(self.reader, reader), branches::of(self.writer, writer)) {
            (Ok(to), Ok(from)) => (to, from),
            // What is written alike with nothing behind it but itself is the same.
            _ if reader.schema == writer.schema && !branches::refers(reader.schema) => return,
            (Err(keyword), _) | (_, Err(keyword)) => {
                return self.find(path, keyword, Gravity::NotJudged, shown(reader.schema), shown(writer.schema));
            }
        };
        if branches::is_ambiguous(reader.schema, &to) {
            return self.find(path, "oneOf", Gravity::NotJudged, shown(reader.schema), shown(writer.schema));
        }
        for written in &from {
            self.branch(&to, written, path);
        }
    }

    /// One branch of what is written, against those of the reader.
    fn branch(&mut self, to: &[Branch<'a>], written: &Branch<'a>, path: &str) {
        let fit = to.iter().filter(|branch| branch.kind.takes(written.kind)).collect::<Vec<_>>();
        match fit[..] {
            [] => self.find(path, "type", Gravity::Breaks, branches::names(to), written.name()),
            [only] => self.alike((only, written), path),
            _ => {
                let tried = fit.iter().map(|branch| self.trial((branch, written), path)).collect::<Vec<_>>();
                let worst = |found: &Vec<Difference>| found.iter().map(|found| found.gravity).max();
                // One of them is enough; it is said what is wrong with the one that is nearest.
                let best = tried.into_iter().min_by_key(|found| (worst(found), found.len())).unwrap_or_default();
                self.found.extend(best);
            }
        }
    }

    fn trial(&self, pair: Pair<'_, 'a>, path: &str) -> Vec<Difference> {
        let mut trial =
            Comparison { reader: self.reader, writer: self.writer, seen: self.seen.clone(), found: Vec::new() };
        trial.alike(pair, path);
        trial.found
    }

    fn alike(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        self.enums((to, from), path);
        self.bounds((to, from), path);
        for keyword in FORMATS {
            let (reader, writer) = (to.text(keyword), from.text(keyword));
            if reader.is_some() && reader != writer {
                let shown = |said: Option<&str>| format!("{keyword} {}", said.unwrap_or("of no kind"));
                self.find(path, "format", Gravity::Note, shown(reader), shown(writer));
            }
        }
        for (keyword, kind) in OPAQUE {
            let of_reader = to.get(keyword);
            if kind.takes(to.kind) && of_reader.is_some() && (of_reader != from.get(keyword) || self.is_deep(of_reader))
            {
                let name = |value: Option<&Value>| value.map_or_else(|| format!("no {keyword}"), shown);
                self.find(path, keyword, Gravity::NotJudged, name(of_reader), name(from.get(keyword)));
            }
        }
        match to.kind {
            Kind::Object => self.objects((to, from), path),
            Kind::Array => self.arrays((to, from), path),
            _ => {}
        }
    }

    /// Whether a reference stands in it, which may mean another thing on each side.
    fn is_deep(&self, value: Option<&Value>) -> bool {
        value.is_some_and(branches::refers)
    }

    fn enums(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let Some(known) = to.values() else { return };
        match from.values() {
            None => self.find(path, "enum", Gravity::Breaks, list(&known), format!("any {}", from.name())),
            Some(written) => {
                let unknown = written.into_iter().filter(|value| !known.contains(value)).collect::<Vec<_>>();
                if !unknown.is_empty() {
                    self.find(path, "enum", Gravity::Breaks, list(&known), list(&unknown));
                }
            }
        }
    }

    fn bounds(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let bounds = LOWER.iter().map(|bound| (bound, true)).chain(UPPER.iter().map(|bound| (bound, false)));
        for ((keyword, twin), is_lower) in bounds {
            let Some(reader) = to.get(keyword).filter(|_| branches::bounds(keyword).takes(to.kind)) else { continue };
            let shown =
                |value: Option<&Value>| value.map_or_else(|| format!("no {keyword}"), |v| format!("{keyword} {v}"));
            let (of_reader, of_writer) = (shown(Some(reader)), shown(from.get(keyword)));
            let numbers = (reader.as_f64(), from.get(keyword).map(Value::as_f64), from.get(twin));
            match numbers {
                (Some(bound), Some(Some(written)), _) if is_lower && written >= bound => {}
                (Some(bound), Some(Some(written)), _) if !is_lower && written <= bound => {}
                // Draft 4 has a flag here; and the twin may say as much.
                (None, ..) | (_, Some(None), _) | (_, None, Some(_)) => {
                    self.find(path, keyword, Gravity::NotJudged, of_reader, of_writer);
                }
                _ => self.find(path, "range", Gravity::Breaks, of_reader, of_writer),
            }
        }
    }

    fn arrays(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let path = format!("{path}[]");
        if let (Some(items), Some(first)) = (to.get("items"), from.get("prefixItems")) {
            return self.find(&path, "prefixItems", Gravity::NotJudged, shown(items), shown(first));
        }
        match (to.get("items"), from.get("items")) {
            (None, _) => {}
            (Some(items), _) if is_anything(items) => {}
            (Some(items), Some(written)) if !items.is_array() && !written.is_array() => {
                self.values(to.at(items), from.at(written), &path);
            }
            (Some(items), Some(written)) if items == written && !branches::refers(items) => {}
            (Some(items), None) if !items.is_array() => {
                self.find(&path, "type", Gravity::Breaks, shown(items), "anything".to_owned());
            }
            (Some(items), written) => {
                let written = written.map_or_else(|| "anything".to_owned(), shown);
                self.find(&path, "items", Gravity::NotJudged, shown(items), written);
            }
        }
    }

    fn objects(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let (read, written) = (to.object("properties"), from.object("properties"));
        if let (None, Some(patterns)) = (to.get("patternProperties"), from.get("patternProperties")) {
            self.find(path, "patternProperties", Gravity::NotJudged, "none".to_owned(), shown(patterns));
        }
        let always = from.names("required");
        for name in to.names("required").into_iter().filter(|name| !always.contains(name)) {
            let has =
                if written.is_some_and(|written| written.contains_key(name)) { "not required" } else { "nothing" };
            self.find(&within(path, name), "required", Gravity::Breaks, "required".to_owned(), has.to_owned());
        }
        for (name, value) in written.into_iter().flatten() {
            let path = within(path, name);
            match (read.and_then(|read| read.get(name)), to.get("additionalProperties")) {
                (Some(known), _) => self.values(to.at(known), from.at(value), &path),
                // Said where that is compared.
                _ if to.get("patternProperties").is_some() => {}
                (None, Some(Value::Bool(false))) if *value != Value::Bool(false) => {
                    let none = "no such property, and no others are allowed".to_owned();
                    self.find(&path, "closed", Gravity::Breaks, none, shown(value));
                }
                (None, Some(others)) if !is_anything(others) => self.values(to.at(others), from.at(value), &path),
                (None, _) => {}
            }
        }
        self.others((to, from), path);
    }

    /// Properties that the writer does not name, and may write.
    fn others(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let (read, written) = (to.object("properties"), from.object("properties"));
        let others = from.get("additionalProperties").unwrap_or(&Value::Bool(true));
        if *others == Value::Bool(false) || from.get("unevaluatedProperties") == Some(&Value::Bool(false)) {
            return;
        }
        let is_unnamed = |name: &String| !written.is_some_and(|written| written.contains_key(name));
        for (name, known) in read.into_iter().flatten().filter(|(name, known)| is_unnamed(name) && !is_anything(known))
        {
            let path = within(path, name);
            match is_anything(others) {
                true => self.find(
                    &path,
                    "open",
                    Gravity::Breaks,
                    shown(known),
                    "anything, as others are allowed".to_owned(),
                ),
                false => self.values(to.at(known), from.at(others), &path),
            }
        }
        let path = format!("{path}{{}}");
        match (to.get("additionalProperties"), is_anything(others)) {
            (None, _) => {}
            (Some(allowed), _) if is_anything(allowed) => {}
            (Some(Value::Bool(false)), _) => {
                let none = "no other properties are allowed".to_owned();
                self.find(&path, "closed", Gravity::Breaks, none, shown(others));
            }
            (Some(allowed), true) => self.find(&path, "open", Gravity::Breaks, shown(allowed), "anything".to_owned()),
            (Some(allowed), false) => self.values(to.at(allowed), from.at(others), &path),
        }
    }
}

/// Whether every value keeps to it.
fn is_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(keywords) => keywords.keys().all(|keyword| branches::is_annotation(keyword)),
        _ => false,
    }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A schema in a few words.
fn shown(schema: &Value) -> String {
    const MOST: usize = 80;
    let only_type = schema.get("type").filter(|_| schema.as_object().is_some_and(|keywords| keywords.len() == 1));
    let text = match (only_type.and_then(Value::as_str), schema) {
        (Some(name), _) => name.to_owned(),
        (None, Value::Bool(true)) => "anything".to_owned(),
        (None, other) if is_anything(other) => "anything".to_owned(),
        (None, other) => other.to_string(),
    };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn list(values: &[&Value]) -> String {
    let shown = values.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if values.len() > 20 { format!("{shown}, …") } else { shown }
}
