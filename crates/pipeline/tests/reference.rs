//! The committed reference is what the types say, and its examples can be read.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a test reads the files that it is about")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use millstream_pipeline::diagnostic::Style;
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::reference::reference;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

#[test]
fn the_committed_reference_is_not_stale() {
    let update = std::env::var_os("UPDATE_REFERENCE").is_some();
    let pages = reference();
    if update {
        fs::create_dir_all(folder()).unwrap();
    }
    let wanted: BTreeSet<_> = pages.iter().map(|(name, _)| name.clone()).collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if update && !wanted.contains(&name) {
            fs::remove_file(folder().join(&name)).unwrap();
        } else {
            assert!(wanted.contains(&name), "docs/reference/{name} is no page of the reference");
        }
    }
    for (name, text) in pages {
        let path = folder().join(&name);
        if update {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/reference/{name} is stale: run UPDATE_REFERENCE=1 cargo test -p millstream-pipeline --test reference"
        );
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = reference();
    let anchors = |text: &str| -> BTreeSet<String> {
        let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-")).collect()
    };
    for (name, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name } else { file };
            let target = pages.iter().find(|(name, _)| name == file);
            let (_, target) = target.unwrap_or_else(|| panic!("{name}: no page {file}"));
            assert!(anchor.is_empty() || anchors(target).contains(anchor), "{name}: no heading for {link}");
        }
    }
}

/// Examples that are a whole pipeline, sections of one, or steps.
fn examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in reference().into_iter().filter(|(name, _)| name != "diagnostics.md") {
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block) {
            let head = "version: 1\npipeline: example\n";
            let sections = ["sources:", "streams:", "sinks:", "sink:", "tests:", "steps:"];
            if block.starts_with("version:") {
                found.push((name.clone(), block.to_owned()));
            } else if block.starts_with("- ") {
                let steps: String = block.lines().map(|line| format!("  {line}\n")).collect();
                found.push((name.clone(), format!("{head}steps:\n{steps}")));
            } else if sections.iter().any(|section| block.starts_with(section)) {
                found.push((name.clone(), format!("{head}{block}")));
            }
        }
    }
    found
}

#[test]
fn the_examples_can_be_read() {
    let examples = examples();
    assert!(examples.len() > 20, "only {} examples were found", examples.len());
    for (name, text) in examples {
        if let Err(diagnostics) = millstream_pipeline::parse(&name, &text, &no_lookup) {
            panic!("{name}:\n{text}\n{}", diagnostics.render(Style::Plain));
        }
    }
}

#[test]
fn every_code_has_a_heading() {
    let (_, page) = reference().into_iter().find(|(name, _)| name == "diagnostics.md").unwrap();
    for code in millstream_pipeline::codes::Code::all() {
        assert!(page.contains(&format!("### {} `{}`", code.id(), code.name())));
    }
}
