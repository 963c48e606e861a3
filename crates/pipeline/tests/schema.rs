//! The JSON Schema that editors use agrees with what is read, and every committed pipeline and case is valid by it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a test reads the files that it is about")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::Validator;
use millstream_pipeline::diagnostic::Diagnostics;
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::schema::{case_schema, json_schema};
use millstream_pipeline::yaml::source_map::{SourceFile, SourceMap};
use millstream_pipeline::yaml::{de, parse};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            yaml_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            into.push(path);
        }
    }
}

/// The file as an editor sees it; `None` if it is not the YAML that is read here.
fn value(text: &str) -> Option<Value> {
    let file = Arc::new(SourceFile::new("t.yaml", text));
    let mut diagnostics = Diagnostics::new(file.clone());
    let node = parse::parse(&mut SourceMap::new(file), &mut diagnostics)?;
    if diagnostics.is_empty() { Some(de::from_node(&node).unwrap()) } else { None }
}

fn assert_valid(validator: &Validator, path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let value = value(&text).unwrap_or_else(|| panic!("{} is not YAML", path.display()));
    let errors: Vec<_> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}:\n{}", path.display(), errors.join("\n"));
}

#[test]
fn every_pipeline_and_case_is_valid() {
    let pipeline = jsonschema::validator_for(&json_schema()).unwrap();
    let case = jsonschema::validator_for(&case_schema()).unwrap();
    let mut files = Vec::new();
    yaml_files(&root().join("pipelines"), &mut files);
    files.iter().for_each(|path| assert_valid(&pipeline, path));
    files.clear();
    yaml_files(&root().join("tests/cases"), &mut files);
    files.iter().for_each(|path| assert_valid(&case, path));
}

#[test]
fn what_is_read_is_valid_and_what_is_not_valid_is_not_read() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let mut files = Vec::new();
    yaml_files(&root().join("tests/diagnostics"), &mut files);
    let (mut read, mut refused) = (0, 0);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let Some(value) = value(&text) else { continue };
        let is_read = millstream_pipeline::parse("t.yaml", &text, &no_lookup).is_ok();
        let is_valid = validator.is_valid(&value);
        assert!(is_valid || !is_read, "{} is read, but not valid by the schema", path.display());
        read += usize::from(is_read);
        refused += usize::from(!is_read && !is_valid);
    }
    assert!(read > 50 && refused > 20, "{read} read, {refused} refused by both");
}
