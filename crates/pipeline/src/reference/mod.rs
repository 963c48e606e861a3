//! The reference for operators, as Markdown: made from the doc comments of the types behind the YAML, so that it never
//! says anything else than they do.

mod diagnostics;
mod page;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::schema::{CASE, PIPELINE};
use page::Page;

/// Pages that are not steps: file, title, the types that they tell of.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    ("pipeline.md", "pipeline", &[]),
    ("sources.md", "sources", &["Source", "Watermark", "Start"]),
    ("streams.md", "streams", &["Stream"]),
    ("sinks.md", "sinks", &["Sink", "Key", "Create"]),
    ("formats.md", "formats", &["Format"]),
    ("types.md", "types, expressions, durations", &["ColumnType", "Expression", "Duration"]),
    ("on_error.md", "on_error", &["OnError"]),
    ("tests.md", "tests", &["TestSpec", "Input", "Arrival", "Row", "Expected", "CaseFile"]),
];

/// Every page of the reference: the name of its file in `docs/reference/` and its text.
pub fn reference() -> Vec<(String, String)> {
    let schema = whole();
    let steps = steps(&schema);
    let mut owned: Vec<(String, String)> = Vec::new();
    for (file, _, types) in SECTIONS {
        owned.extend(types.iter().map(|name| ((*name).to_owned(), (*file).to_owned())));
    }
    owned.push(("Pipeline".to_owned(), "pipeline.md".to_owned()));
    owned.extend(steps.iter().map(|step| (step.of.clone(), step.file())));
    let mut pages = vec![("index.md".to_owned(), index(&steps))];
    for (file, title, types) in SECTIONS {
        let mut page = Page::new(&schema, &owned, file, title);
        if types.is_empty() {
            page.root();
        }
        types.iter().for_each(|name| page.section(name));
        pages.push(((*file).to_owned(), page.finish()));
    }
    for step in &steps {
        let file = step.file();
        let mut page = Page::new(&schema, &owned, &file, &step.name);
        page.only(&step.of);
        let text = page.finish();
        pages.push((file, text));
    }
    pages.push(("diagnostics.md".to_owned(), diagnostics::page()));
    pages
}

struct Step {
    /// As in YAML.
    name: String,
    /// The name of its type.
    of: String,
    /// What it does, in a sentence.
    about: String,
}

impl Step {
    fn file(&self) -> String {
        format!("step-{}.md", self.name)
    }
}

/// The schema of pipelines, with the types of case files added.
fn whole() -> Value {
    let mut schema = PIPELINE.clone();
    let mut case = CASE.clone();
    let added = case.get_mut("$defs").map(Value::take);
    if let (Some(Value::Object(defs)), Some(Value::Object(added))) = (schema.get_mut("$defs"), added) {
        for (name, def) in added {
            defs.entry(name).or_insert(def);
        }
        defs.insert("CaseFile".to_owned(), case);
    }
    schema
}

fn steps(schema: &Value) -> Vec<Step> {
    let variants = schema["$defs"]["Step"]["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let step = |variant: &Value| {
        let (name, of) = variant["properties"].as_object()?.iter().next()?;
        Some(Step {
            name: name.clone(),
            of: of["$ref"].as_str()?.rsplit('/').next()?.to_owned(),
            about: variant["description"].as_str()?.to_owned(),
        })
    };
    variants.iter().filter_map(step).collect()
}

const NOTE: &str = "<!-- Made from the doc comments in crates/pipeline/src: change those, then run\n     \
                    UPDATE_REFERENCE=1 cargo test -p millstream-pipeline --test reference -->\n\n";

fn index(steps: &[Step]) -> String {
    let mut text = format!("{NOTE}# Reference\n\n## Sections of a pipeline\n\n");
    for (file, title, _) in SECTIONS {
        text += &format!("- [{title}]({file})\n");
    }
    text += "- [diagnostics](diagnostics.md): every code, and what to do\n\n## Steps\n\n| step | |\n|---|---|\n";
    for step in steps {
        text += &format!("| [`{}`]({}) | {} |\n", step.name, step.file(), step.about);
    }
    text
}

/// The types that a schema refers to, in order.
fn referred(schema: &Value, into: &mut BTreeSet<String>, order: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
                && into.insert(name.to_owned())
            {
                order.push(name.to_owned());
            }
            object.iter().filter(|(key, _)| *key != "$defs").for_each(|(_, value)| referred(value, into, order));
        }
        Value::Array(items) => items.iter().for_each(|item| referred(item, into, order)),
        _ => {}
    }
}
