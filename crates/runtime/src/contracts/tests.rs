//! Contracts over a registry in memory that judges as a real one does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use millstream_formats::SchemaId;
use millstream_formats::avro::{AvroSchema, Level};
use millstream_pipeline::diagnostic::{Diagnostics, Style};
use millstream_pipeline::found::{Found, Wanted};
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::lower;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::{PartitionCounts, SinkFormat, Topology};
use millstream_pipeline::yaml::source_map::SourceMap;

use super::*;
use crate::registry::{Missing, RegisteredSchema, ResolvedReference};

/// Subjects with their versions; an id is a text's place in `texts`, from 1.
struct InMemory {
    level: Level,
    subjects: RefCell<BTreeMap<String, Vec<String>>>,
    texts: RefCell<Vec<String>>,
    registrations: RefCell<usize>,
    /// What versions refer to, by their subject.
    references: Vec<(&'static str, ResolvedReference)>,
    /// A version that was deleted, of whatever subject.
    deleted: Option<u32>,
    /// Whether it judges schemas at all.
    judges: bool,
    /// A subject of whose versions it says something else than what they are.
    mute: Option<(&'static str, RegistryError)>,
}

impl InMemory {
    fn new(level: Level, subjects: &[(&str, &[&str])]) -> InMemory {
        let registry = InMemory {
            level,
            subjects: RefCell::default(),
            texts: RefCell::default(),
            registrations: RefCell::default(),
            references: Vec::new(),
            deleted: None,
            judges: true,
            mute: None,
        };
        for (subject, versions) in subjects {
            for text in *versions {
                registry.add(subject, text);
            }
        }
        registry
    }

    fn add(&self, subject: &str, text: &str) -> SchemaId {
        self.subjects.borrow_mut().entry(subject.to_owned()).or_default().push(text.to_owned());
        if !self.texts.borrow().iter().any(|known| known == text) {
            self.texts.borrow_mut().push(text.to_owned());
        }
        self.id(text)
    }

    fn id(&self, text: &str) -> SchemaId {
        SchemaId(self.texts.borrow().iter().position(|known| known == text).unwrap() as u32 + 1)
    }

    fn has(&self, version: u32, which: Which) -> bool {
        which == Which::Ever || self.deleted != Some(version)
    }

    fn texts_of(&self, subject: &str) -> Vec<String> {
        self.subjects.borrow().get(subject).cloned().unwrap_or_default()
    }
}

impl Subjects for InMemory {
    fn version(&self, subject: &str, version: Version, which: Which) -> Result<SubjectVersion, RegistryError> {
        if let Some((_, error)) = self.mute.as_ref().filter(|(mute, _)| *mute == subject) {
            return Err(error.clone());
        }
        let texts = self.texts_of(subject);
        let number = match version {
            Version::Latest => texts.len() as u32,
            Version::Number(number) => number,
        };
        let text = (number as usize).checked_sub(1).and_then(|index| texts.get(index));
        let text = text.filter(|_| self.has(number, which)).ok_or_else(|| {
            let missing = Missing::Version { subject: subject.to_owned(), version };
            RegistryError::NotFound { url: "memory".to_owned(), missing }
        })?;
        let kind = match text {
            _ if text.starts_with("syntax") => SchemaKind::Protobuf,
            _ if text.contains("\"properties\"") => SchemaKind::JsonSchema,
            _ => SchemaKind::Avro,
        };
        let references = self.references.iter().filter(|(of, _)| *of == subject);
        let references = references.map(|(_, reference)| reference.clone()).collect();
        let schema = RegisteredSchema { kind, text: text.clone(), references };
        Ok(SubjectVersion { subject: subject.to_owned(), version: number, id: self.id(text), schema })
    }

    fn versions(&self, subject: &str, which: Which) -> Result<Vec<u32>, RegistryError> {
        match self.texts_of(subject).len() as u32 {
            0 => {
                let missing = Missing::Subject(subject.to_owned());
                Err(RegistryError::NotFound { url: "memory".to_owned(), missing })
            }
            last => Ok((1..=last).filter(|version| self.has(*version, which)).collect()),
        }
    }

    fn level(&self, _subject: &str) -> Result<Level, RegistryError> {
        Ok(self.level)
    }

    fn against_level(&self, subject: &str, _level: Level, schema: &NewSchema) -> Result<Judged, RegistryError> {
        let judged = |said: Option<Vec<String>>| Ok(said.map_or(Judged::Compatible, Judged::Incompatible));
        if !self.judges {
            return Ok(Judged::Not);
        }
        // Of other formats each registry has rules of its own: this one takes nothing new.
        if schema.kind != SchemaKind::Avro {
            let is_asked = self.level != Level::None;
            return judged(is_asked.then(|| vec!["list of diff types: [NOT_THE_SAME]".to_owned()]));
        }
        let parse = |text: &str| AvroSchema::parse(text, &[]).unwrap();
        let earlier = self.texts_of(subject).iter().map(|text| parse(text)).collect::<Vec<_>>();
        let findings = self.level.findings(&parse(&schema.text), &earlier);
        let of_registries = findings.iter().filter(|(_, _, finding)| finding.rule.is_of_registries());
        let said = of_registries.map(|(_, _, finding)| finding.to_string()).collect::<Vec<_>>();
        judged((!said.is_empty()).then_some(said))
    }

    fn register(&self, subject: &str, schema: &NewSchema) -> Result<SchemaId, RegistryError> {
        *self.registrations.borrow_mut() += 1;
        Ok(self.add(subject, &schema.text))
    }

    fn lookup(&self, subject: &str, schema: &NewSchema) -> Result<Option<(SchemaId, u32)>, RegistryError> {
        let place = self.texts_of(subject).iter().position(|text| *text == schema.text);
        Ok(place.map(|index| (self.id(&schema.text), index as u32 + 1)))
    }
}

const V1: &str =
    r#"{"type":"record","name":"Trade","fields":[{"name":"symbol","type":"string"},{"name":"price","type":"float"}]}"#;
const V2: &str = r#"{"type":"record","name":"Trade","fields":[{"name":"symbol","type":"string"},{"name":"price","type":"double"},{"name":"venue","type":"string","default":""}]}"#;
/// What the pipeline below writes, but for `price`.
const OUT_AS_TEXT: &str = r#"{"type":"record","name":"out","fields":[{"name":"symbol","type":["null","string"],"default":null},{"name":"price","type":["null","string"],"default":null}]}"#;

struct Loaded {
    pipeline: Pipeline,
    map: SourceMap,
    found: Found,
}

impl Loaded {
    fn new(source: &str, sink: &str, registry: &InMemory) -> Loaded {
        let text = format!(
            "version: 1\npipeline: p\nsources:\n  trades: {source}\nsteps:\n  - select: [symbol, price]\nsink: {sink}\n"
        );
        let (pipeline, map) = millstream_pipeline::parse("p.yaml", &text, &no_lookup).unwrap();
        let found = find(&pipeline, Path::new(""), Some(registry)).found;
        Loaded { pipeline, map, found }
    }

    fn topology(&self) -> Result<Topology, Diagnostics> {
        lower::lower_with(&self.pipeline, &self.map, &PartitionCounts::unknown(), &self.found)
    }

    fn settle(&mut self, registry: &InMemory, act: Act) -> (Vec<SinkReport>, String) {
        let topology = self.topology().unwrap();
        let reports = settle(&topology, registry, act, &mut self.found).unwrap();
        let said = diagnostics(&reports, &topology, &self.pipeline, &self.map).render(Style::Plain);
        (reports, said)
    }
}

#[test]
fn the_latest_version_is_pinned_and_known_before_the_first_message() {
    let registry = InMemory::new(Level::Backward, &[("trades-value", &[V1, V2])]);
    let loaded = Loaded::new("{format: avro}", "{topic: out}", &registry);
    let topology = loaded.topology().unwrap();
    let schema = topology.sources[0].schema.as_ref().unwrap();
    assert_eq!(schema.origins[0].to_string(), "trades-value version 2 (id 2)");
    assert_eq!(schema.writers[0].0, SchemaId(2));
    // A version that is registered later changes nothing for the topologies of this run.
    registry.add("trades-value", V1);
    assert_eq!(loaded.topology().unwrap().sources[0].declared, topology.sources[0].declared);
    let first = Loaded::new("{format: avro, schema: {subject: trades-value, version: 1}}", "{topic: out}", &registry);
    assert_eq!(first.topology().unwrap().sources[0].schema.as_ref().unwrap().writers[0].0, SchemaId(1));
}

#[test]
fn a_schema_is_registered_once_and_only_when_told_to() {
    let registry = InMemory::new(Level::Backward, &[("trades-value", &[V1])]);
    let sink = "{topic: out, format: avro, register: true}";
    let mut loaded = Loaded::new("{format: avro}", sink, &registry);
    let (reports, said) = loaded.settle(&registry, Act::Look);
    assert_eq!((reports[0].outcome.clone(), said.as_str()), (Outcome::WouldRegister(vec![], Judge::Registry), ""));
    assert_eq!(*registry.registrations.borrow(), 0);
    assert!(loaded.topology().unwrap().sinks[0].schema.as_ref().unwrap().is_open());
    let (reports, _) = loaded.settle(&registry, Act::Register);
    let Outcome::Registered(at) = &reports[0].outcome else { panic!("{reports:?}") };
    assert_eq!((at.subject.as_str(), at.version, at.id), ("out-value", 1, SchemaId(2)));
    let topology = loaded.topology().unwrap();
    assert!(!topology.sinks[0].schema.as_ref().unwrap().is_open());
    let SinkFormat::Avro(write) = &topology.sinks[0].format else { panic!("{:?}", topology.sinks[0].format) };
    assert_eq!(write.id, Some(SchemaId(2)));
    // The next start finds it.
    let mut again = Loaded::new("{format: avro}", sink, &registry);
    assert!(matches!(again.settle(&registry, Act::Register).0[0].outcome, Outcome::Exists(_)));
    assert_eq!(*registry.registrations.borrow(), 1);
}

#[test]
fn without_leave_to_register_the_schema_must_be_there() {
    let registry = InMemory::new(Level::Backward, &[("trades-value", &[V1])]);
    let mut loaded = Loaded::new("{format: avro}", "{topic: out, format: avro}", &registry);
    let (reports, said) = loaded.settle(&registry, Act::Register);
    assert_eq!(reports[0].outcome, Outcome::Missing(vec![]));
    assert!(
        said.contains("MS1009") && said.contains("no subject out-value") && said.contains("register: true"),
        "{said}"
    );
    assert_eq!(*registry.registrations.borrow(), 0);
}

#[test]
fn what_would_break_somebody_names_field_types_and_rule() {
    let levels = [
        (Level::Backward, true),
        (Level::Forward, true),
        (Level::Full, true),
        (Level::BackwardTransitive, true),
        (Level::ForwardTransitive, true),
        (Level::FullTransitive, true),
        (Level::None, false),
    ];
    for (level, breaks) in levels {
        let registry = InMemory::new(level, &[("trades-value", &[V1]), ("out-value", &[OUT_AS_TEXT])]);
        let mut loaded = Loaded::new("{format: avro}", "{topic: out, format: avro, register: true}", &registry);
        let (reports, said) = loaded.settle(&registry, Act::Register);
        assert_eq!(matches!(reports[0].outcome, Outcome::Breaks(_)), breaks, "{level:?}: {reports:?}");
        assert_eq!(*registry.registrations.borrow(), usize::from(!breaks), "{level:?}");
        if breaks {
            let parts = ["MS1008", "price: was ", "string", "would be ", "float", "(rule branch)", "version 1"];
            parts.iter().for_each(|part| assert!(said.contains(part), "{level:?}: no {part} in {said}"));
        }
    }
}

/// What is said of a sink of `format` whose subject has one version, made of the schema that the sink writes by.
fn refusal(level: Level, format: &str, version: &dyn Fn(&str) -> String) -> String {
    let registry = InMemory::new(level, &[("trades-value", &[V2])]);
    let sink = format!("{{topic: out, format: {format}, register: true}}");
    let mut loaded = Loaded::new("{format: avro}", &sink, &registry);
    let own = loaded.topology().unwrap().sinks[0].schema.as_ref().unwrap().text.clone();
    registry.add("out-value", &version(&own));
    let (_, said) = loaded.settle(&registry, Act::Register);
    assert_eq!(*registry.registrations.borrow(), usize::from(level == Level::None));
    said
}

#[test]
fn a_refusal_of_protobuf_or_json_schema_is_told_by_fields_where_our_rules_see_why() {
    let text = |own: &str| own.replacen("double price", "string price", 1);
    let said = refusal(Level::Full, "protobuf", &text);
    for part in [
        "price: was string, would be double (rule type): the new schema cannot read what version 1 wrote",
        "price: was string, would be double (rule type): what it writes cannot be read by version 1",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert!(!said.contains("NOT_THE_SAME"), "{said}");

    let closed = |own: &str| own.replacen("\"number\"", "\"string\"", 1);
    let said = refusal(Level::Forward, "json_schema", &closed);
    assert!(said.contains("price: was "), "{said}");
    assert!(said.contains("(rule type): what it writes cannot be read by version 1"), "{said}");

    let renamed = |own: &str| own.replacen(" price", " cost", 1);
    let said = refusal(Level::Backward, "protobuf", &renamed);
    assert!(said.contains("out-value is kept BACKWARD: list of diff types: [NOT_THE_SAME]"), "{said}");
    assert_eq!(refusal(Level::None, "protobuf", &text), "");
}

#[test]
fn fields_of_protobuf_are_numbered_anew_only_where_there_is_no_version_before() {
    const BEFORE: &str =
        "syntax = \"proto3\";\nmessage out {\n  optional string symbol = 2;\n  optional double price = 1;\n}\n";
    let missing = |subject: &str, version| Missing::Version { subject: subject.to_owned(), version };
    let not_found = |missing| RegistryError::NotFound { url: "memory".to_owned(), missing };
    let made = |mute: Option<RegistryError>| {
        let mut registry = InMemory::new(Level::None, &[("trades-value", &[V2]), ("out-value", &[BEFORE])]);
        registry.mute = mute.map(|error| ("out-value", error));
        let loaded = Loaded::new("{format: avro}", "{topic: out, format: protobuf, register: true}", &registry);
        let text = |topology: Topology| topology.sinks[0].schema.as_ref().unwrap().text.clone();
        loaded.topology().map(text).map_err(|wrong| wrong.render(Style::Plain))
    };
    assert!(made(None).unwrap().contains("price = 1;"));
    assert!(made(Some(not_found(missing("out-value", Version::Latest)))).unwrap().contains("price = 2;"));
    let garbage = RegistryError::Garbage { url: "memory".to_owned(), reason: "status 404".to_owned() };
    let away = RegistryError::Unavailable { reasons: "memory: refused".to_owned(), retry_after: None };
    let refused = RegistryError::Refused { url: "memory".to_owned(), status: 401 };
    // The version is there, and what it refers to is not.
    let half = not_found(missing("shop.Money", Version::Number(1)));
    for error in [garbage, away, refused, half] {
        let said = made(Some(error.clone())).expect_err("its fields were numbered");
        assert!(said.contains("MS1002") && said.contains(&error.to_string()), "{said}");
        assert!(said.contains("the latest version of out-value, whose fields keep their numbers"), "{said}");
    }
}

#[test]
fn where_a_registry_does_not_judge_our_rules_do_and_it_is_said() {
    for format in ["avro", "protobuf", "json_schema"] {
        let mut registry = InMemory::new(Level::Backward, &[("trades-value", &[V2])]);
        registry.judges = false;
        let sink = format!("{{topic: out, format: {format}, register: true}}");
        let mut loaded = Loaded::new("{format: avro}", &sink, &registry);
        let own = loaded.topology().unwrap().sinks[0].schema.as_ref().unwrap().text.clone();
        // The same in another text, and with another type.
        let (same, other) = match format {
            "protobuf" => (format!("{own}\n"), own.replacen("double price", "string price", 1)),
            "json_schema" => (format!("{own}\n"), own.replacen("\"number\"", "\"string\"", 1)),
            _ => (format!("{own}\n"), own.replacen("\"double\"", "\"string\"", 1)),
        };
        registry.add("out-value", &same);
        let (reports, said) = loaded.settle(&registry, Act::Look);
        assert_eq!(said, "", "{format}");
        assert_eq!(reports[0].outcome, Outcome::WouldRegister(vec![1], Judge::Rules), "{format}");
        let line = reports[0].line();
        assert!(line.contains("by our rules compatible with version 1 (the registry has not judged)"), "{line}");
        registry.add("out-value", &other);
        let (_, said) = loaded.settle(&registry, Act::Register);
        assert!(said.contains("price: was ") && said.contains("version 2"), "{format}: {said}");
        assert_eq!(*registry.registrations.borrow(), 0, "{format}");
    }
}

#[test]
fn only_transitive_levels_look_at_all_versions() {
    let own = Loaded::new(
        "{format: avro}",
        "{topic: out, format: avro}",
        &InMemory::new(Level::None, &[("trades-value", &[V1])]),
    );
    let own = own.topology().unwrap().sinks[0].schema.as_ref().unwrap().text.clone();
    let later = own.replacen(
        "\"fields\":[",
        "\"fields\":[{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null},",
        1,
    );
    for (level, breaks) in [(Level::Backward, false), (Level::BackwardTransitive, true)] {
        let registry = InMemory::new(level, &[("trades-value", &[V1]), ("out-value", &[OUT_AS_TEXT, &later])]);
        let mut loaded = Loaded::new("{format: avro}", "{topic: out, format: avro, register: true}", &registry);
        let (reports, said) = loaded.settle(&registry, Act::Look);
        assert_eq!(matches!(reports[0].outcome, Outcome::Breaks(_)), breaks, "{level:?}: {said}");
    }
}

#[test]
fn a_contract_is_held_against_every_version() {
    const ODD: &str = r#"{"type":"record","name":"Trade","fields":[{"name":"symbol","type":"string"},{"name":"price","type":"string"}]}"#;
    let registry = InMemory::new(Level::None, &[("trades-value", &[V1, ODD, V2]), ("out-value", &[OUT_AS_TEXT])]);
    let loaded = Loaded::new("{format: avro}", "{topic: out, format: avro}", &registry);
    let entries = history(&loaded.topology().unwrap(), &registry).unwrap();
    let shown = entries.iter().map(|entry| (entry.name.as_str(), entry.version.unwrap(), entry.verdict.word()));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [("trades", 1, "good"), ("trades", 2, "breaks"), ("trades", 3, "good"), ("out", 1, "breaks")]
    );
    assert!(entries[1].verdict.findings()[0].contains("price"), "{entries:?}");
    assert!(entries.iter().all(|entry| !entry.is_deleted), "{entries:?}");
    // Records of a version that was deleted may still be there.
    let mut registry = registry;
    registry.deleted = Some(2);
    let again = history(&loaded.topology().unwrap(), &registry).unwrap();
    assert_eq!(
        again.iter().map(|entry| &entry.verdict).collect::<Vec<_>>(),
        entries.iter().map(|entry| &entry.verdict).collect::<Vec<_>>()
    );
    assert_eq!(again.iter().map(|entry| entry.is_deleted).collect::<Vec<_>>(), [false, true, false, false]);
    // What is not read breaks nothing.
    let narrow = Loaded::new("{format: avro, schema: {symbol: string, price: double}}", "{topic: out}", &registry);
    let narrow = history(&narrow.topology().unwrap(), &registry).unwrap();
    assert_eq!(narrow.iter().map(|entry| entry.verdict.word()).collect::<Vec<_>>(), ["good", "breaks", "good"]);
}

#[test]
fn keys_are_held_against_their_own_subject() {
    const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;
    const OTHER: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}"#;
    let registry = InMemory::new(Level::None, &[("trades-value", &[V1]), ("trades-key", &[OTHER, KEY])]);
    let text = "version: 1\npipeline: p\nsources:\n  trades: {format: avro, key: {format: avro}}\nsink: {topic: out}\n";
    let (pipeline, map) = millstream_pipeline::parse("p.yaml", text, &no_lookup).unwrap();
    let found = find(&pipeline, Path::new(""), Some(&registry)).found;
    let topology = lower::lower_with(&pipeline, &map, &PartitionCounts::unknown(), &found).unwrap();
    let shown = history(&topology, &registry).unwrap();
    let shown = shown.iter().map(|entry| (entry.name.as_str(), entry.version.unwrap(), entry.verdict.word()));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [("trades", 1, "good"), ("trades (key)", 1, "breaks"), ("trades (key)", 2, "good")]
    );
}

#[test]
fn what_a_file_refers_to_is_found_beside_it_or_in_the_registry() {
    const UNIT: &str = r#"{"type":"enum","name":"shop.Unit","symbols":["EUR"]}"#;
    const MONEY: &str = r#"{"type":"record","name":"shop.Money","fields":[{"name":"unit","type":"Unit"}]}"#;
    const ORDER: &str = r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"total","type":"Money"},{"name":"tax","type":["null","Money"]},{"name":"unit","type":"Unit"}]}"#;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("order.avsc", ORDER);
    write("shop.Money.avsc", MONEY);
    let text = "version: 1\npipeline: p\nsources:\n  trades: {format: json, schema: {id: bigint}}\nsink: {topic: orders, \
                format: avro, schema: {file: order.avsc}}\n";
    let (pipeline, _) = millstream_pipeline::parse("p.yaml", text, &no_lookup).unwrap();
    let wanted = Wanted::File("order.avsc".to_owned());
    let find_with =
        |registry: Option<&dyn Subjects>| find(&pipeline, folder.path(), registry).found.get(&wanted).cloned();
    let alone = find_with(None).unwrap().unwrap_err().to_string();
    assert_eq!(alone, "it refers to shop.Unit: there is no shop.Unit.avsc beside it or beside the pipeline");
    let registry = InMemory::new(Level::None, &[("shop.Unit", &[UNIT])]);
    let document = find_with(Some(&registry)).unwrap().unwrap();
    let places = document.references.iter().map(|other| (other.name.as_str(), other.place.clone()));
    let in_registry = Some(("shop.Unit".to_owned(), 1));
    assert_eq!(places.collect::<Vec<_>>(), [("shop.Unit", in_registry), ("shop.Money", None)]);
    let texts = document.references.iter().map(|other| other.text.as_str()).collect::<Vec<_>>();
    AvroSchema::parse(&document.text, &texts).unwrap();
    // Where a version refers to it already, that says where it stands, whatever it is called.
    let mut registry = InMemory::new(
        Level::None,
        &[("shop.Unit", &["\"int\""]), ("units", &[UNIT, "\"long\""]), ("orders-value", &[ORDER])],
    );
    let reference = Reference { name: "shop.Unit".to_owned(), subject: "units".to_owned(), version: 1 };
    registry.references = vec![("orders-value", ResolvedReference { reference, text: UNIT.to_owned() })];
    let document = find_with(Some(&registry)).unwrap().unwrap();
    assert_eq!(document.references[0].place, Some(("units".to_owned(), 1)));
    assert_eq!(document.references[0].text, UNIT);
    write("shop.Unit.avsc", UNIT);
    let document = find_with(None).unwrap().unwrap();
    assert!(document.references.iter().all(|other| other.place.is_none()), "{document:?}");
}

#[test]
fn what_a_sink_s_schema_refers_to_is_settled_where_the_version_before_says_it_stands() {
    const UNIT: &str = r#"{"type":"enum","name":"shop.Unit","symbols":["EUR"]}"#;
    const ORDER: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"unit","type":"Unit"}]}"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.avsc"), ORDER).unwrap();
    std::fs::write(folder.path().join("shop.Unit.avsc"), UNIT).unwrap();
    let text = "version: 1\npipeline: p\nsources:\n  trades: {format: json, schema: {unit: string}}\nsink: {topic: orders, \
                format: avro, register: true, schema: {file: order.avsc}}\n";
    let (pipeline, map) = millstream_pipeline::parse("p.yaml", text, &no_lookup).unwrap();
    for (subject, is_referred_to) in [("units", true), ("shop.Unit", false)] {
        let mut registry = InMemory::new(Level::None, &[("orders-value", &["\"long\""])]);
        registry.judges = false;
        let reference = Reference { name: "shop.Unit".to_owned(), subject: "units".to_owned(), version: 1 };
        let resolved = ResolvedReference { reference, text: "\"int\"".to_owned() };
        registry.references = is_referred_to.then_some(("orders-value", resolved)).into_iter().collect();
        let found = find(&pipeline, folder.path(), Some(&registry)).found;
        let mut loaded = Loaded { pipeline: pipeline.clone(), map: map.clone(), found };
        let (reports, said) = loaded.settle(&registry, Act::Register);
        assert_eq!(said, "");
        assert_eq!(reports[0].subject, subject);
        assert_eq!(registry.texts_of(subject), [UNIT]);
        assert_eq!(registry.texts_of("orders-value").last().unwrap(), ORDER);
    }
}

#[test]
fn a_refusal_of_what_a_schema_refers_to_is_told_by_fields_too() {
    const MONEY: &str = r#"{"type":"record","name":"shop.Money","fields":[{"name":"units","type":"TYPE"}]}"#;
    const ORDER: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"total","type":"shop.Money"}]}"#;
    const MONEY_PROTO: &str = "syntax = \"proto3\";\npackage shop;\nmessage Money {\n  TYPE units = 1;\n}\n";
    const ORDER_PROTO: &str =
        "syntax = \"proto3\";\npackage shop;\nimport \"money.proto\";\nmessage Order {\n  Money total = 1;\n}\n";
    const MONEY_JSON: &str = r#"{"type":"object","properties":{"units":{"type":"TYPE"}},"required":["units"]}"#;
    const ORDER_JSON: &str = r#"{"type":"object","properties":{"total":{"$ref":"money.json"}}}"#;
    for (format, file, order, beside, money, new, old) in [
        ("avro", "order.avsc", ORDER, "shop.Money", MONEY, "long", "string"),
        ("protobuf", "order.proto", ORDER_PROTO, "money.proto", MONEY_PROTO, "int64", "string"),
        ("json_schema", "order.json", ORDER_JSON, "money.json", MONEY_JSON, "integer", "string"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), order).unwrap();
        let name = if format == "avro" { "shop.Money.avsc" } else { beside };
        std::fs::write(folder.path().join(name), money.replace("TYPE", new)).unwrap();
        let text = format!(
            "version: 1\npipeline: p\nsources:\n  trades: {{format: json, schema: {{total: 'struct<units: bigint>'}}}}\nsink: \
             {{topic: orders, format: {format}, register: true, schema: {{file: {file}}}}}\n"
        );
        let (pipeline, map) = millstream_pipeline::parse("p.yaml", &text, &no_lookup).unwrap();
        let registry = InMemory::new(Level::Backward, &[(beside, &[&money.replace("TYPE", old)])]);
        let found = find(&pipeline, folder.path(), Some(&registry)).found;
        let (_, said) = Loaded { pipeline, map, found }.settle(&registry, Act::Look);
        let expected = format!("{beside} is kept BACKWARD: units: was string, would be ");
        assert!(said.contains(&expected) && said.contains("(rule type)"), "{format}: {said}");
    }
}

#[test]
fn a_json_schema_source_is_not_judged_where_a_property_is_of_another_type() {
    let json =
        |price: &str| format!(r#"{{"type":"object","properties":{{"symbol":{{"type":"string"}},"price":{price}}}}}"#);
    let versions =
        [json(r#"{"type":"number"}"#), json(r#"{"type":"integer"}"#), json(r#"{"type":"string"}"#), json("{}")];
    let versions = versions.iter().map(String::as_str).collect::<Vec<_>>();
    let registry = InMemory::new(Level::None, &[("trades-value", &versions)]);
    let source = "{format: json_schema, schema: {subject: trades-value, version: 1}}";
    let loaded = Loaded::new(source, "{topic: out}", &registry);
    let entries = history(&loaded.topology().unwrap(), &registry).unwrap();
    let words = entries.iter().map(|entry| entry.verdict.word()).collect::<Vec<_>>();
    assert_eq!(words, ["good", "good", "not judged", "not judged"], "{entries:?}");
    assert_eq!(entries[2].verdict.findings(), ["price: not judged: written as string, read as double (rule type)"]);
}

/// Versions of `out-value` that are made of the schema that the sink writes by, and what becomes of each: direction, version,
/// verdict, the finding.
fn of_sink(
    level: Level,
    format: &str,
    versions: &[&dyn Fn(&str) -> String],
) -> Vec<(Direction, u32, &'static str, String)> {
    let sink = format!("{{topic: out, format: {format}}}");
    let topology = |registry: &InMemory| Loaded::new("{format: avro}", &sink, registry).topology().unwrap();
    let registry = InMemory::new(level, &[("trades-value", &[V2])]);
    let own = topology(&registry).sinks[0].schema.as_ref().unwrap().text.clone();
    for version in versions {
        registry.add("out-value", &version(&own));
    }
    let entries = history(&topology(&registry), &registry).unwrap();
    let of_sink = entries.into_iter().filter(|entry| entry.name == "out");
    let shown = of_sink.map(|entry| {
        let said = entry.verdict.findings().join("; ");
        (entry.direction, entry.version.unwrap(), entry.verdict.word(), said)
    });
    shown.collect()
}

#[test]
fn a_protobuf_sink_is_held_against_every_version_in_both_directions() {
    let edited = |from: &'static str, to: &'static str| {
        move |own: &str| {
            assert!(own.contains(from), "{own}");
            own.replacen(from, to, 1)
        }
    };
    let same = |own: &str| own.to_owned();
    let text = edited("double price", "string price");
    let less = edited("optional double price = 2;", "");
    let narrow = edited("double price", "float price");
    let renumbered = edited("price = 2", "price = 7");
    let found = of_sink(Level::Full, "protobuf", &[&renumbered, &text, &less, &narrow, &same]);
    let said = "price: written as double, read as string (rule type)";
    let back = "price: written as string, read as double (rule type)";
    let number = "price: written as double with number 2, read as double with number 7 (rule number)";
    let number_back = "price: written as double with number 7, read as double with number 2 (rule number)";
    let float = "price: written as double, read as float (rule type)";
    let float_back = "price: written as float, read as double (rule type)";
    let expected = [
        (Direction::Writes, 1, "breaks", number),
        (Direction::Writes, 2, "breaks", said),
        (Direction::Writes, 3, "good", ""),
        (Direction::Writes, 4, "breaks", float),
        (Direction::Writes, 5, "good", ""),
        (Direction::ReadsBack, 1, "breaks", number_back),
        (Direction::ReadsBack, 2, "breaks", back),
        (Direction::ReadsBack, 3, "good", ""),
        (Direction::ReadsBack, 4, "breaks", float_back),
        (Direction::ReadsBack, 5, "good", ""),
    ];
    assert_eq!(found, expected.map(|(direction, version, word, said)| (direction, version, word, said.to_owned())));
    // Who does not promise it is not asked for it.
    let forward = of_sink(Level::ForwardTransitive, "protobuf", &[&same, &text]);
    assert!(forward.iter().all(|(direction, ..)| *direction == Direction::Writes) && forward.len() == 2, "{forward:?}");
}

#[test]
fn a_json_schema_sink_is_held_against_every_version_in_both_directions() {
    let edited = |edit: &'static dyn Fn(&mut serde_json::Value)| {
        move |own: &str| {
            let mut own: serde_json::Value = serde_json::from_str(own).unwrap();
            edit(&mut own);
            own.to_string()
        }
    };
    let same = |own: &str| own.to_owned();
    let text = edited(&|own| own["properties"]["price"] = serde_json::json!({"type": "string"}));
    let open = edited(&|own| own["additionalProperties"] = true.into());
    let less = edited(&|own| drop(own["properties"].as_object_mut().unwrap().remove("price")));
    let pattern = edited(&|own| own["patternProperties"] = serde_json::json!({"^p": {"type": "number"}}));
    let found = of_sink(Level::Backward, "json_schema", &[&same, &text, &open, &less, &pattern]);
    let words = found.iter().map(|(direction, version, word, _)| (*direction, *version, *word)).collect::<Vec<_>>();
    let (w, b) = (Direction::Writes, Direction::ReadsBack);
    let writes = [(w, 1, "good"), (w, 2, "breaks"), (w, 3, "good"), (w, 4, "breaks"), (w, 5, "not judged")];
    let back = [(b, 1, "good"), (b, 2, "breaks"), (b, 3, "breaks"), (b, 4, "good"), (b, 5, "not judged")];
    assert_eq!(words, [writes, back].concat(), "{found:?}");
    for (at, part) in [
        (1, "price: written as number, read as string (rule type)"),
        (3, "price: written as "),
        (3, "(rule closed)"),
        (4, "not judged: written as no patternProperties"),
        (7, "written as anything, read as no other properties are allowed (rule closed)"),
    ] {
        assert!(found[at].3.contains(part), "{at}: no {part} in {found:?}");
    }
}

#[test]
fn each_named_type_is_judged_for_itself() {
    let record = |name: &str, id: &str, more: &str| {
        format!(
            r#"{{"type":"record","name":"{name}","namespace":"shop","fields":[{{"name":"id","type":"{id}"}}{more}]}}"#
        )
    };
    let note = r#",{"name":"note","type":"string","default":""}"#;
    let amount = |of: &str| format!(r#",{{"name":"amount","type":"{of}"}}"#);
    let (placed, gone) = (record("Placed", "long", &amount("double")), record("Gone", "long", note));
    let (early, wrong) = (record("Placed", "int", &amount("float")), record("Placed", "string", &amount("double")));
    let other = record("Other", "boolean", "");
    let list = |records: &[&str]| format!("[{}]", records.join(","));
    let both = list(&[&placed, &gone]);
    let versions = [
        both.clone(),
        list(&[&early, &record("Gone", "long", "")]),
        list(&[&placed, &record("Gone", "boolean", note)]),
        list(&[&wrong, &gone]),
        list(&[&other]),
        list(&[&placed, &other]),
    ];
    let versions = versions.iter().map(String::as_str).collect::<Vec<_>>();
    let registry = InMemory::new(Level::None, &[("events-value", &versions)]);
    let source =
        "{format: avro, topic: events, types: [shop.Placed, shop.Gone], schema: {subject: events-value, version: 1}}";
    let text = format!("version: 1\npipeline: p\nsources:\n  trades: {source}\nsink: {{topic: out}}\n");
    let (pipeline, map) = millstream_pipeline::parse("p.yaml", &text, &no_lookup).unwrap();
    let found = find(&pipeline, Path::new(""), Some(&registry)).found;
    let topology = lower::lower_with(&pipeline, &map, &PartitionCounts::unknown(), &found).unwrap();
    let entries = history(&topology, &registry).unwrap();
    let words = entries.iter().map(|entry| entry.verdict.word()).collect::<Vec<_>>();
    assert_eq!(words, ["good", "good", "breaks", "breaks", "note", "good"], "{entries:?}");
    let (gone, placed) = (entries[2].verdict.findings(), entries[3].verdict.findings());
    assert!(gone.iter().all(|finding| finding.starts_with("shop.Gone: ")) && gone[0].contains("id"), "{gone:?}");
    assert!(placed.iter().all(|finding| finding.starts_with("shop.Placed: ")), "{placed:?}");
    assert_eq!(entries[4].verdict.findings(), ["its records have no row: it has no type that is read"]);
}
