//! Random Avro schemas, and what becomes of them over time: mostly what can still be read, sometimes what cannot.

use millstream_harness::random::Random;
use serde_json::{Map, Value, json};

/// Makes schemas; names are numbered, so that none stands twice.
pub(crate) struct Schemas {
    random: Random,
    names: usize,
}

impl Schemas {
    pub(crate) fn new(seed: u64) -> Schemas {
        Schemas { random: Random::new(seed), names: 0 }
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn record(&mut self, depth: usize) -> Value {
        let name = self.name("R");
        let count = 1 + self.below(5);
        let fields = (0..count).map(|i| json!({"name": format!("f{i}"), "type": self.kind(depth)}));
        let fields = fields.collect::<Vec<_>>();
        json!({"type": "record", "name": name, "fields": fields})
    }

    fn kind(&mut self, depth: usize) -> Value {
        const PLAIN: [&str; 8] = ["int", "long", "float", "double", "string", "bytes", "boolean", "long"];
        match self.below(if depth == 0 { 16 } else { 24 }) {
            at @ 0..8 => json!(PLAIN[at]),
            8 => {
                let symbols = &["A", "B", "C", "D"][..1 + self.below(4)];
                json!({"type": "enum", "name": self.name("E"), "symbols": symbols})
            }
            9 => json!({"type": "fixed", "name": self.name("F"), "size": 1 + self.below(4)}),
            10 => self.decimal(),
            11 => json!({"type": "int", "logicalType": "date"}),
            12 => {
                let local = ["", "local-"][self.below(2)];
                let unit = ["millis", "micros", "nanos"][self.below(3)];
                json!({"type": "long", "logicalType": format!("{local}timestamp-{unit}")})
            }
            13 => json!({"type": "string", "logicalType": "uuid"}),
            14 => match self.below(2) {
                0 => json!({"type": "fixed", "name": self.name("U"), "size": 16, "logicalType": "uuid"}),
                _ => json!({"type": "fixed", "name": self.name("D"), "size": 12, "logicalType": "duration"}),
            },
            15 => match self.below(2) {
                0 => json!({"type": "int", "logicalType": "time-millis"}),
                _ => json!({"type": "long", "logicalType": "time-micros"}),
            },
            16 | 17 => json!({"type": "array", "items": self.kind(depth - 1)}),
            18 => json!({"type": "map", "values": self.kind(depth - 1)}),
            19 | 20 => match self.kind(depth - 1) {
                Value::Array(union) => Value::Array(union),
                other if self.one_in(2) => json!(["null", other]),
                other => json!([other, "null"]),
            },
            21 => self.union(depth),
            _ => self.record(depth - 1),
        }
    }

    fn decimal(&mut self) -> Value {
        let precision = 1 + self.below(30);
        let scale = self.below(precision + 1);
        let mut decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
        if self.one_in(2) {
            decimal["type"] = json!("fixed");
            decimal["name"] = json!(self.name("N"));
            decimal["size"] = json!(13 + self.below(6));
        }
        decimal
    }

    /// Two to four types, of which one may be null.
    fn union(&mut self, depth: usize) -> Value {
        let mut branches = vec![
            json!(["int", "long", "float", "double"][self.below(4)]),
            json!(["string", "bytes"][self.below(2)]),
            json!("boolean"),
            json!("null"),
            self.record(depth - 1),
        ];
        self.shuffle(&mut branches);
        branches.truncate(2 + self.below(3));
        Value::Array(branches)
    }

    fn shuffle(&mut self, values: &mut [Value]) {
        for at in (1..values.len()).rev() {
            values.swap(at, self.random.below(at as u64 + 1) as usize);
        }
    }

    /// The schema some time later. `chances` is what one in so many of its parts changes.
    pub(crate) fn evolve(&mut self, schema: &Value, chances: usize) -> Value {
        match schema {
            Value::Array(branches) => self.evolve_union(branches, chances),
            Value::String(kind) => {
                let kind = if self.one_in(chances) { self.other(kind) } else { kind.clone() };
                self.wrapped(json!(kind), chances)
            }
            Value::Object(members) => {
                let evolved = self.evolve_named(members.clone(), chances);
                self.wrapped(evolved, chances)
            }
            other => other.clone(),
        }
    }

    fn evolve_union(&mut self, branches: &[Value], chances: usize) -> Value {
        // Java does not widen to `float` in a union: the numbers of unions stay what they are.
        let evolved = branches.iter().map(|branch| match branch {
            Value::Object(members) if members.get("type") == Some(&json!("record")) => {
                self.evolve_named(members.clone(), 2 * chances)
            }
            other => other.clone(),
        });
        let mut evolved = evolved.collect::<Vec<_>>();
        if self.one_in(chances) {
            self.shuffle(&mut evolved);
        }
        if self.one_in(2 * chances) && evolved.len() > 1 {
            evolved.pop();
        }
        if evolved.iter().all(|branch| branch == "null") {
            return Value::Array(branches.to_vec());
        }
        if self.one_in(3 * chances)
            && let Some(one) = evolved.iter().find(|branch| **branch != "null")
        {
            return one.clone();
        }
        Value::Array(evolved)
    }

    /// What a plain type becomes: mostly what its values can be widened to.
    fn other(&mut self, kind: &str) -> String {
        let wider: &[&str] = match kind {
            "int" => &["long", "float", "double"],
            "long" => &["float", "double"],
            "float" => &["double"],
            "string" => &["bytes"],
            "bytes" => &["string"],
            _ => &[],
        };
        if wider.is_empty() || self.one_in(5) {
            return ["int", "string", "boolean", "double"][self.below(4)].to_owned();
        }
        wider[self.below(wider.len())].to_owned()
    }

    fn wrapped(&mut self, schema: Value, chances: usize) -> Value {
        match self.one_in(3 * chances) && schema != "null" {
            true => json!(["null", schema]),
            false => schema,
        }
    }

    fn evolve_named(&mut self, mut members: Map<String, Value>, chances: usize) -> Value {
        let kind = members["type"].as_str().unwrap_or_default().to_owned();
        for inner in ["items", "values"] {
            if let Some(value) = members.get(inner).cloned() {
                members.insert(inner.to_owned(), self.evolve(&value, chances));
            }
        }
        let is_logical = members.contains_key("logicalType");
        match kind.as_str() {
            "enum" if self.one_in(chances) => {
                let mut symbols = ["A", "B", "C", "D", "X"].map(|symbol| json!(symbol));
                self.shuffle(&mut symbols);
                let count = 1 + self.below(5);
                members.insert("symbols".to_owned(), json!(symbols[..count]));
                if !self.one_in(3) {
                    members.insert("default".to_owned(), symbols[0].clone());
                }
            }
            "fixed" if !is_logical && self.one_in(4 * chances) => {
                members.insert("size".to_owned(), json!(5));
            }
            "record" => {
                let fields = self.evolve_fields(members["fields"].as_array().cloned().unwrap_or_default(), chances);
                members.insert("fields".to_owned(), Value::Array(fields));
            }
            _ => {}
        }
        if members.contains_key("name") && self.one_in(4 * chances) {
            let old = members.insert("name".to_owned(), json!(self.name("Z")));
            members.insert("aliases".to_owned(), json!([old]));
        }
        Value::Object(members)
    }

    fn evolve_fields(&mut self, fields: Vec<Value>, chances: usize) -> Vec<Value> {
        let mut evolved = Vec::new();
        for mut field in fields {
            if self.one_in(2 * chances) {
                continue;
            }
            field["type"] = self.evolve(&field["type"], chances);
            if self.one_in(2 * chances) {
                let old = field["name"].as_str().unwrap_or_default().to_owned();
                field["name"] = json!(format!("{old}_new"));
                field["aliases"] = json!(["other", old]);
            }
            evolved.push(field);
        }
        if self.one_in(chances) {
            for i in 0..self.below(3) {
                let added = self.added(&format!("n{i}"));
                evolved.push(added);
            }
        }
        if self.one_in(chances) {
            self.shuffle(&mut evolved);
        }
        if evolved.is_empty() {
            evolved.push(self.added("n9"));
        }
        evolved
    }

    fn added(&mut self, name: &str) -> Value {
        let inner = self.name("I");
        let added = [
            json!({"type": "int", "default": 5}),
            json!({"type": "string", "default": "dé"}),
            json!({"type": "bytes", "default": "\u{0}\u{ff}a"}),
            json!({"type": ["null", "long"], "default": null}),
            json!({"type": ["long", "null"], "default": -7}),
            json!({"type": "double", "default": 1.5}),
            json!({"type": "boolean", "default": true}),
            json!({"type": {"type": "array", "items": "long"}, "default": [1, -200]}),
            json!({"type": {"type": "map", "values": "string"}, "default": {"k": "v"}}),
            json!({"type": {"type": "enum", "name": inner, "symbols": ["P", "Q"]}, "default": "Q"}),
            json!({"type": {"type": "record", "name": inner, "fields": [
                {"name": "x", "type": "long"}, {"name": "y", "type": "string", "default": "z"}]}, "default": {"x": 7}}),
            json!({"type": "int"}),
        ];
        let mut field = added[self.below(added.len())].clone();
        field["name"] = json!(name);
        field
    }
}
