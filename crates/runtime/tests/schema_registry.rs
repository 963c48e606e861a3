//! The client of schema registries against a real one. Needs Java 17; says so where it is skipped.

#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use millstream_formats::avro::Level;
use millstream_formats::{SchemaId, WriterSchema};
use millstream_harness::tls::Tls;
use millstream_harness::{Result, SchemaRegistry, Trouble, ensure, process, suite, tests, wait};
use millstream_runtime::registry::{
    Against, Compatibility, Lookup, NewSchema, Reference, Registry, RegistryError, RegistrySettings, SchemaCache,
    SchemaKind, Version, Which,
};

fn main() -> ExitCode {
    let tests = tests![
        schemas_are_registered_found_and_judged,
        what_breaks_the_rule_is_refused,
        schemas_of_every_kind_come_with_what_they_refer_to,
        what_is_not_there_is_said_so,
        a_cache_outlives_a_registry_that_is_killed_and_one_that_hangs,
        over_tls_only_who_is_trusted_is_believed,
    ];
    suite::main(2, tests)
}

const ONE: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"long"}]}"#;
const TWO: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"long"},{"name":"note","type":"string","default":""}]}"#;
const BROKEN: &str =
    r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"long"},{"name":"must","type":"string"}]}"#;

fn settings(registry: &SchemaRegistry) -> Result<RegistrySettings> {
    RegistrySettings::at(&registry.url()).map_err(|error| Trouble::Wrong(error.to_string()))
}

fn client(registry: &SchemaRegistry) -> Result<Registry> {
    Registry::new(&settings(registry)?).map_err(wrong)
}

fn wrong(error: RegistryError) -> Trouble {
    Trouble::Wrong(format!("{error} ({error:?})"))
}

fn schemas_are_registered_found_and_judged() -> Result {
    let registry = client(SchemaRegistry::shared()?)?;
    let (one, two) = (NewSchema::avro(ONE), NewSchema::avro(TWO));
    let subject = "judged/orders-value";
    ensure!(registry.lookup(subject, &one).map_err(wrong)?.is_none(), "there is a schema already");
    let first = registry.register(subject, &one).map_err(wrong)?;
    ensure!(registry.register(subject, &one).map_err(wrong)? == first, "the same schema has another id");
    ensure!(registry.lookup(subject, &one).map_err(wrong)? == Some((first, 1)), "it is not found");
    ensure!(registry.lookup(subject, &two).map_err(wrong)?.is_none(), "another schema is found");
    let second = registry.register(subject, &two).map_err(wrong)?;
    ensure!(registry.versions(subject, Which::Present).map_err(wrong)? == [1, 2], "not two versions");
    let latest = registry.version(subject, Version::Latest).map_err(wrong)?;
    ensure!((latest.version, latest.id) == (2, second) && latest.schema.text == TWO, "{latest:?}");
    let found = registry.version(subject, Version::Number(1)).map_err(wrong)?;
    ensure!((found.version, found.id) == (1, first) && found.schema.text == ONE, "{found:?}");
    let by_id = registry.by_id(first).map_err(wrong)?;
    ensure!(by_id == found.schema && by_id.kind == SchemaKind::Avro, "{by_id:?}");
    Ok(())
}

fn what_breaks_the_rule_is_refused() -> Result {
    let real = SchemaRegistry::shared()?;
    let registry = client(real)?;
    let subject = "ruled-value";
    registry.register(subject, &NewSchema::avro(ONE)).map_err(wrong)?;
    ensure!(registry.compatibility_level(subject).map_err(wrong)? == Level::None, "not the registry's level");
    real.set_level(subject, "BACKWARD")?;
    ensure!(registry.compatibility_level(subject).map_err(wrong)? == Level::Backward, "not the subject's level");
    for against in [Against::Version(Version::Latest), Against::Version(Version::Number(1)), Against::Level] {
        let judged = registry.check_compatible(subject, against, &NewSchema::avro(TWO)).map_err(wrong)?;
        ensure!(judged == Compatibility::Compatible, "{against:?}: {judged:?}");
        let judged = registry.check_compatible(subject, against, &NewSchema::avro(BROKEN)).map_err(wrong)?;
        ensure!(matches!(judged, Compatibility::Incompatible { .. }), "{against:?}: {judged:?}");
    }
    let refused = registry.register(subject, &NewSchema::avro(BROKEN));
    ensure!(matches!(refused, Err(RegistryError::Incompatible { .. })), "{refused:?}");
    let invalid = registry.register(subject, &NewSchema::avro("{nope"));
    ensure!(matches!(invalid, Err(RegistryError::Rejected { status: 422, .. })), "{invalid:?}");
    ensure!(registry.versions(subject, Which::Present).map_err(wrong)? == [1], "something was registered");
    Ok(())
}

fn schemas_of_every_kind_come_with_what_they_refer_to() -> Result {
    let registry = client(SchemaRegistry::shared()?)?;
    let new = |kind: SchemaKind, text: &str, reference: Option<(&str, &str)>| NewSchema {
        kind,
        text: text.to_owned(),
        references: reference
            .into_iter()
            .map(|(name, subject)| Reference { name: name.to_owned(), subject: subject.to_owned(), version: 1 })
            .collect(),
    };
    let enumeration = r#"{"type":"enum","name":"shop.State","symbols":["OPEN","PAID"]}"#;
    let record = r#"{"type":"record","name":"shop.Bill","fields":[{"name":"state","type":"shop.State"}]}"#;
    let money = "syntax = \"proto3\";\npackage shop;\n\nmessage Money {\n  int64 cents = 1;\n}\n";
    let bill = "syntax = \"proto3\";\npackage shop;\n\nimport \"money.proto\";\n\nmessage Bill {\n  shop.Money total = 1;\n}\n";
    let json =
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"string"}}}"#;
    for (subject, schema, names) in [
        ("kinds-state", new(SchemaKind::Avro, enumeration, None), &[][..]),
        ("kinds-bill", new(SchemaKind::Avro, record, Some(("shop.State", "kinds-state"))), &["shop.State"]),
        ("kinds-money", new(SchemaKind::Protobuf, money, None), &[]),
        ("kinds-proto-bill", new(SchemaKind::Protobuf, bill, Some(("money.proto", "kinds-money"))), &["money.proto"]),
        ("kinds-json", new(SchemaKind::JsonSchema, json, None), &[]),
    ] {
        let id = registry.register(subject, &schema).map_err(wrong)?;
        let found = registry.by_id(id).map_err(wrong)?;
        let referred: Vec<&str> = found.references.iter().map(|found| found.reference.name.as_str()).collect();
        ensure!(found.kind == schema.kind && referred == names, "{subject}: {found:?}");
        let parsed = found.parse().map_err(|error| format!("{subject}: {error}: {found:?}"))?;
        let fits = matches!(
            (&schema.kind, &parsed),
            (SchemaKind::Avro, WriterSchema::Avro(_))
                | (SchemaKind::Protobuf, WriterSchema::Protobuf(_))
                | (SchemaKind::JsonSchema, WriterSchema::Json(_))
        );
        ensure!(fits, "{subject}: {parsed:?}");
    }
    Ok(())
}

fn what_is_not_there_is_said_so() -> Result {
    let registry = client(SchemaRegistry::shared()?)?;
    let missing = [
        registry.by_id(SchemaId(1_999_999_999)).map(drop),
        registry.versions("nowhere", Which::Present).map(drop),
        registry.version("nowhere", Version::Latest).map(drop),
        registry.version("nowhere", Version::Number(7)).map(drop),
    ];
    for answer in missing {
        ensure!(matches!(answer, Err(RegistryError::NotFound { .. })), "{answer:?}");
    }
    // Somebody else's path on a server that is there.
    let url = SchemaRegistry::shared()?.url().replace("/apis/ccompat/v7", "/elsewhere");
    let settings = RegistrySettings::at(&url).map_err(|error| Trouble::Wrong(error.to_string()))?;
    let answer = Registry::new(&settings).map_err(wrong)?.by_id(SchemaId(1));
    ensure!(matches!(answer, Err(RegistryError::Garbage { .. })), "{answer:?}");
    Ok(())
}

fn over_tls_only_who_is_trusted_is_believed() -> Result {
    let folder = process::temp_folder("registry-tls")?;
    let tls = Tls::make(folder.path())?;
    let real = SchemaRegistry::start_with_tls(tls.clone())?;
    let id = SchemaId(real.register("tls-value", "AVRO", "\"long\"")?);
    let ask = |ca_file: Option<PathBuf>| {
        let settings = RegistrySettings::at(&real.tls_url()).map_err(|error| Trouble::Wrong(error.to_string()))?;
        Ok::<_, Trouble>(Registry::new(&RegistrySettings { ca_file, ..settings }).map_err(wrong)?.by_id(id))
    };
    let found = ask(Some(tls.ca))?.map_err(wrong)?;
    ensure!(found.text == "\"long\"", "{found:?}");
    // Somebody else's certificate, and the system's, among which the registry's is not.
    for ca_file in [Some(tls.wrong_ca), None] {
        let refused = ask(ca_file)?;
        let said = match &refused {
            Err(error @ RegistryError::Unavailable { .. }) => error.to_string(),
            other => return Err(Trouble::Wrong(format!("it was believed: {other:?}"))),
        };
        ensure!(said.contains("TLS: ") && said.contains("certificate"), "{said}");
    }
    Ok(())
}

fn until(cache: &SchemaCache, id: SchemaId, what: &str, done: fn(&Lookup) -> bool) -> Result<Lookup> {
    wait::until(what, Duration::from_secs(60), || Ok(cache.get(id)), done)
}

fn a_cache_outlives_a_registry_that_is_killed_and_one_that_hangs() -> Result {
    let mut real = SchemaRegistry::start()?;
    let ids: Vec<SchemaId> = ["\"long\"", "\"string\"", "\"double\""]
        .iter()
        .enumerate()
        .map(|(at, text)| real.register(&format!("outlived-{at}"), "AVRO", text).map(SchemaId))
        .collect::<Result<_>>()?;
    let settings = RegistrySettings { request_timeout: Duration::from_secs(1), ..settings(&real)? };
    let cache = SchemaCache::new(&settings).map_err(wrong)?;
    let is_known = |lookup: &Lookup| matches!(lookup, Lookup::Known(_));
    let is_failing = |lookup: &Lookup| matches!(lookup, Lookup::Failing(_));
    until(&cache, ids[0], "the first schema", is_known)?;

    real.kill();
    let failing = until(&cache, ids[1], "a failure", is_failing)?;
    ensure!(matches!(&failing, Lookup::Failing(error) if error.contains("refused")), "{failing:?}");
    ensure!(is_known(&cache.get(ids[0])), "what was known is not known any more");
    real.restart()?;
    until(&cache, ids[1], "the second schema", is_known)?;

    real.pause();
    let failing = until(&cache, ids[2], "a failure", is_failing)?;
    ensure!(matches!(&failing, Lookup::Failing(error) if error.contains("no answer within 1000 ms")), "{failing:?}");
    real.resume();
    until(&cache, ids[2], "the third schema", is_known)?;
    ensure!(cache.counts().found == 3, "{:?}", cache.counts());
    let missing = until(&cache, SchemaId(1_999_999_999), "a refusal", |lookup| matches!(lookup, Lookup::Refused(_)))?;
    ensure!(matches!(&missing, Lookup::Refused(reason) if reason.contains("1999999999")), "{missing:?}");
    Ok(())
}
