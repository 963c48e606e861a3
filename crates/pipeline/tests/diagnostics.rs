//! Every wrong pipeline in `tests/diagnostics/`, and what is said of it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a test reads the files that it is about")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use millstream_pipeline::codes::Code;
use millstream_pipeline::diagnostic::{Diagnostics, Style};
use millstream_pipeline::found::{Document, Found, NotFound, Wanted};
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::topology::PartitionCounts;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/diagnostics")
}

fn wrong_pipelines() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let read =
        |path: PathBuf| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap());
    files.into_iter().map(read).collect()
}

/// Files are in `schemas/`; of a registry nobody knows more than that it lacks `no-such-subject`, and
/// that it does not say whether it has `of-no-registry-value`.
fn find(wanted: &[Wanted]) -> Found {
    let mut found = Found::nothing();
    for wanted in wanted {
        let document = match wanted {
            Wanted::File(path) => fs::read_to_string(folder().join("schemas").join(path))
                .map(|text| Document { text, references: Vec::new(), registered: None })
                .map_err(|_| NotFound::Absent("there is no such file".to_owned())),
            Wanted::Subject { subject, .. } if subject == "no-such-subject" => {
                Err(NotFound::Absent("the registry has no such subject".to_owned()))
            }
            Wanted::Subject { subject, .. } if subject == "of-no-registry-value" => {
                Err(NotFound::Unknown("what answers is not a schema registry".to_owned()))
            }
            Wanted::Subject { .. } => continue,
        };
        found.add(wanted.clone(), document);
    }
    found
}

fn diagnose(name: &str, text: &str) -> Diagnostics {
    let unknown = PartitionCounts::unknown();
    match millstream_pipeline::check_with(&format!("{name}.yaml"), text, &no_lookup, &unknown, &mut find) {
        Err(diagnostics) => diagnostics,
        Ok(checked) => checked.topology.warnings,
    }
}

/// Codes that no pipeline here can have.
const ELSEWHERE: &[&str] = &[
    "file-too-large", // a megabyte; see the tests of `yaml::parse`
    "internal",       // a mistake of Millstream
    "bad-size",       // in the settings file only; see the tests of `config` in the runtime
    "bad-address",    // there too
    "bad-property",   // there too: only the client knows what its values may be
    // What only a registry can say; see the tests of `contracts` in the runtime.
    "incompatible-schema",
    "not-registered",
];

#[test]
fn every_code_has_a_wrong_pipeline() {
    let mut seen = BTreeSet::new();
    let pipelines = wrong_pipelines();
    assert!(pipelines.len() >= 80, "only {} wrong pipelines", pipelines.len());
    for (name, text) in &pipelines {
        let diagnostics = diagnose(name, text);
        assert!(!diagnostics.is_empty(), "nothing is said of {name}");
        seen.extend(diagnostics.iter().map(|diagnostic| diagnostic.code));
    }
    let unseen: Vec<_> = Code::all().filter(|code| !seen.contains(code) && !ELSEWHERE.contains(&code.name())).collect();
    assert!(unseen.is_empty(), "without a wrong pipeline: {unseen:?}");
}

#[test]
fn each_wrong_pipeline_is_explained() {
    let pipelines = wrong_pipelines();
    for (name, text) in &pipelines {
        let diagnostics = diagnose(name, text);
        insta::with_settings!({
            snapshot_path => folder(),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), diagnostics.render(Style::Plain));
        });
    }
}
