//! Commands that ask a real schema registry: what `check` and `plan` say before anything runs, what a run registers, what
//! `contract` finds. The topics are folders: no broker is needed.

use std::process::Command;

use millstream_harness::{Result, SchemaRegistry, Trouble, ensure, process, suite, tests};
use serde_json::Value;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        what_would_be_registered_is_said_and_then_registered_once,
        a_schema_that_is_not_there_is_not_registered_without_leave,
        what_would_break_somebody_is_refused_with_field_types_and_rule,
        a_contract_is_held_against_every_version,
        a_contract_of_a_sink_names_field_types_and_rule_in_every_format,
        a_refusal_names_field_types_and_rule_in_every_format,
        what_is_said_of_each_level_is_what_the_registry_judges,
        every_format_is_registered_and_read_back,
        keys_have_subjects_of_their_own,
        a_given_schema_is_registered_with_what_it_refers_to,
    ]
}

/// JSON in, `FORMAT` out.
const WRITES: &str = "\
version: 1
pipeline: writes
sources:
  rows: {topic: PREFIX-rows, format: json, schema: {id: bigint, note: string, tags: array<string>}}
SELECT
sink: {topic: PREFIX-out, format: FORMAT, name: Row, namespace: shop, register: true}
";

/// The same topic back to JSON, by the latest version of its subject.
const READS: &str = "\
version: 1
pipeline: reads
sources:
  rows: {topic: PREFIX-out, format: FORMAT}
sink: {topic: PREFIX-back, format: json}
";

struct Place<'a> {
    registry: &'a SchemaRegistry,
    prefix: &'static str,
    folder: tempfile::TempDir,
}

struct Said {
    code: Option<i32>,
    text: String,
}

impl<'a> Place<'a> {
    fn new(prefix: &'static str, registry: &'a SchemaRegistry) -> Result<Place<'a>> {
        Ok(Place { registry, prefix, folder: process::temp_folder(prefix)? })
    }

    fn write(&self, name: &str, text: &str, format: &str, select: &str) -> Result {
        let path = self.folder.path().join(name);
        let text = text.replace("PREFIX", self.prefix).replace("FORMAT", format).replace("SELECT", select);
        std::fs::write(&path, text).map_err(Trouble::io(path.display()))
    }

    fn say(&self, arguments: &[&str]) -> Result<Said> {
        let output = Command::new(env!("CARGO_BIN_EXE_millstream"))
            .current_dir(self.folder.path())
            .env("SCHEMA_REGISTRY_URL", self.registry.url())
            .args(arguments)
            .output()
            .map_err(Trouble::io("millstream"))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(Said { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// Runs the command, which must end so, and says these parts.
    fn expect(&self, arguments: &[&str], code: i32, parts: &[&str]) -> Result<String> {
        let said = self.say(arguments)?;
        ensure!(said.code == Some(code), "{arguments:?} ended with {:?}, not {code}: {}", said.code, said.text);
        for part in parts {
            ensure!(said.text.contains(part), "{arguments:?} does not say {part:?}: {}", said.text);
        }
        Ok(said.text)
    }

    /// The schema of which a sink would make a version of the subject.
    fn schema_of(&self, subject: &str) -> Result<String> {
        fn find<'a>(value: &'a Value, subject: &str) -> Option<&'a str> {
            match value {
                Value::Object(members) if value["subject"] == subject && value["text"].is_string() => {
                    members["text"].as_str()
                }
                Value::Object(members) => members.values().find_map(|member| find(member, subject)),
                Value::Array(items) => items.iter().find_map(|item| find(item, subject)),
                _ => None,
            }
        }
        let said = self.expect(&["plan", "writes.yaml", "--json"], 0, &[])?;
        let plan: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        Ok(find(&plan, subject).ok_or_else(|| format!("no schema of {subject} in {said}"))?.to_owned())
    }

    /// What of `check`, `plan` and the registry does not agree with the level.
    fn disagrees(&self, level: &str, subject: &str, own: &Value) -> Result<Vec<String>> {
        self.registry.set_level(subject, level)?;
        let breaks = level.ends_with("_TRANSITIVE");
        let (checked, planned, says) = match breaks {
            false => (0, 0, "would be registered as version 3, compatible with version 2; "),
            true => (3, 1, "version 1"),
        };
        let mut wrong = Vec::new();
        for (command, code) in [("check", checked), ("plan", planned)] {
            let said = self.say(&[command, "writes.yaml"])?;
            if said.code != Some(code) || !said.text.contains(says) {
                wrong.push(format!("{level}: {command} ends with {:?}: {}", said.code, said.text));
            }
        }
        if self.would_take(subject, own)? == breaks {
            wrong.push(format!("{level}: the registry takes it: {breaks}"));
        }
        Ok(wrong)
    }

    /// Whether the registry takes the schema as the third version, which it does not keep.
    fn would_take(&self, subject: &str, schema: &Value) -> Result<bool> {
        let answer = self.registry.ask("POST", &format!("/subjects/{subject}/versions"), schema)?;
        if answer.status == 409 {
            return Ok(false);
        }
        for path in
            [format!("/subjects/{subject}/versions/3"), format!("/subjects/{subject}/versions/3?permanent=true")]
        {
            let deleted = self.registry.ask("DELETE", &path, &Value::Null)?;
            ensure!(deleted.status == 200, "{path}: {deleted:?}, after {answer:?}");
        }
        Ok(true)
    }

    fn versions(&self, subject: &str) -> Result<Value> {
        self.registry.ask("GET", &format!("/subjects/{subject}/versions"), &Value::Null).map(|answer| answer.body)
    }
}

fn what_would_be_registered_is_said_and_then_registered_once() -> Result {
    let place = Place::new("deploy", SchemaRegistry::shared()?)?;
    place.write("writes.yaml", WRITES, "avro", "")?;
    place.expect(&["check", "writes.yaml"], 0, &["would be registered as its first version", "deploy-out-value"])?;
    place.expect(&["plan", "writes.yaml"], 0, &["registered if it is not there", "would be registered"])?;
    ensure!(place.versions("deploy-out-value")?.get("error_code").is_some(), "looking has registered it");
    place.expect(&["topic", "create", "deploy-rows", "--local", "data"], 0, &[])?;
    for _ in 0..2 {
        place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 0, &[])?;
    }
    let versions = place.versions("deploy-out-value")?;
    ensure!(versions == serde_json::json!([1]), "{versions}");
    place.expect(&["check", "writes.yaml"], 0, &["is version 1 (id "])?;
    place.registry.set_level("deploy-out-value", "BACKWARD")?;
    // A column more may be added: the schema that is made of the columns has defaults.
    place.write("writes.yaml", WRITES, "avro", "steps: [{map: {more: id * 2}}]")?;
    place.expect(&["check", "writes.yaml"], 0, &["would be registered as version 2, compatible with version 1"])?;
    place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 0, &[])?;
    let versions = place.versions("deploy-out-value")?;
    ensure!(versions == serde_json::json!([1, 2]), "{versions}");
    Ok(())
}

fn a_schema_that_is_not_there_is_not_registered_without_leave() -> Result {
    let place = Place::new("noleave", SchemaRegistry::shared()?)?;
    place.write("writes.yaml", &WRITES.replace(", register: true", ""), "avro", "")?;
    place.expect(&["check", "writes.yaml"], 3, &["MS1009", "no subject noleave-out-value", "register: true"])?;
    place.expect(&["topic", "create", "noleave-rows", "--local", "data"], 0, &[])?;
    place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 3, &["MS1009"])?;
    place.write("reads.yaml", READS, "avro", "")?;
    place.expect(&["check", "reads.yaml"], 3, &["MS1002", "no subject noleave-out-value"])?;
    Ok(())
}

fn what_would_break_somebody_is_refused_with_field_types_and_rule() -> Result {
    let registry = SchemaRegistry::shared()?;
    let place = Place::new("breaks", registry)?;
    let old = r#"{"type":"record","name":"Row","namespace":"shop","fields":[
        {"name":"id","type":["null","string"],"default":null},{"name":"note","type":["null","string"],"default":null}]}"#;
    registry.register("breaks-out-value", "AVRO", old)?;
    registry.set_level("breaks-out-value", "FULL")?;
    place.write("writes.yaml", WRITES, "avro", "")?;
    let parts =
        ["MS1008", "breaks-out-value is kept FULL", "id: was ", "string", "would be ", "long", "rule", "version 1"];
    place.expect(&["check", "writes.yaml"], 3, &parts)?;
    place.expect(&["topic", "create", "breaks-rows", "--local", "data"], 0, &[])?;
    place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 3, &parts)?;
    let versions = place.versions("breaks-out-value")?;
    ensure!(versions == serde_json::json!([1]), "{versions}");
    registry.set_level("breaks-out-value", "NONE")?;
    place.expect(&["check", "writes.yaml"], 0, &["would be registered as version 2, not compared"])?;
    Ok(())
}

fn a_contract_is_held_against_every_version() -> Result {
    let registry = SchemaRegistry::shared()?;
    let place = Place::new("contract", registry)?;
    let subject = "contract-out-value";
    let of = |fields: &str| format!(r#"{{"type":"record","name":"Row","namespace":"shop","fields":[{fields}]}}"#);
    registry.register(subject, "AVRO", &of(r#"{"name":"id","type":"int"}"#))?;
    registry.set_level(subject, "NONE")?;
    registry.register(subject, "AVRO", &of(r#"{"name":"id","type":"string"}"#))?;
    registry.register(
        subject,
        "AVRO",
        &of(r#"{"name":"id","type":"long"},{"name":"more","type":"string","default":""}"#),
    )?;
    place.write("reads.yaml", READS, "avro", "")?;
    let said = place.expect(&["contract", "reads.yaml", "--json"], 3, &["\"breaks\": 1"])?;
    let said: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
    let verdicts: Vec<_> =
        said["versions"].as_array().into_iter().flatten().map(|row| row["verdict"].clone()).collect();
    ensure!(verdicts == ["good", "breaks", "good"], "{said}");
    place.expect(&["contract", "reads.yaml"], 3, &[subject, "breaks", "id", "1 version break"])?;
    // Records of a version that was deleted may still be in the topic, until it is deleted for good.
    for (query, code, parts) in
        [("", 3, &["2 (deleted)", "1 version break"][..]), ("?permanent=true", 0, &["nothing breaks"])]
    {
        let deleted = registry.ask("DELETE", &format!("/subjects/{subject}/versions/2{query}"), &Value::Null)?;
        ensure!(deleted.status == 200, "{deleted:?}");
        let versions = place.versions(subject)?;
        ensure!(versions == serde_json::json!([1, 3]), "{versions}");
        place.expect(&["contract", "reads.yaml"], code, parts)?;
    }
    Ok(())
}

/// A schema of rows with one field, `id`, of a type of the format.
fn avro(id: &str) -> String {
    format!(
        r#"{{"type":"record","name":"Row","namespace":"shop","fields":[{{"name":"id","type":["null","{id}"],"default":null}}]}}"#
    )
}

fn proto(id: &str) -> String {
    format!("syntax = \"proto3\";\npackage shop;\n\nmessage Row {{\n  {id};\n}}\n")
}

fn json(id: &str, more: &str) -> String {
    format!(
        r#"{{"$schema":"http://json-schema.org/draft-07/schema#","title":"Row","type":"object","properties":{{"id":{id}}}{more}}}"#
    )
}

fn a_refusal_names_field_types_and_rule_in_every_format() -> Result {
    let registry = SchemaRegistry::shared()?;
    let of_format = [
        ("refused-avro", "avro", "AVRO", avro("string"), "id: was string, would be null or long (rule branch)"),
        (
            "refused-protobuf",
            "protobuf",
            "PROTOBUF",
            proto("optional string id = 1"),
            "id: was string, would be int64 (rule type)",
        ),
        (
            "refused-json",
            "json_schema",
            "JSON",
            json(r#"{"type":"string"}"#, ""),
            "id: was string, would be null or integer (rule type)",
        ),
    ];
    for (prefix, format, kind, old, finding) in of_format {
        let place = Place::new(prefix, registry)?;
        let subject = format!("{prefix}-out-value");
        registry.register(&subject, kind, &old)?;
        registry.set_level(&subject, "FULL")?;
        place.write("writes.yaml", WRITES, format, "steps: [{select: [id]}]")?;
        let kept = format!("MS1008]: {subject} is kept FULL: ");
        let read = "the new schema cannot read what version 1 wrote";
        for (command, code) in [("check", 3), ("plan", 1)] {
            place.expect(&[command, "writes.yaml"], code, &[&kept, finding, read])?;
        }
    }
    Ok(())
}

/// Of two versions only the first conflicts, and only transitive levels look at it. What is said agrees with the level, and with
/// what the registry takes.
fn what_is_said_of_each_level_is_what_the_registry_judges() -> Result {
    let place = Place::new("levels", SchemaRegistry::shared()?)?;
    // The first version; and what makes the last one of the sink's own schema, and changes nothing for anybody.
    let of_format = [
        ("avro", "AVRO", avro("string"), ("{", "{\"doc\":\"last\",")),
        ("protobuf", "PROTOBUF", proto("optional string id = 1"), ("shop;", "shop;\noption java_package = \"last\";")),
        ("json_schema", "JSON", json(r#"{"type":"string"}"#, ""), ("{", "{\"$comment\":\"last\",")),
    ];
    for (format, kind, first, (from, to)) in of_format {
        let subject = format!("levels-{format}-value");
        place.registry.register(&subject, kind, &first)?;
        place.registry.set_level(&subject, "NONE")?;
        let pipeline = WRITES.replace("PREFIX-out", &format!("levels-{format}"));
        place.write("writes.yaml", &pipeline, format, "steps: [{select: [id]}]")?;
        let own = place.schema_of(&subject)?;
        place.registry.register(&subject, kind, &own.replacen(from, to, 1))?;
        let own = serde_json::json!({"schema": own, "schemaType": kind});
        let mut wrong = Vec::new();
        for level in ["BACKWARD", "FORWARD", "FULL"] {
            wrong.extend(place.disagrees(level, &subject, &own)?);
            wrong.extend(place.disagrees(&format!("{level}_TRANSITIVE"), &subject, &own)?);
        }
        ensure!(wrong.is_empty(), "{format}: {}", wrong.join("\n"));
    }
    Ok(())
}

/// What the registry would judge by the last version alone, or not at all, as it is kept NONE first.
fn a_contract_of_a_sink_names_field_types_and_rule_in_every_format() -> Result {
    let registry = SchemaRegistry::shared()?;
    let pattern = r#","patternProperties":{"^x":{"type":"string"}},"additionalProperties":true"#;
    let of_format = [
        (
            "avro",
            "AVRO",
            vec![avro("string"), avro("long")],
            vec!["breaks", "good", "breaks", "good"],
            2,
            "(rule branch)",
        ),
        (
            "protobuf",
            "PROTOBUF",
            vec![proto("optional string id = 1"), proto("optional int64 id = 1"), proto("optional int32 id = 1")],
            vec!["breaks", "good", "note", "breaks", "good", "good"],
            2,
            "id: written as int64, read as string (rule type)",
        ),
        (
            "json_schema",
            "JSON",
            vec![
                json(r#"{"type":"string"}"#, ""),
                json(r#"{"type":["null","integer"]}"#, ""),
                json(r#"{"type":["null","integer"]}"#, pattern),
            ],
            vec!["breaks", "good", "not judged", "breaks", "breaks", "not judged"],
            3,
            "id: written as integer, read as string (rule type)",
        ),
    ];
    for (format, kind, versions, expected, breaks, finding) in of_format {
        let prefix = match format {
            "avro" => "judged-avro",
            "protobuf" => "judged-protobuf",
            _ => "judged-json",
        };
        let place = Place::new(prefix, registry)?;
        let subject = format!("{prefix}-out-value");
        for (at, text) in versions.iter().enumerate() {
            registry.register(&subject, kind, text)?;
            if at == 0 {
                registry.set_level(&subject, "NONE")?;
            }
        }
        registry.set_level(&subject, "BACKWARD")?;
        place.write("writes.yaml", WRITES, format, "steps: [{select: [id]}]")?;
        let said = place.expect(&["contract", "writes.yaml", "--json"], 3, &[])?;
        let said: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        let rows: Vec<_> = said["versions"].as_array().into_iter().flatten().collect();
        let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap_or_default()).collect();
        ensure!(verdicts == expected, "{format}: {said:#}");
        let directions: Vec<_> = rows.iter().map(|row| row["direction"].as_str().unwrap_or_default()).collect();
        let (half, _) = directions.split_at(versions.len());
        ensure!(
            half.iter().all(|side| *side == "writes") && directions[versions.len()] == "reads_back",
            "{directions:?}"
        );
        ensure!(said["breaks"] == breaks, "{format}: {said:#}");
        let not_judged = if format == "json_schema" { "2 versions not judged as a whole" } else { "versions break" };
        let shown = place.expect(&["contract", "writes.yaml"], 3, &["is read by", "reads back", not_judged])?;
        // A cell may be broken into lines.
        let words = shown.split_whitespace().filter(|word| !word.contains('│')).collect::<Vec<_>>().join(" ");
        ensure!(words.contains(finding), "{format}: {shown}");
    }
    Ok(())
}

fn every_format_is_registered_and_read_back() -> Result {
    let registry = SchemaRegistry::shared()?;
    for (format, prefix) in [("avro", "back-avro"), ("protobuf", "back-protobuf"), ("json_schema", "back-json")] {
        let place = Place::new(prefix, registry)?;
        place.write("writes.yaml", WRITES, format, "")?;
        place.write("reads.yaml", READS, format, "")?;
        let rows = "{\"id\":1,\"note\":\"a\",\"tags\":[\"x\",\"y\"]}\n{\"id\":2,\"note\":null,\"tags\":[]}\n";
        let path = place.folder.path().join("rows.jsonl");
        std::fs::write(&path, rows).map_err(Trouble::io(path.display()))?;
        let (from, back) = (format!("{prefix}-rows"), format!("{prefix}-back"));
        place.expect(&["topic", "create", &from, "--local", "data"], 0, &[])?;
        place.expect(&["topic", "produce", &from, "rows.jsonl", "--local", "data"], 0, &[])?;
        place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 0, &[])?;
        place.expect(&["check", "writes.yaml"], 0, &["is version 1 (id "])?;
        place.expect(&["check", "reads.yaml"], 0, &[&format!("the schema is {prefix}-out-value version 1 (id ")])?;
        place.expect(&["plan", "reads.yaml"], 0, &[&format!("schema {prefix}-out-value version 1 (id ")])?;
        place.expect(&["run", "--local", "data", "--until-end", "reads.yaml"], 0, &[])?;
        let said = place.expect(&["topic", "consume", &back, "--local", "data"], 0, &[])?;
        let read: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let wrote: Vec<Value> = rows.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        ensure!(read == wrote, "{format}: {said}");
    }
    Ok(())
}

const KEYED: &str = "\
version: 1
pipeline: keyed
sources:
  rows: {topic: PREFIX-rows, format: json, schema: {id: bigint, note: string}}
sink: {topic: PREFIX-out, format: json, REGISTER key: {columns: [id, note], format: FORMAT, name: Place}}
";

const READS_KEYS: &str = "\
version: 1
pipeline: reads-keys
sources:
  rows: {topic: PREFIX-out, format: json, schema: {id: bigint}, key: {format: FORMAT}}
sink: {topic: PREFIX-back, format: json}
";

fn keys_have_subjects_of_their_own() -> Result {
    let registry = SchemaRegistry::shared()?;
    for (format, prefix) in [("avro", "key-avro"), ("protobuf", "key-protobuf"), ("json_schema", "key-json")] {
        let place = Place::new(prefix, registry)?;
        let subject = format!("{prefix}-out-key");
        place.write("keyed.yaml", &KEYED.replace("REGISTER ", ""), format, "")?;
        place.expect(&["check", "keyed.yaml"], 3, &["MS1009", &format!("no subject {subject}")])?;
        place.write("keyed.yaml", &KEYED.replace("REGISTER", "register: true,"), format, "")?;
        let first = format!("the schema of keys would be registered as its first version; subject {subject}");
        place.expect(&["check", "keyed.yaml"], 0, &[&first])?;
        place.expect(&["plan", "keyed.yaml"], 0, &[&format!("key id, note as {format}"), "schema of keys", &first])?;
        let rows = "{\"id\":1,\"note\":\"a\"}\n{\"id\":2,\"note\":null}\n";
        let path = place.folder.path().join("rows.jsonl");
        std::fs::write(&path, rows).map_err(Trouble::io(path.display()))?;
        let (from, back) = (format!("{prefix}-rows"), format!("{prefix}-back"));
        place.expect(&["topic", "create", &from, "--local", "data"], 0, &[])?;
        place.expect(&["topic", "produce", &from, "rows.jsonl", "--local", "data"], 0, &[])?;
        place.expect(&["run", "--local", "data", "--until-end", "keyed.yaml"], 0, &[])?;
        place.expect(&["check", "keyed.yaml"], 0, &["the schema of keys is version 1 (id "])?;
        let contract = place.expect(&["contract", "keyed.yaml"], 0, &["(key)", &subject])?;
        ensure!(contract.contains("is read by"), "{contract}");
        // `note` stands in keys alone.
        place.write("reads.yaml", READS_KEYS, format, "")?;
        place.expect(&["run", "--local", "data", "--until-end", "reads.yaml"], 0, &[])?;
        let said = place.expect(&["topic", "consume", &back, "--local", "data"], 0, &[])?;
        let read: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let wrote: Vec<Value> = rows.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        ensure!(read == wrote, "{format}: {said}");
    }
    let place = Place::new("key-breaks", registry)?;
    let old = r#"{"type":"record","name":"Place","fields":[{"name":"id","type":["null","string"],"default":null}]}"#;
    registry.register("key-breaks-out-key", "AVRO", old)?;
    registry.set_level("key-breaks-out-key", "FULL")?;
    place.write("keyed.yaml", &KEYED.replace("REGISTER", "register: true,"), "avro", "")?;
    place.expect(&["check", "keyed.yaml"], 3, &["MS1008", "key-breaks-out-key is kept FULL", "id: was "])?;
    Ok(())
}

/// What is referred to, and what refers to it: names of files, texts, and the sink.
const REFERRED: [(&str, &str, &str, &str, &str); 3] = [
    (
        "avro",
        "shop.Money.avsc",
        r#"{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"units","type":"long"}]}"#,
        "order.avsc",
        r#"{"type":"record","name":"Order","namespace":"shop","fields":[
            {"name":"id","type":"long"},{"name":"total","type":["null","Money"],"default":null}]}"#,
    ),
    (
        "protobuf",
        "shop/money.proto",
        "syntax = \"proto3\";\npackage shop;\n\nmessage Money {\n  int64 units = 1;\n}\n",
        "order.proto",
        "syntax = \"proto3\";\npackage shop;\n\nimport \"shop/money.proto\";\n\nmessage Order {\n  optional int64 id = 1;\n  \
         Money total = 2;\n}\n",
    ),
    (
        "json_schema",
        "money.json",
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"units":{"type":"integer"}}}"#,
        "order.json",
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","type":"object","properties":{
            "id":{"type":"integer"},"total":{"$ref":"money.json"}}}"#,
    ),
];

const WRITES_GIVEN: &str = "\
version: 1
pipeline: refers
sources:
  rows: {topic: PREFIX-rows, format: json, schema: {id: bigint, total: \"struct<units: bigint>\"}}
sink: {topic: PREFIX-out, format: FORMAT, schema: {file: SCHEMA}REGISTER}
";

fn a_given_schema_is_registered_with_what_it_refers_to() -> Result {
    let registry = SchemaRegistry::shared()?;
    let prefixes = ["refers-avro", "refers-protobuf", "refers-json"];
    for ((format, referred, money, file, order), prefix) in REFERRED.into_iter().zip(prefixes) {
        let place = Place::new(prefix, registry)?;
        let folder = place.folder.path().join("shop");
        std::fs::create_dir(&folder).map_err(Trouble::io(folder.display()))?;
        place.write(referred, money, format, "")?;
        place.write(file, order, format, "")?;
        let text = WRITES_GIVEN.replace("SCHEMA", file);
        let subject = referred.strip_suffix(".avsc").unwrap_or(referred);
        place.write("writes.yaml", &text.replace("REGISTER", ""), format, "")?;
        place.expect(&["check", "writes.yaml"], 3, &["MS1009", &format!("no subject {subject}")])?;
        place.write("writes.yaml", &text.replace("REGISTER", ", register: true"), format, "")?;
        let would = format!("a schema that it refers to would be registered as its first version; subject {subject}");
        place.expect(&["check", "writes.yaml"], 0, &[&would, "the schema would be registered"])?;
        place.expect(&["topic", "create", &format!("{prefix}-rows"), "--local", "data"], 0, &[])?;
        let rows = "{\"id\":1,\"total\":{\"units\":5}}\n";
        let path = place.folder.path().join("rows.jsonl");
        std::fs::write(&path, rows).map_err(Trouble::io(path.display()))?;
        place.expect(&["topic", "produce", &format!("{prefix}-rows"), "rows.jsonl", "--local", "data"], 0, &[])?;
        for _ in 0..2 {
            place.expect(&["run", "--local", "data", "--until-end", "writes.yaml"], 0, &[])?;
        }
        let path = format!("/subjects/{prefix}-out-value/versions/latest");
        let registered = registry.ask("GET", &path, &Value::Null)?.body;
        let expected = serde_json::json!([{"name": subject, "subject": subject, "version": 1}]);
        ensure!(registered["references"] == expected, "{format}: {registered}");
        ensure!(registered["version"] == 1, "{format}: {registered}");
        place.expect(
            &["check", "writes.yaml"],
            0,
            &["a schema that it refers to is version 1", "the schema is version 1"],
        )?;
        // A file that is gone is still a version of its subject.
        let path = place.folder.path().join(referred);
        std::fs::remove_file(&path).map_err(Trouble::io(path.display()))?;
        place.expect(&["check", "writes.yaml"], 0, &["the schema is version 1"])?;
        // Whoever reads by the subject has it all.
        place.write("reads.yaml", READS, format, "")?;
        place.expect(&["run", "--local", "data", "--until-end", "reads.yaml"], 0, &[])?;
        let said = place.expect(&["topic", "consume", &format!("{prefix}-back"), "--local", "data"], 0, &[])?;
        ensure!(said.contains("\"total\":{\"units\":5}"), "{format}: {said}");
    }
    Ok(())
}
