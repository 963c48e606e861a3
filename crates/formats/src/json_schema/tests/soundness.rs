//! What is called good is good: of small random schemas, no value of the writer's may break the reader's.

use serde_json::{Map, Value, json};

use crate::Gravity;
use crate::json_schema::merge::merged;
use crate::json_schema::{JsonSchema, compatibility};
use crate::testing::Random;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Each schema has fewer keywords than that beside its type.
const KEYWORDS: usize = 3;

fn scalar(random: &mut Random) -> Value {
    [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(1.0),
        json!(2.5),
        json!(6),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("bab"),
    ][random.below(11)]
    .clone()
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 3 } else { 8 }) {
        0..=3 => scalar(random),
        4 => (0..random.below(3)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let names = NAMES.iter().filter(|_| random.below(2) == 0).copied().collect::<Vec<_>>();
            Value::Object(names.into_iter().map(|name| (name.to_owned(), value(random, depth - 1))).collect())
        }
    }
}

fn list(random: &mut Random, mut item: impl FnMut(&mut Random) -> Value) -> Value {
    (0..=random.below(2)).map(|_| item(random)).collect()
}

fn named(random: &mut Random, depth: usize) -> Value {
    let names = NAMES.iter().filter(|_| random.below(2) == 0).copied().collect::<Vec<_>>();
    Value::Object(names.into_iter().map(|name| (name.to_owned(), schema(random, depth))).collect())
}

fn names(random: &mut Random) -> Value {
    NAMES.iter().filter(|_| random.below(3) == 0).map(|name| json!(name)).collect()
}

/// A keyword with what it says.
fn keyword(random: &mut Random, depth: usize) -> (&'static str, Value) {
    let small = json!(random.below(3));
    match random.below(if depth == 0 { 12 } else { 36 }) {
        0 => ("enum", list(random, scalar)),
        1 => ("const", scalar(random)),
        2 => ("minimum", small),
        3 => ("exclusiveMaximum", small),
        4 => ("minLength", small),
        5 => ("maxLength", small),
        6 => ("pattern", json!(["^a", "b$", "^(?!a)"][random.below(3)])),
        7 => ("multipleOf", json!([2.0, 3.0, 0.5][random.below(3)])),
        8 => ("required", names(random)),
        9 => ("minProperties", small),
        10 => ("maxItems", small),
        11 => ("uniqueItems", json!(random.below(2) == 0)),
        12..=16 => ("properties", named(random, depth - 1)),
        17 | 18 => ("additionalProperties", [json!(false), schema(random, depth - 1)][random.below(2)].clone()),
        19 => ("items", schema(random, depth - 1)),
        20 | 21 => ("anyOf", list(random, |random| schema(random, depth - 1))),
        22 | 23 => ("oneOf", list(random, |random| schema(random, depth - 1))),
        24..=26 => ("allOf", list(random, |random| schema(random, depth - 1))),
        27 => ("not", schema(random, depth - 1)),
        28 => ("if", schema(random, depth - 1)),
        29 => ("then", schema(random, depth - 1)),
        30 => ("patternProperties", json!({"^[ab]": schema(random, depth - 1)})),
        31 => ("unevaluatedProperties", json!(false)),
        32 => ("prefixItems", list(random, |random| schema(random, depth - 1))),
        33 => ("contains", schema(random, depth - 1)),
        34 => ("dependentRequired", json!({"a": names(random)})),
        _ => ("$ref", json!(["#/$defs/x", "#/$defs/y"][random.below(2)])),
    }
}

fn schema(random: &mut Random, depth: usize) -> Value {
    let mut keywords = Map::new();
    match random.below(10) {
        0 => return json!(random.below(3) > 0),
        1 => {}
        2 => drop(keywords.insert("type".to_owned(), json!(["string", "null"]))),
        3..=6 => drop(keywords.insert("type".to_owned(), json!("object"))),
        _ => {
            let kind = ["string", "integer", "number", "array", "null", "boolean"][random.below(6)];
            keywords.insert("type".to_owned(), json!(kind));
        }
    }
    for _ in 0..random.below(KEYWORDS) {
        let (name, said) = keyword(random, depth);
        keywords.insert(name.to_owned(), said);
    }
    Value::Object(keywords)
}

/// The schema with something changed somewhere: mostly so that it allows less.
fn changed(schema: &Value, random: &mut Random, depth: usize) -> Value {
    let Value::Object(keywords) = schema else { return self::schema(random, depth) };
    let mut keywords = keywords.clone();
    let at = random.below(keywords.len().max(1));
    let chosen = keywords.iter().nth(at).map(|(name, said)| (name.clone(), said.clone()));
    match (random.below(4), chosen) {
        (0, Some((name, _))) => drop(keywords.remove(&name)),
        (1 | 2, Some((name, Value::Array(list)))) if name.ends_with("Of") && !list.is_empty() => {
            let mut list = list;
            let at = random.below(list.len());
            list[at] = changed(&list[at], random, depth.saturating_sub(1));
            keywords.insert(name, Value::Array(list));
        }
        (1 | 2, Some((name, said @ Value::Object(_)))) if name == "properties" => {
            let mut properties = said.as_object().cloned().unwrap_or_default();
            for property in properties.values_mut() {
                if random.below(2) == 0 {
                    *property = changed(property, random, depth.saturating_sub(1));
                }
            }
            keywords.insert(name, Value::Object(properties));
        }
        _ => {
            let (name, said) = keyword(random, depth);
            keywords.insert(name.to_owned(), said);
        }
    }
    Value::Object(keywords)
}

fn whole(mut root: Value, random: &mut Random) -> Value {
    if let Value::Object(keywords) = &mut root {
        let defs = json!({"x": schema(random, 0), "y": schema(random, 1)});
        keywords.insert("$defs".to_owned(), defs);
    }
    root
}

#[test]
fn no_value_of_a_good_writer_breaks_its_reader() {
    let (mut good, mut held) = (0, 0);
    for seed in 0..6_000 {
        let mut random = Random::new(seed);
        let reader = schema(&mut random, 2);
        let writer = match random.below(4) {
            0 => schema(&mut random, 2),
            _ => (0..=random.below(2)).fold(reader.clone(), |schema, _| changed(&schema, &mut random, 2)),
        };
        let reader = whole(reader, &mut random);
        let writer = whole(writer, &mut random);
        let [to, from] = [&reader, &writer].map(|json| JsonSchema::parse(&json.to_string(), &[]).unwrap());
        if compatibility(&to, &from).iter().any(|found| found.gravity > Gravity::Note) {
            continue;
        }
        let build = |json: &Value| jsonschema::options().should_validate_formats(false).build(json);
        let (Ok(to), Ok(from)) = (build(&reader), build(&writer)) else { continue };
        good += 1;
        for _ in 0..60 {
            let value = value(&mut random, 2);
            if from.is_valid(&value) {
                held += 1;
                assert!(to.is_valid(&value), "seed {seed}: {value} of {writer} is called good for {reader}");
            }
        }
    }
    assert!(good > 800 && held > 8_000, "{good} good pairs and {held} values show nothing");
}

#[test]
fn what_is_put_together_says_the_same() {
    let mut changed = 0;
    for seed in 0..6_000 {
        let mut random = Random::new(seed);
        let mut root = schema(&mut random, 2);
        let parts = list(&mut random, |random| schema(random, 2));
        if let Value::Object(keywords) = &mut root {
            keywords.insert("allOf".to_owned(), parts);
        }
        let root = JsonSchema::parse(&whole(root, &mut random).to_string(), &[]).unwrap();
        let merged = merged(&root);
        let (Ok(one), Ok(other)) = (root.validator(), merged.validator()) else { continue };
        changed += usize::from(root.root() != merged.root());
        for _ in 0..40 {
            let value = value(&mut random, 2);
            let said = [one.is_valid(&value), other.is_valid(&value)];
            assert_eq!(said[0], said[1], "seed {seed}: {value} of {} and of {}", root.root(), merged.root());
        }
    }
    assert!(changed > 800, "{changed} that were put together show nothing");
}
