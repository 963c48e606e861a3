//! One page: the types that it tells of, and those that only they use.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{NOTE, referred};

pub(super) struct Page<'a> {
    schema: &'a Value,
    /// Which type is told of on which page.
    owned: &'a [(String, String)],
    file: &'a str,
    text: String,
    told: BTreeSet<String>,
}

impl<'a> Page<'a> {
    pub(super) fn new(schema: &'a Value, owned: &'a [(String, String)], file: &'a str, title: &str) -> Page<'a> {
        Page { schema, owned, file, text: format!("{NOTE}# {title}\n"), told: BTreeSet::new() }
    }

    pub(super) fn finish(self) -> String {
        let mut text = self.text.trim_end().to_owned();
        text.push('\n');
        text
    }

    /// The pipeline itself.
    pub(super) fn root(&mut self) {
        self.body(self.schema);
    }

    /// A type that has the page for itself.
    pub(super) fn only(&mut self, name: &str) {
        let Some(def) = self.def(name) else { return };
        self.told.insert(name.to_owned());
        self.body(def);
        self.nested(def);
    }

    /// A type under a heading of its own.
    pub(super) fn section(&mut self, name: &str) {
        let Some(def) = self.def(name) else { return };
        if !self.told.insert(name.to_owned()) {
            return;
        }
        self.text += &format!("\n## {}\n", heading(name));
        self.body(def);
        self.nested(def);
    }

    fn def(&self, name: &str) -> Option<&'a Value> {
        self.schema.get("$defs")?.get(name)
    }

    fn owner(&self, name: &str) -> Option<&'a str> {
        self.owned.iter().find(|(owned, _)| owned == name).map(|(_, file)| file.as_str())
    }

    /// Types that are told of nowhere else and have keys of their own.
    fn nested(&mut self, def: &'a Value) {
        let mut order = Vec::new();
        referred(def, &mut BTreeSet::new(), &mut order);
        for name in order {
            if self.owner(&name).is_some() || self.told.contains(&name) || name == "Step" {
                continue;
            }
            match self.def(&name) {
                Some(def) if def.get("properties").is_some_and(|keys| !is_empty(keys)) => self.section(&name),
                Some(def) => self.nested(def),
                None => {}
            }
        }
    }

    fn body(&mut self, def: &'a Value) {
        if let Some(about) = def.get("description").and_then(Value::as_str) {
            self.text += &format!("\n{}\n", about.trim());
        }
        if let Some(keys) = def.get("properties").and_then(Value::as_object).filter(|keys| !keys.is_empty()) {
            self.keys(def, keys);
        }
    }

    fn keys(&mut self, def: &Value, keys: &'a Map<String, Value>) {
        if keys.values().all(|key| key.get("description").is_none()) {
            return;
        }
        let required = |name: &str| {
            let required = def.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|required| required == name))
        };
        self.text += "\n| key | value | |\n|---|---|---|\n";
        for (name, schema) in keys {
            let about = schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
            let required = if required(name) { "**Required.** " } else { "" };
            let words = self.words(schema).replace('|', "\\|");
            self.text += &format!("| `{name}` | {words} | {required}{} |\n", about.replace('|', "\\|"));
        }
    }

    /// What a value is, in words, with links to what is told elsewhere.
    fn words(&self, schema: &Value) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
            return self.linked(name);
        }
        if let Some(word) = schema.get("const") {
            return format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned));
        }
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            return choices.iter().map(|choice| self.words(choice)).collect::<Vec<_>>().join(" or ");
        }
        match schema.get("type") {
            Some(Value::String(name)) => match name.as_str() {
                "array" => format!("list of {}", schema.get("items").map_or("values".into(), |item| self.words(item))),
                "object" => match schema.get("additionalProperties") {
                    Some(value @ Value::Object(_)) => format!("mapping to {}", self.words(value)),
                    _ => self.tag(schema).unwrap_or_else(|| "mapping".into()),
                },
                "string" => match schema.get("format").and_then(Value::as_str) {
                    Some("share") => "share, as `1%/5m`".into(),
                    _ => "text".into(),
                },
                "integer" => "whole number".into(),
                "boolean" => "`true` or `false`".into(),
                other => other.into(),
            },
            Some(Value::Array(_)) => "text or number".into(),
            _ => "anything".into(),
        }
    }

    fn tag(&self, schema: &Value) -> Option<String> {
        let keys = schema.get("properties")?.as_object()?;
        keys.keys().next().filter(|_| keys.len() == 1).map(|name| format!("`{{{name}: ..}}`"))
    }

    fn linked(&self, name: &str) -> String {
        let words = match name {
            "Step" => return "[step](index.md#steps)".into(),
            "Names" => return "name, or list of names".into(),
            "Text" => return "text or number".into(),
            _ => heading(name),
        };
        let anchor = words.replace(' ', "-");
        match self.owner(name) {
            Some(file) if file == self.file => format!("[{words}](#{anchor})"),
            Some(file) => format!("[{words}]({file}#{anchor})"),
            None => match self.def(name) {
                Some(def) if def.get("properties").is_some() => format!("[{words}](#{anchor})"),
                Some(def) => self.words(def),
                None => words,
            },
        }
    }
}

fn is_empty(keys: &Value) -> bool {
    keys.as_object().is_none_or(Map::is_empty)
}

/// The name of a type in words: `ColumnType` is a column type.
fn heading(name: &str) -> String {
    match name {
        "TestSpec" => return "test".into(),
        "OnError" => return "on error".into(),
        _ => {}
    }
    let mut words = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
