//! Mappings: the keys that they must, may and must not have.

use serde_json::{Map, Value};

use super::{Checker, Choice, Place};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::spec::steps::not_yet;
use crate::yaml::node::{Kind, Node};
use crate::yaml::span::Span;

type Entries = [(Node, Node)];

impl<'a> Checker<'a> {
    /// A mapping with declared keys, or with names of the user's own.
    pub(super) fn object(
        &self,
        entries: &Entries,
        span: Span,
        choice: Choice<'a>,
        place: &Place,
        diagnostics: &mut Diagnostics,
    ) {
        let schema = choice.schema;
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties");
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let declared = schema.get("properties").and_then(|properties| properties.get(name));
            match (declared, others) {
                (Some(schema), _) => self.value(key, value, schema, diagnostics),
                (None, Some(Value::Bool(false))) => {
                    let known = properties.keys().map(String::as_str);
                    diagnostics.push(unknown_key(key, known, choice.of, place));
                }
                (None, Some(schema)) => self.value(key, value, schema, diagnostics),
                (None, None) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !entries.iter().any(|(key, _)| key.text() == Some(name)) {
                diagnostics.push(missing(name, choice, place));
            }
        }
        let limit = |keyword| schema.get(keyword).and_then(Value::as_u64);
        if entries.is_empty() && limit("minProperties").unwrap_or(0) > 0 {
            diagnostics.push(Diagnostic::error(codes::EMPTY, span, format!("{} is empty", place.what)));
        }
        if let Some(most) = limit("maxProperties")
            && entries.len() as u64 > most
        {
            diagnostics.push(one_key(entries));
        }
    }

    fn value(&self, key: &Node, value: &Node, schema: &'a Value, diagnostics: &mut Diagnostics) {
        let what = format!("`{}`", key.text().unwrap_or_default());
        self.node(value, schema, &Place { at: key.span, what }, diagnostics);
    }

    /// A mapping with one key that says what the value is: a step, or a format with options.
    pub(super) fn tagged(&self, entries: &Entries, span: Span, choices: &[Choice<'a>], diagnostics: &mut Diagnostics) {
        let of = choices.first().map_or("", |choice| choice.of);
        let names = || choices.iter().filter_map(|choice| tag(choice.schema)).map(|(name, _)| name);
        if entries.is_empty() {
            let message = format!("expected one of {}", list(names()));
            return diagnostics.push(Diagnostic::error(codes::EMPTY, span, message));
        }
        if let Some((first, schema, value)) = self.under_the_first(entries, choices) {
            diagnostics.push(not_indented(entries));
            return self.value(first, &value, schema, diagnostics);
        }
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let known = choices.iter().filter_map(|choice| tag(choice.schema)).find(|(known, _)| *known == name);
            match known {
                Some((_, schema)) => self.value(key, value, schema, diagnostics),
                None => diagnostics.push(unknown_tag(key, names(), of)),
            }
        }
        if entries.len() > 1 {
            diagnostics.push(one_key(entries));
        }
    }

    /// Where keys stand beside the one that says what the value is, and belong under it: that key, its schema, and its value
    /// with them. YAML takes what is not indented for that.
    fn under_the_first<'e>(&self, entries: &'e Entries, choices: &[Choice<'a>]) -> Option<(&'e Node, &'a Value, Node)> {
        let ((first, value), others) = entries.split_first()?;
        let tags = || choices.iter().filter_map(|choice| tag(choice.schema));
        let schema = tags().find(|(name, _)| first.text() == Some(*name)).map(|(_, schema)| schema)?;
        let mut of_value = Vec::new();
        self.choices(Choice { schema, of: "" }, &mut of_value, 0);
        let has = |name: &str| of_value.iter().any(|choice| choice.schema["properties"].get(name).is_some());
        let mut names = others.iter().map(|(key, _)| key.text().unwrap_or_default());
        if others.is_empty() || !names.all(|name| has(name) && !tags().any(|(tag, _)| tag == name)) {
            return None;
        }
        let mut inside = match &value.kind {
            Kind::Mapping(inside) => inside.clone(),
            _ if value.is_null() => Vec::new(),
            _ => return None,
        };
        inside.extend(others.iter().filter(|(key, _)| value.get(key.text().unwrap_or_default()).is_none()).cloned());
        Some((first, schema, Node { span: value.span, kind: Kind::Mapping(inside) }))
    }
}

/// The only key of an alternative of an externally tagged enum, and the schema of its value.
fn tag(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    match (properties.len(), required.as_slice()) {
        (1, [name]) => properties.get_key_value(name.as_str()?).map(|(name, schema)| (name.as_str(), schema)),
        _ => None,
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn there_are<'a>(known: impl Iterator<Item = &'a str> + Clone) -> String {
    match known.clone().count() {
        0 => "There are none.".into(),
        1 => format!("There is {} only.", list(known)),
        _ => format!("There are {}.", list(known)),
    }
}

fn unknown_key<'a>(key: &Node, known: impl Iterator<Item = &'a str> + Clone, of: &str, place: &Place) -> Diagnostic {
    let name = key.text().unwrap_or_default();
    if matches!(of, "" | "Pipeline") && not_yet::SECTIONS.contains(&name) {
        return not_supported(key, name);
    }
    let message = format!("{} has no key `{name}`", place.what);
    Diagnostic::error(codes::UNKNOWN_KEY, key.span, message).help(there_are(known.clone())).did_you_mean(name, known)
}

fn unknown_tag<'a>(key: &Node, known: impl Iterator<Item = &'a str> + Clone, of: &str) -> Diagnostic {
    let name = key.text().unwrap_or_default();
    if of == "Step" && not_yet::STEPS.contains(&name) {
        return not_supported(key, name);
    }
    let (code, message) = match of {
        "Step" => (codes::UNKNOWN_STEP, format!("there is no step `{name}`")),
        _ => (codes::UNKNOWN_KEY, format!("there is no `{name}` here")),
    };
    Diagnostic::error(code, key.span, message).help(there_are(known.clone())).did_you_mean(name, known)
}

pub(super) fn not_supported(key: &Node, name: &str) -> Diagnostic {
    Diagnostic::error(codes::NOT_YET, key.span, format!("`{name}` is not supported yet"))
        .help("It comes in a later version; leave it out for now.")
}

fn missing(name: &str, choice: Choice<'_>, place: &Place) -> Diagnostic {
    let about = choice
        .schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .and_then(|schema| schema.get("description"))
        .and_then(Value::as_str)
        .and_then(|text| text.split(". ").next())
        .map(|text| text.trim_end_matches('.').replace('\n', " "));
    let diagnostic = Diagnostic::error(codes::MISSING_KEY, place.at, format!("{} lacks `{name}`", place.what));
    match about {
        Some(about) => diagnostic.help(format!("Add `{name}:`. {about}.")),
        None => diagnostic.help(format!("Add `{name}:`.")),
    }
}

fn not_indented(entries: &Entries) -> Diagnostic {
    let keys = || entries.iter().map(|(key, _)| key);
    let first = keys().next().and_then(Node::text).unwrap_or_default();
    let others = list(keys().skip(1).filter_map(Node::text));
    let (message, them) = match entries.len() {
        2 => (format!("{others} stands beside `{first}` and belongs under it"), "it"),
        _ => (format!("{others} stand beside `{first}` and belong under it"), "them"),
    };
    let second = keys().nth(1).map(|key| key.span).unwrap_or_default();
    let diagnostic = Diagnostic::error(codes::ONE_KEY, second, message);
    let diagnostic = match keys().next() {
        Some(key) => diagnostic.also(key.span, "here"),
        None => diagnostic,
    };
    diagnostic.help(format!("Indent {them} further than `{first}`."))
}

fn one_key(entries: &Entries) -> Diagnostic {
    let names = || entries.iter().map(|(key, _)| key);
    let second = names().nth(1).map(|key| key.span).unwrap_or_default();
    let shown = names().filter_map(Node::text).take(4).collect::<Vec<_>>();
    let message = format!("one key is expected here, not {}", list(shown.into_iter()));
    let diagnostic = Diagnostic::error(codes::ONE_KEY, second, message);
    let diagnostic = match names().next() {
        Some(first) => diagnostic.also(first.span, "the first"),
        None => diagnostic,
    };
    diagnostic.help("Begin each entry with a dash of its own: `- `.")
}
