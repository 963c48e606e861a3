//! The structure of a file against the JSON Schema of its types: every mistake at once, each at its place.
//!
//! It knows the part of JSON Schema that the types make: what it does not know, it lets through, and reading the types
//! finds the first such mistake.

mod object;
mod scalar;

use serde_json::Value;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::node::{Kind, Node};
use crate::yaml::span::Span;

/// Checks a tree against a schema.
pub fn check(node: &Node, schema: &Value, diagnostics: &mut Diagnostics) {
    let checker = Checker { root: schema };
    let place = Place { at: node.span, what: "the file".into() };
    checker.node(node, schema, &place, diagnostics);
}

struct Checker<'a> {
    root: &'a Value,
}

/// Where a value stands, for messages about what it lacks: the key before it, and how to call it.
struct Place {
    at: Span,
    what: String,
}

/// One of the schemas that a value may follow, and the name of the type that it belongs to.
#[derive(Clone, Copy)]
struct Choice<'a> {
    schema: &'a Value,
    of: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    List,
    Mapping,
}

impl Shape {
    fn of(node: &Node) -> Shape {
        match node.kind {
            Kind::Scalar(_) | Kind::Unknown => Shape::Scalar,
            Kind::Sequence(_) => Shape::List,
            Kind::Mapping(_) => Shape::Mapping,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Shape::Scalar => "a single value",
            Shape::List => "a list",
            Shape::Mapping => "a mapping",
        }
    }
}

impl<'a> Checker<'a> {
    fn node(&self, node: &Node, schema: &'a Value, place: &Place, diagnostics: &mut Diagnostics) {
        if node.kind == Kind::Unknown {
            return;
        }
        let mut choices = Vec::new();
        self.choices(Choice { schema, of: "" }, &mut choices, 0);
        if choices.iter().any(|choice| is_anything(choice.schema)) {
            return;
        }
        if node.is_null() && !choices.iter().any(|choice| scalar::allows(choice.schema, "null")) {
            let diagnostic = Diagnostic::error(codes::NO_VALUE, place.at, format!("{} has no value", place.what));
            let cut = place.what.contains(')') || place.what.contains(']');
            let help = match cut {
                true => "Within `{..}` a comma ends a value: put an expression that holds one in quotes.",
                false => "Give it one, or leave the key out. If the next lines belong to it, indent them.",
            };
            diagnostics.push(diagnostic.help(help));
            return;
        }
        let shape = Shape::of(node);
        let fitting: Vec<_> = choices.iter().copied().filter(|choice| shape_of(choice.schema) == shape).collect();
        if fitting.is_empty() {
            diagnostics.push(wrong_shape(node, &choices, place));
            return;
        }
        match (&node.kind, fitting.as_slice()) {
            (Kind::Scalar(scalar), choices) => scalar::check(scalar, node.span, choices, place, diagnostics),
            (Kind::Sequence(items), [choice, ..]) => self.list(items, node.span, choice.schema, place, diagnostics),
            (Kind::Mapping(entries), [choice]) => self.object(entries, node.span, *choice, place, diagnostics),
            (Kind::Mapping(entries), choices) => self.tagged(entries, node.span, choices, diagnostics),
            _ => {}
        }
    }

    fn list(&self, items: &[Node], span: Span, schema: &'a Value, place: &Place, diagnostics: &mut Diagnostics) {
        if items.is_empty() && schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) > 0 {
            let message = format!("{} is empty", place.what);
            diagnostics.push(Diagnostic::error(codes::EMPTY, span, message));
        }
        let Some(schema) = schema.get("items") else { return };
        for item in items {
            let place = Place { at: item.span, what: format!("an entry of {}", place.what) };
            self.node(item, schema, &place, diagnostics);
        }
    }

    /// The schemas that a value may follow, references and alternatives resolved.
    fn choices(&self, choice: Choice<'a>, into: &mut Vec<Choice<'a>>, depth: usize) {
        const DEEPEST: usize = 16;
        let Choice { schema, of } = choice;
        if depth > DEEPEST {
            return;
        }
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) {
            if let Some(schema) = self.root.get("$defs").and_then(|defs| defs.get(name)) {
                self.choices(Choice { schema, of: name }, into, depth + 1);
            }
            return;
        }
        match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            Some(alternatives) => {
                for schema in alternatives {
                    self.choices(Choice { schema, of }, into, depth + 1);
                }
            }
            None => into.push(choice),
        }
    }
}

fn is_anything(schema: &Value) -> bool {
    schema == &Value::Bool(true)
        || schema.as_object().is_some_and(|object| {
            !["type", "const", "enum", "properties", "items"].iter().any(|keyword| object.contains_key(*keyword))
        })
}

fn shape_of(schema: &Value) -> Shape {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Shape::Mapping,
        Some("array") => Shape::List,
        None if schema.get("properties").is_some() => Shape::Mapping,
        _ => Shape::Scalar,
    }
}

fn wrong_shape(node: &Node, choices: &[Choice<'_>], place: &Place) -> Diagnostic {
    let mut wanted = Vec::new();
    for choice in choices {
        let words = match shape_of(choice.schema) {
            Shape::Scalar => scalar::wanted(choice.schema),
            shape => shape.words().to_owned(),
        };
        if !wanted.contains(&words) {
            wanted.push(words);
        }
    }
    let found = Shape::of(node).words();
    let message = format!("{} is {found} where {} is expected", place.what, wanted.join(" or "));
    let diagnostic = Diagnostic::error(codes::WRONG_SHAPE, node.span, message);
    let lists = choices.iter().any(|choice| shape_of(choice.schema) == Shape::List);
    let mappings = choices.iter().any(|choice| shape_of(choice.schema) == Shape::Mapping);
    match Shape::of(node) {
        Shape::Mapping if lists => diagnostic.help("Begin each entry with `- `."),
        Shape::Scalar if lists => diagnostic.help("Write it as a list: `[..]`, or each entry on a line with `- `."),
        Shape::List if mappings => diagnostic.help("Write it as a mapping: `key: value`, without dashes."),
        Shape::Scalar if mappings => diagnostic.help("Write it as a mapping: `{key: value}`."),
        Shape::List | Shape::Mapping | Shape::Scalar => diagnostic,
    }
}
