//! Whether every document of one JSON Schema keeps to another. Judges types, properties, what is required, enums, bounds, and
//! whether other properties may stand there; what it does not understand it says it has not judged. Never fetches a schema.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr;

use serde_json::Value;

use super::branches::{self, Branch, Kind, Node, Part, Side};
use super::keywords::{
    CONTEXTUAL, FORMATS, LOWER, OPAQUE, UPPER, bound, is_closed_by_what_is_evaluated, is_inert, narrowing, rule_of,
};
use super::merge::merged;
use super::schema::JsonSchema;
use super::single;
use crate::difference::{Difference, Gravity};

/// The most differences of one comparison.
const MOST: usize = 1_000;
/// The most pairs of schemas that are held against each other, those included that are tried in vain.
const PAIRS: usize = 50_000;
/// When less of the stack than this is left, more is taken.
const RED_ZONE: usize = 64 << 10;
const STACK: usize = 1 << 20;

/// What those who read by `reader` do not expect of what `writer` allows; none if every document of `writer` is one of
/// `reader`.
pub fn compatibility(reader: &JsonSchema, writer: &JsonSchema) -> Vec<Difference> {
    if reader == writer {
        return Vec::new();
    }
    let (reader, writer) = (&merged(reader), &merged(writer));
    let mut comparison = Comparison { reader, writer, seen: BTreeSet::new(), found: Vec::new(), left: PAIRS };
    comparison.values(Node::root(reader), Node::root(writer), "");
    comparison.found
}

struct Comparison<'a> {
    reader: &'a JsonSchema,
    writer: &'a JsonSchema,
    /// Pairs that have been compared or are being compared: a recursive schema is taken to agree with itself.
    seen: BTreeSet<(Place, Place)>,
    found: Vec<Difference>,
    left: usize,
}

/// Where a schema stands, and how much of it is meant.
type Place = (usize, Part);

/// Two branches of one kind: the reader's and the writer's.
type Pair<'p, 'a> = (&'p Branch<'a>, &'p Branch<'a>);

impl<'a> Comparison<'a> {
    fn find(&mut self, path: &str, rule: &'static str, gravity: Gravity, reader: String, writer: String) {
        let is_said = |found: &Difference| found.gravity == gravity && found.rule == rule && found.path == path;
        if self.found.len() < MOST && (gravity != Gravity::NotJudged || !self.found.iter().any(is_said)) {
            self.found.push(Difference { path: path.to_owned(), rule, writer, reader, gravity });
        }
    }

    fn values(&mut self, reader: Node<'a>, writer: Node<'a>, path: &str) {
        let place = |node: Node<'_>| (ptr::from_ref(node.schema) as usize, node.part);
        if self.found.len() < MOST && self.seen.insert((place(reader), place(writer))) {
            let Some(left) = self.left.checked_sub(1) else {
                let much = "more than is compared".to_owned();
                return self.find("", "size", Gravity::NotJudged, much.clone(), much);
            };
            self.left = left;
            stacker::maybe_grow(RED_ZONE, STACK, || self.new_values(reader, writer, path));
        }
    }

    fn new_values(&mut self, reader: Node<'a>, writer: Node<'a>, path: &str) {
        // What is written alike with nothing behind it but itself is the same.
        let is_same = reader.schema == writer.schema && reader.part == writer.part;
        if reader.is_anything() || is_same && !branches::refers(reader.schema) {
            return;
        }
        let (reader, writer) = (reader.followed(self.reader), writer.followed(self.writer));
        if let Some(all) = reader.conjuncts() {
            return all.into_iter().for_each(|one| self.values(one, writer, path));
        }
        if let Some(all) = writer.conjuncts() {
            return self.any_of_all(reader, &all, path);
        }
        let from = match branches::of(self.writer, writer, Side::Writer) {
            Ok(from) => from,
            Err(keyword) => return self.not_judged(keyword, (reader, writer), path),
        };
        let to = branches::of(self.reader, reader, Side::Reader);
        for written in &from {
            match &to {
                _ if self.listed((reader, to.as_deref().ok()), written, path) => {}
                Ok(to) => self.branch(to, written, path),
                Err(keyword) => self.not_judged(keyword, (reader, writer), path),
            }
        }
    }

    fn not_judged(&mut self, keyword: &'static str, (reader, writer): (Node<'a>, Node<'a>), path: &str) {
        self.find(path, keyword, Gravity::NotJudged, shown(reader.schema), shown(writer.schema));
    }

    /// What is written keeps to all of several schemas: one of which every value can be read is enough. What is wrong with
    /// each need not be wrong with all together.
    fn any_of_all(&mut self, reader: Node<'a>, all: &[Node<'a>], path: &str) {
        for one in all {
            let found = self.trial(|trial| trial.values(reader, *one, path));
            if found.iter().all(|found| found.gravity == Gravity::Note) {
                return self.found.extend(found);
            }
        }
        let written = all.iter().map(|one| shown(one.schema)).collect::<Vec<_>>().join(" and ");
        self.find(path, "allOf", Gravity::NotJudged, shown(reader.schema), written);
    }

    /// Judges a branch whose values are listed, value by value; says whether it could.
    fn listed(&mut self, (reader, to): (Node<'a>, Option<&[Branch<'a>]>), written: &Branch<'a>, path: &str) -> bool {
        let Some(values) = written.values() else { return false };
        let Some(read) = single::validator(self.reader, reader) else { return false };
        let own = single::validator(self.writer, written.node());
        // Without its validator what is listed may yet not be written.
        let refused = if own.is_some() { Gravity::Breaks } else { Gravity::NotJudged };
        let fit = to.into_iter().flatten().filter(|branch| branch.kind.takes(written.kind)).collect::<Vec<_>>();
        let mut by_rule: BTreeMap<&'static str, Vec<&Value>> = BTreeMap::new();
        for value in values.into_iter().filter(|value| own.as_ref().is_none_or(|own| own.is_valid(value))) {
            if let Err(error) = read.validate(value) {
                let place = error.schema_path().to_string();
                let keyword = place.rsplit('/').next().unwrap_or_default();
                let rule = if to.is_some() && fit.is_empty() { "type" } else { rule_of(keyword) };
                by_rule.entry(rule).or_default().push(value);
            }
        }
        for (rule, values) in by_rule {
            let known = match fit[..] {
                [only] if rule == "enum" => only.values(),
                _ => None,
            };
            match to {
                Some(to) if fit.is_empty() => self.find(path, rule, refused, branches::names(to), written.name()),
                _ => {
                    let known = known.map_or_else(|| shown(reader.schema), |known| list(&known));
                    self.find(path, rule, refused, known, list(&values));
                }
            }
        }
        if let [only] = fit[..] {
            self.formats((only, written), path);
        }
        true
    }

    /// One branch of what is written, against those of the reader.
    fn branch(&mut self, to: &[Branch<'a>], written: &Branch<'a>, path: &str) {
        let before = self.found.len();
        let fit = to.iter().filter(|branch| branch.kind.takes(written.kind)).collect::<Vec<_>>();
        match fit[..] {
            [] => self.find(path, "type", Gravity::Breaks, branches::names(to), written.name()),
            [only] => self.held(only, written, path),
            _ => {
                let tried =
                    fit.iter().map(|branch| self.trial(|trial| trial.held(branch, written, path))).collect::<Vec<_>>();
                let worst = |found: &Vec<Difference>| found.iter().map(|found| found.gravity).max();
                // One of them is enough; it is said what is wrong with the one that is nearest.
                let best = tried.into_iter().min_by_key(|found| (worst(found), found.len())).unwrap_or_default();
                self.found.extend(best);
            }
        }
        // Listed values are here only where they could not be judged one by one.
        if let Some(keyword) = written.narrowed.or_else(|| written.values().map(|_| "enum")) {
            self.doubt(before, keyword);
        }
    }

    /// One branch of what is written against one of the reader, which may not take all that it says.
    fn held(&mut self, to: &Branch<'a>, from: &Branch<'a>, path: &str) {
        self.alike((to, from), path);
        if let Some(keyword) = to.narrowed {
            self.not_judged(keyword, (to.node(), from.node()), path);
        }
    }

    /// Takes back the judgement of what was found since there were `before`: `keyword` may have kept such values from being
    /// written.
    fn doubt(&mut self, before: usize, keyword: &'static str) {
        for found in self.found.drain(before..).collect::<Vec<_>>() {
            match found.gravity {
                Gravity::Breaks => self.find(&found.path, keyword, Gravity::NotJudged, found.reader, found.writer),
                _ => self.found.push(found),
            }
        }
    }

    /// What is found by `compare`, which nobody hears of yet.
    fn trial(&mut self, compare: impl FnOnce(&mut Comparison<'a>)) -> Vec<Difference> {
        let (seen, left) = (self.seen.clone(), self.left.saturating_sub(self.seen.len() / 64));
        let mut trial = Comparison { reader: self.reader, writer: self.writer, seen, found: Vec::new(), left };
        compare(&mut trial);
        self.left = trial.left;
        trial.found
    }

    fn alike(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let before = self.found.len();
        self.enums((to, from), path);
        self.bounds((to, from), path);
        if let Some(keyword) = narrowing(from) {
            self.doubt(before, keyword);
        }
        self.formats((to, from), path);
        for (keyword, kind) in OPAQUE {
            let of_reader = to.get(keyword);
            let is_other = of_reader != from.get(keyword) || CONTEXTUAL.contains(&keyword) || self.is_deep(of_reader);
            if kind.takes(to.kind) && of_reader.is_some_and(|value| !is_inert(keyword, value)) && is_other {
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

    fn formats(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        for keyword in FORMATS {
            let (reader, writer) = (to.text(keyword), from.text(keyword));
            if reader.is_some() && reader != writer {
                let shown = |said: Option<&str>| format!("{keyword} {}", said.unwrap_or("of no kind"));
                self.find(path, "format", Gravity::Note, shown(reader), shown(writer));
            }
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
            let numbers = (reader.as_f64(), bound(from, keyword), from.get(twin));
            match numbers {
                (Some(bound), Some(Some(written)), _) if is_lower && written >= bound => {}
                (Some(bound), Some(Some(written)), _) if !is_lower && written <= bound => {}
                // Draft 4 has a flag here; and the twin may say as much.
                (None, ..) | (_, Some(None), _) | (_, _, Some(_)) => {
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
        let before = self.found.len();
        let always = from.names("required");
        for name in to.names("required").into_iter().filter(|name| !always.contains(name)) {
            let has =
                if written.is_some_and(|written| written.contains_key(name)) { "not required" } else { "nothing" };
            self.find(&within(path, name), "required", Gravity::Breaks, "required".to_owned(), has.to_owned());
        }
        if let Some(keyword) = narrowing(from) {
            self.doubt(before, keyword);
        }
        // To a property more than one of these may say what it is.
        let is_other = |keyword: &str| to.get(keyword) != from.get(keyword) || self.is_deep(to.get(keyword));
        let patterns = [to, from].map(|side| side.get("patternProperties"));
        if patterns.iter().any(Option::is_some) {
            if ["patternProperties", "properties", "additionalProperties"].into_iter().any(is_other) {
                let [reader, writer] = patterns.map(|patterns| patterns.map_or_else(|| "none".to_owned(), shown));
                self.find(path, "patternProperties", Gravity::NotJudged, reader, writer);
            }
            return;
        }
        for (name, value) in written.into_iter().flatten() {
            let path = within(path, name);
            match (read.and_then(|read| read.get(name)), to.get("additionalProperties")) {
                (Some(known), _) => self.values(to.at(known), from.at(value), &path),
                (None, Some(Value::Bool(false))) if *value != Value::Bool(false) => {
                    let none = "no such property, and no others are allowed".to_owned();
                    self.find(&path, "closed", Gravity::Breaks, none, shown(value));
                }
                (None, Some(others)) if !is_anything(others) => self.values(to.at(others), from.at(value), &path),
                (None, _) => {}
            }
        }
        let before = self.found.len();
        self.others((to, from), path);
        if let Some(keyword) = narrowing(from) {
            self.doubt(before, keyword);
        }
    }

    /// Properties that the writer does not name, and may write.
    fn others(&mut self, (to, from): Pair<'_, 'a>, path: &str) {
        let (read, written) = (to.object("properties"), from.object("properties"));
        let others = from.get("additionalProperties").unwrap_or(&Value::Bool(true));
        if *others == Value::Bool(false) || is_closed_by_what_is_evaluated(from) {
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
    Node::whole(schema, schema).is_anything()
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
